"""The web door: Streamlit navigation and nothing else. `filmroom serve` starts it."""

import streamlit as st

from search.ui import frame

frame.dress()
st.navigation(list(frame.pages().values()), position="top").run()
