"""The commands that measure, as a person uses them: what they print, what they keep, and how they fail."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filmroom.search.evaluation.trec import read_qrels, read_queries

from tests.indexer import dicom_files
from tests.measure_helpers import COUNT, as_json, indexed, labels, said, shared
from tests.terminal import Terminal
from tests.tiny_model import make_model

__all__ = ["indexed", "shared"]

Films = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model."""
    return make_model(tmp_path_factory.mktemp("models") / "second", name="second-measured", seed=3)


def test_a_film_must_be_named_once(indexed: Terminal, tmp_path: Path, films: Films, tiny: Path) -> None:
    folder = films(COUNT)
    for place, number in (("a", 40), ("b", 41)):
        made = films(number + 1, f"more-{place}") / f"film-{number:03}.png"
        (folder / place).mkdir()
        shutil.copy(made, folder / place / "same.png")
    indexed("index", folder, "--model", tiny)
    (tmp_path / "q.tsv").write_text("a\tedema\n")
    (tmp_path / "qrels").write_text("a 0 film-001 1\na 0 same 1\na 0 nobody 1\nb 0 film-001 1\n")
    files = ("--queries", tmp_path / "q.tsv", "--qrels", tmp_path / "qrels")
    found = as_json(indexed, "evaluate", *files)
    assert (found["missing"], found["ambiguous"]) == (["nobody"], ["same"])
    out = indexed("evaluate", *files)
    assert "1 judged name matched no film: nobody" in out
    assert "1 judged name matched several films: same" in out
    assert found["unasked"] == ["b"]
    assert "Left out (judged, but not among the queries): b." in out


