"""Search: a box for the whole query language, and the films that match, best first."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput, FilmroomError
from filmroom.db.names import check_name
from filmroom.db.thumbnails.reading import thumbnails
from filmroom.db.writes import annotations as db_annotations
from filmroom.search.query.fields import FIELDS
from filmroom.search.query.model_limits import ModelLimits
from filmroom.search.query.parser import MAX_CHARACTERS, Query, parse, to_text, without_filter
from filmroom.search.query.reading import Reading
from filmroom.search.request import MOST_SHOWN, PAGE, Order, SearchRequest, check_words
from filmroom.search.results import Results
from filmroom.search.searcher import Searcher
from filmroom.search.ui import layout, models, picks, undo
from filmroom.search.ui.components.chips.chips import Offer, chips
from filmroom.search.ui.components.grid.grid import OF_PICKS, Act, Done, Mark
from filmroom.search.ui.components.recent_searches.recent_searches import memory
from filmroom.search.ui.query import cutoff, filter_panel, query_chips, search_state
from filmroom.search.ui.result_grid import SEARCHING, wall_of_hits
from filmroom.search.ui.text import counted, films, is_normal, number, plain

SORTS = {
    Order.MATCH: "Best match",
    Order.NEWEST: "Newest first",
    Order.OLDEST: "Oldest first",
    Order.AGE: "By age",
}
GENERAL_EXAMPLES = ("pleural effusion", "enlarged heart", "pneumothorax", "normal chest film")
SIDED = re.compile(
    r"\b(left|right|both|bilateral(ly)?|unilateral|tiny|small|minimal|mild|moderate|large|massive|severe)\b", re.I
)
PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
UPLOADS = ("dcm", "dicom", "png", "jpg", "jpeg", "tif", "tiff", "bmp", "webp")


def show() -> None:
    archive = layout.archive()
    searcher = models.searcher(archive)
    _restore()
    filter_panel.take_choice()
    st.text_input(
        "Search the archive",
        key="q",
        type="search",
        label_visibility="collapsed",
        placeholder="Say what the film shows: small left pleural effusion view:PA age:60..",
        max_chars=MAX_CHARACTERS,
    )
    try:
        parsed = parse(st.session_state.q or "")
    except BadInput as fault:
        st.warning(plain(str(fault)))
        _help()
        return
    filters, fill = _controls(archive, searcher)
    request = _request(searcher)
    with filters:
        filter_panel.narrow(searcher, request)
    chosen = None if request.query else memory("", listed=True)
    if chosen:
        _order(SearchRequest(chosen))
    if request.empty:
        _examples(archive)
    if _asks(request):
        _answer(archive, searcher, request, parsed)
    fill()
    if request.query:
        memory(request.query, listed=False)  # shows nothing: no room above the films for it


def _asks(request: SearchRequest) -> bool:
    """Tell whether the query asks for anything, and say where it does not, as the other doors do."""
    try:
        if not (request.like or request.unlike or request.uploads):
            check_words(request.query)
    except BadInput as fault:
        st.warning(plain(str(fault)))
        return False
    return True


# The address and the widgets say the same. The address wins where it is new (a link, the browser's back button, an
# order of this page); otherwise the widgets do. A widget's value can only be set before it is made, so what a click
# on a film changes waits as an order for the next run.
def _restore() -> None:
    order: SearchRequest | None = st.session_state.pop("order", None)
    if order is not None:
        st.query_params.from_dict(order.parameters())
    st.query_params.pop("film", None)  # which the browser's way back from a film's page leaves there
    address = st.query_params.to_dict()
    if address == st.session_state.get("address") and "q" in st.session_state:
        return
    request = search_state.request_of_address()
    st.session_state.q = request.query
    st.session_state.study = request.per_study
    st.session_state.hybrid = request.hybrid
    st.session_state.judged = request.judged
    st.session_state.sort = request.order
    st.session_state.address = address


def _order(request: SearchRequest) -> None:
    for upload in request.uploads:  # of a saved search, perhaps of before the server was started
        search_state.remember_upload(upload)
    st.session_state["order"] = request
    st.rerun()


def _request(searcher: Searcher) -> SearchRequest:
    """Join what the widgets say with the votes, uploaded films and length of the address, as long as these belong to
    the same question."""
    _take_upload(searcher)
    if lost := search_state.lost_uploads():
        st.warning(f"{films(len(lost))} uploaded before the server was started is not here any more: upload it again.")
    before = search_state.request_of_address()
    now = dataclasses.replace(
        before,
        query=st.session_state.q or "",
        per_study=st.session_state.study,
        hybrid=st.session_state.hybrid,
        judged=st.session_state.judged,
        order=st.session_state.sort,
    )
    if now.query != before.query:
        now = dataclasses.replace(now, k=PAGE)
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


def _controls(archive: Archive, searcher: Searcher) -> tuple[AbstractContextManager[object], Callable[[], None]]:
    """Show the line of controls. Returns the place of the filters, which need the request that the controls make, and
    what fills those that are closed: nobody waits for them, the films go first."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="controls"):
        filters = st.container(width="content")
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
        st.toggle(
            "Learn from judged",
            key="judged",
            help="Films that were judged for these words, voted on here or labelled with the finding bend the ranking.",
        )
        st.selectbox(
            "Order",
            list(SORTS),
            key="sort",
            format_func=SORTS.__getitem__,
            label_visibility="collapsed",
            width=150,
        )
        models.choose(archive, beside=True)

    def fill() -> None:
        with saved:
            _saved(archive)

    return filters, fill


