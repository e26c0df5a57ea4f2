"""Films described by a report model: what is sent, what is kept, what is refused, and how it is found again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.db.reads import fulltext
from filmroom.db.writes import findings
from filmroom.indexer.models import cxrreportgen
from filmroom.indexer.models.cxrreportgen import BadAnswer, EndpointFault, as_sent, ask, endpoint, read_answer

from tests.indexer import dicom_files
from tests.report_server import FOUND, KEY, Server, body, serving
from tests.terminal import Terminal

Films = Callable[..., Path]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv(cxrreportgen.KEY, KEY)
    with serving() as told:
        yield told


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study of a wide frontal and a lateral; a lateral alone; a hand; a film with burned-in words."""
    folder = tmp_path / "study"
    folder.mkdir()
    films = {
        "frontal": {"StudyInstanceUID": "1.2.1", "SOPInstanceUID": "1.2.1.1", "ViewPosition": "PA"},
        "lateral": {"StudyInstanceUID": "1.2.1", "SOPInstanceUID": "1.2.1.2", "ViewPosition": "LL"},
        "alone": {"StudyInstanceUID": "1.2.2", "SOPInstanceUID": "1.2.2.1", "ViewPosition": "LATERAL"},
        "hand": {"StudyInstanceUID": "1.2.3", "SOPInstanceUID": "1.2.3.1", "BodyPartExamined": "HAND"},
        "burned": {"StudyInstanceUID": "1.2.4", "SOPInstanceUID": "1.2.4.1", "BurnedInAnnotation": "YES"},
    }
    for number, (name, tags) in enumerate(films.items()):
        pixels = dicom_files.ramp(80 + number, 120)
        (folder / f"{name}.dcm").write_bytes(dicom_files.dicom(pixels, **tags))
    return folder


def _describe(terminal: Terminal, server: Server, *more: object) -> str:
    return terminal("report", "--from", "cxrreportgen", "--endpoint", server.url, *more)


def test_a_study_is_one_call_and_its_findings_are_kept_in_the_films_own_shares(
    terminal: Terminal, study: Path, tiny: Path, server: Server
) -> None:
    terminal("index", study, "--model", tiny)
    said = json.loads(_describe(terminal, server, "--yes", "--json").splitlines()[-1])
    assert terminal.code == 0, terminal.err
    assert "1 call to" in terminal.err
    assert "1 of them with the lateral of the study" in terminal.err
    assert (said["calls"], said["sentences"], said["boxes"], said["failed"]) == (1, 3, 3, [])
    assert said["left_out"] == {
        "not of the chest": 1,
        "words burned into the pixels": 1,
        "a lateral without a frontal": 1,
    }
    (asked,) = server.seen
    assert list(asked) == ["frontal_image", "lateral_image", "indication", "technique", "comparison"]
    assert (asked["frontal_image"], asked["lateral_image"]) == ((120, 80), (120, 81))
    kept = terminal.json("findings")
    assert isinstance(kept, list)
    assert [one["sentence"] for one in kept] == [text for text, _ in FOUND]
    assert {one["path"] for one in kept} == {"frontal.dcm"}
    # The square is 80 pixels wide and begins 20 pixels from the left of 120.
    assert kept[0]["boxes_px"] == [[20 + 0.55 * 80, 0.6 * 80, 20 + 0.95 * 80, 0.9 * 80]]
    assert kept[2]["boxes"] == []
    _describe(terminal, server, "--yes")
    assert "0 calls to" in terminal.err
    assert "Described before: 2 films" in terminal.err
    assert server.calls == 1


def test_films_are_sent_only_when_told_to_and_the_limit_holds_and_is_resumed(
    terminal: Terminal, films: Films, tiny: Path, server: Server
) -> None:
    terminal("index", films(5), "--model", tiny)
    _describe(terminal, server)
    assert terminal.code == 1
    assert "5 calls to" in terminal.err
    assert "Add --yes" in terminal.err
    assert server.calls == 0
    _describe(terminal, server, "--yes", "--limit", 2)
    assert server.calls == 2
    _describe(terminal, server, "--yes")
    assert server.calls == 5
    assert "Described before: 2 films" in terminal.err


