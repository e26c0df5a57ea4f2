"""What the terminal advises can be done as it stands, and what it counts is said in English."""

from __future__ import annotations

import dataclasses
import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filmroom.db.archive import Archive
from filmroom.db.reads.films import everyone
from filmroom.db.records import Label, Tags
from filmroom.db.writes.annotations import collect, put_labels, set_tags

from tests.conftest import write_film
from tests.indexer import dicom_files
from tests.terminal import Terminal

Films = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def indexed(terminal: Terminal, films: Films, tiny: Path) -> Terminal:
    terminal("index", films(3), "--model", tiny)
    assert terminal.code == 0, terminal.err
    return terminal


def test_a_log_of_index_says_how_far_it_is(terminal: Terminal, films: Films, tiny: Path) -> None:
    terminal("index", films(3), "--model", tiny)
    assert "Indexing: 3 of 3 files\n" in terminal.err
    terminal("index", films(3), "--model", tiny, "--json")
    assert terminal.err == ""


def test_the_json_of_a_search_is_what_its_schema_says_and_holds_every_fact(indexed: Terminal) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / "docs" / "search.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    for query in (["edema without CHF XYZ women over 60"], ["view:PA"], ["tag:none"], ["--", "-edema"]):
        found = json.loads(indexed("search", "--json", *query))
        jsonschema.validate(found, schema)
    found = json.loads(indexed("search", "effusion", "--json"))
    facts = {field.name for field in dataclasses.fields(Tags)}
    assert facts < set(found["hits"][0])
    assert set(found["hits"][0]) == set(schema["properties"]["hits"]["items"]["properties"])


def test_a_hint_names_the_archive_where_one_was_named(
    terminal: Terminal, films: Films, tiny: Path, tmp_path: Path
) -> None:
    folder = films(1)
    (folder / "empty.dcm").touch()
    there = tmp_path / "an archive"
    assert f"filmroom rejected --archive '{there}'\n" in terminal("index", folder, "--model", tiny, "--archive", there)
    assert f"--retry --archive '{there}'\n" in terminal("rejected", "--archive", there)
    assert f"filmroom status --archive '{there}'\n" in terminal("search", "tag:none", "--archive", there)
    assert f"URL --archive '{there}'\n" in terminal("findings", "--archive", there)
    assert f"--save NAME --archive '{there}'\n" in terminal("probe", "list", "--archive", there)
    assert "filmroom rejected\n" in terminal("index", folder, "--model", tiny), "the usual one needs no name"


def test_what_was_forgotten_is_brought_back_by_its_own_option(
    indexed: Terminal, films: Films, tiny: Path, tmp_path: Path
) -> None:
    (one, *_) = everyone(Archive.open(indexed.archive).catalog)
    indexed("forget", one.id, "--yes")
    indexed("index", tmp_path / "films", "--model", tiny)
    said = indexed("rejected")
    assert "--bring-back" in said.splitlines()[-1]
    assert "--retry" not in said
    (tmp_path / "films" / "empty.dcm").touch()
    indexed("index", tmp_path / "films", "--model", tiny)
    said = indexed("rejected")
    assert "filmroom index FOLDER --retry\n" in said
    assert "filmroom index FOLDER --bring-back\n" in said


def test_a_film_that_is_not_there_is_said_so_in_words_for_any_door(indexed: Terminal) -> None:
    for option in ("--like", "--unlike"):
        for number in ("99999", "9" * 30):
            indexed("search", option, number)
            assert indexed.code != 0
            assert "film" in indexed.err
            assert "`" not in indexed.err, "an index run would bring no such film"
            assert "unexpected fault" not in indexed.err
    indexed("search", "--like", "99999")
    assert indexed.err == "filmroom: 99999: no film has this id. A search shows the ids of films.\n"


def test_findings_that_nobody_wrote(indexed: Terminal) -> None:
    for query in ((), ("effusion", "--words")):
        said = indexed("findings", *query)
        assert "--from cxrreportgen" in said
        assert "filmroom findings" not in said


def test_a_query_says_how_it_was_understood_where_it_denies(indexed: Terminal) -> None:
    said = indexed("search", "effusion -k")
    assert "Ranked by: effusion; against: k." in " ".join(said.split())
    assert "Ranked against: pleural effusion." in " ".join(indexed("search", "no pleural effusion").split())
    assert "Ranked" not in indexed("search", "effusion")
    doubted = " ".join(indexed("search", "effusion cannot be excluded").split())
    assert "Ranked by: effusion (not sure)." in doubted


