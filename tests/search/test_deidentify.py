"""De-identified copies hold what is allowed and nothing else, and show the same picture."""

from __future__ import annotations

import io
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from filmroom.db.records import Film, State, Tags
from filmroom.indexer.decoding.decode import decode_bytes
from filmroom.indexer.decoding.limits import Limits
from filmroom.search.exchange.allowed_attributes import READ
from filmroom.search.exchange.deidentify import Replacements, copies
from filmroom.search.export.copies import copy_films
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from tests.indexer import dicom_files
from tests.orthanc import PASSWORD, USER, running

CANARY = b"Zqcanary"
DAY, CLOCK, UID = "19310704", "131415.42", "1.2.999.424242"
# Without these there is no picture; nor may they be planted, as the film would be another.
PICTURE = {
    "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "NumberOfFrames", "PixelData", "FloatPixelData", "DoubleFloatPixelData",
    "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PlanarConfiguration", "SpecificCharacterSet",
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths",
}  # fmt: skip
TEXT = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}


def value_for(vr: str) -> object:
    """A value of this representation that a byte search finds."""
    text = CANARY.decode()
    if vr in TEXT:
        return text
    if vr == "SQ":
        item = Dataset()
        item.PatientName, item.PatientBirthDate, item.TextValue = text, DAY, text
        item.add_new(0x00111001, "LO", text)
        outer = Dataset()
        outer.PatientComments, outer.ContentSequence = text, [item]
        return [outer]
    numbers = {"DA": DAY, "DT": DAY + CLOCK, "TM": CLOCK, "UI": UID, "AS": "077Y", "DS": "42424242", "IS": "42424242"}
    binary = {"OB", "OW", "UN", "OF", "OD", "OL", "OV", "OB or OW", "US or OW", "US or SS or OW"}
    return numbers.get(vr, CANARY * 2 if vr in binary else None)


def planted(data: bytes) -> tuple[bytes, int]:
    """The film with a canary in every attribute of the dictionary that can hold one, and in every odd place besides."""
    film = pydicom.dcmread(io.BytesIO(data))
    count = 0
    for number, (vr, *_) in DicomDictionary.items():
        tag = Tag(number)
        value = value_for(vr)
        if value is None or tag.group <= 2 or tag.element == 0 or keyword_for_tag(tag) in PICTURE | set(READ):
            continue
        film[tag] = DataElement(tag, "OB" if " or " in vr else vr, value)
        count += 1
    for name in READ:  # words and tables may be planted, numbers are the picture's own
        if film.get(name) is None and (vr := pydicom.datadict.dictionary_VR(name)) in ("CS", "SQ", "LO", "UI"):
            film[name] = DataElement(Tag(name), vr, value_for(vr))
            count += 1
    for group in (0x0011, 0x6FF1, 0x7FE3):
        block = film.private_block(group, CANARY.decode(), create=True)
        for element, vr in enumerate(("LO", "PN", "DA", "UN", "SQ", "UT"), start=1):
            block.add_new(element, vr, value_for(vr))
            count += 1
    for tag in (0x0FFE0010, 0x4FFE0020, 0x60000022, 0x60001500, 0x60003000, 0x601E4000, 0x50003000, 0xFFFCFFFC):
        film[tag] = DataElement(tag, "OB", CANARY)  # unknown groups, overlays, curves, padding at the end
        count += 1
    film.preamble = (CANARY * 16)[:128]
    film.file_meta.SourceApplicationEntityTitle = CANARY.decode()
    film.file_meta.PrivateInformationCreatorUID = UID
    film.file_meta.PrivateInformation = CANARY
    out = io.BytesIO()
    film.save_as(out)
    return out.getvalue() + CANARY, count


def film_of(folder: Path, name: str, data: bytes, film_id: int = 1, **tags: object) -> Film:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    known = Tags(rows=header.Rows, columns=header.Columns, **tags)  # type: ignore[arg-type]
    return Film(film_id, str(folder), name, 0, State.PRESENT, 1, known)


def copied(film: Film, target: Path, **options: object) -> bytes:
    done = copy_films([film], target, deidentify=True, **options)  # type: ignore[arg-type]
    assert done.failed == ()
    return (target / f"{film.id:07d}.dcm").read_bytes()


