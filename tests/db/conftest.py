"""An archive of three patients, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from filmroom.db.archive import Archive
from filmroom.db.records import Label
from filmroom.db.writes import annotations as say
from filmroom.db.writes import findings
from filmroom.indexer.models.registry import add_model, load_towers
from filmroom.indexer.pipeline import Options, index

from tests.db.patients import of, write_films
from tests.terminal import Terminal


@pytest.fixture(scope="module")
def made(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive in which much is said of the films of one patient, and of those of another; films beside it."""
    place = tmp_path_factory.mktemp("told")
    folder = write_films(place / "films")
    (folder / "z").mkdir()
    shutil.copy(folder / "Anna-Musterfrau" / "Anna-0.dcm", folder / "z" / "copy-of-Anna.dcm")
    archive = Archive.create(place / "archive")
    for path in (folder, folder / "Anna-Musterfrau" / "Anna-1.dcm"):
        index(archive, [path], load_towers(str(tiny)), options=Options(workers=1))
    for name in ("Anna", "Berta"):
        for one in of(archive, name):
            say.put_labels(archive.catalog, [(one.id, Label(f"finding of {name}".lower()))])
            findings.put(archive.catalog, [one.id], [findings.Finding(f"machinesays{name} opacity")], source="model")
            say.set_note(archive.catalog, one.id, f"note upon {name}")
            say.set_tags(archive.catalog, one.id, [f"tag-{name}"])
            say.collect(archive.catalog, "everyone", [one.id])
            say.judge(archive.catalog, say.Judgement("effusion", one.id, f"judge-{name}", 2))
            say.put_reports(archive.catalog, [say.Report(f"filmreport{name} unremarkable", film_id=one.id)], source="x")
        study = say.Report(f"studyreport{name} unremarkable", study_uid=one.tags.study_uid)
        say.put_reports(archive.catalog, [study], source="x")
        say.save_search(archive.catalog, f"all of {one.tags.patient_key}", f"patient:{one.tags.patient_key}")
    archive.catalog.close()
    return place


@pytest.fixture
def told(terminal: Terminal, made: Path, tiny: Path) -> Terminal:
    """The terminal, on a copy of that archive."""
    shutil.copytree(made / "archive", terminal.archive)
    add_model(str(tiny))
    return terminal
