"""Query sets, judgements and runs as files, and the films they speak of."""

from __future__ import annotations

from pathlib import Path

import pytest
from filmroom.db.errors import BadInput
from filmroom.db.records import Film, State, Tags
from filmroom.search.evaluation.trec import (
    Question,
    document_name,
    read_qrels,
    read_queries,
    read_run,
    resolve,
    write_qrels,
    write_queries,
    write_run,
)


def film(number: int, path: str, *, uid: str | None = None, frame: int = 0) -> Film:
    return Film(number, "/films", path, frame, State.PRESENT, 1, Tags(instance_uid=uid))


@pytest.mark.parametrize(
    "content",
    [
        b"q1\tedema\tfinding\nq2\tno mass\n",
        b"\xef\xbb\xbfq1\tedema\tfinding\r\n\r\nq2\tno  mass\r\n",
        b"qid\tquery\tgroup\nq1\tedema\tfinding\nq2\tno mass\t\n",
        b"qid;query;group\nq1;edema;finding\nq2;no mass;\n",
        b'{"qid": "q1", "query": "edema", "group": "finding"}\n{"qid": "q2", "query": "no mass"}\n',
        b'{"_id": "q1", "text": "edema", "kind": "finding"}\n{"_id": "q2", "text": "no mass", "metadata": {}}\n',
        b'sep=;\nquery-id;text;kind\nq1;edema;finding\nq2;"no mass";NaN\n',
        "q1\tedema\tfinding\nq2\tno\u2028mass\n".encode(),
    ],
)
def test_queries_in_every_format(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "q"
    path.write_bytes(content)
    questions = [Question("q1", "edema", "finding"), Question("q2", "no mass")]
    assert read_queries(path) == questions
    write_queries(path, questions)
    assert read_queries(path) == questions


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "There are no queries"),
        ("q1\ta\nq1\tb\n", ":2: The query id q1 is there twice"),
        ("q1 edema\n", ":1: There is no query on the line"),
        ("q1\t\n", ":1: There is no query on the line"),
        ("q1\ta\tb\tc\n", ":1: The line has 4 columns"),
        ("q 1\ta\n", ":1: A query id cannot contain spaces"),
        ('{"qid": "q1"}\n', "There is no column query or text"),
    ],
)
def test_faulty_queries(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "q.tsv"
    path.write_text(content)
    with pytest.raises(BadInput) as refused:
        read_queries(path)
    assert str(refused.value).startswith(str(path))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        b"q1 0 f1 2\nq1\t0\ta film.png\t0\nq2 0 f1 1\n",
        b"\xef\xbb\xbfqid;document;grade\nq1;f1;2\nq1;a film.png;0\nq2;f1;1",
        b"query-id\tcorpus-id\tscore\nq1\tf1\t2\nq1\ta film.png\t0\nq2\tf1\t1\n",
        b"sep=,\nquery-id,corpus-id,score\nq1,f1,2.0\nq1,a film.png,0\nq2,f1,1\n",
    ],
)
def test_judgements(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "qrels"
    path.write_bytes(content)
    qrels = {"q1": {"f1": 2, "a film.png": 0}, "q2": {"f1": 1}}
    assert read_qrels(path) == qrels
    write_qrels(path, qrels)
    assert path.read_text() == "q1 0 a%20film.png 0\nq1 0 f1 2\nq2 0 f1 1\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "There are no judgements"),
        ("q1 0 f1 high\n", ":1: Unknown grade high"),
        ("q1 0 f1 -1\n", ":1: Unknown grade -1"),
        ("q1 0 f1 nan\n", ":1: Unknown grade nan"),
        ("q1 0 f1 11\n", ":1: Unknown grade 11"),
        ("q1 0 f1 1.5\n", ":1: Unknown grade 1.5"),
        ("q1 0 f1 1\nq1 0 f1 2\n", ":2: f1 has two grades for query q1"),
        ("q1 0 f1\n", ":1: Not a judgement"),
    ],
)
def test_faulty_judgements(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "qrels"
    path.write_text(content)
    with pytest.raises(BadInput) as refused:
        read_qrels(path)
    assert said in str(refused.value)


def test_a_run_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "run"
    write_run(path, {"q1": [("b", 0.5), ("a film", -0.25)], "q2": [("b", 1 / 3)]}, tag="our model")
    assert path.read_text().splitlines()[1] == "q1 Q0 a%20film 2 -0.25 our%20model"
    assert read_run(path) == {"q1": {"b": 0.5, "a%20film": -0.25}, "q2": {"b": pytest.approx(1 / 3)}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "The run is empty"),
        ("q1 Q0 f1 1 nan t\n", ":1: The score nan is not a finite number"),
        ("q1 Q0 f1 1 inf t\n", ":1: The score inf is not a finite number"),
        ("q1 Q0 f1 1 x t\n", ":1: The score x is not a finite number"),
        ("q1 Q0 f1 1 .5 t\nq1 Q0 f1 2 .5 t\n", ":2: f1 is there twice for query q1"),
        ("q1 Q0 f1 1\n", ":1: Not a line of a run"),
    ],
)
def test_faulty_runs(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "run"
    path.write_text(content)
    with pytest.raises(BadInput) as refused:
        read_run(path)
    assert said in str(refused.value)


def test_documents_are_found_by_uid_path_name_or_stem() -> None:
    films = [
        film(1, "a/one.dcm", uid="1.2.3"),
        film(2, "a/same.png"),
        film(3, "b/same.png"),
        film(4, "c/cine.dcm", uid="1.2.4", frame=0),
        film(5, "c/cine.dcm", uid="1.2.4", frame=1),
        film(6, "d/two words.png"),
    ]
    documents = {
        "1.2.3": 1,
        "a/same.png": 2,
        "b/same": 2,
        "1.2.4#1": 1,
        "two%20words": 1,
        "one.png": 2,
        "elsewhere/one.png": 1,
        "same": 1,
        "1.2.4": 1,
        "absent": 1,
    }
    placed = resolve({"q": documents, "empty": {"nowhere": 1}}, films)
    assert placed.grades == {"q": {1: 2, 2: 2, 3: 2, 5: 1, 6: 1}, "empty": {}}
    assert placed.names[1] == "1.2.3"
    assert placed.ambiguous == ("same", "1.2.4")
    assert placed.missing == ("elsewhere/one.png", "absent", "nowhere")
    assert [document_name(films[index]) for index in (0, 4)] == ["a/one", "c/cine#1"]


def test_a_film_is_known_by_what_a_run_calls_it(tmp_path: Path) -> None:
    films = [film(1, "two  words.png"), film(2, "no\u00a0break.png"), film(3, "100%20.png"), film(4, "plain.png")]
    path = tmp_path / "run"
    write_run(path, {"q": [(document_name(one), 1.0 / one.id) for one in films]}, tag="t")
    assert sorted(resolve({"q": dict.fromkeys(read_run(path)["q"], 1)}, films).grades["q"]) == [1, 2, 3, 4]


def test_a_query_is_one_line(tmp_path: Path) -> None:
    write_queries(tmp_path / "q", [Question("q1", "edema\nor\tmass")])
    assert (tmp_path / "q").read_text() == "q1\tedema or mass\n"


def test_names_that_are_no_text_stand_in_a_run(tmp_path: Path) -> None:
    write_run(tmp_path / "run", {"q": [("ward \udcff", 0.5)]}, tag="t")
    assert read_run(tmp_path / "run") == {"q": {"ward%20\\udcff": 0.5}}
