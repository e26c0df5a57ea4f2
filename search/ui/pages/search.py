"""Search: a box for the whole query language, and the films that match, best first."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput, FilmroomError
from filmroom.db.writes import annotations as kept
from filmroom.search.query.parser import FIELDS, MAX_CHARACTERS, parse, without_filter
from filmroom.search.searcher import Hit, Results, Searcher
from filmroom.search.ui import export_panel, filter_panel, layout
from filmroom.search.ui import search_state as asking
from filmroom.search.ui.components.grid.grid import Act
from filmroom.search.ui.components.recent_searches.recent_searches import memory
from filmroom.search.ui.result_grid import SEARCHING, wall_of_hits
from filmroom.search.ui.search_state import MOST_SHOWN, PAGE, Asked
from filmroom.search.ui.text import NORMAL, counted, films, number, plain

SORTS = {"match": "Best match", "newest": "Newest first", "oldest": "Oldest first", "age": "By age"}
GENERAL_EXAMPLES = ("pleural effusion", "enlarged heart", "pneumothorax", "normal chest film")
SIDED = re.compile(
    r"\b(left|right|both|bilateral(ly)?|unilateral|tiny|small|minimal|mild|moderate|large|massive|severe)\b", re.I
)
UPLOADS = ("dcm", "dicom", "png", "jpg", "jpeg", "tif", "tiff", "bmp", "webp")


def show() -> None:
    archive = layout.archive()
    searcher = layout.searcher(layout.archive_folder())
    _restore()
    st.text_input(
        "Search the archive",
        key="q",
        type="search",
        label_visibility="collapsed",
        placeholder="Say what the film shows: small left pleural effusion view:PA age:60..",
        max_chars=MAX_CHARACTERS,
    )
    try:
        parse(st.session_state.q or "")
    except BadInput as fault:
        st.warning(plain(str(fault)))
        _help()
        return
    fill = _controls(archive)
    asked = _asked()
    chosen = None if asked.query else memory("", listed=True)
    if chosen:
        _order(Asked(chosen))
    if not asked.query and not asked.like and not st.session_state.get("upload"):
        _examples(archive)
    _answer(archive, searcher, asked)
    fill()
    if asked.query:
        memory(asked.query, listed=False)  # shows nothing: no room above the films for it


# The address and the widgets say the same. The address wins where it is new (a link, the browser's back button, an
# order of this page); otherwise the widgets do. A widget's value can only be set before it is made, so what a click
# on a film changes waits as an order for the next run.
def _restore() -> None:
    order: Asked | None = st.session_state.pop("order", None)
    if order is not None:
        st.query_params.from_dict(order.parameters())
    address = st.query_params.to_dict()
    if address == st.session_state.get("address") and "q" in st.session_state:
        return
    asked = asking.read(address)
    st.session_state.q = asked.query
    st.session_state.study = asked.per_study
    st.session_state.hybrid = asked.hybrid
    st.session_state.sort = asked.sort if asked.sort in SORTS else "match"
    st.session_state.address = address


def _order(asked: Asked) -> None:
    st.session_state["order"] = asked
    st.rerun()


def _asked() -> Asked:
    """What the widgets say, and the votes and length of the address as long as they are of the same question."""
    before = asking.read(st.query_params.to_dict())
    now = dataclasses.replace(
        before,
        query=st.session_state.q or "",
        per_study=st.session_state.study,
        hybrid=st.session_state.hybrid,
        sort=st.session_state.sort,
    )
    if now.query != before.query:
        now = dataclasses.replace(now, shown=PAGE)
        words, old = without_filter(now.query), _words(before.query)
        if old and words != old:
            now = dataclasses.replace(now, like=(), unlike=())
    if now != before:
        st.query_params.from_dict(now.parameters())
    st.session_state.address = st.query_params.to_dict()
    return now


def _words(query: str) -> str:
    try:
        return without_filter(query)
    except BadInput:
        return ""


def _controls(archive: Archive) -> Callable[[], None]:
    """The line of controls. What it returns fills those that are closed: nobody waits for them, the films go first."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="controls"):
        filters = st.popover("Filters", icon=":material/tune:", key="filters")
        with st.popover("By film", icon=":material/image_search:", key="by-film"):
            st.file_uploader(
                "Find films like this one",
                type=list(UPLOADS),
                key="upload",
                help="DICOM or picture. It is decoded under the same limits as the archive's files and not kept.",
            )
        saved = st.popover("Saved", icon=":material/bookmark:", key="saved")
        with st.popover("Help", icon=":material/help:", key="help"):
            _help()
        st.toggle("One per study", key="study")
        st.toggle(
            "With report words",
            key="hybrid",
            help="Fuses the ranking of the films with that of their reports' words.",
        )
        st.selectbox(
            "Order",
            list(SORTS),
            key="sort",
            format_func=SORTS.__getitem__,
            label_visibility="collapsed",
            width=150,
        )

    def fill() -> None:
        with filters:
            filter_panel.narrow(archive.catalog)
        with saved:
            _saved(archive)

    return fill


def _saved(archive: Archive) -> None:
    for one in kept.saved_searches(archive.catalog):
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button(plain(one.name), key=f"saved-{one.name}", type="tertiary", help=plain(one.query)):
                _order(Asked(one.query))
            if st.button("Remove", key=f"unsave-{one.name}", type="tertiary"):
                kept.remove_search(archive.catalog, one.name)
                st.rerun()
    name = st.text_input("Save this search as", key="save-as", max_chars=80)
    if st.button("Save", disabled=not (name.strip() and st.session_state.q)):
        kept.save_search(archive.catalog, name, st.session_state.q)
        st.rerun()


