"""What holds of all pages, and what of those that have no file of their own, without a browser."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
import tomllib
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import altair as alt
import pandas as pd
import pytest
from filmroom.assets import ASSETS
from filmroom.db import schema
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.db.records import SAME_UID
from filmroom.db.writes import annotations
from filmroom.indexer.models.exported.onnx import OnnxTowers
from filmroom.search.classification.zero_shot_archive import screen
from filmroom.search.searcher import Searcher
from filmroom.search.ui import layout
from filmroom.search.ui.pages import archive as archive_page
from sqlalchemy import delete, insert, select

from tests.pages import PAGES, components, opened, page, said, shown

NOTICE = "Research use only, not for diagnosis"


@pytest.mark.parametrize("name", PAGES)
def test_every_page_opens_and_says_what_it_is_not_for(
    archive_folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = page(archive_folder, name, monkeypatch)
    assert not test.exception
    assert not test.error
    assert NOTICE in "".join(str(block.proto.body) for block in test.get("html"))


@pytest.mark.parametrize("name", PAGES)
def test_without_an_archive_every_page_says_how_to_make_one(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = page(tmp_path / "none", name, monkeypatch)
    assert not test.exception
    assert "There is no archive yet" in said(test)


def test_the_archive_page_names_pictures_under_one_uid(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Archive.open(archive_folder).catalog.write() as connection:
        root = connection.scalar(select(schema.file.c.root_id).limit(1))
        twin = {"root_id": root, "path": "<b>twin.dcm", "size": 1, "mtime_ns": 1, "tried_at": 0, "listed": True}
        twin |= {"outcome": "duplicate", "reason": SAME_UID, "duplicate_of": numbered[0]}
        connection.execute(insert(schema.file).values(twin))
    try:
        words = said(page(archive_folder, "archive", monkeypatch))
    finally:
        with Archive.open(archive_folder).catalog.write() as connection:
            connection.execute(delete(schema.file).where(schema.file.c.path == "<b>twin.dcm"))
    assert "1 file bears the instance UID of another picture" in words
    assert "keep-apart" in words.replace("\\", "")
    assert "<b>twin" not in words


def test_judging_counts_undoes_and_writes_qrels(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog, query = Archive.open(archive_folder).catalog, "effusion on one side"
    test = page(archive_folder, "judge", monkeypatch, judged=query)
    test.text_input(key="judge").set_value("ab").run()
    for grade in (3, 0, 1):
        test.button(key=f"grade-{grade}").click().run()
    assert [one.grade for one in annotations.judgements(catalog, query)] == [3, 0, 1]
    assert "3 grades, 1 query, 1 judge." in said(test)
    test.button(key="undo-grade").click().run()
    assert [one.grade for one in annotations.judgements(catalog, query)] == [3, 0]
    annotations.judge(catalog, annotations.Judgement("a finding of no film", numbered[0], "ab", 0))
    test = page(archive_folder, "evaluate", monkeypatch, set="Judgements made here")
    assert "Left out (no film here is relevant): q2 (a finding of no film)." in said(test).replace("\\", "")
    assert not test.warning
    assert any(metric.label == "nDCG@5" for metric in test.metric)
    assert "1 query, tiny. Answered perfectly" in said(test), "no interval is promised of one query"
    assert "the band" not in said(test)
    for one in annotations.judgements(catalog):
        annotations.unjudge(catalog, one)


def test_grades_of_one_second_stand_in_the_order_in_which_they_were_given(
    archive_folder: Path, numbered: list[int]
) -> None:
    catalog, query = Archive.open(archive_folder).catalog, "in one second"
    for film in sorted(numbered[:6], reverse=True):
        annotations.judge(catalog, annotations.Judgement(query, film, "ab", 1))
    given = annotations.judgements(catalog, query)
    assert [one.film_id for one in given] == sorted(numbered[:6], reverse=True)
    for one in given:
        annotations.unjudge(catalog, one)


def test_zero_shot_names_a_word_that_nobody_knows(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnnxTowers, "known_words", lambda towers: frozenset(("the", "with")))
    doubt = "efusion: a word that neither the model nor any report here knows. Did you mean effusion?"
    assert doubt in said(page(archive_folder, "zeroshot", monkeypatch, finding="efusion")).replace("\\", "")
    assert "Did you mean" not in said(page(archive_folder, "zeroshot", monkeypatch, finding="effusion"))


def test_zero_shot_counts_what_its_threshold_selects(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(archive_folder, "zeroshot", monkeypatch, finding="effusion")
    slider = test.slider(key="cut-effusion")
    slider.set_value(slider.min).run()
    assert "**36** of 36 films" in said(test)
    (wall,) = components(test, "grid")
    assert (wall["bar"]["passing"], wall["tools"]) == ("All 36", ["pick"])
    assert "AUC **" in said(test)


def test_the_interval_of_zero_shot_is_the_commands(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    area = screen(Searcher.open(archive_folder), ["effusion"]).findings[0].measured.auc
    assert area is not None
    assert f"({area.low:.3f} to {area.high:.3f}, over patients)" in said(
        page(archive_folder, "zeroshot", monkeypatch, finding="effusion")
    )


def test_the_threshold_of_zero_shot_starts_where_it_is_measured(
    archive_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = page(archive_folder, "zeroshot", monkeypatch, finding="effusion")
    rates = re.search(r"sensitivity ([\d.]+), specificity ([\d.]+)", said(test))
    assert rates is not None
    assert float(rates[1]) == pytest.approx(float(rates[2]), abs=0.06)
    assert f"The start, {test.slider(key='cut-effusion').value:.3f}, is where" in said(test)
    unlabelled = page(archive_folder, "zeroshot", monkeypatch, finding="pneumothorax")
    assert "No measured cut: at 0 both sides" in said(unlabelled)


def test_zero_shot_takes_no_denial(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(archive_folder, "zeroshot", monkeypatch, finding="no effusion")
    assert "denies a finding" in test.warning[0].value


@pytest.mark.parametrize(("among", "fault"), [("effusion", "fields only"), ("view:PA )", "not every sign")])
def test_zero_shot_passes_nothing_over_of_what_films_must_pass(
    archive_folder: Path, monkeypatch: pytest.MonkeyPatch, among: str, fault: str
) -> None:
    test = page(archive_folder, "zeroshot", monkeypatch, finding="effusion", among=among)
    assert fault in test.warning[0].value
    assert not test.slider


def test_a_collection_can_be_made_shown_and_deleted(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Archive.open(archive_folder).catalog
    annotations.collect(catalog, "<i>cohort</i>", numbered[:3])
    test = page(archive_folder, "collections", monkeypatch)
    assert sorted(shown(test)) == sorted(numbered[:3])
    next(button for button in test.button if button.label.startswith("Delete")).click().run()
    assert "<i>cohort</i>" not in [one.name for one in annotations.collections(catalog)]


def test_the_archive_page_names_what_was_rejected(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []
    monkeypatch.setattr(archive_page, "download", lambda files, key: made.extend(file.make() for file in files))
    test = page(archive_folder, "archive", monkeypatch)
    tables = [table.value for table in test.dataframe]
    assert any("broken.dcm" in table.to_string() for table in tables)
    assert b"broken.dcm" in made[0]
    next(button for button in test.button if button.label == "Examine").click().run()
    assert "All agrees" in said(test)


def test_with_auth_nothing_is_shown_before_signing_in(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PAGES:
        monkeypatch.setattr("sys.argv", ["app.py", "--archive", str(archive_folder)])
        test = opened(name)
        test.secrets["auth"] = {"redirect_uri": "http://localhost/oauth2callback", "cookie_secret": "x"}
        test.run()
        assert [button.label for button in test.button] == ["Sign in"]
        assert not components(test, "grid")
        assert not test.dataframe


def test_few_pages_run_at_once_and_none_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    import filmroom.search.ui.layout as frame

    at_once, most, lock = 0, 0, threading.Lock()

    def show() -> None:
        nonlocal at_once, most
        with lock:
            at_once, most = at_once + 1, max(most, at_once + 1)
        time.sleep(0.02)
        with lock:
            at_once -= 1

    def crowd() -> None:
        threads = [threading.Thread(target=frame.with_words, args=(show,)) for _ in range(20)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(10)
        assert not any(one.is_alive() for one in threads)

    crowd()
    assert most == 4
    monkeypatch.setattr(frame, "TURN_SECONDS", 0.01)
    with frame.turn(), frame.turn(), frame.turn(), frame.turn():  # pages that take long
        crowd()


def test_another_archive_in_its_place_is_opened_and_no_ghost_answers(
    archive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, other = tmp_path / "archive", tmp_path / "other"
    for copy in (here, other):
        shutil.copytree(archive_folder, copy)
    with Archive.open(other).catalog.write() as connection:
        connection.exec_driver_sql("UPDATE film SET state = 'gone' WHERE id > 3")
        connection.exec_driver_sql("UPDATE meta SET value = value + 1 WHERE key = 'film_states'")
    test = page(here, monkeypatch=monkeypatch, q="effusion")
    assert len(shown(test)) > 3
    here.rename(tmp_path / "away")
    assert "There is no archive yet" in said(test.run())
    other.rename(here)
    assert len(shown(test.run())) == 3
    annotations.set_tags(Archive.open(here).catalog, 1, ["seen"])
    assert not test.exception


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_words_of_a_chart_are_read_on_its_ground(
    archive_folder: Path, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    theme = tomllib.loads((ASSETS / "style" / "theme.toml").read_text("utf-8"))["theme"]
    monkeypatch.setattr("streamlit.context", SimpleNamespace(theme=SimpleNamespace(type=scheme)))
    ground = luminance(theme[scheme]["backgroundColor"])
    chart = layout.readable(alt.layer(alt.Chart(pd.DataFrame({"a": [1]})).mark_bar())).to_dict()
    for part in ("axis", "legend"):
        for name in ("labelColor", "titleColor"):
            light, dark = sorted((ground, luminance(chart["config"][part][name])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5


def luminance(colour: str) -> float:
    """As WCAG counts it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", ["archive", "zeroshot"])
