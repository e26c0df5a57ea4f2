"""List the films that somebody who checks an archive looks at: copies, one UID for two pictures, burned-in, gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.reads import films as db_films
from filmroom.db.records import DuplicateReason, Filter
from filmroom.search.exchange.delimited import cell
from filmroom.search.request import SearchRequest
from filmroom.search.status import DuplicateFile, duplicate_files
from filmroom.search.ui import layout, picks
from filmroom.search.ui.components.grid.grid import Act, Mark
from filmroom.search.ui.result_grid import wall_of_films
from filmroom.search.ui.text import counted, films, number

SHOWN = 48
_FILES_SHOWN = 500


@dataclass(frozen=True)
class FilmList:
    """Films with what is to be said of each, and the files that they are for."""

    ids: tuple[int, ...]
    says: dict[int, str]
    about: str
    files: tuple[DuplicateFile, ...] = ()


@st.fragment
def show(archive: Archive) -> None:
    """Show one of the lists as a grid with picks."""
    st.subheader("Films to look at")
    lists = film_lists(archive)
    chosen = st.segmented_control(
        "Films to look at",
        list(lists),
        key="film-list",
        label_visibility="collapsed",
        format_func=lambda name: f"{name} ({number(len(lists[name].ids))})",
    )
    st.page_link(
        layout.pages()["check"],
        label="Look for near-duplicates",
        icon=":material/rule:",
        query_params={"check": "Duplicates"},
    )
    if chosen is None:
        st.caption("Each list opens as films that can be picked, tagged, collected and exported.")
        return
    film_list = lists[chosen]
    st.caption(film_list.about if film_list.ids else f"None. {film_list.about}")
    if film_list.ids:
        wall(archive, chosen, film_list)
    if film_list.files:
        _files(film_list.files)


def film_lists(archive: Archive) -> dict[str, FilmList]:
    """Return the lists by name, some of them empty."""
    files = duplicate_files(archive.catalog)
    same_uid = tuple(file for file in files if file.code == DuplicateReason.SAME_UID)
    copies = tuple(file for file in files if file.code != DuplicateReason.SAME_UID)
    burned = db_films.select_ids(archive.catalog, Filter(burned_in=True)).tolist()
    gone = db_films.gone_ids(archive.catalog).tolist()
    return {
        "Duplicates": _of_files(
            copies, "copy", "copies", "Films that lie in more than one file; one of them is indexed."
        ),
        "Same UID": _of_files(
            same_uid,
            "other picture",
            "other pictures",
            "Films whose instance UID another file bears, with another picture. --keep-apart indexes these, too.",
        ),
        "Burned-in text": FilmList(tuple(burned), {}, "Words in the pixels: look before a film is passed on."),
        "Gone": FilmList(
            tuple(gone), {}, "Films whose file is not there any more. Their tags and judgements are kept."
        ),
    }


def _of_files(files: tuple[DuplicateFile, ...], singular: str, many: str, about: str) -> FilmList:
    count = Counter(file.film for file in files)
    return FilmList(tuple(count), {film: counted(n, singular, many) for film, n in count.items()}, about, files)


def wall(archive: Archive, name: str, film_list: FilmList, *, request: SearchRequest | None = None) -> None:
    """Show the films of a list as a grid with picks; `request` is what they are judged for."""
    listed = db_films.films(archive.catalog, film_list.ids[:SHOWN])
    if len(film_list.ids) > SHOWN:
        st.caption(f"The first {SHOWN} of {films(len(film_list.ids))}; picks can be of all.")
    answer = picks.Answer(
        archive, tuple(film.id for film in listed), len(film_list.ids), request or SearchRequest(), listed=film_list.ids
    )
    done = wall_of_films(
        archive.catalog,
        listed,
        key=f"wall-{name}",
        title=name,
        tools=(Act.PICK,),
        small=True,
        bar=answer.bar(),
        change=picks.change(),
        marks={film: (Mark.NOTED, mark) for film, mark in film_list.says.items()},
    )
    if done and done.act is Act.OPEN:
        st.switch_page(layout.pages()["film"], query_params={"film": str(done.film)})
    elif done:
        picks.carry_out(done, answer)


def _files(files: Sequence[DuplicateFile]) -> None:
    rows = [
        {"Film": file.film, "File": cell(file.path), "Indexed from": cell(file.of_path), "Why": file.why}
        for file in files[:_FILES_SHOWN]
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, alt="The files that are not indexed, and those that are instead")
