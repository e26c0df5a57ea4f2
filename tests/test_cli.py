"""The terminal door, as a person uses it: commands on folders, what they print, and how they fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import filmroom
import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.errors import NotFound
from filmroom.db.records import Filter
from filmroom.db.vector_index import snapshot
from filmroom.db.writes.annotations import set_tags
from filmroom.search.background_index import start_index
from filmroom.search.searcher import Searcher

from tests.terminal import Terminal

Films = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def indexed(terminal: Terminal, films: Films, tiny: Path) -> Terminal:
    terminal("index", films(6), "--model", tiny)
    assert terminal.code == 0, terminal.err
    return terminal


def test_index_ends_with_one_line_of_counts(terminal: Terminal, films: Films, tiny: Path) -> None:
    folder = films(3)
    (folder / "note.txt").write_text("not a film")
    counts = terminal.json("index", folder, "--model", tiny)
    assert isinstance(counts, dict)
    assert counts.pop("seconds") > 0
    assert counts.pop("same_uid") == 0
    assert counts == {"listed": 4, "indexed": 3, "unchanged": 0, "duplicate": 0, "rejected": 1, "gone": 0}


def test_index_prints_where_every_file_went(terminal: Terminal, films: Films, tiny: Path) -> None:
    folder = films(2)
    (folder / "empty.dcm").touch()
    out = terminal("index", folder, "--model", tiny)
    assert "empty file" in out
    assert "filmroom rejected" in out
    rejected = terminal.json("rejected")
    assert isinstance(rejected, list)
    assert [(one["path"], one["stage"], one["reason"]) for one in rejected] == [("empty.dcm", "open", "empty file")]


def test_search_finds_and_says_how(indexed: Terminal) -> None:
    found = indexed.json("search", "pleural effusion", "-k", 4)
    assert isinstance(found, dict)
    expected = {"query", "model", "took_ms", "total", "reading", "measured", "weakness", "contrary", "learned", "hits"}
    assert set(found) == expected | {"best", "chance", "doubtful"}
    assert (found["query"], found["model"], found["total"]) == ("pleural effusion", "tiny", 6)
    hits = found["hits"]
    assert [hit["rank"] for hit in hits] == [1, 2, 3, 4]
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    assert set(hits[0]) >= {"rank", "id", "score", "percentile", "path", "study_uid", "view", "sex", "age", "labels"}
    assert hits[0]["percentile"] == 100.0
    assert "Research use only" in indexed("search", "pleural effusion")


def test_search_pages_and_leaves_the_example_out(indexed: Terminal) -> None:
    everything = indexed.json("search", "edema", "-k", 6)
    second = indexed.json("search", "edema", "-k", 2, "--offset", 2)
    assert isinstance(everything, dict)
    assert isinstance(second, dict)
    assert second["hits"] == everything["hits"][2:4]
    like = indexed.json("search", "--like", everything["hits"][0]["id"], "-k", 9)
    assert isinstance(like, dict)
    assert [hit["id"] for hit in like["hits"]] != []
    assert everything["hits"][0]["id"] not in [hit["id"] for hit in like["hits"]]


def test_search_like_a_file_that_is_not_in_the_archive(indexed: Terminal, films: Films) -> None:
    outside = films(3, "outside") / "film-002.png"
    like = indexed.json("search", "--like", outside, "-k", 1)
    assert isinstance(like, dict)
    assert like["hits"][0]["path"] == "film-002.png"
    assert like["hits"][0]["score"] > 0.999


def test_labels_filter_a_search_and_rows_without_a_film_are_named(indexed: Terminal, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("film,label\nfilm-001,Edema|Effusion\nfilm-002.png,edema\nnobody,edema\n")
    done = indexed.json("label", table)
    assert done == {
        "rows": 3,
        "films": 2,
        "added": 3,
        "missing": ["nobody"],
        "ambiguous": [],
        "empty": 0,
        "contradicted": 0,
    } | {"labels": {"edema": 2, "effusion": 1}}
    found = indexed.json("search", "anything label:edema -label:effusion")
    assert isinstance(found, dict)
    assert [(hit["path"], hit["labels"]) for hit in found["hits"]] == [("film-002.png", ["edema"])]


def test_report_words_filter_and_join_the_ranking(indexed: Terminal, tmp_path: Path) -> None:
    table = tmp_path / "reports.jsonl"
    table.write_text(
        '{"film": "film-003", "findings": "Heart normal.", "impression": "Small left effusion."}\n'
        '{"film": "film-004", "report": "Clear lungs."}\n'
    )
    done = indexed.json("report", table)
    assert done == {
        "rows": 2,
        "films": 2,
        "added": 2,
        "missing": [],
        "ambiguous": [],
        "empty": 0,
        "labels": {},
        "contradicted": 0,
    }
    found = indexed.json("search", '"left effusion"')
    assert isinstance(found, dict)
    assert [hit["path"] for hit in found["hits"]] == ["film-003.png"]
    fused = indexed.json("search", "effusion", "--hybrid", "-k", 6)
    assert isinstance(fused, dict)
    assert len(fused["hits"]) == 6
    by_films = indexed.json("search", "effusion", "-k", 6)
    assert isinstance(by_films, dict)
    place = [hit["path"] for hit in by_films["hits"]].index("film-003.png")
    assert [hit["path"] for hit in fused["hits"]].index("film-003.png") <= place


def test_evaluate_prints_the_shape_that_scripts_read(indexed: Terminal, tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text("a\tpleural effusion\nb\tedema\n")
    (tmp_path / "qrels").write_text("a 0 film-001 2\na 0 film-002 1\nb 0 film-003 1\nb 0 lost 1\n")
    out = tmp_path / "run.trec"
    done = indexed.json("evaluate", "--queries", tmp_path / "q.tsv", "--qrels", tmp_path / "qrels", "--run", out)
    assert isinstance(done, dict)
    assert set(done["mean"]) == {"nDCG@5", "nDCG@10", "P@5", "AP", "Judged@5"}
    assert set(done["queries"]) == {"a", "b"}
    assert done["missing"] == ["lost"]
    assert len(out.read_text().splitlines()) == 12
    said = indexed("evaluate", "--queries", tmp_path / "q.tsv", "--qrels", tmp_path / "qrels")
    assert "No interval: 2 queries would say nothing of others." in said
    assert done["interval"]["AP"] == [None, None]


def test_judged_only_ranks_the_condensed_list(indexed: Terminal, tmp_path: Path) -> None:
    (tmp_path / "q.tsv").write_text("a\tedema\n")
    (tmp_path / "qrels").write_text("a 0 film-001 1\na 0 film-002 0\n")
    files = ("--queries", tmp_path / "q.tsv", "--qrels", tmp_path / "qrels", "--run", tmp_path / "run")
    done = indexed.json("evaluate", *files, "--judged-only")
    assert isinstance(done, dict)
    assert done["settings"]["judged_only"] is True
    assert {line.split()[2] for line in (tmp_path / "run").read_text().splitlines()} == {"film-001", "film-002"}


def test_status_and_models_count_the_same_films(indexed: Terminal) -> None:
    status = indexed.json("status")
    assert isinstance(status, dict)
    assert (status["films"], status["models"][0]["films"], status["models"][0]["complete"]) == (6, 6, True)
    models = indexed.json("models")
    assert isinstance(models, list)
    assert [one["films"] for one in models if one["name"] == "tiny"] == [6]
    assert {"filmroom-mini", "whyxrayclip", "biomedclip"} <= {one["name"] for one in models}


def test_doctor_finds_a_torn_index_and_repairs_it(indexed: Terminal) -> None:
    assert "agree" in indexed("doctor")
    (torn,) = (indexed.archive / "vectors").glob("*.rows.npy")
    torn.write_bytes(torn.read_bytes()[:50])
    assert "is damaged" in indexed("doctor")
    assert indexed.code == 1
    before = indexed.json("search", "edema")
    assert indexed.code == 0
    assert "agree" in indexed("doctor", "--repair")
    assert indexed.code == 0
    after = indexed.json("search", "edema")
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert before["hits"] == after["hits"]


def test_an_index_of_another_version_is_not_called_damaged(indexed: Terminal, films: Films, tiny: Path) -> None:
    (manifest,) = (indexed.archive / "vectors").glob("*.json")
    claims = {"version": 2, "rows": 6, "file": "as it was in that version"}
    manifest.write_text(json.dumps(claims | {"crc": zlib.crc32(json.dumps(claims, sort_keys=True).encode())}))
    said = " ".join(indexed("doctor").split())
    assert indexed.code == 0, "nothing is lost, and nothing is wrong"
    assert "The index of tiny is of another version of Filmroom: the next index run makes it anew" in said
    assert "amaged" not in said
    assert indexed.json("search", "edema")["total"] == 6  # type: ignore[index, call-overload]
    indexed("index", films(6), "--model", tiny)
    assert json.loads(manifest.read_text())["version"] == snapshot.VERSION
    same = json.loads(manifest.read_text()) | {"version": 2}
    same["crc"] = zlib.crc32(json.dumps({k: v for k, v in same.items() if k != "crc"}, sort_keys=True).encode())
    manifest.write_text(json.dumps(same))
    indexed("index", films(6), "--model", tiny)
    assert json.loads(manifest.read_text())["version"] == snapshot.VERSION, "also where no field is another"
    manifest.write_text("{}")
    assert "is damaged" in indexed("doctor")
    assert indexed.code == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["search", "edema"], "there is no archive here"),
        (["status"], "there is no archive here"),
        (["doctor"], "there is no archive here"),
        (["search"], "there is nothing to search for"),
        (["search", "edema", "--model", "filmrom-mini"], "there is no archive here"),
        (["index", "/no/such/folder", "--model", "TINY"], "there is nothing to index here"),
        (["index", ".", "--model", "filmrom-mini"], "filmroom-mini"),
        (["models", "add", "/no/such/folder"], "no model has this name"),
        (["models", "remove", "filmroom-mini"], "bundled"),
    ],
)
def test_a_fault_is_one_line_with_the_next_step(
    terminal: Terminal, tiny: Path, command: Sequence[str], said: str
) -> None:
    out = terminal(*[str(tiny) if part == "TINY" else part for part in command])
    assert terminal.code == 1
    assert out == ""
    assert terminal.err.startswith("filmroom: ")
    assert said in terminal.err
    assert len(terminal.err.splitlines()) == 1


def test_no_archive_is_made_for_films_that_are_not_there(terminal: Terminal, tiny: Path, tmp_path: Path) -> None:
    terminal("index", tmp_path / "films", "--model", tiny)
    assert (terminal.code, terminal.archive.exists()) == (1, False)
    with pytest.raises(NotFound, match="nothing to index"):
        filmroom.open(terminal.archive, model=str(tiny)).index(tmp_path / "films")
    with pytest.raises(NotFound, match="nothing to index"):
        start_index(terminal.archive, [tmp_path / "films"])
    assert not terminal.archive.exists()


def test_faults_within_an_archive(indexed: Terminal, tmp_path: Path) -> None:
    for command, said in (
        (["search", "colour:red"], "colour"),
        (["search", "edema", "--like", "999"], "no film has this id"),
        (["search", "edema", "--like", str(tmp_path / "missing.dcm")], "there is no such file"),
        (["label", str(tmp_path / "none.csv")], "none.csv"),
        (["evaluate", "--queries", "x", "--qrels", "y", "--gain", "huge"], "not a gain"),
    ):
        indexed(*command)
        assert indexed.code == 1, command
        assert said in indexed.err, indexed.err
        assert len(indexed.err.splitlines()) == 1, indexed.err


def test_a_damaged_catalog_is_said_in_one_line(indexed: Terminal) -> None:
    for path in indexed.archive.glob("catalog.sqlite*"):
        path.unlink()
    (indexed.archive / "catalog.sqlite").write_bytes(b"not a database at all, but long enough to look" * 100)
    indexed("status")
    assert indexed.code == 1
    assert "Restore it from a backup" in indexed.err


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['filmroom', '--help']\nfrom filmroom.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'open_clip', 'faiss', 'streamlit', 'pydicom', 'onnxruntime', 'sqlalchemy', 'numpy'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("query", ["edema", 'edema view:PA has:report -label:mass year:2000.. "no effusion"'])
def test_a_search_imports_nothing_heavy(indexed: Terminal, tiny: Path, query: str) -> None:
    code = (
        f"import sys\nsys.argv = ['filmroom', 'search', {query!r}, '--hybrid', '--model', {str(tiny)!r}]\n"
        "from filmroom.cli import main\ntry: main()\nexcept SystemExit as ended: assert not ended.code\n"
        "heavy = {'torch', 'open_clip', 'streamlit', 'pydicom', 'alembic', 'sqlalchemy', 'faiss'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    environment = os.environ | {"FILMROOM_ARCHIVE": str(indexed.archive)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_open_archive_sees_what_is_written_meanwhile(indexed: Terminal) -> None:
    searcher = Searcher.open(indexed.archive)
    for tags in ([], ["seen"], [], ["seen", "twice"]):
        set_tags(Archive.open(indexed.archive).catalog, 1, tags)
        for words in ("edema tag:seen", "effusion tag:seen"):
            assert [hit.id for hit in searcher.search(words).hits] == [1] * bool(tags)


def test_the_films_of_eight_filters_are_read_once(indexed: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    searcher = Searcher.open(indexed.archive)
    read: list[Filter] = []
    monkeypatch.setattr(
        "filmroom.db.reads.films.select_ids", lambda _catalog, where: read.append(where) or np.array([1])
    )
    for year in [*range(2001, 2009), *range(2001, 2010), *range(2002, 2009)]:
        assert searcher.search(f"edema year:{year}").total == 1
    assert [one.year.low for one in read] == list(range(2001, 2010))


def test_nothing_in_the_archive_can_be_read_by_others(indexed: Terminal) -> None:
    assert indexed.archive.stat().st_mode & 0o077 == 0
    assert Archive.open(indexed.archive).patient_key()


def test_the_version_is_said(terminal: Terminal) -> None:
    assert terminal("--version").startswith("filmroom ")
    assert terminal.code == 0


@pytest.mark.parametrize(
    "command",
    [
        ("rejected", "--csv"),
        ("check", "labels", "--csv"),
        ("check", "archive", "--csv"),
        ("zeroshot", "edema", "--scores"),
        ("qrels", "--from", "labels"),
        ("export", "table", "--all", "--to"),
    ],
)
def test_a_folder_that_was_mistyped_is_not_made(indexed: Terminal, tmp_path: Path, command: tuple[str, ...]) -> None:
    file = tmp_path / "mistyped" / "out.csv"
    indexed(*command, file)
    assert indexed.code != 0
    assert indexed.err.splitlines() == [
        f"filmroom: {file}: its folder is not there. Make it first, or name another place."
    ]
    assert not file.parent.exists()