def _help() -> None:
    st.markdown(
        "Bare words say what the film shows. A word after a minus, or `no ...` and `without ...`, "
        "counts against a film. Quoted words must stand in the report. Fields filter:"
    )
    st.code("\n".join(FIELDS.values()), language=None)
    st.caption("Keys: / to the box, arrows between films, Enter opens, U and D vote, M finds similar films, X picks.")


def _examples(archive: Archive) -> None:
    labels = filter_panel.facet(archive.catalog, str(archive.catalog.path), "label", archive.catalog.changes())
    found = [name for name, _ in labels if name not in NORMAL][:5]
    examples = found or list(GENERAL_EXAMPLES)
    if found:
        examples.append(f"{found[0]} -{found[1]}" if len(found) > 1 and found[1].isalpha() else f"no {found[0]}")
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="examples"):
        st.caption("Try", width="content")
        for at, example in enumerate(examples):
            st.button(plain(example), key=f"example-{at}", on_click=_ask, args=(example,), type="tertiary")


def _ask(query: str) -> None:
    st.session_state.q = query


@st.fragment
def _answer(archive: Archive, searcher: Searcher, asked: Asked) -> None:
    """The wall and what is done on it."""
    results = _search(searcher, asked)
    if results is None:
        return
    _feedback(asked)
    if not results.hits:
        _nothing(asked, results.advice)
        return
    picks: set[int] = st.session_state.setdefault("picks", set())
    hits = _sorted(results.hits, asked.sort)
    head = st.container(horizontal=True, vertical_alignment="center", gap="small", key="head")
    head.caption(_summary(results, asked), width="stretch")
    if any(SIDED.search(concept.text) for concept in parse(asked.query).concepts):
        st.caption("Side and size are the model's guess: check the film.")
    done = wall_of_hits(
        archive.catalog,
        hits,
        key="wall",
        title="Films that match",
        asked=asked,
        tools=SEARCHING,
        picked=frozenset(picks),
    )
    with head:
        export_panel.keep(archive, searcher, results, picks=frozenset(picks), asked=asked)
    if len(hits) < min(results.total, MOST_SHOWN):
        with st.container(horizontal=True, horizontal_alignment="center"):
            if st.button("Show more", key="more"):
                _order(dataclasses.replace(asked, shown=asked.shown + 2 * PAGE))
    if done:
        _do(*done, asked=asked, picks=picks)


def _search(searcher: Searcher, asked: Asked) -> Results | None:
    upload = st.session_state.get("upload")
    like: list[int | Path] = list(asked.like)
    with tempfile.TemporaryDirectory(prefix="filmroom-") as folder:
        if upload is not None:
            held = Path(folder) / "film"
            held.write_bytes(upload.getbuffer())
            like.append(held)
        try:
            return searcher.search(
                asked.query,
                like=like,
                unlike=asked.unlike,
                k=asked.shown,
                per_study=asked.per_study,
                hybrid=asked.hybrid and bool(parse(asked.query).concepts),
            )
        except FilmroomError as fault:
            st.warning(plain(str(fault)))
            return None


def _feedback(asked: Asked) -> None:
    """What the ranking leans on besides the words, and the way back."""
    if not asked.like and not asked.unlike:
        return
    said = ((asked.like, "for"), (asked.unlike, "against"))
    votes = " and ".join(f"{films(len(ids))} {which}" for ids, which in said if ids)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="feedback"):
        base = "the words and " if asked.query else ""
        st.caption(f"Ranked by {base}{votes}.", width="content")
        for film_id in (*asked.like, *asked.unlike):
            st.page_link(
                layout.pages()["film"],
                label=f"Film {film_id}",
                query_params={"film": str(film_id), **asked.parameters()},
            )
        if st.button("Clear votes", key="clear-votes", type="tertiary"):
            _order(dataclasses.replace(asked, like=(), unlike=()))


def _summary(results: Results, asked: Asked) -> str:
    shown = f"the best {number(len(results.hits))} of {films(results.total)}"
    if asked.per_study:
        shown = f"the best film of each of {counted(len(results.hits), 'study', 'studies')}"
    if results.hits[0].score is None:
        shown = f"{number(len(results.hits))} of {films(results.total)}"
    return f"{shown[0].upper()}{shown[1:]} · {plain(results.model)} · {results.took_ms:.0f} ms"


def _sorted(hits: tuple[Hit, ...], sort: str) -> list[Hit]:
    if sort in ("newest", "oldest"):
        sign = -1 if sort == "newest" else 1
        return sorted(hits, key=lambda hit: (hit.film.tags.year is None, sign * (hit.film.tags.year or 0)))
    if sort == "age":
        return sorted(hits, key=lambda hit: (hit.film.tags.age is None, hit.film.tags.age or 0))
    return list(hits)


def _nothing(asked: Asked, advice: Sequence[str]) -> None:
    st.subheader("No film passes")
    for said in advice:
        st.write(plain(said))
    if parse(asked.query).filter:
        st.write("The words only rank; it is the filters that leave nothing. Take one away, or all of them:")
        st.button("Search without filters", on_click=_ask, args=(without_filter(asked.query),))
    else:
        st.write("Nothing is indexed here yet. The Archive page indexes a folder.")
        st.page_link(layout.pages()["archive"], label="To the archive")


def _do(act: Act, film_id: int, *, asked: Asked, picks: set[int]) -> None:
    if act is Act.OPEN:
        st.switch_page(layout.pages()["film"], query_params={"film": str(film_id), **asked.parameters()})
    if act is Act.PICK:
        picks.symmetric_difference_update({film_id})
        st.rerun()
    if act is Act.LIKE:
        _order(Asked(like=(film_id,), per_study=asked.per_study))
    like, unlike = asking.voted(asked, film_id, 1 if act is Act.UP else -1)
    _order(dataclasses.replace(asked, like=like, unlike=unlike))