def test_a_query_says_which_abbreviations_it_read(indexed: Terminal) -> None:
    assert "CHF is read as congestive heart failure." in indexed("search", "CHF")
    assert "XQZ: an abbreviation that is not known here; write it out." in indexed("search", "effusion with XQZ")
    assert indexed.json("search", "CHF")["reading"]["unfamiliar"] == []
    assert indexed.json("search", "CHF")["reading"]["spelled_out"] == [["CHF", "congestive heart failure"]]


def test_a_slip_of_the_pen_is_asked_back(terminal: Terminal, films: Films) -> None:
    """By the bundled model, which knows its words."""
    terminal("index", films(2), "--workers", 1)
    assert "Did you mean effusion?" in " ".join(terminal("search", "efusion").split())
    found: Any = terminal.json("search", "efusion")
    assert found["reading"]["suggested"] == [["efusion", "effusion"]]
    assert found["reading"]["ranked_by"] == ["efusion"]
    assert "Did you mean" not in terminal("search", "effusion")


@pytest.mark.parametrize("query", ["normal", "normal chest film", "NAD", "no finding"])
def test_normal_films_that_bear_findings_are_told(indexed: Terminal, tmp_path: Path, query: str) -> None:
    line = "Asked for normal films, but 2 of these 3 bear the label of a finding. Check every film."
    assert "Asked for normal films" not in indexed("search", query)
    films = "film,label\nfilm-000,pacemaker\nfilm-001,effusion\nfilm-002,Mass\n"
    indexed("label", _table(tmp_path / "labels.csv", films))
    assert line in " ".join(indexed("search", query).split())
    found: Any = indexed.json("search", query)
    assert found["contrary"] == line
    assert indexed.json("search", "effusion")["contrary"] == ""  # type: ignore[index]


def test_words_that_could_filter_are_offered_as_fields(indexed: Terminal) -> None:
    assert "filter instead of rank: effusion sex:F age:61.." in " ".join(
        indexed("search", "effusion in women over 60").split()
    )


@pytest.mark.parametrize("query", ["-effusion", "-effusion -edema", "-kyphosis", "-é"])
def test_a_query_that_begins_with_a_minus(indexed: Terminal, query: str) -> None:
    assert "Ranked against" in indexed("search", "--", query)
    assert "Ranked against" in indexed("search", query)
    assert "Ranked against" in indexed("search", "--hybrid", query, "--per-study")
    assert "Ranked against" in indexed("search", query, "-k", "1")
    assert "Ranked against" in indexed("search", "-k1", query)
    assert "Ranked against: kyphosis, left effusion." in indexed("search", "-kyphosis", "-k", "1", '-"left effusion"')


@pytest.mark.parametrize("words", [["foo", "-kx"], ["--hybrid", "foo", "-kyphosis"], ["-k", "5", "foo", "-effusion"]])
def test_a_query_of_which_a_part_was_left_outside(indexed: Terminal, words: list[str]) -> None:
    indexed("search", *words)
    assert indexed.code == 2
    assert "filmroom search -- " not in indexed.err
    assert f"filmroom search 'foo {words[-1]}'\n" in indexed.err


@pytest.mark.parametrize(
    "words",
    [["no", "effusion"], ["-k", "1", "no", "effusion"], ["no", "effusion", "--hybrid"], ["--", "no", "effusion"]],
)
def test_words_without_quotes_are_one_query(indexed: Terminal, words: list[str]) -> None:
    assert "Ranked against: effusion." in indexed("search", *words)
    assert indexed.err == "Read as one query: no effusion\n"


@pytest.mark.parametrize(
    ("words", "quoted"),
    [
        (["no", "--per-study", "effusion"], "'no effusion'"),
        (["effusion", "--per-study", "true"], "'effusion true'"),
        (["left base", "effusion"], "'\"left base\" effusion'"),
        (["label:pleural effusion", "edema"], "'label:\"pleural effusion\" edema'"),
    ],
)
def test_words_that_may_not_be_one_query_are_to_be_quoted(indexed: Terminal, words: list[str], quoted: str) -> None:
    indexed("search", *words)
    assert indexed.code == 2
    assert f"Put all of the query in quotes: filmroom search {quoted}\n" in indexed.err