def test_no_attribute_of_the_dictionary_is_in_a_copy(tmp_path: Path) -> None:
    plain = dicom_files.dicom(dicom_files.ramp(), WindowCenter="2000", WindowWidth="3000", RescaleSlope="2",
                              RescaleIntercept="-100", RescaleType="US")  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data, count = planted(plain)
    assert count > 3000, "as good as the whole dictionary"
    film = film_of(tmp_path / "films", "a.dcm", data, study_uid="1.2.3", instance_uid="1.2.4", patient_key="f" * 32)
    copy = copied(film, tmp_path / "out")
    for secret in (CANARY, CANARY.upper(), DAY.encode(), CLOCK.encode(), UID.encode(), b"42424242", b"1.2.3", b"077Y"):
        assert secret not in copy, secret
    found, before = pydicom.dcmread(io.BytesIO(copy)), pydicom.dcmread(io.BytesIO(plain))
    assert np.array_equal(found.pixel_array, before.pixel_array)
    assert np.array_equal(decode_bytes(copy)[0].pixels, decode_bytes(plain)[0].pixels), "it looks the same"
    assert (found.PatientIdentityRemoved, found.PatientName, found.StudyDate) == ("YES", "", "")
    assert not [one for one in found.iterall() if one.tag.is_private or 0x6000 <= one.tag.group < 0x6100]
    codes = [one.CodeValue for one in found.DeidentificationMethodCodeSequence]
    assert "113100" in codes
    assert "113110" not in codes


@pytest.mark.parametrize("syntax", dicom_files.LOSSLESS)
@pytest.mark.parametrize("kind", ["MONOCHROME1", "signed", "frames", "colour"])
def test_a_copy_shows_the_same_pixels(tmp_path: Path, syntax: str, kind: str) -> None:
    pixels, elements = dicom_files.ramp(), {}
    if kind == "MONOCHROME1":
        elements = {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
    elif kind == "signed":
        pixels = (pixels.astype(np.int16) - 2000).astype(np.int16)
    elif kind == "frames":
        pixels = np.stack([pixels, pixels[::-1]])
    else:
        pixels = np.stack([np.stack([dicom_files.ramp(top=top).astype(np.uint8) for top in (255, 90, 200)], axis=-1)])
    if syntax == "JPEG lossless" and kind in ("frames", "colour", "signed"):
        pytest.skip("gdcm does not write it")
    data = dicom_files.write(pixels, tmp_path, syntax=dicom_files.LOSSLESS[syntax], **elements)
    before, was = pydicom.dcmread(io.BytesIO(data)), decode_bytes(data, any_modality=True)
    for frame, film in enumerate(was):
        one = replace(film_of(tmp_path / "films", "a.dcm", data, frame + 1), frame=frame)
        copy = copied(one, tmp_path / f"out {frame}")
        found = pydicom.dcmread(io.BytesIO(copy))
        assert found.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        assert np.array_equal(found.pixel_array, before.pixel_array[frame] if kind == "frames" else before.pixel_array)
        (shown,) = decode_bytes(copy, any_modality=True)
        assert np.array_equal(shown.pixels, film.pixels)


@pytest.mark.parametrize("uids", [False, True], ids=["other UIDs", "own UIDs"])
def test_a_copy_of_a_frame_holds_no_other(tmp_path: Path, uids: bool) -> None:
    """Words may be burned into the others, and they may have been forgotten."""

    def window(center: float) -> Dataset:
        group, shown = Dataset(), Dataset()
        shown.WindowCenter, shown.WindowWidth = center, 2000
        group.FrameVOILUTSequence = [shown]
        return group

    pixels = np.stack([dicom_files.ramp(top=900 * number) for number in (1, 2, 3)])
    data = dicom_files.dicom(
        pixels, Modality="XA", SOPInstanceUID="1.2.3.4",
        PerFrameFunctionalGroupsSequence=[window(500), window(900), window(2500)],
    )  # fmt: skip
    films = [
        replace(film_of(tmp_path / "films", "a.dcm", data, frame + 1, instance_uid="1.2.3.4"), frame=frame)
        for frame in (0, 2)
    ]
    assert copy_films(films, tmp_path / "out", deidentify=True, uids=uids).failed == ()
    copies = {film.frame: pydicom.dcmread(tmp_path / "out" / f"{film.id:07d}.dcm") for film in films}
    for frame, copy in copies.items():
        assert np.array_equal(np.frombuffer(copy.PixelData, "<u2").reshape(pixels[0].shape), pixels[frame])
        (shown,) = decode_bytes((tmp_path / "out" / f"{frame + 1:07d}.dcm").read_bytes(), any_modality=True)
        assert np.array_equal(shown.pixels, decode_bytes(data)[frame].pixels)
    assert len({"1.2.3.4", *(str(copy.SOPInstanceUID) for copy in copies.values())}) == 3
    gone = replace(films[0], id=9, frame=3)
    assert "changed" in copy_films([gone], tmp_path / "gone", deidentify=True).failed[0][1]


@pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="needs dcmtk")
def test_dcmtk_shows_the_same_picture(tmp_path: Path) -> None:
    table = np.linspace(0, 65535, 4096).astype(np.uint16)[::-1]
    for number, elements in enumerate((
        {"WindowCenter": "2000.5", "WindowWidth": "3000"},
        {"WindowCenter": ["500", "9"], "WindowWidth": ["800", "9"], "WindowCenterWidthExplanation": ["DOE", "JANE"]},
        {"VOILUTSequence": [dicom_files.voi_lut(table)]},
        {"ModalityLUTSequence": [dicom_files.voi_lut(table, keyword="ModalityLUTSequence")], "WindowCenter": "30000",
         "WindowWidth": "50000"},
    ), start=1):  # fmt: skip
        data = dicom_files.dicom(dicom_files.ramp(), **elements)
        film = film_of(tmp_path / "films", f"{number}.dcm", data, number)
        copy = copied(film, tmp_path / f"out {number}")
        assert b"DOE" not in copy
        shown = [_shown_by_dcmtk(one, tmp_path) for one in (data, copy)]
        assert shown[0] == shown[1]
        assert len(set(shown[0])) > 50, "a picture"


