"""Draw what every page stands in: sign-in, the notice, the archive it speaks of, and faults told in one line."""

from __future__ import annotations

import argparse
import functools
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st
from filmroom.assets import ASSETS
from filmroom.db.archive import Archive, catalog_file, default_folder
from filmroom.db.catalog import file_identity
from filmroom.db.errors import FilmroomError, NotFound
from filmroom.db.reads.spaces import StoredSpace
from filmroom.db.reads.spaces import spaces as stored_spaces
from filmroom.search.ui import undo
from filmroom.search.ui.server.access_token import required
from filmroom.search.ui.server.loopback import is_loopback
from filmroom.search.ui.server.sign_in import admitted
from filmroom.search.ui.text import NOTICE, plain

if TYPE_CHECKING:
    import altair as alt
    from filmroom.search.searcher import Searcher
    from filmroom.search.ui.server.streamlit_private import Page

ICON = ASSETS / "style" / "icon.png"
STYLE = ASSETS / "style" / "page.css"

# Module of the page, its title, and whether it stands in the menu.
_PAGES = (
    ("search", "Search", True),
    ("film", "Film", False),
    ("study", "Study", False),
    ("collections", "Collections", True),
    ("zeroshot", "Zero-shot", True),
    ("evaluate", "Evaluate", True),
    ("judge", "Judge", True),
    ("map", "Map", True),
    ("check", "Check", True),
    ("archive", "Archive", True),
)
_LEAVE = "leave"

TURN_SECONDS = 5.0
_turns = threading.BoundedSemaphore(4)


def quiet_colour() -> str:
    """Return the theme's grey for small text in a chart."""
    return "#59616a" if st.context.theme.type == "light" else "#9aa2ab"


def readable(chart: alt.LayerChart | alt.FacetChart) -> alt.LayerChart | alt.FacetChart:
    """Return the chart with axes and legend in a grey that is dark enough: Streamlit's own is too pale in the light."""
    grey = quiet_colour()
    drawn: alt.LayerChart | alt.FacetChart = chart.configure_axis(labelColor=grey, titleColor=grey).configure_legend(
        labelColor=grey, titleColor=grey
    )
    return drawn


def dress() -> None:
    """Draw the frame around the page: title, style, sign-in, notice. Called once a run, before the page."""
    st.set_page_config(
        page_title="Filmroom",
        page_icon=ICON,
        layout="wide",
        menu_items={"About": f"Filmroom: semantic search for X-ray archives. {NOTICE}."},
    )
    st.html(
        f"<style>{_style()}</style><p class='filmroom-name'>Filmroom</p>"
        f"<p class='filmroom-notice' role='note'>{NOTICE}</p>"
    )
    require_sign_in()


@functools.cache
def _style() -> str:
    return STYLE.read_text("utf-8")


def pages() -> dict[str, Page]:
    """Return every page by the name of its module; a page's module is imported when it is first opened.

    Made anew each time: a page remembers whether it is being run, and no two sessions may share that.
    """
    return {
        name: st.Page(
            _shower(name),
            title=title,
            url_path="" if name == "search" else name,
            default=name == "search",
            visibility="visible" if listed else "hidden",
        )
        for name, title, listed in _PAGES
    }


def menu() -> list[Page]:
    """Return the pages, and the way out for who has signed in."""
    leave = [st.Page(st.logout, title="Sign out", url_path=_LEAVE)] if st.user.get("is_logged_in", False) else []
    return [*pages().values(), *leave]


def addresses() -> list[str]:
    """Return the path of every page."""
    return ["/", f"/{_LEAVE}", *(f"/{name}" for name, _, _ in _PAGES if name != "search")]


def _shower(name: str) -> Callable[[], None]:
    def show() -> None:
        with_words(importlib.import_module(f"filmroom.search.ui.pages.{name}").show)

    return show


def with_words(show: Callable[[], None]) -> None:
    """Run a page; a fault that a person can act on becomes one line on it, whatever text it quotes."""
    undo.show()
    try:
        with turn():
            show()
    except FilmroomError as fault:
        st.error(plain(str(fault)))


