"""Which films pass a filter: every field, alone, on films of every state."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from filmroom.db import schema
from filmroom.db.catalog import Catalog
from filmroom.db.reads import films, filters, fulltext
from filmroom.db.records import Filter, Range, ScoreFilter
from sqlalchemy import insert, update

pytestmark = pytest.mark.usefixtures("either")

STRANGE = b"ward \xff.dcm".decode("utf-8", "surrogateescape")

FILMS: dict[int, dict[str, Any]] = {
    1: {"view": "PA", "sex": "F", "age": 40, "year": 2001, "modality": "DX", "body_part": "CHEST", "study_uid": "1.1"},
    2: {"view": "AP", "sex": "M", "age": 50, "year": 2002, "modality": "CR", "study_uid": "1.1", "patient_key": "p"},
    3: {"view": "RL", "sex": "f", "age": 60, "year": 2003, "body_part": "Chest", "burned_in": True},
    4: {"view": None, "burned_in": False, "study_uid": "1.4", "patient_key": "q"},
    5: {"view": "PA", "sex": "F", "age": 40, "year": 2001, "study_uid": "1.1", "state": "gone"},
    6: {"view": "AP", "sex": "F", "year": 2002, "burned_in": True, "state": "replaced"},
}
PATHS = {1: "a/100%.dcm", 2: "a/100x.dcm", 3: "b_c.dcm", 4: STRANGE, 5: "a/5.dcm", 6: "bxc.dcm"}

CASES: dict[str, tuple[Filter, set[int]]] = {
    "nothing": (Filter(), {1, 2, 3, 4}),
    "views": (Filter(views=("pa", "ap")), {1, 2}),
    "any lateral": (Filter(views=("lateral",)), {3}),
    "not views": (Filter(not_views=("PA",)), {2, 3, 4}),
    "modalities": (Filter(modalities=("dx",)), {1}),
    "body parts": (Filter(body_parts=("chest",)), {1, 3}),
    "sexes": (Filter(sexes=("F",)), {1, 3}),
    "age": (Filter(age=Range(45, None)), {2, 3}),
    "one age": (Filter(age=Range(50, 50)), {2}),
    "years": (Filter(year=Range(2001, 2002)), {1, 2}),
    "studies": (Filter(studies=("1.1", "1.4")), {1, 2, 4}),
    "patients": (Filter(patients=("p",)), {2}),
    "not patients": (Filter(not_patients=("p",)), {1, 3, 4}),
    "labels": (Filter(labels=("Edema", "mass")), {1, 2}),
    "not labels": (Filter(not_labels=("edema",)), {2, 3, 4}),
    "tags": (Filter(tags=("Seen",)), {2}),
    "collections": (Filter(collections=("TEACHING",)), {3}),
    "a path with a sign of SQL": (Filter(paths=("100%",)), {1}),
    "a path with another": (Filter(paths=("b_c",)), {3}),
    "paths": (Filter(paths=("a/", "ward")), {1, 2, 4}),
    "words of the study's report": (Filter(phrases=("small effusion",)), {1, 2, 3}),
    "not those words": (Filter(not_phrases=("small effusion",)), {4}),
    "words that are operators": (Filter(phrases=('" OR effusion',)), set()),
    "findings": (Filter(findings=("large heart",)), {4}),
    "with a report": (Filter(has_report=True), {1, 2, 3}),
    "without": (Filter(has_report=False), {4}),
    "burned in": (Filter(burned_in=True), {3}),
    "not burned in": (Filter(burned_in=False), {1, 2, 4}),
    "scores": (Filter(scores=(ScoreFilter("Odd", 0.5, 0.8),)), {1}),
    "indexed fields alone": (Filter(views=("PA", "LATERAL"), sexes=("f",), age=Range(40, None)), {1, 3}),
    "indexed fields without a film": (Filter(views=("PA",), sexes=("m",)), set()),
    "two fields": (Filter(views=("PA", "AP"), sexes=("m",), not_labels=("edema",)), {2}),
}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    catalog = Catalog.open(tmp_path / "catalog.sqlite")
    rows: list[tuple[Any, dict[str, Any]]] = [(schema.root, {"id": 1, "path": "/films"})]
    for film_id, facts in FILMS.items():
        path = {"path": PATHS[film_id], "size": 1, "mtime_ns": 1, "outcome": "indexed", "tried_at": 0}
        rows.append((schema.file, {"id": film_id, "root_id": 1} | path))
        plain = {"id": film_id, "identity": str(film_id), "file_id": film_id, "rows": 1, "columns": 1, "added_at": 0}
        rows.append((schema.film, plain | facts))
    for film_id, name, source, value in (
        (1, "edema", "csv", 1.0), (2, "mass", "csv", 0.5), (2, "edema", "csv", 0.4), (3, "edema", "probe", 1.0),
        (1, "odd", "probe", 0.6), (2, "odd", "probe", 0.9), (3, "odd", "csv", 0.6), (5, "edema", "csv", 1.0),
    ):  # fmt: skip
        rows.append((schema.label, {"film_id": film_id, "name": name, "source": source, "value": value}))
    rows += [
        (schema.report, {"study_uid": "1.1", "source": "csv", "text": "A small effusion."}),
        (schema.report, {"film_id": 3, "source": "csv", "text": "Small effusion, small effusion."}),
        (schema.tag, {"film_id": 2, "name": "seen"}),
        (schema.collection, {"id": 1, "name": "Teaching", "created_at": 0}),
        (schema.collection_film, {"collection_id": 1, "film_id": 3, "place": 1}),
        (schema.sentence, {"id": 1, "text": "There is a large heart."}),
        (schema.finding, {"film_id": 4, "source": "m", "position": 0, "sentence_id": 1, "boxes": "[]"}),
    ]
    with catalog.write() as connection:
        for table, values in rows:
            connection.execute(insert(table).values(**values))
    return catalog


@pytest.mark.parametrize("name", CASES)
def test_a_filter_keeps_the_films_it_names(catalog: Catalog, name: str) -> None:
    where, kept = CASES[name]
    assert films.select_ids(catalog, where).tolist() == sorted(kept)
    assert films.count(catalog, where) == len(kept)
    assert [one.id for one in films.everyone(catalog, where)] == sorted(kept)
    views = films.facets(catalog, "view", where)
    assert sum(one.count for one in views) == sum(FILMS[film_id]["view"] is not None for film_id in kept)


@pytest.mark.parametrize(
    ("where", "index"),
    [
        (Filter(views=("PA",)), "ix_film_view"),
        (Filter(modalities=("dx", "CR")), "ix_film_modality"),
        (Filter(body_parts=("chest",)), "ix_film_body_part"),
        (Filter(sexes=("f",)), "ix_film_sex"),
        (Filter(age=Range(50, 50)), "ix_film_age"),
        (Filter(age=Range(40, 60)), "ix_film_age"),
        (Filter(year=Range(2003, None)), "ix_film_year"),
    ],
)
def test_an_index_answers_each_field_alone(either: str, catalog: Catalog, where: Filter, index: str) -> None:
    if either != "SQLite":
        pytest.skip("the plans of SQLite")
    (asked,) = filters.by_field(where)
    clause = filters.film_ids_of_any_state(asked)
    with catalog.look() as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {clause.sql}", clause.values).fetchall()
    assert [f"COVERING INDEX {index} " in row["detail"] for row in plan] == [True]


def test_several_fields_are_asked_one_by_one_and_others_at_once() -> None:
    several = Filter(views=("PA",), sexes=("F",), year=Range(2003, 2003))
    assert filters.by_field(several) == [
        Filter(views=("PA",)), Filter(sexes=("F",)), Filter(year=Range(2003, 2003))
    ]  # fmt: skip
    for whole in (Filter(), Filter(views=("PA",), labels=("edema",)), Filter(not_views=("PA",), sexes=("F",))):
        assert filters.by_field(whole) == [whole]


@pytest.mark.parametrize("kept", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
def test_a_path_is_found_in_both_forms_of_unicode(catalog: Catalog, kept: str, asked: str) -> None:
    with catalog.write() as connection:
        connection.execute(update(schema.file).where(schema.file.c.id == 1).values(path=normalize(kept, "Größe_Å.png")))
    assert films.select_ids(catalog, Filter(paths=(normalize(asked, "ße_Å"),))).tolist() == [1]


def test_report_words_rank_within_a_filter(catalog: Catalog) -> None:
    assert set(fulltext.rank(catalog, "small effusion", 10)) == {1, 2, 3}
    assert fulltext.rank(catalog, "effusion", 10, Filter(sexes=("F",), not_labels=("edema",))) == [3]
    assert fulltext.rank(catalog, "?!", 10) == []
    assert fulltext.holds(catalog, "Small")
    assert not fulltext.holds(catalog, 'kerley"')


def test_a_film_comes_back_as_it_was_kept(catalog: Catalog) -> None:
    one, four = films.films(catalog, [4, 99, 1, 2**70])[::-1]
    assert (one.root, one.path, one.has_report, one.tags.burned_in) == ("/films", "a/100%.dcm", True, None)
    assert [(label.name, label.value, label.source) for label in one.labels] == [
        ("edema", 1.0, "csv"),
        ("odd", 0.6, "probe"),
    ]
    assert (four.path, four.has_report, four.tags.burned_in) == (STRANGE, False, False)
    assert [other.id for other in films.study_of(catalog, one)] == [2]
    assert films.reports(catalog, one) == ["A small effusion."]
