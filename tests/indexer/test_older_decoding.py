"""An archive that version 0.1 made: films that are shown otherwise now are embedded again, and no others."""

from __future__ import annotations

import os
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.doctor import examine
from filmroom.db.records import DECODING, IMPORTED, SourceFile, Space
from filmroom.db.schema import embedding, file, film, space
from filmroom.db.thumbnails.reading import thumbnails
from filmroom.db.writes import findings, ingest
from filmroom.db.writes.facts import put_facts
from filmroom.db.writes.imported_vectors import put_vectors
from filmroom.indexer.decoding.decode import decode_bytes
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding.rejections import Failure
from filmroom.indexer.decoding.workers import process
from filmroom.indexer.decoding.workers import thumbnail as small
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import Options, Summary, index
from sqlalchemy import select, update

from tests.indexer.dicom_files import LOSSLESS, ramp, voi_lut, write
from tests.tiny_model import make_model

MADE = Path(__file__).with_name("archive_of_0_1.zip")
MADE_AT = 1_700_000_000
CHANGED = {
    "high_bit.dcm", "three_components.dcm", "frames.dcm", "sixteen.png", "sixteen.tif", "table_of_8_bits.dcm",
    "logarithm.dcm", "mirrored.dcm", "lying.dcm",
}  # fmt: skip
REJECTED = {"empty_rescale.dcm"}
ALIKE = {"plain.dcm", "left_lateral.dcm", "eight.png"}


@dataclass(frozen=True)
class Old:
    archive: Archive
    films: Path
    models: Path

    def index(self, model: str = "tiny", **options: object) -> Summary:
        seed = {"tiny": 0, "other": 5}[model]
        towers = load_towers(str(make_model(self.models / model, name=model, seed=seed)))
        return index(self.archive, [self.films], towers, options=Options(workers=1, **options))  # type: ignore[arg-type]

    def vectors(self, model: str = "tiny") -> dict[tuple[str, int], tuple[int, bytes]]:
        """Embedding id and vectors by file name and frame."""
        statement = (
            select(file.c.path, film.c.frame, embedding.c.id, embedding.c.vectors)
            .join(film, film.c.file_id == file.c.id)
            .join(embedding, embedding.c.film_id == film.c.id)
            .join(space, space.c.id == embedding.c.space_id)
            .where(space.c.model == model)
        )
        with self.archive.catalog.read() as connection:
            return {(row.path, row.frame): (row.id, row.vectors) for row in connection.execute(statement)}

    def thumbnails(self) -> dict[tuple[str, int], bytes]:
        statement = select(file.c.path, film.c.frame, film.c.id).join(film, film.c.file_id == file.c.id)
        with self.archive.catalog.read() as connection:
            rows = connection.execute(statement).all()
        pictures = thumbnails(self.archive.catalog, [row.id for row in rows])
        return {(row.path, row.frame): pictures[row.id] for row in rows if row.id in pictures}

    def view(self, name: str) -> str | None:
        statement = select(film.c.view).join(file, file.c.id == film.c.file_id).where(file.c.path == name)
        with self.archive.catalog.read() as connection:
            return connection.scalar(statement)


@pytest.fixture
def old(tmp_path: Path) -> Old:
    """The archive and its films as they lay when it was made, in another place."""
    with zipfile.ZipFile(MADE) as held:
        held.extractall(tmp_path)
    for path in (tmp_path / "films").iterdir():
        os.utime(path, (MADE_AT, MADE_AT))
    with closing(sqlite3.connect(tmp_path / "archive" / "catalog.sqlite")) as connection, connection:
        connection.execute("UPDATE root SET path = ?", (str(tmp_path / "films"),))
    return Old(Archive.open(tmp_path / "archive"), tmp_path / "films", tmp_path / "models")


def names(keys: set[tuple[str, int]]) -> set[str]:
    return {name for name, _ in keys}


