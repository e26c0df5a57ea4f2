"""What the model was measured to find poorly is said where it is asked: terminal, JSON, Python, REST and page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import filmroom
import pytest
from filmroom.indexer.models.exported.onnx import OnnxTowers
from filmroom.indexer.models.measured import CARD, FILE, FindingMeasured, ModelMeasured
from filmroom.indexer.models.model_folder import read_facts
from filmroom.search.ui.text import plain

from tests.pages import page, said
from tests.rest import client
from tests.terminal import Terminal
from tests.tiny_model import make_model

STRONG = FindingMeasured("effusion", 40, 0.92, 0.87, 0.96, 0.44)
WEAK = FindingMeasured("pneumonia", 13, 0.65, 0.5, 0.82, 0.0)
RARE = FindingMeasured("edema", 6, 0.88, 0.74, 0.99, 0.03)
LINE = (
    "tiny finds this poorly: pneumonia (AUC 0.65 [0.50, 0.82], nDCG@5 0.00), on 267 films of other patients. "
    "Check every film."
)


@pytest.fixture
def asked(terminal: Terminal, films: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a model with figures; the terminal's archive is indexed with it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = make_model(tmp_path / "tiny")
    known = ModelMeasured(read_facts(folder).fingerprint, "267 films of other patients", (STRONG, WEAK, RARE))
    (folder / FILE).write_text(json.dumps(known.to_json()))
    (folder / CARD).write_text("# tiny\n\n![x](x.png)\n\nKnown failures: most.\n")
    terminal("index", films(4), "--model", folder)
    return folder


@pytest.mark.parametrize(
    ("query", "named", "weak"),
    [
        ("pneumonia", ["pneumonia"], True),
        ("lung infection view:PA", ["pneumonia"], True),
        ("PNA", ["pneumonia"], True),
        ("no pneumonia", ["pneumonia"], True),
        ("pulmonary oedema", ["edema"], True),
        ("left pleural effusion", ["effusion"], False),
        ("scoliosis", [], False),
        ("view:PA", [], False),
    ],
)
def test_a_weak_finding_is_said_in_one_line(
    query: str, named: list[str], weak: bool, terminal: Terminal, asked: Path
) -> None:
    found = terminal.json("search", query)
    assert isinstance(found, dict)
    assert [one["finding"] for one in found["measured"]] == named
    assert any(one["weak"] for one in found["measured"]) == weak
    out = terminal("search", query)
    assert ("tiny finds this poorly: " in out) == (weak and bool(found["hits"]))


def test_the_line_has_the_figures_and_the_card(terminal: Terminal, asked: Path) -> None:
    assert f"{LINE} Its card: {asked / CARD}\n" in terminal("search", "pneumonia with effusion")


def test_figures_of_other_weights_and_a_damaged_file_say_nothing(terminal: Terminal, asked: Path) -> None:
    known = json.loads((asked / FILE).read_text())
    for text in (json.dumps(known | {"fingerprint": "0" * 64}), "{", '{"findings": 3}', "[]"):
        (asked / FILE).write_text(text)
        assert terminal.json("search", "pneumonia")["measured"] == []  # type: ignore[index]


def test_models_list_shows_the_finding_asked(terminal: Terminal, asked: Path) -> None:
    out = terminal("models", "list", "--finding", "fluid in the pleural space")
    assert "AUC of effusion" in out
    assert "0.92 [0.87, 0.96]" in out
    assert "measured by the makers on 267 films of other patients" in out
    listed = {one["name"]: one for one in terminal.json("models", "list", "--finding", "effusion")}  # type: ignore[attr-defined]
    assert listed["tiny"]["measured"]["auc"] == STRONG.auc
    assert listed["whyxrayclip"]["measured"] is None
    terminal("models", "list", "--finding", "scoliosis")
    assert "this finding was measured of no model here. Measured: " in terminal.err
    assert "AUC of" not in terminal("models", "list")


def test_the_page_says_it_with_the_card(terminal: Terminal, asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(terminal.archive, monkeypatch=monkeypatch, q="pneumonia")
    assert not test.exception
    assert plain(LINE) in said(test)
    assert "Known failures: most." in said(test)
    assert "x.png" not in said(test)
    assert "finds this poorly" not in said(page(terminal.archive, monkeypatch=monkeypatch, q="effusion"))


def test_every_door_says_it(terminal: Terminal, asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = filmroom.open(terminal.archive)
    api = client(terminal.archive)
    for listed in (terminal.json("models", "list", "--finding", "PNA"), api.get("/api/v1/models?finding=PNA").json()):
        (measured,) = [one["measured"] for one in listed if one["name"] == "tiny"]  # type: ignore[attr-defined]
        assert measured["auc"] == WEAK.auc
    assert api.get("/api/v1/models?finding=scoliosis").status_code == 400
    for finding, line in (("pneumonia", LINE), ("effusion", "")):
        assert archive.search(finding).weakness == line
        assert terminal.json("search", finding)["weakness"] == line  # type: ignore[index]
        assert api.get("/api/v1/search", params={"q": finding}).json()["weakness"] == line
        assert archive.zeroshot([finding]).weakness == line
        assert archive.zeroshot_among([finding, "scoliosis"]).weakness == line
        assert api.post("/api/v1/zeroshot", json={"findings": [finding]}).json()["weakness"] == line
        assert (LINE in terminal("zeroshot", finding)) == bool(line)
        assert (LINE in terminal("zeroshot", "--among", f"{finding}, scoliosis")) == bool(line)
        test = page(terminal.archive, "zeroshot", monkeypatch=monkeypatch, finding=finding)
        assert (plain(LINE) in said(test)) == bool(line)


def test_scores_of_a_word_that_nobody_knows_say_so_at_every_door(
    terminal: Terminal, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxTowers, "known_words", lambda towers: frozenset(("the", "with")))
    archive, api = filmroom.open(terminal.archive), client(terminal.archive)
    doubt = "efusion: a word that neither the model nor any report here knows. Did you mean effusion?"
    assert (
        archive.zeroshot("efusion").unknown_words
        == archive.zeroshot_among(["efusion", "edema"]).unknown_words
        == (doubt,)
    )
    assert archive.zeroshot("effusion").unknown_words == ()
    assert api.post("/api/v1/zeroshot", json={"findings": ["efusion"]}).json()["unknown_words"] == [doubt]
    assert doubt in terminal("zeroshot", "efusion")
    assert doubt in terminal("zeroshot", "--among", "efusion, edema")


def test_weak_is_a_matter_of_both_figures() -> None:
    assert (STRONG.weak, WEAK.weak, RARE.weak) == (False, True, True)
    assert replace(WEAK, auc=0.7, ndcg=0.1).weak is False
