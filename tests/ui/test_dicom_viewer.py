"""Films and studies link to the DICOM viewer of the house: on the wall, on their own page and among their study."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from filmroom.db.records import Film, State, Tags
from filmroom.search.ui.server.dicom_viewer import SETTING, link

from tests.pages import components, page

OHIF = "https://ohif.example/viewer?StudyInstanceUIDs={study_uid}"


def film(**uids: str) -> Film:
    return Film(1, "https://pacs.example/dicom-web", "1", 0, State.PRESENT, 1, Tags(**uids))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("template", "address"),
    [
        (OHIF, "https://ohif.example/viewer?StudyInstanceUIDs=1.2"),
        (
            "http://host:8042/stone-webviewer/index.html?study={study}",
            "http://host:8042/stone-webviewer/index.html?study=1.2",
        ),
        (
            "weasis://%24dicom%3Ars%20-r%20%22studyUID%3D{study_uid}%26seriesUID%3D{series_uid}%22",
            "weasis://%24dicom%3Ars%20-r%20%22studyUID%3D1.2%26seriesUID%3D1.2.3%22",
        ),
        ("https://v.example/?i={instance_uid}&s={study_uid}&x={other}", "https://v.example/?i=1.2.3.4&s=1.2&x={other}"),
        ("", ""),
    ],
)
def test_the_uids_go_where_the_template_has_them(template: str, address: str) -> None:
    assert link(template, film(study_uid="1.2", series_uid="1.2.3", instance_uid="1.2.3.4")) == address


def test_what_has_no_study_has_no_link_and_what_is_no_uid_breaks_out_of_nothing() -> None:
    assert link(OHIF, film(instance_uid="1.2")) == ""
    assert link(OHIF, film(study_uid='1"&x=')).endswith("=1%22%26x%3D")


@pytest.fixture
def studies(archive_folder: Path, tmp_path: Path) -> Path:
    """Films 1 and 2 are of one study; the others are of none."""
    copy = Path(shutil.copytree(archive_folder, tmp_path / "studies"))
    with sqlite3.connect(copy / "catalog.sqlite") as catalog:
        catalog.execute("UPDATE film SET study_uid = CASE WHEN id < 3 THEN '1.2' END")
    return copy


def test_every_film_and_study_has_its_link(studies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, OHIF)
    (wall,) = components(page(studies, "search", monkeypatch), "grid")
    links = {item["id"]: item["viewer"] for item in wall["items"]}
    assert {film_id: address for film_id, address in links.items() if address} == {
        film_id: OHIF.format(study_uid="1.2") for film_id in ("1", "2") if film_id in links
    }
    test = page(studies, "film", monkeypatch, film="1")
    assert [one.proto.url for one in test.get("link_button")] == [OHIF.format(study_uid="1.2")]
    test = page(studies, "study", monkeypatch, film="1")
    assert [one.proto.url for one in test.get("link_button")] == [OHIF.format(study_uid="1.2")] * 2
    assert not page(studies, "film", monkeypatch, film="3").get("link_button")


def test_an_archive_of_hashed_uids_links_nowhere(studies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(studies / "catalog.sqlite") as catalog:
        catalog.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('hash_uids', 'yes')")
    monkeypatch.setenv(SETTING, OHIF)
    assert not page(studies, "film", monkeypatch, film="1").get("link_button")
    (wall,) = components(page(studies, "search", monkeypatch), "grid")
    assert not any(item["viewer"] for item in wall["items"])


@pytest.mark.parametrize("template", ["", "javascript:alert('{study_uid}')", "ohif.example/{study_uid}"])
def test_what_is_no_address_links_nowhere(studies: Path, template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, template)
    assert not page(studies, "film", monkeypatch, film="1").get("link_button")