def test_an_option_that_is_none_is_named_and_no_word_of_the_query(indexed: Terminal) -> None:
    for option in ("-n", "--top"):
        indexed("search", "effusion", option, "5")
        assert indexed.code == 2
        assert f"No such option: {option}" in indexed.err
        assert "in quotes" not in indexed.err


def test_other_commands_join_the_words_of_a_query(indexed: Terminal, tmp_path: Path) -> None:
    films = tmp_path / "films.csv"
    assert "2 films" in indexed("export", "table", "no", "effusion", "--best", "2", "--to", films)
    assert indexed.err.startswith("Read as one query: no effusion\n")
    indexed("findings", "pleural", "effusion", "--words")
    assert (indexed.code, indexed.err) == (0, "Read as one query: pleural effusion\n")
    indexed("send", "no", "effusion")
    assert "say where to send them" in indexed.err
    indexed("export", "table", "no", "--all", "effusion")
    assert "Put all of the query in quotes: filmroom export table 'no effusion'\n" in indexed.err


def test_nothing_is_written_or_sent_by_a_query_of_which_a_sign_is_passed_over(
    indexed: Terminal, tmp_path: Path
) -> None:
    for command in (("export", "table"), ("send",)):
        indexed(*command, "effusion (", "--to", tmp_path / "there")
        assert indexed.code != 0
        assert 'not every sign is read: "(" is never closed' in indexed.err
        assert not (tmp_path / "there").exists()


def test_findings_that_the_shell_has_divided(indexed: Terminal) -> None:
    assert "pleural" in indexed("zeroshot", "pleural", "effusion")
    assert 'In quotes they are one finding: "pleural effusion"' in indexed.err
    indexed("zeroshot", "no", "effusion")
    assert indexed.err.splitlines()[-1].startswith("filmroom: no: this alone is no finding. In a shell")
    indexed("zeroshot", "effusion", "--where", "view:PA", "sex:F")
    assert indexed.err.startswith("filmroom: sex:F: this is a filter, and no finding.")
    indexed("zeroshot", "effusion", "edema")
    assert indexed.err == ""


def test_the_value_of_an_option_that_is_misspelt_is_no_word_of_the_query(indexed: Terminal) -> None:
    indexed("search", "effusion", "--cutoff", "3")
    assert indexed.code == 2
    assert "No such option" in indexed.err
    assert "quotes" not in indexed.err


def test_an_option_that_is_misspelt_is_no_query(indexed: Terminal) -> None:
    indexed("search", "effusion", "--per-studdy")
    assert indexed.code == 2
    assert "--per-study" in indexed.err
    assert "filmroom search -- " not in indexed.err


def test_one_is_one(terminal: Terminal, tiny: Path, tmp_path: Path) -> None:
    write_film(tmp_path / "films" / "one.png", 1)
    terminal("index", tmp_path / "films", "--model", tiny)
    (tmp_path / "labels.csv").write_text("film,label\none,edema\nnobody,edema\n")
    (tmp_path / "reports.csv").write_text("film,report\none,Edema.\n")
    (tmp_path / "q.tsv").write_text("a\tedema\nb\tnothing\n")
    (tmp_path / "qrels").write_text("a 0 one 1\na 0 lost 1\nb 0 one 0\n")
    said = terminal("label", tmp_path / "labels.csv") + terminal("report", tmp_path / "reports.csv")
    for command in (
        ("status",),
        ("search", "edema"),
        ("search", "label:edema"),
        ("doctor",),
        ("evaluate", "--queries", tmp_path / "q.tsv", "--qrels", tmp_path / "qrels"),
        ("backup", tmp_path / "file"),
        ("restore", tmp_path / "file", tmp_path / "restored"),
        ("models", "use", "tiny"),
        ("models", "remove", "tiny", "--vectors"),
        ("forget", 1, "--yes"),
    ):
        said += terminal(*command)
        assert terminal.code == 0, (command, terminal.err)
    wrong = [line for line in said.splitlines() if any(f" {word}" in f" {line}" for word in _WRONG)]
    assert not wrong


_WRONG = [f"1 {word}" for word in ("films", "reports", "queries", "names", "judged names", "labels", "rows", "vectors")]


