"""The web door: Streamlit navigation and nothing else. `filmroom serve` starts it."""

if __name__ == "__main__":  # the processes that decode films import their parent's main module, and need none of this
    import streamlit as st

    from search.ui import frame

    frame.dress()
    st.navigation(frame.menu(), position="top").run()