def _shown_by_dcmtk(data: bytes, folder: Path) -> bytes:
    (folder / "x.dcm").write_bytes(data)
    film = pydicom.dcmread(io.BytesIO(data))
    window = ("+Wl", "1") if "VOILUTSequence" in film else ("+Wi", "1")
    subprocess.run(["dcm2pnm", *window, folder / "x.dcm", folder / "x.pgm"], check=True, capture_output=True)
    return (folder / "x.pgm").read_bytes()


def test_facts_come_from_the_archive_and_uids_by_wish(tmp_path: Path) -> None:
    data = dicom_files.dicom(dicom_files.ramp(), PatientAge="093Y", ViewPosition="ZQ", ImageComments="x")
    film = film_of(
        tmp_path / "films", "a.dcm", data, view="PA", body_part="CHEST", sex="F", age=89, modality="DX",
        study_uid="1.2.3.4", series_uid="1.2.3.5", instance_uid="1.2.3.6", burned_in=False, patient_key="f" * 32,
    )  # fmt: skip
    hidden, kept = (copied(film, tmp_path / name, uids=wish) for name, wish in (("a", False), ("b", True)))
    found = pydicom.dcmread(io.BytesIO(hidden))
    said = (found.ViewPosition, found.BodyPartExamined, found.PatientSex, found.PatientAge, found.BurnedInAnnotation)
    assert said == ("PA", "CHEST", "F", "089Y", "NO")
    assert found.StudyInstanceUID.startswith("2.25.")
    assert pydicom.dcmread(io.BytesIO(kept)).StudyInstanceUID == "1.2.3.4"
    assert "1.2.3.4" in (tmp_path / "b" / "films.csv").read_text()
    assert "1.2.3.4" not in (tmp_path / "a" / "films.csv").read_text()


def test_films_of_one_study_and_patient_stay_together_under_one_key(tmp_path: Path) -> None:
    films = [
        film_of(tmp_path / "films", f"{n}.dcm", dicom_files.dicom(dicom_files.ramp(top=900 * n)), n,
                study_uid="1.2.3.4", instance_uid=f"1.2.3.4.{n}", patient_key="f" * 32)
        for n in (1, 2)
    ]  # fmt: skip
    copy_films(films, tmp_path / "out", deidentify=True)
    first, second = (pydicom.dcmread(tmp_path / "out" / f"000000{n}.dcm") for n in (1, 2))
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert first.PatientID == second.PatientID != ""
    assert first.SOPInstanceUID != second.SOPInstanceUID
    again = pydicom.dcmread(io.BytesIO(copied(films[0], tmp_path / "again")))
    assert again.StudyInstanceUID != first.StudyInstanceUID, "two exports cannot be put side by side"


