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
    placed = _place(archive, documents, [one.labels for one in documents])
    found, contradicted = FilmLabels.of(
        (
            (film_id, label, value)
            for one, ids in zip(documents, placed.films, strict=True)
            for film_id in sorted(ids)
            for label, value in one.labels
        ),
        source or name,
    ).without_contradictions()
    put_labels(archive.catalog, found)
    empty = sum(not one.labels for one in documents)
    return replace(_imported(len(documents), found, placed, empty), contradicted=contradicted)


def import_set_reports(
    archive: Archive, name: str | None, files: Sequence[Path], *, source: str | None = None
) -> Imported:
    """Give films or studies the reports of a public set, or of a folder of `.txt` files (`name` None).

    Raises BadInput where the set has none.
    """
    documents = read_set(name, files) if name else [one for file in files for one in read_report_folder(file)]
    if not any(one.report for one in documents):
        raise BadInput("there are no reports in it", where=files[0], fix="Sets with reports: mimic, padchest, open-i.")
    placed = _place(archive, documents, [one.report for one in documents])
    pairs = list(zip(documents, placed.films, strict=True))
    found: list[Report] = []
    for one, ids in pairs:
        if one.report and one.id in placed.by_name:
            found += [Report(one.report, film_id=film_id) for film_id in ids]
        elif one.report:
            found += reports_of_study(one.report, ids, placed.studies)
    touched = {film_id for one, ids in pairs if one.report for film_id in ids}
    put_reports(archive.catalog, found, source=source_name(source or name, files[0]))
    empty = sum(not one.report for one in documents)
    return Imported(len(documents), len(touched), len(found), placed.missing, placed.ambiguous, empty)


def _label_by_folder(archive: Archive, folders: Sequence[Path], *, source: str) -> Imported:
    rows = read_folders(folders, films.everyone(archive.catalog))
    found = FilmLabels.of(((one.film.id, one.label, 1.0) for one in rows if one.label), source)
    put_labels(archive.catalog, found)
    return _imported(len(rows), found, _Placed([], {}, {}, (), ()), sum(not one.label for one in rows))


def _imported(rows: int, found: FilmLabels, placed: _Placed, empty: int) -> Imported:
    return Imported(rows, found.film_count, len(found), placed.missing, placed.ambiguous, empty, found.counts())


def _place(archive: Archive, documents: Sequence[Document], meant: Sequence[object]) -> _Placed:
    """Give each document its film, or the films of its study; `meant` is what each says of it."""
    names = CatalogNames(archive.catalog)
    studies = CatalogStudies(
        archive.catalog, archive.patient_key(), (one.study for one in documents if one.study is not None)
    )
    several = Several()
    for one, said in zip(documents, meant, strict=True):
        several.add(one.id, said)
    of_studies = dict.fromkeys(one.id for one in documents if one.study is not None)
    films = {name for name, (ids, _) in names.nearest(of_studies) if len(ids) == 1}
    alone = [one.id for one in documents if one.study is None or one.id in films]
    placed = names.place(alone, doubtful=names.bare(several.among(dict.fromkeys(alone))))
    found: list[frozenset[int]] = []
    missing, ambiguous = dict.fromkeys(placed.missing), dict.fromkeys(placed.ambiguous)
    for one in documents:
        ids = frozenset({placed.films[one.id]}) if one.id in placed.films else frozenset()
        if not ids and one.study is not None:
            groups = studies.find(*one.study)
            ids = groups[0] if len(groups) == 1 else ids
            (missing if not groups else ambiguous if len(groups) > 1 else {})[one.id] = None
        found.append(ids)
    whole = studies.whole(found)
    return _Placed(found, placed.films, whole, tuple(name or "(empty)" for name in missing), tuple(ambiguous))