def _saved(archive: Archive) -> None:
    for search in db_annotations.saved_searches(archive.catalog):
        with st.container(horizontal=True, vertical_alignment="center"):
            if st.button(plain(search.name), key=f"saved-{search.name}", type="tertiary", help=plain(search.query)):
                _order(SearchRequest.from_json(search.request) if search.request else SearchRequest(search.query))
            if st.button("Remove", key=f"unsave-{search.name}", type="tertiary"):
                _forget(archive, search)
                st.rerun()
    name = st.text_input("Save this search as", key="save-as", max_chars=80)
    request = dataclasses.replace(search_state.request_of_address(), k=PAGE)
    if st.button("Save", disabled=not name.strip() or request.empty):
        db_annotations.save_search(archive.catalog, check_name(name, "a search"), request.query, request.to_json())
        st.rerun()


def _forget(archive: Archive, saved: db_annotations.SavedSearch) -> None:
    db_annotations.remove_search(archive.catalog, saved.name)
    undo.offer(
        f"The search {saved.name} is removed.",
        lambda: db_annotations.save_search(archive.catalog, saved.name, saved.query, saved.request),
    )


def _help() -> None:
    st.markdown(
        "Bare words say what the film shows. A word after a minus, or `no ...` and `without ...`, "
        "counts against a film. Quoted words must stand in the report. Fields filter:"
    )
    st.code("\n".join(FIELDS.values()), language=None)
    st.caption(
        "Keys: / to the box, arrows between films, Enter opens, S its study, U and D vote, M finds similar, X picks. "
        "V opens the DICOM viewer, where one is set."
    )


def _examples(archive: Archive) -> None:
    labels = [name for name, _ in filter_panel.labels(archive.catalog) if not is_normal(name)][:5]
    examples = labels or list(GENERAL_EXAMPLES)
    if labels:
        examples.append(f"{labels[0]} -{labels[1]}" if len(labels) > 1 and labels[1].isalpha() else f"no {labels[0]}")
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="examples"):
        st.caption("Try", width="content")
        for at, example in enumerate(examples):
            st.button(plain(example), key=f"example-{at}", on_click=_ask, args=(example,), type="tertiary")


def _ask(query: str) -> None:
    st.session_state.q = query


@st.fragment
def _answer(archive: Archive, searcher: Searcher, request: SearchRequest, parsed: Query) -> None:
    """Draw the wall and what is done on it."""
    results = _search(searcher, request, parsed)
    if results is None:
        return
    _parts(archive, request, parsed, results.reading)
    _limits(results.limits)
    if results.learned:
        st.caption(plain(results.learned.sentence))
    if not results.hits:
        _nothing(parsed, results.advice)
        return
    hits = results.hits
    _doubt(results)
    with st.container(key="head", horizontal=True, vertical_alignment="center", gap="small"):
        st.caption(_summary(results, request), width="stretch")
        if hits[0].percentile is not None and (cut := cutoff.control(searcher, request)):
            _order(cut)
    if any(SIDED.search(concept.text) for concept in parsed.concepts):
        st.caption("Side and size are the model's guess: check the film.")
    answer = picks.Answer(archive, tuple(hit.id for hit in hits), results.total, request, searcher)
    other = models.beside(archive, searcher)
    if other is not None and hits[0].percentile is not None:
        done, answer = models.side_by_side(searcher, other, answer, hits, tools=SEARCHING)
    else:
        done = _wall(archive, results, request, answer)
    if len(hits) < min(results.total, MOST_SHOWN):
        with st.container(horizontal=True, horizontal_alignment="center"):
            if st.button("Show more", key="more"):
                _order(dataclasses.replace(request, k=min(MOST_SHOWN, request.k + 2 * PAGE)))
    if done and done.act in OF_PICKS:
        picks.carry_out(done, answer)
    elif done:
        _do(done, request=request)