def test_sentences_are_found_by_words_by_meaning_and_as_a_field(
    terminal: Terminal, films: Films, tiny: Path, server: Server
) -> None:
    terminal("index", films(2), "--model", tiny)
    _describe(terminal, server, "--yes", "--limit", 1)
    words = terminal.json("findings", "lower zone", "--words")
    assert isinstance(words, list)
    assert [one["sentence"] for one in words] == ["Bilateral lower zone opacities."]
    assert terminal.json("findings", "lower effusion", "--words") == []
    meant = terminal.json("findings", "No pneumothorax.")
    assert isinstance(meant, list)
    assert len(meant) == 3
    assert (meant[0]["sentence"], meant[0]["score"]) == ("No pneumothorax.", pytest.approx(1.0, abs=1e-3))
    field = terminal.json("search", 'finding:"pleural effusion"')
    assert isinstance(field, dict)
    # Of films decoded side by side, either may be the first.
    assert [hit["path"] for hit in field["hits"]] == [meant[0]["path"]]
    # What a model wrote is no report, and no truth to measure or train with.
    report = terminal.json("search", "has:report effusion")
    assert isinstance(report, dict)
    assert report["total"] == 0


def test_findings_become_structured_reports_that_point_at_the_film(
    terminal: Terminal, study: Path, tiny: Path, server: Server, tmp_path: Path
) -> None:
    import pydicom

    terminal("index", study, "--model", tiny)
    _describe(terminal, server, "--yes")
    done = terminal.json("findings", "--sr", tmp_path / "sr")
    assert isinstance(done, dict)
    assert (done["files"], done["failed"]) == (1, [])
    (path,) = (tmp_path / "sr").iterdir()
    document = pydicom.dcmread(path)
    assert document.SOPClassUID.name == "Comprehensive SR Storage"
    assert (document.StudyInstanceUID, document.VerificationFlag) == ("1.2.1", "UNVERIFIED")
    items = document.ContentSequence
    assert [item.TextValue for item in items] == [text for text, _ in FOUND]
    region = items[0].ContentSequence[0]
    assert region.GraphicData[:4] == [64.0, 48.0, 96.0, 48.0]
    assert region.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.1.1"
    assert len(items[1].ContentSequence) == 2
    assert "ContentSequence" not in items[2]


def test_no_structured_report_names_who_has_come_in_the_place_of_a_film(
    terminal: Terminal, study: Path, tiny: Path, server: Server, tmp_path: Path
) -> None:
    import pydicom

    terminal("index", study, "--model", tiny)
    _describe(terminal, server, "--yes")
    other = pydicom.dcmread(study / "frontal.dcm")
    other.StudyInstanceUID, other.SOPInstanceUID, other.PatientName = "1.2.8", "1.2.8.1", "Somebody^Else"
    other.save_as(study / "frontal.dcm")
    done = json.loads(terminal("findings", "--sr", tmp_path / "sr", "--json"))
    assert (terminal.code, done["files"]) == (1, 0)
    assert [reason for _, reason in done["failed"]] == ["the file is not where it was indexed"]
    assert list((tmp_path / "sr").iterdir()) == []


def test_the_key_is_never_kept_nor_said(
    terminal: Terminal, films: Films, tiny: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal("index", films(1), "--model", tiny)
    monkeypatch.delenv(cxrreportgen.KEY)
    said = _describe(terminal, server, "--yes") + terminal.err
    assert "there is no key for the endpoint" in said
    (tmp_path / "key").write_text(f"{KEY}\n")
    said += _describe(terminal, server, "--yes", "--key-file", tmp_path / "key") + terminal.err
    assert server.calls == 1
    (tmp_path / "key").write_text("another-key")
    terminal("index", films(2), "--model", tiny)
    said += _describe(terminal, server, "--yes", "--key-file", tmp_path / "key") + terminal.err
    assert "it does not accept the key (status 401)" in said
    kept = b"".join(path.read_bytes() for path in terminal.archive.rglob("*") if path.is_file())
    assert KEY not in said
    assert KEY.encode() not in kept
    assert KEY not in repr(endpoint(server.url, tmp_path / "key")) + repr(cxrreportgen.Endpoint("u", KEY))


ADDRESSES = ["http://example.org/score", "example.org", "ftp://example.org", "https://me:secret@example.org/score", ""]


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address_that_would_give_the_key_away_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cxrreportgen.KEY, KEY)
    with pytest.raises(BadInput) as fault:
        endpoint(url)
    assert "secret" not in str(fault.value)


def test_a_busy_endpoint_is_asked_again_later_each_time(server: Server) -> None:
    server.script = [429, 503, "hang up"]
    waits: list[float] = []
    found = ask(endpoint(server.url), _film(), sleep=waits.append)
    assert [one.text for one in found] == [text for text, _ in FOUND]
    assert len(waits) == 3
    assert waits == sorted(waits)


