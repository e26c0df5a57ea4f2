"""The web door: Streamlit navigation and nothing else. `filmroom serve` starts it."""

if __name__ == "__main__":  # the processes that decode films import their parent's main module, and need none of this
    import streamlit as st
    from filmroom.search.ui import layout

    layout.dress()
    st.navigation(layout.menu(), position="top").run()