def test_runs_are_compared(indexed: Terminal, tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("".join(f"q{n} 0 good 1\nq{n} 0 bad 0\n" for n in range(8)))
    for name, best in (("a", "bad"), ("b", "good")):
        worst = {"good": "bad", "bad": "good"}[best]
        lines = [f"q{n} Q0 {best} 1 0.9 x\nq{n} Q0 {worst} 2 -0.1 x\n" for n in range(8)]
        (tmp_path / name).write_text("".join(lines))
    command = ("compare", tmp_path / "a", tmp_path / "b", "--qrels", tmp_path / "qrels")
    found = as_json(indexed, *command, "--measure", "RR", "--measure", "P@2")
    rr, p = found["measures"]
    assert (rr["a"], rr["b"], rr["better"], rr["worse"]) == (0.5, 1.0, 8, 0)
    assert rr["p"] == pytest.approx(2 / 2**8)
    assert rr["p_holm"] == pytest.approx(4 / 2**8)
    assert p["difference"]["value"] == 0
    out = indexed(*command)
    assert "p (Holm)" in out
    assert "lacks" not in out
    (tmp_path / "b").write_text("q1 Q0 good 1 0.9 x\n")
    found = as_json(indexed, *command, "--measure", "RR")
    assert found["lacking"] == {"a": [], "b": [f"q{n}" for n in (0, 2, 3, 4, 5, 6, 7)]}
    assert found["measures"][0]["b"] == pytest.approx(1 / 8), "as trec_eval -c"
    said = "B lacks 7 judged queries of the qrels, counted as 0: q0, q2, q3, q4, q5, ..."
    assert said in " ".join(indexed(*command).split())


def test_a_run_that_lacks_queries_counts_them_as_nothing_and_says_so(indexed: Terminal, tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("".join(f"q{n} 0 good 1\nq{n} 0 bad 0\n" for n in range(4)) + "q9 0 bad 0\n")
    for name, count in (("a", 4), ("b", 1)):
        lines = [f"q{n} Q0 good 1 0.9 x\nq{n} Q0 {name} 2 0.1 x\n" for n in range(count)]
        (tmp_path / name).write_text("".join(lines))
    command = ("compare", tmp_path / "a", tmp_path / "b", "--qrels", tmp_path / "qrels", "--measure", "nDCG@5")
    found = as_json(indexed, *command)
    (ndcg,) = found["measures"]
    assert (found["n"], ndcg["a"], ndcg["b"]) == (4, 1.0, 0.25)
    assert found["lacking"] == {"a": [], "b": ["q1", "q2", "q3"]}
    assert found["perfect"] == {"a": 4, "b": 1}
    assert found["judged_at_5"] == {"a": 0.5, "b": 0.5}, "over what both answer"
    assert ndcg["difference"]["low"] is None, "four queries have no interval"
    out = " ".join(indexed(*command).split())
    assert "Warning: B lacks 3 judged queries of the qrels, counted as 0: q1, q2, q3." in out
    assert "Judged@5 differs" not in out
    assert "Answered perfectly (nDCG@5 of 1): A 4, B 1 of 4 queries." in out
    assert "too few queries" in out
    assert "a run is ranked already" in said(indexed, *command, "--hybrid")
    (tmp_path / "b").write_text("".join(f"q{n} Q0 new 1 0.9 x\nq{n} Q0 newer 2 0.1 x\n" for n in range(4)))
    out = " ".join(indexed(*command).split())
    assert (
        "Warning: Judged@5 differs (A 0.500, B 0.000): films that nobody judged count as misses, so that B may" in out
    )


def test_report_words_take_part_in_what_is_measured(indexed: Terminal, shared: Path, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("film,report\nfilm-011,Tension pneumothorax.\nfilm-017,Clear lungs.\n")
    indexed("report", tmp_path / "r.csv")
    (tmp_path / "q.tsv").write_text("a\tpneumothorax\n")
    (tmp_path / "qrels").write_text("a 0 film-011 2\na 0 film-017 0\n")
    files = ("--queries", tmp_path / "q.tsv", "--qrels", tmp_path / "qrels", "--measure", "RR")
    plain, fused = (as_json(indexed, "evaluate", *files, *more) for more in ((), ("--hybrid",)))
    assert (plain["settings"]["hybrid"], fused["settings"]["hybrid"]) == (False, True)
    assert fused["mean"]["RR"] > plain["mean"]["RR"]
    assert (fused["interval"]["RR"], fused["perfect"]) == ([None, None], {"RR": int(fused["mean"]["RR"] == 1)})
    out = indexed("evaluate", *files, "--hybrid", "--judged-only")
    assert "Answered perfectly (RR of 1): 1 of 1 query." in out
    assert "No interval" in out
    both = as_json(indexed, "compare", "--models", "tiny", "tiny", *files, "--hybrid")
    assert both["measures"][0]["a"] == fused["mean"]["RR"]


def test_models_are_compared_on_the_same_queries(indexed: Terminal, shared: Path, other: Path, tmp_path: Path) -> None:
    indexed("index", shared / "films", "--model", other)
    (tmp_path / "q.tsv").write_text("a\tedema\nb\tmass\n")
    (tmp_path / "qrels").write_text("a 0 film-001 2\nb 0 film-002 1\n")
    files = ("--queries", tmp_path / "q.tsv", "--qrels", tmp_path / "qrels", "--measure", "AP")
    found = as_json(indexed, "compare", "--models", "tiny", "second-measured", *files)
    assert (found["a"], found["b"], found["n"]) == ("tiny", "second-measured", 2)
    each = [as_json(indexed, "evaluate", "--model", name, *files)["mean"]["AP"] for name in ("tiny", "second-measured")]
    assert [found["measures"][0]["a"], found["measures"][0]["b"]] == pytest.approx(each)


def test_qrels_of_the_archives_labels_and_reports(indexed: Terminal, tmp_path: Path) -> None:
    indexed("label", labels(tmp_path / "l.csv"))
    reports = tmp_path / "r.csv"
    reports.write_text("film,report\n" + "".join(f"film-{n:03},Small left pleural effusion.\n" for n in range(6)))
    indexed("report", reports)
    made = as_json(indexed, "qrels", tmp_path / "qrels", "--make-queries", tmp_path / "q.tsv")
    assert made["documents"] == COUNT
    assert {"finding", "side", "severity", "negation"} <= set(made["groups"])
    texts = {one.text: one.qid for one in read_queries(tmp_path / "q.tsv")}
    grades = read_qrels(tmp_path / "qrels")
    assert grades[texts["left pleural effusion"]] == {f"film-{n:03}": 2 for n in range(6)}
    assert grades[texts["no pulmonary edema"]]["film-001"] == 0
    done = as_json(indexed, "evaluate", "--queries", tmp_path / "q.tsv", "--qrels", tmp_path / "qrels")
    assert set(done["groups"]) == set(made["groups"])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
def test_qrels_of_a_set_in_any_encoding(indexed: Terminal, tmp_path: Path, encoding: str) -> None:
    table = tmp_path / "Data_Entry_2017.csv"
    rows = [f"0000{n}_000.png;{'Effusion|Edema' if n % 2 else 'No Finding'};M\xfcller;PA" for n in range(12)]
    table.write_text("\n".join(["Image Index;Finding Labels;Reader;View Position", *rows]), encoding=encoding)
    (tmp_path / "q.tsv").write_text("e\tpleural effusion\nn\tpneumothorax\nx\ta quiet afternoon\n")
    command = ("qrels", tmp_path / "qrels", table, "--from", "nih", "--queries", tmp_path / "q.tsv")
    made = as_json(indexed, *command)
    assert (made["queries"], made["unread"], made["unjudged"]) == (1, ["x"], ["n"])
    assert sum(read_qrels(tmp_path / "qrels")["e"].values()) == 12
    assert "without a finding that the films are judged by: x" in indexed(*command)


def test_heat_maps_are_compared_with_boxes(indexed: Terminal, shared: Path, tmp_path: Path) -> None:
    model = make_model(tmp_path / "patches", name="patches", has_patches=True)
    indexed("index", shared / "films", "--model", model)
    nih = tmp_path / "BBox_List_2017.csv"
    nih.write_text(
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
        "film-001.png,Effusion,0,0,1024,1024,,,\n"
        "film-002.png,Cardiomegaly,512,512,512,512,,,\n"
        "film-003.png,Cardiomegaly,0,0,512,512,,,\nother.png,Mass,1,1,5,5,,,\n"
    )
    found = as_json(indexed, "ground", "--boxes", nih, "--model", "patches")
    assert [row["name"] for row in found["rows"]] == ["all", "without cardiomegaly", "cardiomegaly", "effusion"]
    everything, without, heart, effusion = found["rows"]
    assert (everything["n"], without["n"], found["missing"]) == (3, 1, ["other.png"])
    assert effusion["pointing"]["value"] == effusion["energy"]["value"] == 1.0, "the whole film is the box"
    assert heart["random"] == pytest.approx(0.25, abs=0.01)
    assert heart["fixed"] == 0.5, "one point cannot be in both corners"
    assert all(0 <= pair["energy"] <= 1 for pair in found["pairs"])
    own = tmp_path / "own.csv"
    own.write_text("film,label,x,y,w,h\nfilm-001,effusion,0,0,48,96\n")
    half = as_json(indexed, "ground", "--boxes", own, "--model", "patches")
    assert half["rows"][0]["random"] == pytest.approx(0.5, abs=0.01)
    assert "fixed point" in indexed("ground", "--boxes", own, "--model", "patches")
    assert "has no patch vectors" in said(indexed, "ground", "--boxes", own, "--model", "tiny")


def test_a_study_is_one_hit_on_request(terminal: Terminal, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dicom"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(8):
        film = dicom_files.dicom(
            rng.integers(0, 4095, (40, 40), np.uint16),
            SOPInstanceUID=f"1.2.3.{number + 1}",
            StudyInstanceUID=f"1.2.{number // 2 + 1}",
            ViewPosition="PA" if number % 2 else "LATERAL",
        )
        (folder / f"f{number}.dcm").write_bytes(film)
    terminal("index", folder, "--model", tiny)
    (tmp_path / "q.tsv").write_text("a\tedema\n")
    (tmp_path / "qrels").write_text("a 0 f1 2\na 0 f0 1\na 0 f4 0\n")
    files = ("--queries", tmp_path / "q.tsv", "--qrels", tmp_path / "qrels", "--run", tmp_path / "run")
    done = as_json(terminal, "evaluate", *files, "--per-study", "--measure", "nDCG@5", "--measure", "P(rel=2)@1")
    assert done["settings"]["per_study"] is True
    ranked = [line.split()[2] for line in (tmp_path / "run").read_text().splitlines()]
    assert sorted(ranked) == ["f0", "f2", "f4", "f6"]
    as_json(terminal, "evaluate", *files)
    single = [line.split()[2] for line in (tmp_path / "run").read_text().splitlines()]
    studies = list(dict.fromkeys(f"f{int(name[1:]) // 2 * 2}" for name in single))
    assert ranked == studies
    condensed = as_json(terminal, "evaluate", *files, "--per-study", "--judged-only", "--measure", "Judged@5")
    assert len((tmp_path / "run").read_text().splitlines()) == 2
    assert condensed["mean"]["Judged@5"] > 0


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_a_report_starts_with_what_the_model_has_seen(indexed: Terminal, tmp_path: Path, name: str) -> None:
    (tmp_path / "q.tsv").write_text("a\tpleural effusion\tfinding\nb\tleft edema\tside\n")
    (tmp_path / "qrels").write_text("a 0 film-001 2\nb 0 film-003 1\n")
    files = ("--queries", tmp_path / "q.tsv", "--qrels", tmp_path / "qrels")
    out = indexed("evaluate", *files, "--set", "nih", "--report", tmp_path / name)
    assert indexed.code == 0, indexed.err
    first = "Perhaps contaminated: it is not known whether tiny was trained on NIH ChestX-ray14"
    assert " ".join(out.split()).startswith(first)
    page = (tmp_path / name).read_text()
    assert first in page
    assert page.index(first) < page.index("Research use only")
    assert ("data:image/webp;base64" in page) == name.endswith(".html")
    assert "<script" not in page
    found = as_json(indexed, "evaluate", *files, "--set", "nih")
    assert found["contamination"]["trained"] == "unknown"


def test_the_query_set_that_ships_is_measured_by_group(indexed: Terminal, tmp_path: Path) -> None:
    shipped = ROOT / "assets" / "queries" / "phantom.tsv"
    questions = read_queries(shipped)
    assert len(questions) >= 40
    qrels = [f"{one.qid} 0 film-{number % COUNT:03} {1 + number % 2}" for number, one in enumerate(questions)]
    (tmp_path / "qrels").write_text("\n".join(qrels))
    done = as_json(indexed, "evaluate", "--queries", shipped, "--qrels", tmp_path / "qrels")
    assert set(done["groups"]) == {"finding", "side", "severity", "place", "device", "view", "negation"}
    assert sum(group["queries"] for group in done["groups"].values()) == len(questions)
    assert set(done["baselines"]) == {"random", "prior"}
    printed = " ".join(indexed("evaluate", "--queries", shipped, "--qrels", tmp_path / "qrels").split())
    assert "prior, films by their grades in the other queries, whatever is asked" in printed


GOOD_QUERIES, GOOD_QRELS = "a\tedema\n", "a 0 film-001 1\n"


@pytest.mark.parametrize(
    ("queries", "qrels", "fault"),
    [
        ("a\tedema\na\tmass\n", GOOD_QRELS, "the query id a is there twice"),
        ("a\tedema\nb\n", GOOD_QRELS, "there is no query on the line"),
        ("", GOOD_QRELS, "no queries"),
        (GOOD_QUERIES, "", "there are no judgements"),
        (GOOD_QUERIES, "\n\n", "there are no judgements"),
        (GOOD_QUERIES, "a 0 film-001 -1\n", "unknown grade -1"),
        (GOOD_QUERIES, "a 0 film-001 good\n", "unknown grade good"),
        (GOOD_QUERIES, "a 0 film-001 99\n", "unknown grade 99"),
        (GOOD_QUERIES, "a 0 film-001 nan\n", "unknown grade nan"),
        (GOOD_QUERIES, "a 0 film-001 1\na 0 film-001 2\n", "has two grades"),
        (GOOD_QUERIES, "a film-001 1\n", "not a judgement"),
        (GOOD_QUERIES, "a 0 nobody 1\n", "no query has a relevant film"),
        (GOOD_QUERIES, "b 0 film-001 1\n", "no query has a relevant film"),
    ],
)
def test_files_that_cannot_be_measured(indexed: Terminal, tmp_path: Path, queries: str, qrels: str, fault: str) -> None:
    (tmp_path / "q.tsv").write_text(queries)
    (tmp_path / "qrels").write_text(qrels)
    written = [tmp_path / "run", tmp_path / "page.html"]
    command = (
        "--queries",
        tmp_path / "q.tsv",
        "--qrels",
        tmp_path / "qrels",
        "--run",
        written[0],
        "--report",
        written[1],
    )
    assert fault in said(indexed, "evaluate", *command).lower()
    assert not any(path.exists() for path in written)


@pytest.mark.parametrize(
    ("run", "fault"),
    [
        ("a Q0 film-001 1 nan x\n", "nan is not a finite number"),
        ("a Q0 film-001 1 inf x\n", "inf is not a finite number"),
        ("a Q0 film-001 1 high x\n", "high is not a finite number"),
        ("a Q0 film-001 1 0.5 x\na Q0 film-001 2 0.4 x\n", "is there twice"),
        ("a film-001 0.5\n", "not a line of a run"),
        ("", "the run is empty"),
        ("z Q0 film-001 1 0.5 x\n", "no query of the run is judged"),
    ],
)
def test_runs_that_cannot_be_compared(terminal: Terminal, tmp_path: Path, run: str, fault: str) -> None:
    (tmp_path / "qrels").write_text(GOOD_QRELS)
    (tmp_path / "good").write_text("a Q0 film-001 1 0.5 x\n")
    (tmp_path / "bad").write_text(run)
    command = ("compare", tmp_path / "good", tmp_path / "bad", "--qrels", tmp_path / "qrels")
    assert fault in said(terminal, *command).lower()


def test_faults_are_one_line_and_leave_nothing(indexed: Terminal, tmp_path: Path) -> None:
    good, few, lost = labels(tmp_path / "good.csv"), tmp_path / "few.csv", tmp_path / "lost.csv"
    few.write_text("film,label,value\nfilm-001,edema,1\nfilm-002,edema,0\n")
    lost.write_text("film,label\nnobody,edema\n")
    empty, over, boxes = tmp_path / "empty.csv", tmp_path / "over.csv", tmp_path / "boxes.csv"
    empty.write_text("film,label\n")
    over.write_text("film,label,value\nfilm-001,edema,-0.5\n")
    boxes.write_text("film,label,x,y,w,h\nfilm-001,mass,1,1,0,5\n")
    text, gone, away = tmp_path / "text.csv", tmp_path / "gone.csv", tmp_path / "away.csv"
    text.write_text("film,label,x,y,w,h\nfilm-001,mass,1,one,3,5\n")
    gone.write_text("film,label,x,y,w,h\n")
    away.write_text("film,label,x,y,w,h\nnobody,mass,1,1,3,5\n")
    queries, qrels, out = tmp_path / "q.tsv", tmp_path / "qrels", tmp_path / "out"
    queries.write_text(GOOD_QUERIES)
    qrels.write_text(GOOD_QRELS)
    for command, fault in (
        (["zeroshot"], "No finding is named"),
        (["zeroshot", "--findings", "chexpert99"], "no set of findings of this name"),
        (["zeroshot", "edema", "--where", "view:LATERAL"], "no film passes"),
        (["zeroshot", "edema", "--where", "opacity"], "a filter has fields only"),
        (["zeroshot", "edema", "--where", "colour:red"], "colour"),
        (["probe"], "there is nothing to learn"),
        (["probe", "--label", "edema"], "there is no label of this name"),
        (["probe", "--labels", good, "--label", "mass"], "there is no label of this name"),
        (["probe", "--labels", few, "--save", "x"], "Too few patients"),
        (["probe", "--labels", lost], "none of the 1 rows labels a film"),
        (["probe", "--labels", empty], "there are no rows"),
        (["probe", "--labels", over], "neither 0, 1, yes, no nor a number between 0 and 1"),
        (["probe", "--labels", good, "--save", "Not/a name"], "a probe's name is"),
        (["probe", "apply", "nothing"], "there is no probe of this name"),
        (["probe", "remove", "../catalog"], "there is no probe of this name"),
        (["compare", qrels, "--qrels", qrels], "two rankings can be compared"),
        (["compare", "--models", "tiny", "tiny", "--qrels", qrels], "two models need queries"),
        (["compare", qrels, qrels, "--qrels", qrels, "--gain", "huge"], "not a gain"),
        (["qrels", out, "--queries", queries], "no film of the archive has labels or a report"),
        (["qrels", out, good, "--from", "imagenet", "--queries", queries], "there is no reader of this name"),
        (["qrels", out, good], "queries are read or made"),
        (["qrels", out, good, "--queries", queries, "--boxes", boxes], "the reader labels takes no such file"),
        (["qrels", out, few, "--make-queries", out], "no query has a film that shows what it asks"),
        (["ground", "--boxes", boxes], "The box has no area on the film"),
        (["ground", "--boxes", text], "A box needs four numbers"),
        (["ground", "--boxes", gone], "There are no boxes"),
        (["ground", "--boxes", away], "no box belongs to a film of this archive"),
        (["evaluate", "--queries", queries, "--qrels", qrels, "--set", "imagenet"], "no public set of this name"),
        (["evaluate", "--queries", queries, "--qrels", qrels, "--measure", "nDCG@0"], "There is no such measure"),
    ):
        assert fault in said(indexed, *command), command
    assert not out.exists()
    assert not list((indexed.archive / "probes").glob("*"))