def test_an_endpoint_that_stays_down_ends_the_run_and_what_was_done_is_kept(
    terminal: Terminal, films: Films, tiny: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(cxrreportgen.ask, "__kwdefaults__", {"sleep": lambda seconds: None})
    terminal("index", films(3), "--model", tiny)
    server.script = [200, *[500] * 5]
    _describe(terminal, server, "--yes")
    assert terminal.code == 1
    assert "it answers status 500 (5 tries)" in terminal.err
    kept = terminal.json("findings")
    assert isinstance(kept, list)
    assert len(kept) == 3, "one film's, whole"
    _describe(terminal, server, "--yes")
    assert "Described before: 1 film." in terminal.err


def test_an_endpoint_that_does_not_answer_in_time_says_so(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(cxrreportgen, "TIMEOUT", 0.05)
        to = endpoint(f"http://127.0.0.1:{silent.getsockname()[1]}/score")
        with pytest.raises(EndpointFault, match="does not answer within"):
            ask(to, _film(), sleep=lambda seconds: None)


FAULTS: dict[str, tuple[int | bytes, str]] = {
    "a web page": (b"<html>sign in</html>", "answers a web page that is no answer of CXRReportGen"),
    "no JSON": (b"hello", "answers something that is no answer"),
    "another model's": (b'{"predictions": []}', "answers something that is no answer"),
    "not found": (404, "refuses the request (status 404)"),
    "sent on": (302, "sends on to another address (status 302)"),
    "forbidden": (403, "does not accept the key (status 403)"),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_what_is_no_endpoint_is_one_line_at_once(kind: str, server: Server) -> None:
    step, wanted = FAULTS[kind]
    server.script = [step]
    with pytest.raises(EndpointFault) as fault:
        ask(endpoint(server.url), _film())
    assert wanted in str(fault.value)
    assert "\n" not in str(fault.value)
    assert server.calls == 1


def test_a_web_page_in_place_of_an_answer_leaves_nothing_behind(
    terminal: Terminal, films: Films, tiny: Path, server: Server
) -> None:
    terminal("index", films(1), "--model", tiny)
    server.script = [b"<html>sign in</html>"]
    _describe(terminal, server, "--yes")
    assert terminal.code == 1
    assert terminal.err.splitlines()[-1].startswith("filmroom: 127.0.0.1")
    assert terminal.json("findings") == []


BAD_BOXES = [
    [[0.1, 0.1, 1.5, 0.5]],
    [[-0.2, 0.1, 0.5, 0.5]],
    [[0.5, 0.1, 0.5, 0.9]],
    [[0.6, 0.1, 0.5, 0.9]],
    [[float("nan"), 0.1, 0.5, 0.9]],
    [[0.1, 0.1, 0.5]],
    [[True, False, True, True]],
    ["0.1,0.1,0.5,0.5"],
    {"x": 1},
]


@pytest.mark.parametrize("boxes", BAD_BOXES, ids=str)
def test_boxes_out_of_range_cost_that_film_and_leave_nothing_of_it(boxes: object) -> None:
    with pytest.raises(BadAnswer):
        read_answer(body([["Fine.", None], ["Not fine.", boxes]]), width=100, height=100)


def test_a_bad_answer_is_counted_and_the_next_film_is_sent(
    terminal: Terminal, films: Films, tiny: Path, server: Server
) -> None:
    terminal("index", films(2), "--model", tiny)
    server.script = [body([["Fine.", None], ["Out.", [[0, 0, 2, 2]]]])]
    said = _describe(terminal, server, "--yes")
    assert terminal.code == 1
    assert "the endpoint's boxes are out of range" in terminal.err
    assert "2 calls: 3 sentences" in said
    kept = terminal.json("findings")
    assert isinstance(kept, list)
    assert "Fine." not in {one["sentence"] for one in kept}
    _describe(terminal, server, "--yes")
    assert terminal.code == 0
    assert server.calls == 3


def test_a_film_whose_file_is_gone_is_named_and_costs_no_call(
    terminal: Terminal, films: Films, tiny: Path, server: Server
) -> None:
    folder = films(2)
    terminal("index", folder, "--model", tiny)
    (folder / "film-000.png").unlink()
    _describe(terminal, server, "--yes")
    assert terminal.code == 1
    assert "film 1:" in terminal.err or "film 2:" in terminal.err
    assert server.calls == 1


def test_sentences_go_with_their_film(terminal: Terminal, films: Films, tiny: Path, server: Server) -> None:
    terminal("index", films(2), "--model", tiny)
    server.found = [["Only here.", None]]
    _describe(terminal, server, "--yes", "--limit", 1)
    server.found = [["Here too.", None]]
    _describe(terminal, server, "--yes")
    catalog = Archive.open(terminal.archive).catalog
    first = next(findings.everything(catalog))
    findings.put(catalog, [first.film_id], [findings.Finding("Anew.")], source=first.source)
    assert fulltext.sentences(catalog, "Only here") == []
    assert {one.text for one in findings.everything(catalog)} == {"Anew.", "Here too."}


def _film() -> cxrreportgen.Sent:
    return as_sent(np.zeros((48, 64), np.uint16))