def test_only_films_that_changed_are_embedded_again(old: Old) -> None:
    before, seen = old.vectors(), old.thumbnails()
    counts = old.index().counts
    assert (counts.listed, counts.indexed, counts.unchanged) == (13, len(CHANGED | REJECTED), len(ALIKE))
    after = old.vectors()
    assert names({key for key in before if after[key] != before[key]}) == CHANGED
    assert names(after.keys() - before.keys()) == REJECTED, "what an earlier version rejected is tried again"
    shown = old.thumbnails()
    assert {key for key in seen if shown[key] != seen[key]} <= {key for key in seen if key[0] in CHANGED}


def test_facts_that_a_table_gave_stand_above_the_header_that_is_looked_at(old: Old) -> None:
    name = next(name for name in sorted(ALIKE) if name.endswith(".dcm"))
    ids = {path: film_id for (path, _), (film_id, _) in old.vectors().items()}
    put_facts(old.archive.catalog, {ids[name]: {"view": "LATERAL"}}, source="table", overrides=True)
    old.index()
    assert old.view(name) == "LATERAL"


def test_what_is_said_of_a_header_is_true_of_the_pixels(old: Old) -> None:
    """Were they others, `DECODING` would have to be raised, and `pixels_since` to say of which films."""
    for (name, frame), before in old.thumbnails().items():
        now = decode_bytes((old.films / name).read_bytes())[frame]
        assert (now.since > 1) == (name in CHANGED)
        if name in ALIKE:
            assert small(now.pixels) == before, name
        elif frame == 1 or name != "frames.dcm":
            assert small(now.pixels) != before, name


@pytest.mark.parametrize("name", sorted(CHANGED | ALIKE))
def test_a_header_alone_tells_what_the_whole_file_does(old: Old, name: str) -> None:
    listed = SourceFile(str(old.films), name, 0, 0, decoding=1)
    (looked,) = process([listed], prepare=np.copy, limits=Limits(), workers=1)
    (film,) = decode_bytes((old.films / name).read_bytes())[-1:]
    assert (looked.alike is None) == (film.since > 1)  # type: ignore[union-attr]


@pytest.mark.parametrize("syntax", LOSSLESS.values(), ids=LOSSLESS)
def test_a_header_is_looked_at_in_every_transfer_syntax(tmp_path: Path, syntax: str) -> None:
    for name, how in {"usual": {}, "mirrored": {"PatientOrientation": ["R", "F"]}}.items():
        (tmp_path / f"{name}.dcm").write_bytes(write(ramp(64, 80), tmp_path, syntax=syntax, PatientID="", **how))
    listed = [SourceFile(str(tmp_path), f"{name}.dcm", 0, 0, decoding=1) for name in ("usual", "mirrored")]
    looked = {one.listed.path: one for one in process(listed, prepare=np.copy, limits=Limits(), workers=1)}
    (tags,) = looked["usual.dcm"].alike  # type: ignore[union-attr]
    assert (tags.view, tags.rows, tags.columns) == ("PA", 64, 80)
    (film,) = looked["mirrored.dcm"].films  # type: ignore[union-attr]
    assert (film.since, film.tags.orientation) == (2, "mirrored")


def test_films_whose_table_is_shown_darker_or_lighter_now_are_decoded_again(tmp_path: Path) -> None:
    curve = np.arange(4096, dtype=np.uint16)
    tables = {"full": voi_lut(curve, bits=12), "words": voi_lut(curve, bits=16), "half": voi_lut(curve >> 1, bits=12)}
    for name, table in tables.items():
        (tmp_path / f"{name}.dcm").write_bytes(write(ramp(64, 80), tmp_path, PatientID="", VOILUTSequence=[table]))
    listed = [SourceFile(str(tmp_path), f"{name}.dcm", 0, 0, decoding=3) for name in tables]
    looked = process(listed, prepare=np.copy, limits=Limits(), workers=1)
    assert {one.listed.path for one in looked if one.alike is None} == {"half.dcm"}  # type: ignore[union-attr]


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"\0" * 128 + b"DICM", b"not a film"])
def test_a_header_that_is_broken_by_now_is_rejected(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "film").write_bytes(data)
    listed = SourceFile(str(tmp_path), "film", 0, 0, decoding=1)
    (looked,) = process([listed], prepare=np.copy, limits=Limits(), workers=1)
    assert isinstance(looked, Failure)