def test_every_chart_is_readable(archive_folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(archive_folder, name, monkeypatch, finding="effusion")
    charts = [json.loads(one.proto.spec) for one in test.get("vega_lite_chart")]
    assert charts
    assert all(one["config"]["axis"]["labelColor"] == layout.quiet_colour() for one in charts)


@pytest.mark.parametrize(
    ("name", "slow", "standing"),
    [
        ("archive", "status", {"Sources", "Films to look at", "Models", "Rejected files", "Doctor"}),
        ("zeroshot", "_scores", {"Finding", "Prompts that say it, one a line", "Only films that pass"}),
        ("map", "_projection", {"Projection", "Colour", "Query"}),
    ],
)
def test_the_page_stands_before_all_films_are_gone_through(
    archive_folder: Path, name: str, slow: str, standing: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> None:
        raise BadInput("cut off here")

    with monkeypatch.context() as patched:
        patched.setattr(import_module(f"filmroom.search.ui.pages.{name}"), slow, cut_off)
        test = page(archive_folder, name, monkeypatch)
    assert "cut off here" in said(test)
    boxes = [*test.selectbox, *test.text_area, *test.text_input]
    assert standing <= {box.label for box in boxes} | {heading.value for heading in test.subheader}
    assert not page(archive_folder, name, monkeypatch).error
