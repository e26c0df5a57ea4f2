"""Open the web door: Streamlit navigation and nothing else. `filmroom serve` starts it."""

if __name__ == "__main__":  # a process that another one spawns may import its main module, and needs none of this
    import streamlit as st
    from filmroom.search.ui import layout

    layout.dress()
    st.navigation(layout.menu(), position="top").run()