def test_the_run_after_that_looks_at_nothing(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    old.index()
    monkeypatch.setattr("filmroom.indexer.pipeline.process", lambda items, **_: (one for one in list(items)))
    assert old.index().counts.unchanged == 13


def test_tags_that_are_read_now_are_brought_up_to_date(old: Old) -> None:
    assert old.view("left_lateral.dcm") is None
    old.index()
    assert old.view("left_lateral.dcm") == "LL"


def test_the_maker_is_read_of_headers_that_the_version_before_read(old: Old, tmp_path: Path) -> None:
    (old.films / "siemens.dcm").write_bytes(write(ramp(64, 80), tmp_path, PatientID="", Manufacturer="Siemens AG"))
    old.index()
    with old.archive.catalog.write() as connection:
        connection.execute(update(film).values(maker=None))
        connection.execute(update(file).values(decoding=2))
    before = old.vectors()
    old.index()
    of_maker = select(file.c.path).join(film, film.c.file_id == file.c.id).where(film.c.maker == "SIEMENS")
    with old.archive.catalog.read() as connection:
        assert list(connection.scalars(of_maker)) == ["siemens.dcm"]
    assert old.vectors() == before, "nothing is embedded again"


def test_another_model_embeds_them_when_it_runs(old: Old) -> None:
    """Until then it lacks them: what it made of other pixels must not answer as if it were of these."""
    before = old.vectors("other")
    old.index()
    assert names(before.keys() - old.vectors("other").keys()) == CHANGED
    old.index("other")
    after = old.vectors("other")
    assert names({key for key in before if after[key] != before[key]}) == CHANGED
    assert names(after.keys() - before.keys()) == REJECTED
    assert examine(old.archive).faults == ()


def test_vectors_that_were_brought_in_stay(old: Old) -> None:
    brought = Space("elsewhere", f"{IMPORTED}elsewhere", 4)
    space_id = ingest.ensure_space(old.archive.catalog, brought)
    with old.archive.catalog.read() as connection:
        ids = list(connection.scalars(select(film.c.id)))
    put_vectors(old.archive.catalog, space_id, {one: np.full((1, 4), 0.5, np.float32) for one in ids})
    old.index()
    assert len(old.vectors("elsewhere")) == len(ids)


def test_what_models_wrote_of_a_film_that_is_set_right_goes(old: Old) -> None:
    """They saw another picture: its left was the right, and their boxes lie elsewhere."""
    statement = select(file.c.path, film.c.id).join(film, film.c.file_id == file.c.id)
    with old.archive.catalog.read() as connection:
        ids = {row.path: row.id for row in connection.execute(statement)}
    for name in ("plain.dcm", "mirrored.dcm", "high_bit.dcm"):
        findings.put(old.archive.catalog, [ids[name]], [findings.Finding("An opacity on the left.")], source="model")
    old.index()
    kept = {one.film_id for one in findings.everything(old.archive.catalog)}
    assert kept == {ids["plain.dcm"], ids["high_bit.dcm"]}
    assert ids["mirrored.dcm"] not in findings.described_ids(old.archive.catalog, source="model")


def test_moved_before_the_first_run_of_this_version(old: Old) -> None:
    before = old.vectors()
    (old.films / "moved").mkdir()
    for name in ("plain.dcm", "high_bit.dcm"):
        (old.films / name).rename(old.films / "moved" / name)
    assert old.index().counts.unchanged == len(ALIKE)
    after = old.vectors()
    assert after["moved/plain.dcm", 0] == before["plain.dcm", 0]
    assert after["moved/high_bit.dcm", 0] != before["high_bit.dcm", 0]


def test_doctor_says_what_is_to_be_looked_at(old: Old) -> None:
    assert any("12 files" in note and "earlier version" in note for note in examine(old.archive).notes)
    old.index()
    assert not any("earlier version" in note for note in examine(old.archive).notes)


def test_a_run_that_was_killed_goes_on(old: Old) -> None:
    with old.archive.catalog.write() as connection:
        connection.execute(update(file).where(file.c.path < "l").values(decoding=DECODING))
    before = old.vectors()
    old.index()
    after = old.vectors()
    assert names({key for key in before if after[key] != before[key]}) == {name for name in CHANGED if name > "l"}