def _wall(archive: Archive, results: Results, request: SearchRequest, answer: picks.Answer) -> Done | None:
    return wall_of_hits(
        archive.catalog,
        results.hits,
        key="wall",
        title="Films that match",
        request=request,
        tools=SEARCHING,
        marks=dict.fromkeys(request.like, (Mark.LIKED, "Liked")),
        standing=not results.doubtful,
        bar=answer.bar(),
        change=picks.change(),
    )


def _take_upload(searcher: Searcher) -> None:
    """Put a film that was just uploaded into the address, by the id of its vector; the file itself is not kept."""
    upload = st.session_state.get("upload")
    if upload is None or upload.file_id == st.session_state.get("taken"):
        return
    st.session_state.taken = upload.file_id
    with tempfile.TemporaryDirectory(prefix="filmroom-") as folder:
        path = Path(folder) / "film"
        path.write_bytes(upload.getbuffer())
        try:
            film = searcher.upload(path)
        except BadInput as fault:
            st.warning(plain(f"{upload.name}: {fault.what}. {fault.fix or ''}"))
            return
    search_state.remember_upload(film)
    st.query_params["upload"] = film.id


def _search(searcher: Searcher, request: SearchRequest, parsed: Query) -> Results | None:
    examples = PAGE * ((len(request.like) + PAGE // 2 - 1) // PAGE)  # in whole rows, with half a page of others
    try:
        return searcher.answer(dataclasses.replace(request, k=request.k + examples), parsed)
    except FilmroomError as fault:
        st.warning(plain(str(fault)))
        return None


def _limits(limits: ModelLimits) -> None:
    """Show what the model was measured to find poorly, with its card."""
    if not limits.sentence:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="limits"):
        st.caption(plain(limits.sentence), width="content")
        if limits.card and (card := Path(limits.card)).is_file():
            with st.popover("Model card", type="tertiary"):
                st.markdown(PICTURE.sub("", card.read_text(encoding="utf-8")))


def _parts(archive: Archive, request: SearchRequest, parsed: Query, reading: Reading) -> None:
    """Show what the answer is made of, each part with the way to take it away, and filters that words could be."""
    labels = [name for name, _ in filter_panel.labels(archive.catalog)] if parsed.negated else []
    pictures = thumbnails(archive.catalog, [*request.like, *request.unlike])
    parts = query_chips.chips_of(request, parsed, reading, pictures)
    offered = query_chips.offers(parsed, reading, labels)
    done = chips(parts, offered, key="chips") if parts or offered else None
    if isinstance(done, Offer):
        _order(dataclasses.replace(request, query=done.query, k=PAGE))
    elif done:
        if done.startswith("upload"):
            st.session_state.pop("upload", None)
        _order(query_chips.without(request, done))


def _doubt(results: Results) -> None:
    if results.contrary:
        st.warning(results.contrary, icon=":material/help:")
    if results.doubt:
        st.warning(results.doubt, icon=":material/help:")


def _summary(results: Results, request: SearchRequest) -> str:
    extent = f"the best {number(len(results.hits))} of {films(results.total)}"
    if request.per_study:
        extent = f"the best film of each of {counted(len(results.hits), 'study', 'studies')}"
    if results.hits[0].score is None or request.order is not Order.MATCH:
        extent = f"{number(len(results.hits))} of {films(results.total)}"
    if request.order is not Order.MATCH:
        extent += f", {SORTS[request.order].lower()}"
    return f"{extent[0].upper()}{extent[1:]} · {plain(results.model)} · {results.took_ms:.0f} ms"


def _nothing(parsed: Query, advice: Sequence[str]) -> None:
    st.subheader("No film passes")
    for sentence in advice:
        st.write(plain(sentence))
    if st.query_params.get("least"):
        st.write("The cut-off leaves nothing: take it away above.")
    elif parsed.filter:
        st.write("The words only rank; it is the filters that leave nothing. Take one away, or all of them:")
        st.button("Search without filters", on_click=_ask, args=(without_filter(parsed.text),))
    else:
        st.write("Nothing is indexed here yet. The Archive page indexes a folder.")
        st.page_link(layout.pages()["archive"], label="To the archive")


def _do(done: Done, *, request: SearchRequest) -> None:
    if done.act is Act.OPEN:
        st.switch_page(layout.pages()["film"], query_params={"film": str(done.film), **request.parameters()})
    if done.act is Act.STUDY:
        st.switch_page(layout.pages()["study"], query_params={"film": str(done.film), **request.parameters()})
    if done.act is Act.FILTER:
        _order(dataclasses.replace(request, query=to_text(parse(f"{request.query} {done.term}")), k=PAGE))
    if done.act is Act.LIKE:
        _order(SearchRequest(like=(done.film,), per_study=request.per_study))
    like, unlike = search_state.voted(request, done.film, 1 if done.act is Act.UP else -1)
    _order(dataclasses.replace(request, like=like, unlike=unlike))
