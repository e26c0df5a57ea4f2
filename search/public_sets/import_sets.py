"""Import labels and reports of public sets, from their files as they are published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.db.reads import films
from filmroom.db.writes.annotations import Report, put_labels, put_reports
from filmroom.search.catalog_names import CatalogNames, CatalogStudies
from filmroom.search.evaluation.grading import Document
from filmroom.search.exchange.import_labels import Imported
from filmroom.search.exchange.label_rows import FilmLabels
from filmroom.search.exchange.placing import Several, reports_of_study
from filmroom.search.exchange.tables import source_name
from filmroom.search.public_sets.folders import FOLDERS, read_folders
from filmroom.search.public_sets.label_tables import read_report_folder
from filmroom.search.public_sets.readers import read_set


@dataclass(frozen=True)
class _Placed:
    """The films of each document, the documents that name a film, the UIDs of whole studies by their films, and the
    names that match none or several."""

    films: list[frozenset[int]]
    by_name: dict[str, int]
    studies: dict[frozenset[int], str]
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]


def import_set_labels(archive: Archive, name: str, files: Sequence[Path], *, source: str | None = None) -> Imported:
    """Give films the labels of a public set, in the set's own words; a row of a study is for all its films. What the
    set calls uncertain is left out. With "folders" the files are folders that hold a folder for each class.

    Raises BadInput with file and line, keeping nothing.
    """
    if name == FOLDERS:
        return _label_by_folder(archive, files, source=source or FOLDERS)
    documents = read_set(name, files)
    placed = _place(archive, documents, [document.labels for document in documents])
    labels, contradicted = FilmLabels.of(
        (
            (film_id, label, value)
            for document, ids in zip(documents, placed.films, strict=True)
            for film_id in sorted(ids)
            for label, value in document.labels
        ),
        source or name,
    ).without_contradictions()
    put_labels(archive.catalog, labels)
    empty = sum(not document.labels for document in documents)
    return replace(_imported(len(documents), labels, placed, empty), contradicted=contradicted)


def import_set_reports(
    archive: Archive, name: str | None, files: Sequence[Path], *, source: str | None = None
) -> Imported:
    """Give films or studies the reports of a public set, or of a folder of `.txt` files (`name` None).

    Raises BadInput where the set has none.
    """
    documents = read_set(name, files) if name else [report for file in files for report in read_report_folder(file)]
    if not any(document.report for document in documents):
        raise BadInput("there are no reports in it", where=files[0], fix="Sets with reports: mimic, padchest, open-i.")
    placed = _place(archive, documents, [document.report for document in documents])
    pairs = list(zip(documents, placed.films, strict=True))
    reports: list[Report] = []
    for document, ids in pairs:
        if document.report and document.id in placed.by_name:
            reports += [Report(document.report, film_id=film_id) for film_id in ids]
        elif document.report:
            reports += reports_of_study(document.report, ids, placed.studies)
    touched = {film_id for document, ids in pairs if document.report for film_id in ids}
    put_reports(archive.catalog, reports, source=source_name(source or name, files[0]))
    empty = sum(not document.report for document in documents)
    return Imported(len(documents), len(touched), len(reports), placed.missing, placed.ambiguous, empty)


def _label_by_folder(archive: Archive, folders: Sequence[Path], *, source: str) -> Imported:
    rows = read_folders(folders, films.everyone(archive.catalog))
    labels = FilmLabels.of(((row.film.id, row.label, 1.0) for row in rows if row.label), source)
    put_labels(archive.catalog, labels)
    return _imported(len(rows), labels, _Placed([], {}, {}, (), ()), sum(not row.label for row in rows))


def _imported(rows: int, labels: FilmLabels, placed: _Placed, empty: int) -> Imported:
    return Imported(rows, labels.film_count, len(labels), placed.missing, placed.ambiguous, empty, labels.counts())


def _place(archive: Archive, documents: Sequence[Document], statements: Sequence[object]) -> _Placed:
    """Give each document its film, or the films of its study; `statements` are what each says of it."""
    names = CatalogNames(archive.catalog)
    studies = CatalogStudies(
        archive.catalog, archive.patient_key(), (document.study for document in documents if document.study is not None)
    )
    several = Several()
    for document, statement in zip(documents, statements, strict=True):
        several.add(document.id, statement)
    of_studies = dict.fromkeys(document.id for document in documents if document.study is not None)
    films = {name for name, (ids, _) in names.nearest(of_studies) if len(ids) == 1}
    alone = [document.id for document in documents if document.study is None or document.id in films]
    placed = names.place(alone, doubtful=names.bare(several.among(dict.fromkeys(alone))))
    placed_films: list[frozenset[int]] = []
    missing, ambiguous = dict.fromkeys(placed.missing), dict.fromkeys(placed.ambiguous)
    for document in documents:
        ids = frozenset({placed.films[document.id]}) if document.id in placed.films else frozenset()
        if not ids and document.study is not None:
            groups = studies.find(*document.study)
            ids = groups[0] if len(groups) == 1 else ids
            (missing if not groups else ambiguous if len(groups) > 1 else {})[document.id] = None
        placed_films.append(ids)
    uids = studies.whole(placed_films)
    return _Placed(placed_films, placed.films, uids, tuple(name or "(empty)" for name in missing), tuple(ambiguous))