def test_a_film_that_none_passes_is_told_what_there_is(terminal: Terminal, tiny: Path, tmp_path: Path) -> None:
    for name, view in (("a", "AP"), ("b", "PA")):
        film = dicom_files.dicom(dicom_files.ramp(64, 64), ViewPosition=view, SOPInstanceUID=f"1.2.{ord(name)}")
        (tmp_path / "films").mkdir(exist_ok=True)
        (tmp_path / "films" / f"{name}.dcm").write_bytes(film)
    terminal("index", tmp_path / "films", "--model", tiny, "--workers", 1)
    terminal("label", _table(tmp_path / "labels.csv", "film,label\na,pleural effusion\nb,edema\n"))
    said = " ".join(terminal("search", "edema view:XYZ").split())
    assert "No film has view:XYZ. There are: view:AP, view:PA." in said
    said = " ".join(terminal("search", "label:edemma").split())
    assert "No film has label:edemma. Did you mean label:edema?" in said
    said = " ".join(terminal("search", 'label:"plural efusion"').split())
    assert 'No film has label:"plural efusion". Did you mean label:"pleural effusion"?' in said
    assert terminal.json("search", said.partition("Did you mean ")[2].partition("?")[0])["total"] == 1  # type: ignore[index, call-overload]
    said = " ".join(terminal("search", "label:xyz").split())
    assert 'There are: label:edema, label:"pleural effusion".' in said
    catalog = Archive.open(terminal.archive).catalog
    collect(catalog, "Second look", [1])
    set_tags(catalog, 1, ["rare"])
    put_labels(catalog, [(1, Label("oedema", 0.9, "probe"))])
    said = " ".join(terminal("search", "collection:second tag:rares probe:edema>0.5").split())
    assert 'No film has collection:second. Did you mean collection:"Second look"?' in said
    assert "No film has tag:rares. Did you mean tag:rare?" in said
    assert "No film has probe:edema. Did you mean probe:oedema?" in said
    said = " ".join(terminal("search", "probe:oedema>0.95").split())
    assert "No film has" not in said, "there are scores, but none as high"
    said = " ".join(terminal("search", "view:AP label:edema").split())
    assert "No film passes" in said
    assert "No film has" not in said, "each is there, but not together"


def _table(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def test_a_run_that_could_index_nothing_fails(terminal: Terminal, films: Films, tiny: Path, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("not a film")
    for _ in range(2):
        terminal("index", note, "--model", tiny)
        assert terminal.code == 1
        (line,) = [line for line in terminal.err.splitlines() if line.startswith("filmroom: ")]
        assert line == "filmroom: the one file listed was rejected (not an image). See it: filmroom rejected"
    assert terminal.json("index", note, "--model", tiny)["rejected"] == 1  # type: ignore[index, call-overload]
    assert terminal.code == 1
    folder = films(1)
    (folder / "note.txt").write_text("not a film")
    terminal("index", folder, "--model", tiny)
    assert terminal.code == 0
    terminal("index", folder, "--model", tiny)
    assert terminal.code == 0, "a run that has nothing to do has not failed"
    (tmp_path / "nothing").mkdir()
    terminal("index", tmp_path / "nothing", "--model", tiny)
    assert terminal.code == 0


def test_a_full_disk_is_said_so_whatever_met_it(indexed: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "Musterfrau.dcm")

    monkeypatch.setattr("filmroom.db.writes.runs.rejected", full)
    indexed("rejected")
    assert indexed.code == 1
    assert "the disk is full. Make room" in indexed.err
    assert "Musterfrau" not in indexed.err


def test_words_that_match_nothing_say_so(indexed: Terminal) -> None:
    """Random words are asked once; their vectors are kept, and a damaged file of them is made anew."""
    found: Any = indexed.json("search", "qqqq zzzz")
    assert found["chance"] is not None
    assert found["doubtful"] == (found["best"] <= found["chance"])
    assert ("Nothing matches well" in indexed("search", "qqqq zzzz")) == found["doubtful"]
    (kept,) = (indexed.archive / "vectors").glob("random-words-*.npy")
    before = kept.read_bytes()
    kept.write_bytes(before[:100])
    again: Any = indexed.json("search", "qqqq zzzz")
    assert (again["best"], again["chance"]) == (found["best"], found["chance"])
    assert kept.read_bytes() == before
    listed: Any = indexed.json("search", "view:PA")
    assert (listed["best"], listed["chance"], listed["doubtful"]) == (None, None, False)