def test_what_hides_in_a_stream_or_behind_it_is_left_behind(tmp_path: Path) -> None:
    """A comment in a compressed stream, bytes after the last pixel, and an overlay in the bits that no pixel uses."""
    pixels = dicom_files.ramp()
    squeezed = pydicom.dcmread(io.BytesIO(dicom_files.dicom(pixels, syntax=dicom_files.LOSSLESS["JPEG-LS"])))
    stream = bytearray(pydicom.encaps.get_frame(squeezed.PixelData, 0, number_of_frames=1))
    stream[2:2] = b"\xff\xfe" + (2 + len(CANARY)).to_bytes(2) + CANARY
    squeezed.PixelData = pydicom.encaps.encapsulate([bytes(stream)])
    native = pydicom.dcmread(io.BytesIO(dicom_files.dicom(pixels | np.uint16(0xA000))))
    native.PixelData += CANARY
    for number, film in enumerate((squeezed, native), start=1):
        out = io.BytesIO()
        film.save_as(out)
        copy = copied(film_of(tmp_path / "films", f"{number}.dcm", out.getvalue(), number), tmp_path / f"out {number}")
        assert CANARY not in copy
        stored = np.frombuffer(pydicom.dcmread(io.BytesIO(copy)).PixelData, "<u2").reshape(pixels.shape)
        assert np.array_equal(stored, pixels)


def test_a_film_that_has_changed_or_is_damaged_is_not_copied(tmp_path: Path) -> None:
    film = film_of(tmp_path / "films", "a.dcm", dicom_files.dicom(dicom_files.ramp()))
    cut = film_of(tmp_path / "films", "b.dcm", dicom_files.dicom(dicom_files.ramp()), 2)
    (tmp_path / "films" / "a.dcm").write_bytes(dicom_files.dicom(dicom_files.ramp(16, 16)))
    (tmp_path / "films" / "b.dcm").write_bytes(dicom_files.dicom(dicom_files.ramp())[:900])
    done = copy_films([film, cut], tmp_path / "out", deidentify=True)
    assert [film_id for film_id, _ in done.failed] == [1, 2]
    assert "changed" in done.failed[0][1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["films.csv"]


def test_copies_of_a_server_s_films_are_those_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILMROOM_PACS_USER", USER)
    monkeypatch.setenv("FILMROOM_PACS_PASSWORD", PASSWORD)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    replacements = Replacements(key=b"k" * 32)
    limits = Limits(seconds=60)
    from_files, from_server = [], []
    named = dict.fromkeys(("PatientName", "PatientID", "AccessionNumber", "InstitutionName"), CANARY.decode())
    with running(tmp_path / "orthanc") as server:
        for number in range(3):
            data = dicom_files.dicom(
                dicom_files.ramp(top=1000 + number), SOPInstanceUID=f"1.2.3.4.{number}", StudyDate=DAY, **named
            )
            uids = {"study_uid": "1.2.3.4", "series_uid": "1.2.3.4.1", "instance_uid": f"1.2.3.4.{number}"}
            film = film_of(tmp_path / "films", f"{number}.dcm", data, number, patient_key="f" * 32, **uids)
            server.put(tmp_path / "films" / f"{number}.dcm")
            from_files.append(film)
            from_server.append(replace(film, root=server.dicomweb, path="/".join(uids.values())))
        pulled = dict(_by_id(from_server, replacements, limits))
    assert pulled == dict(_by_id(from_files, replacements, limits))
    assert len(pulled) == 3
    for copy in pulled.values():
        assert isinstance(copy, bytes), copy
        assert CANARY not in copy
        assert b"1.2.3.4" not in copy


def _by_id(films: list[Film], replacements: Replacements, limits: Limits) -> Iterator[tuple[int, bytes | str]]:
    for film, copy in copies(films, replacements, limits=limits):
        yield film.id, copy
