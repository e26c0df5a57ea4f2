"""Whatever is typed or imported is understood, or refused in one line; `make fuzz` tries very many more of them."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest
from filmroom.db.archive import Archive
from filmroom.db.errors import FilmroomError
from filmroom.db.reads.films import count
from filmroom.search.evaluation.trec import read_qrels, read_queries, read_run
from filmroom.search.exchange.import_labels import import_labels, import_reports
from filmroom.search.exchange.tables import read_table
from filmroom.search.query.fields import FIELDS
from filmroom.search.query.parser import parse, to_text, with_filter, with_term, without_filter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WORDS = st.sampled_from([
    "no", "without", "effusion", "-mass", '"', '"left base"', "-", "--", ":", ",", "..", "and", "or", "not seen", ".",
    "view:", "age:60..80", "age:..", "has:burned-in", "-has:report", "probe:x>0.5", "probe:x<", "label:a,\"b,c\"", "″",
    "patient:", "path:%_\\", "has:", "\x00",
    " OR ", "(", ")", "view:(", "\u202e", "\ud800", "ﬀ", "\U0001fa7b", *FIELDS.values(),
])  # fmt: skip
QUERIES = st.one_of(st.text(max_size=80), st.lists(st.one_of(WORDS, st.text(max_size=6)), max_size=14).map(" ".join))
CELLS = st.one_of(
    st.sampled_from(
        ["film", "label", "value", "report", "study", "a.png", "1", "0", "-1", "1e999", "nan", '"', "'", ""]
    ),
    st.text(max_size=8),
)
LINES = st.builds(lambda cells, gap: gap.join(cells), st.lists(CELLS, max_size=5), st.sampled_from(",;\t| "))
TABLES = st.one_of(
    st.binary(max_size=200),
    st.lists(LINES, max_size=8).map("\n".join).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.lists(LINES, max_size=8).map("\r\n".join).map(lambda text: text.encode("latin-1", "replace")),
    st.lists(st.dictionaries(CELLS, st.one_of(CELLS, st.none(), st.floats(), st.lists(CELLS))), max_size=4).map(
        lambda rows: "\n".join(map(json.dumps, rows)).encode()
    ),
    st.binary(max_size=60).map(gzip.compress),
    st.binary(max_size=60).map(lambda data: b"\x1f\x8b" + data),
    st.lists(LINES, max_size=8)
    .map("\n".join)
    .map(lambda text: b"\xff\xfe" + text.encode("utf-16-le", "surrogatepass")),
)
patient = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@patient
@given(QUERIES)
def test_any_query(text: str) -> None:
    began = time.thread_time()
    try:
        query = parse(text)
    except FilmroomError:
        return
    assert parse(to_text(query)) == query
    for changed in (with_filter(text, views=("PA",)), without_filter(text)):
        parse(changed)
    assert time.thread_time() - began < 2


@patient
@given(QUERIES, QUERIES)
def test_any_term_joins_any_query(text: str, term: str) -> None:
    try:
        parse(with_term(text, term))
    except FilmroomError:
        return


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return Archive.create(tmp_path_factory.mktemp("empty") / "archive")


@patient
@given(QUERIES)
def test_any_filter_is_a_sound_question_to_the_catalog(archive: Archive, text: str) -> None:
    try:
        where = parse(text).filter
    except FilmroomError:
        return
    assert count(archive.catalog, where) == 0


@patient
@given(data=TABLES)
def test_any_table(tmp_path: Path, archive: Archive, data: bytes) -> None:
    path = tmp_path / "table"
    path.write_bytes(data)
    readers = (lambda one: list(read_table(one)), read_queries, read_qrels, read_run)
    for read in readers:
        try:
            read(path)
        except FilmroomError:
            continue
    for take in (import_labels, import_reports):
        try:
            done = take(archive.catalog, path)
            assert done.added == 0
        except FilmroomError:
            continue