@contextmanager
def faults_as_toasts() -> Iterator[None]:
    """Let a callback say in one line what a person can act on: a page's own place for it is not drawn yet."""
    try:
        yield
    except FilmroomError as fault:
        st.toast(plain(str(fault)))


@contextmanager
def turn() -> Iterator[None]:
    """Let few pages run at once: they share one interpreter with the server, which has to answer meanwhile.

    A page that waits behind long ones runs all the same after TURN_SECONDS.
    """
    mine = _turns.acquire(timeout=TURN_SECONDS)
    try:
        yield
    finally:
        if mine:
            _turns.release()


def require_sign_in() -> None:
    """Show nothing to anybody who has not signed in (OIDC), where the settings have an `[auth]` table."""
    if not st.secrets.load_if_toml_exists() or "auth" not in st.secrets:
        return
    if admitted(st.user.to_dict(), st.secrets["auth"]):
        return
    st.title("Filmroom")
    st.write("This archive is open to those who sign in.")
    if st.button("Sign in", type="primary"):
        st.login()
    st.stop()


def may_name_folders() -> bool:
    """Tell whether this visitor may name folders of the serving machine, to read films from and to copy them to: who
    has signed in, or has the token of a server that only this machine reaches.

    An address of this machine alone says nothing of who asks: a proxy on it brings everybody, and every user of it is
    here, too.
    """
    addresses = (st.get_option("server.address"), st.get_option("browser.serverAddress"))
    on_loopback = all(is_loopback(str(address or "")) for address in addresses)
    return st.user.get("is_logged_in") is True or (on_loopback and required() is not None)


@functools.cache
def archive_folder() -> Path:
    """Return `--archive DIR` of the command line that served this page, else FILMROOM_ARCHIVE, else the default."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--archive", type=Path, default=None)
    known, _ = parser.parse_known_args(sys.argv[1:])
    folder: Path | None = known.archive
    return folder or default_folder()


def archive() -> Archive:
    """Return the archive of this page; where there is none, the page says how to make one and ends."""
    try:
        return opened(archive_folder())
    except NotFound:
        no_archive()
        st.stop()


def opened(folder: Path) -> Archive:
    """Return the archive that is in the folder now: another one may have taken its place."""
    return _archive(folder, file_identity(catalog_file(folder)))


@st.cache_resource(show_spinner=False, max_entries=2)
def _archive(folder: Path, file: tuple[int, int] | None) -> Archive:
    st.cache_data.clear()  # what was worked out of another archive
    return Archive.open(folder)


def no_archive() -> None:
    st.subheader("There is no archive yet")
    st.write("Make one from a folder of films, or try the synthetic demo archive:")
    st.code("filmroom index FOLDER\nfilmroom demo FOLDER", language="bash")
    st.write("Then reload this page. The archive is expected here:")
    st.code(str(archive_folder()), language=None)
    if st.button("Index a folder from here", type="primary"):
        st.switch_page(pages()["archive"])


def searcher(folder: Path, model: str | None = None) -> Searcher:
    """Return one searcher for all sessions: the model is loaded once, and another where `filmroom models use` has named
    another."""
    from filmroom.search.space_selection import chosen

    file = file_identity(catalog_file(folder))
    return _searcher(folder, file, model, None if model else chosen(_archive(folder, file)))


@st.cache_resource(show_spinner=False)
def _searcher(folder: Path, file: tuple[int, int] | None, model: str | None, in_use: str | None) -> Searcher:
    from filmroom.search.searcher import Searcher

    return Searcher.open(folder, model, stays=True)


def spaces(archive: Archive) -> list[StoredSpace]:
    """Return the models that films of the archive are embedded with and that are on this machine, the fullest first."""
    from filmroom.indexer.models.registry import list_models

    ready = {model.name for model in list_models() if model.ready}
    return [space for space in stored_spaces(archive.catalog) if space.films and space.space.model in ready]
