"""Films that are moved, copied, overwritten or gone keep what is theirs, and nothing of another's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.errors import NotFound
from filmroom.db.reads import films as catalog_films
from filmroom.db.records import Counts
from filmroom.db.writes import findings
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import Options, index

from tests.conftest import write_film
from tests.indexer import dicom_files
from tests.indexer.runs import content, content_of, embedded, run
from tests.terminal import Terminal
from tests.tiny_model import make_model

Films = Callable[..., Path]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.create(tmp_path / "archive")


def test_a_moved_archive_is_not_embedded_again(archive: Archive, tiny: Path, films: Films, tmp_path: Path) -> None:
    folder = films(4)
    run(archive, tiny, folder)
    before = content(archive)
    folder.rename(tmp_path / "elsewhere")
    assert run(archive, tiny, tmp_path / "elsewhere").counts == Counts(listed=4, unchanged=4)
    assert content(archive) == before
    assert embedded(archive) == 4


def test_renamed_files_keep_what_is_known_of_them(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(3)
    run(archive, tiny, folder)
    before = {one.id for one in catalog_films.everyone(archive.catalog)}
    for path in list(folder.iterdir()):
        path.rename(folder / f"renamed-{path.name}")
    assert run(archive, tiny, folder).counts == Counts(listed=3, unchanged=3)
    after = list(catalog_films.everyone(archive.catalog))
    assert {one.id for one in after} == before
    assert all(one.path.startswith("renamed-") for one in after)


def test_a_copied_archive_is_all_duplicates_and_stands_in_when_the_first_goes(
    archive: Archive, tiny: Path, films: Films, tmp_path: Path
) -> None:
    first, second = films(4), tmp_path / "copy"
    run(archive, tiny, first)
    shutil.copytree(first, second)
    assert run(archive, tiny, second).counts == Counts(listed=4, duplicate=4)
    assert embedded(archive) == 4
    for path in list(first.iterdir())[1:]:
        path.unlink()
    assert run(archive, tiny, first).counts == Counts(listed=1, unchanged=1, gone=0)
    assert len(content(archive)) == 4
    assert run(archive, tiny, second).counts == Counts(listed=4, unchanged=3, duplicate=1)


def test_a_film_that_is_gone_comes_back_as_itself(archive: Archive, tiny: Path, films: Films, tmp_path: Path) -> None:
    folder = films(3)
    run(archive, tiny, folder)
    away = folder / "film-001.png"
    away.rename(tmp_path / "aside.png")
    assert run(archive, tiny, folder).counts == Counts(listed=2, unchanged=2, gone=1)
    assert len(content(archive)) == 2
    (tmp_path / "aside.png").rename(away)
    assert run(archive, tiny, folder).counts == Counts(listed=3, unchanged=3)
    assert len(content(archive)) == 3
    assert embedded(archive) == 3


def test_a_disk_that_is_not_there_takes_nothing_away(
    archive: Archive, tiny: Path, films: Films, tmp_path: Path
) -> None:
    folder = films(3)
    run(archive, tiny, folder)
    folder.rename(tmp_path / "unmounted")
    with pytest.raises(NotFound, match="nothing to index"):
        run(archive, tiny, folder)
    folder.mkdir()
    assert run(archive, tiny, folder).counts == Counts()
    assert len(content(archive)) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_takes_nothing_away(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(2)
    write_film(folder / "closed" / "a.png", 50)
    run(archive, tiny, folder)
    (folder / "closed").chmod(0)
    try:
        assert run(archive, tiny, folder).counts == Counts(listed=3, unchanged=2, rejected=1)
    finally:
        (folder / "closed").chmod(0o700)
    assert len(content(archive)) == 3


def test_a_file_that_holds_another_picture_is_another_film(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(2)
    run(archive, tiny, folder)
    write_film(folder / "film-000.png", 77)
    assert run(archive, tiny, folder).counts == Counts(listed=2, indexed=1, unchanged=1)
    assert len(content(archive)) == 2


def _dicom(path: Path, top: int, uid: str = "1.2.3") -> None:
    path.write_bytes(dicom_files.dicom(dicom_files.ramp(64, 64, top=top), SOPInstanceUID=uid))


def test_files_that_change_places_are_all_still_there(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(3)
    run(archive, tiny, folder)
    before = content(archive)
    first, second, aside = folder / "film-000.png", folder / "film-001.png", folder / "aside"
    first.rename(aside)
    second.rename(first)
    aside.rename(second)
    run(archive, tiny, folder)
    assert content(archive) == before
    assert run(archive, tiny, folder).counts == Counts(listed=3, unchanged=3)


def test_a_moved_film_and_a_new_one_in_its_place(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(1)
    run(archive, tiny, folder)
    (folder / "film-000.png").rename(folder / "moved.png")
    write_film(folder / "film-000.png", 90)
    run(archive, tiny, folder)
    assert len(content(archive)) == 2
    assert run(archive, tiny, folder).counts == Counts(listed=2, unchanged=2)


def test_a_copy_becomes_the_film_when_its_original_is_overwritten(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(1)
    shutil.copy(folder / "film-000.png", folder / "copy.png")
    run(archive, tiny, folder)
    before = content(archive)
    original = next(one.path for one in catalog_films.everyone(archive.catalog))
    write_film(folder / original, 91)
    run(archive, tiny, folder)
    assert content(archive).items() > before.items()
    assert len(content(archive)) == 2


def test_a_copied_archive_lives_on_when_the_old_disk_is_gone(
    archive: Archive, tiny: Path, films: Films, tmp_path: Path
) -> None:
    old, new = films(3), tmp_path / "new"
    run(archive, tiny, old)
    shutil.copytree(old, new)
    run(archive, tiny, new)
    shutil.rmtree(old)
    assert run(archive, tiny, new).counts == Counts(listed=3, unchanged=3)
    assert {one.root for one in catalog_films.everyone(archive.catalog)} == {str(new)}
    assert embedded(archive) == 3


def test_a_film_rewritten_in_place_has_one_vector_in_every_space(
    archive: Archive, tiny: Path, films: Films, tmp_path: Path
) -> None:
    folder = films(8)
    _dicom(folder / "a.dcm", 4095)
    other = make_model(tmp_path / "other", name="other", seed=1)
    run(archive, tiny, folder)
    run(archive, other, folder)
    before = content_of(archive, "other")
    _dicom(folder / "a.dcm", 900)
    assert run(archive, tiny, folder).counts == Counts(listed=9, indexed=1, unchanged=8)
    assert run(archive, other, folder).counts == Counts(listed=9, indexed=1, unchanged=8)
    after = content_of(archive, "other")
    assert {name for name in after if after[name] != before[name]} == {"uid:1.2.3#0"}


def test_what_stands_in_the_way_of_a_second_model_takes_nothing_from_the_first(
    archive: Archive, tiny: Path, films: Films, tmp_path: Path
) -> None:
    folder = films(3)
    run(archive, tiny, folder)
    other = make_model(tmp_path / "other", name="other", seed=1)
    small = Limits(max_pixels=10)
    done = index(archive, [folder], load_towers(str(other)), options=Options(small, workers=1))
    assert done.counts == Counts(listed=3, rejected=3)
    assert len(content(archive)) == 3
    assert run(archive, tiny, folder).counts == Counts(listed=3, unchanged=3)
    assert run(archive, other, folder).counts == Counts(listed=3, indexed=3)


def test_other_content_under_the_same_uid_never_inherits_a_vector(archive: Archive, tiny: Path, films: Films) -> None:
    folder = films(1)
    _dicom(folder / "a.dcm", 4095)
    run(archive, tiny, folder)
    _dicom(folder / "b.dcm", 700)
    assert run(archive, tiny, folder).counts.duplicate == 1
    before = content(archive)["uid:1.2.3#0"]
    (folder / "a.dcm").unlink()
    run(archive, tiny, folder)
    run(archive, tiny, folder)
    assert content(archive)["uid:1.2.3#0"] != before


def _in_place(folder: Path, new: bytes) -> None:
    (folder / "film.dcm").write_bytes(new)


def _elsewhere(folder: Path, new: bytes) -> None:
    (folder / "film.dcm").unlink()
    (folder / "other.dcm").write_bytes(new)


@pytest.mark.parametrize("rewrite", [_in_place, _elsewhere])
@pytest.mark.parametrize("stage", ["at once", "gone between", "rejected between"])
def test_other_pixels_under_the_same_uid_drop_what_a_model_wrote(
    archive: Archive, tiny: Path, tmp_path: Path, rewrite: Callable[[Path, bytes], None], stage: str
) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    old, new = (
        dicom_files.dicom(
            np.random.default_rng(seed).integers(0, 4096, (40, 40)).astype(np.uint16), SOPInstanceUID="1.2.3"
        )
        for seed in (1, 2)
    )
    (folder / "film.dcm").write_bytes(old)
    (folder / "beside.dcm").write_bytes(
        dicom_files.dicom(np.full((40, 40), 7, np.uint16), SOPInstanceUID="1.2.4"),
    )
    run(archive, tiny, folder)
    ids = {one.tags.instance_uid: one.id for one in catalog_films.films(archive.catalog, [1, 2])}
    for one in ids.values():
        findings.put(archive.catalog, [one], [findings.Finding("A nodule.", ((0.1, 0.2, 0.3, 0.7),))], source="model")
    if stage == "gone between":
        (folder / "film.dcm").rename(tmp_path / "away")
        run(archive, tiny, folder)
        (tmp_path / "away").rename(folder / "film.dcm")
    rewrite(folder, new)
    if stage == "rejected between":
        run(archive, tiny, folder, limits=Limits(max_pixels=100))
    run(archive, tiny, folder, retry=True)
    assert {one.tags.instance_uid: one.id for one in catalog_films.films(archive.catalog, [1, 2])} == ids
    assert findings.of_film(archive.catalog, ids["1.2.3"]) == []
    assert findings.described_ids(archive.catalog, source="model") == {ids["1.2.4"]}
    assert len(findings.of_film(archive.catalog, ids["1.2.4"])) == 1


def test_pictures_under_one_uid_are_named_and_can_be_kept_apart(
    archive: Archive, tiny: Path, tmp_path: Path, terminal: Terminal
) -> None:
    folder = tmp_path / "anonymised"
    folder.mkdir()
    ramp = dicom_files.ramp(64, 64)
    for name, pixels in zip("abcde", (ramp, ramp[::-1], ramp.T, ramp.T[:, ::-1], ramp // 2048 * 2048), strict=True):
        (folder / f"{name}.dcm").write_bytes(dicom_files.dicom(np.ascontiguousarray(pixels), SOPInstanceUID="1.2.3"))
    shutil.copy(folder / "b.dcm", folder / "z.dcm")
    done = run(archive, tiny, folder)
    assert done.counts == Counts(listed=6, indexed=1, duplicate=5)
    assert [one.path for one in done.same_uid] == ["b.dcm", "c.dcm", "d.dcm", "e.dcm", "z.dcm"]
    assert run(archive, tiny, folder).same_uid == done.same_uid, "a later run says it, too"
    said = "5 files bear the instance UID of another picture and so are not indexed: b.dcm, c.dcm, d.dcm and 2 more."
    for command in (["status"], ["doctor"], ["index", folder, "--model", tiny]):
        out = " ".join(terminal(*command).split())
        assert said in out
        assert "--keep-apart" in out
    apart = run(archive, tiny, folder, keep_apart=True)
    assert apart.counts == Counts(listed=6, indexed=4, unchanged=1, duplicate=1)
    assert apart.same_uid == ()
    assert "UID of another" not in terminal("status") + terminal("doctor")
    before = content(archive)
    assert len(before) == len(set(before.values())) == 5
    assert run(archive, tiny, folder).counts == Counts(listed=6, unchanged=5, duplicate=1)
    other = make_model(tmp_path / "other-apart", name="other-apart", seed=1)
    assert run(archive, other, folder).counts == Counts(listed=6, indexed=5, duplicate=1), "without the option, too"


def test_what_was_kept_apart_is_forgotten_alone(
    archive: Archive, tiny: Path, tmp_path: Path, terminal: Terminal
) -> None:
    folder = tmp_path / "anonymised"
    folder.mkdir()
    _dicom(folder / "a.dcm", 4095)
    _dicom(folder / "b.dcm", 700)
    assert run(archive, tiny, folder, keep_apart=True).counts.indexed == 2
    second = next(one.id for one in catalog_films.everyone(archive.catalog) if one.path == "b.dcm")
    terminal("forget", second, "--yes")
    assert terminal.code == 0, terminal.err
    assert run(archive, tiny, folder, keep_apart=True).reasons == {"FORGOTTEN": 1}
    assert run(archive, tiny, folder, keep_apart=True, bring_back=True).counts.indexed == 1
