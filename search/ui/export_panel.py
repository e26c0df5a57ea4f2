"""Put films into collections, and take lists out of the archive."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.errors import FilmroomError, MissingExtra
from filmroom.db.reads import films as db_films
from filmroom.db.records import Film
from filmroom.db.writes import annotations as db_annotations
from filmroom.search.evaluation.trec import document_name, write_run
from filmroom.search.export import page_tables
from filmroom.search.export.copies import copy_films
from filmroom.search.findings.measurements import as_csv, measurements_of
from filmroom.search.results import Hit
from filmroom.search.ui import layout, undo
from filmroom.search.ui.components.download.download import File, download
from filmroom.search.ui.text import counted, films, plain

NEW = -1
"""The choice behind the collections that are there, whatever they are called."""


def collect(archive: Archive, ids: Sequence[int], *, key: str) -> None:
    """Put these films into a collection."""
    names = [collection.name for collection in db_annotations.collections(archive.catalog)]
    another = "A new collection"
    while another in names:  # Streamlit tells choices by their words
        another += "…"
    chosen = st.selectbox(
        "Collection",
        [*range(len(names)), NEW],
        key=f"collect-into-{key}",
        format_func=lambda at: another if at == NEW else names[at],
    )
    name = "" if chosen == NEW else names[chosen]
    if chosen == NEW:
        name = st.text_input("Its name", key=f"collect-name-{key}", max_chars=80).strip()
    if st.button(f"Put {films(len(ids))} into it", key=f"collect-do-{key}", disabled=not (name and ids)):
        _put(archive, name, ids, new=name not in names)
        st.rerun()


def _put(archive: Archive, name: str, ids: Sequence[int], *, new: bool) -> None:
    before = set() if new else set(db_annotations.collected(archive.catalog, name))
    added = db_annotations.collect(archive.catalog, name, ids)
    fresh = [film_id for film_id in ids if film_id not in before]
    already = f"; {films(len(ids) - added)} were in it" if added < len(ids) else ""
    undo.offer(
        f"{films(added)} put into {name}{already}.",
        lambda: db_annotations.uncollect(archive.catalog, name, None if new else fresh),
    )


def downloads(
    archive: Archive, ids: Sequence[int], hits: Callable[[], Sequence[Hit | Film]], *, name: str, key: str, tag: str
) -> None:
    """Offer CSV, Parquet and TREC run of a list, and what was measured on its films; each is made when it is asked
    for."""
    st.caption(
        "Tables have the columns of `filmroom export table`: rank, score, facts, labels, tags, collections. File names "
        "can be names of patients: they are left out unless you ask for them."
    )
    paths = st.checkbox("With file names", key=f"paths-{key}")
    files = [File("CSV", f"{name}.csv", "text/csv", lambda: page_tables.as_csv(archive, hits(), paths=paths))]
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        st.caption(plain(str(MissingExtra("Parquet export", extra="parquet"))))
    else:
        kind = "application/vnd.apache.parquet"
        files.append(
            File("Parquet", f"{name}.parquet", kind, lambda: page_tables.as_parquet(archive, hits(), paths=paths))
        )
    files.append(File("TREC run", f"{name}.run", "text/plain", lambda: _run(hits(), tag, paths=paths)))
    notes = db_annotations.notes_of(archive.catalog, ids)
    if any(measurements_of(note) for note in notes.values()):
        files.append(File("Measurements", "measurements.csv", "text/csv", lambda: as_csv(notes)))
    download(files, key=f"files-{key}")


def _run(hits: Sequence[Hit | Film], tag: str, *, paths: bool) -> bytes:
    """Name films by their UID and frame, or by their path as judgements do; by their id where neither is to be had.
    Where a film has no score, all are scored by their place."""
    scores = [hit.score if isinstance(hit, Hit) else None for hit in hits]
    by_place = None in scores
    ranked = []
    for at, (hit, score) in enumerate(zip(hits, scores, strict=True)):
        film = hit.film if isinstance(hit, Hit) else hit
        unnamed = f"{film.tags.instance_uid}#{film.frame}" if film.tags.instance_uid else str(film.id)
        value = float(len(hits) - at) if by_place or score is None else score
        ranked.append((document_name(film) if paths else unnamed, value))
    with tempfile.TemporaryDirectory(prefix="filmroom-") as folder:
        path = Path(folder) / "run"
        write_run(path, {"1": ranked}, tag=tag)
        return path.read_bytes()


def copies(archive: Archive, ids: Sequence[int], *, key: str) -> None:
    """Offer a folder of copied files on the machine that serves this page."""
    if not layout.may_name_folders():
        st.caption("Files are copied on the serving machine, or after a sign-in.")
        return
    folder = st.text_input(
        "Copy the files into this folder",
        key=f"copy-folder-{key}",
        help="A new or empty folder on the machine that serves this page.",
    ).strip()
    deidentify = st.checkbox(
        "De-identify",
        key=f"copy-deidentify-{key}",
        help="New files with the pixels, coded facts and nothing else (PS3.15 profile). "
        "Words burned into the pixels stay: look before you pass it on.",
    )
    uids = deidentify and st.checkbox(
        "Keep UIDs", key=f"copy-uids-{key}", help="So that films can be found again in the PACS that they came from."
    )
    chosen = db_films.films(archive.catalog, ids)
    burned = sum(film.tags.burned_in is True for film in chosen)
    if deidentify and burned:
        st.warning(f"{films(burned)} of these may have words burned into their pixels.")
    if st.button(f"Copy {films(len(chosen))}", key=f"copy-do-{key}", disabled=not (folder and chosen)):
        try:
            with st.spinner("Copying"):
                done = copy_films(
                    chosen,
                    Path(folder).expanduser(),
                    deidentify=deidentify,
                    uids=uids,
                    hashes=db_films.file_hashes(archive.catalog, [film.id for film in chosen]),
                )
        except FilmroomError as fault:
            st.error(plain(str(fault)))
            return
        except OSError as fault:
            st.error(plain(f"The copies cannot be written ({fault.strerror or type(fault).__name__})."))
            return
        st.success(f"{counted(done.files, 'file')} copied, with films\\.csv beside them.")
        for film_id, reason in done.failed[:20]:
            st.warning(f"Film {film_id}: {plain(reason)}")
