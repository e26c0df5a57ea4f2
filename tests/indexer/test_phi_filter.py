"""Only facts from closed sets are kept of a header."""

from __future__ import annotations

import re
from dataclasses import asdict

import numpy as np
import pytest
from filmroom.db.records import Tags
from filmroom.indexer.decoding.decode import decode_bytes
from filmroom.indexer.decoding.phi_filter import age_of, hashed_uid, kept_tags, patient_key
from hypothesis import given
from hypothesis import strategies as st

from tests.indexer.dicom_files import dicom, header, ramp

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value length")
PIXELS = ramp(4, 4)
KEY = b"k" * 32


def tags(*, key: bytes | None = KEY, hash_uids: bool = False, **elements: object) -> Tags:
    return kept_tags(header(PIXELS, **elements), rows=4, columns=4, key=key, hash_uids=hash_uids)


@pytest.mark.parametrize(
    ("elements", "age"),
    [
        ({"PatientAge": "045Y"}, 45),
        ({"PatientAge": "018M"}, 1),
        ({"PatientAge": "010W"}, 0),
        ({"PatientAge": "400D"}, 1),
        ({"PatientAge": "089Y"}, 89),
        ({"PatientAge": "104Y"}, 89),
        ({"PatientBirthDate": "19800615", "StudyDate": "20200614"}, 39),
        ({"PatientBirthDate": "19800615", "StudyDate": "20200615"}, 40),
        ({"PatientBirthDate": "19000101", "StudyDate": "20200615"}, 89),
        ({"PatientAge": "001Y", "PatientBirthDate": "19800615", "StudyDate": "20200615"}, 1),
        ({"PatientAge": "999Y"}, None),
        ({"PatientAge": "126Y"}, None),
        ({"PatientAge": "999Y", "PatientBirthDate": "19800615", "StudyDate": "20200615"}, 40),
        ({"PatientBirthDate": "18951231", "StudyDate": "20240101"}, None),
        ({"PatientBirthDate": "20300101", "StudyDate": "20200615"}, None),
        ({"PatientBirthDate": "19800615"}, None),
        ({}, None),
    ],
)
def test_age(elements: dict[str, str], age: int | None) -> None:
    assert tags(**elements).age == age


@pytest.mark.parametrize(("said", "age"), [("045 Y", 45), ("0045Y", 45), ("45y", 45), ("45", None), ("-05Y", None)])
def test_age_as_it_is_written(said: str, age: int | None) -> None:
    assert age_of(said) == age


@pytest.mark.parametrize(("said", "sex"), [("F", "F"), ("Female", "F"), ("male", "M"), ("W", None), ("U", None)])
def test_sex(said: str, sex: str | None) -> None:
    assert tags(PatientSex=said).sex == sex


@pytest.mark.parametrize(
    ("position", "view"),
    [
        ("PA", "PA"), ("ap", "AP"), (" LL ", "LL"), ("LATERAL", "LATERAL"), ("LAT", "LATERAL"), ("MLO", "MLO"),
        ("AP SUPINE", "AP"), ("LEFT_LATERAL", "LL"), ("Dr Who", None), ("", None),
        ("AP AXIAL", "AP"), ("PA ERECT", "PA"), ("AP PORTABLE", "AP"), ("AP-LORDOTIC", "AP"),
        ("XTABLE LATERAL", "LATERAL"),
        ("CROSS-TABLE LAT", "LATERAL"), ("LEFT LAT", "LL"), ("R LAT", "RL"), ("LAT RIGHT", "RL"), ("AP LLD", "LLD"),
        ("PA RLD", "RLD"), ("LEFT LATERAL DECUBITUS", "LLD"), ("R DECUB", "RLD"), ("AP DECUBITUS", "AP"),
        ("LATERAL DECUBITUS", None), ("LLD RLD", None), ("POSTERO-ANTERIOR", "PA"), ("ANTERO_POSTERIOR SUPINE", "AP"),
        ("POSTEROANTERIOR", "PA"), ("AP/LAT", None), ("PA AP", None), ("AP DR WHO", None), ("LEFT", None),
        ("LEFT RIGHT LATERAL", None), ("OBLIQUE", "OBLIQUE"), ("DECUBITUS", None),
        ("P.A.", "PA"), ("A-P", "AP"), ("CHEST PA", "PA"), ("THORAX AP", "AP"), ("LT LATERAL", "LL"), ("RT LAT", "RL"),
        ("AP SEMI-ERECT", "AP"), ("LATERO-LATERAL", "LATERAL"), ("RMLO", "MLO"), ("CHEST PA LAT", None),
        ("SUPINE", None),
    ],
)  # fmt: skip
def test_view(position: str, view: str | None) -> None:
    assert tags(ViewPosition=position).view == view


@pytest.mark.parametrize(
    ("written", "maker"),
    [
        ("GE Healthcare", "GE"), ('"GE Healthcare"', "GE"), ("GE MEDICAL SYSTEMS", "GE"), ("General Electric", "GE"),
        ("SIEMENS", "SIEMENS"), ("Siemens Healthineers AG", "SIEMENS"), ("Philips Medical Systems", "PHILIPS"),
        ("FUJI PHOTO FILM Co., ltd.", "FUJIFILM"), ("FUJIFILM Corporation", "FUJIFILM"), ("Agfa-Gevaert AG", "AGFA"),
        ("EASTMAN KODAK", "CARESTREAM"), ("Carestream Health", "CARESTREAM"), ("KONICA MINOLTA", "KONICA MINOLTA"),
        ("Canon Inc.", "CANON"), ("Vendor of Dr Who", "OTHER"), ("Geiger and sons", "OTHER"), ("東芝", "OTHER"),
        ("", None), (" - ", None),
    ],
)  # fmt: skip
def test_maker_is_a_code_and_no_free_text(written: str, maker: str | None) -> None:
    assert tags(Manufacturer=written).maker == maker


@pytest.mark.parametrize(("code", "view"), [("272479007", "PA"), ("R-10206", "AP"), ("399173006", "LL"), ("x", None)])
def test_view_by_its_code(code: str, view: str | None) -> None:
    item = header(PIXELS)
    item.CodeValue = code
    assert tags(ViewPosition=None, ViewCodeSequence=[item]).view == view


@pytest.mark.parametrize(
    ("examined", "part"),
    [
        ("CHEST", "CHEST"), ("THORAX", "CHEST"), ("TORAX", "CHEST"), ("Tórax", "CHEST"), ("PORT CHEST", "CHEST"),
        ("CHEST PA", "CHEST"), ("CHEST_PORTABLE", "CHEST"), ("PECHO", "CHEST"), ("CHEST 2 VIEW", "CHEST"),
        ("CHEST, 2 VIEWS", "CHEST"), ("XR CHEST", "CHEST"), ("CHEST X-RAY", "CHEST"), ("ADULT CHEST", "CHEST"),
        ("LUMBAR SPINE", "LSPINE"), ("CHEST/RIBS", None), ("KUB", "ABDOMEN"),
        ("chest-ap", "CHEST"),
        ("PA AND LATERAL", None), ("LEFT HAND", "HAND"), ("L-SPINE", "LSPINE"), ("C SPINE", "CSPINE"),
        ("RODILLA", "KNEE"),
        ("CHEST ABDOMEN", "CHESTABDOMEN"), ("ABDOMEN CHEST", None), ("CHEST OF DR WHO", None), ("", None), ("PA", None),
        ("R KNEE LAT", "KNEE"), ("RIBS", "RIB"), ("WHOLE BODY", "WHOLEBODY"),
    ],
)  # fmt: skip
def test_body_part(examined: str, part: str | None) -> None:
    assert tags(BodyPartExamined=examined).body_part == part


@pytest.mark.parametrize(
    ("code", "part"),
    [("51185008", "CHEST"), ("T-D3000", "CHEST"), ("816094009", "CHEST"), ("72696002", "KNEE"), ("Dr Who", None)],
)
def test_body_part_by_its_region(code: str, part: str | None) -> None:
    item = header(PIXELS)
    item.CodeValue = code
    assert tags(BodyPartExamined=None, AnatomicRegionSequence=[item]).body_part == part
    assert tags(BodyPartExamined="HAND", AnatomicRegionSequence=[item]).body_part == "HAND"


@pytest.mark.parametrize(
    ("elements", "burned_in"),
    [
        ({"BurnedInAnnotation": "YES"}, True),
        ({"BurnedInAnnotation": "NO"}, False),
        ({}, None),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, True),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "BurnedInAnnotation": "NO"}, False),
    ],
)
def test_burned_in(elements: dict[str, str], burned_in: bool | None) -> None:
    assert tags(**elements).burned_in is burned_in


def test_what_is_kept() -> None:
    kept = tags(PatientSex="F", StudyDate="20190823", ImageLaterality="L", BodyPartExamined="THORAX", PatientID="7")
    assert kept == Tags(
        modality="DX", view="PA", body_part="CHEST", laterality="L", sex="F", year=2019, rows=4, columns=4,
        photometric="MONOCHROME2", study_uid="1.2.3.4", series_uid="1.2.3.4.1", instance_uid="1.2.3.4.5",
        patient_key=patient_key("7", key=KEY),
    )  # fmt: skip


def test_patient_key_is_keyed_and_by_issuer() -> None:
    one = patient_key("4711", key=KEY)
    assert one is not None
    assert re.fullmatch("[0-9a-f]{32}", one)
    assert patient_key(" 4711 ", key=KEY) == one
    others = [patient_key("4711", key=b"x"), patient_key("4711", issuer="A", key=KEY), patient_key("4712", key=KEY)]
    assert len({one, *others}) == 4
    assert patient_key("4711", key=None) is None
    assert patient_key(" ", key=KEY) is None


def test_hashed_uids_link_films_and_nothing_else() -> None:
    first, second = tags(hash_uids=True), tags(hash_uids=True, SOPInstanceUID="1.2.9")
    assert first.study_uid == second.study_uid == hashed_uid("1.2.3.4", key=KEY)
    assert first.instance_uid != second.instance_uid
    assert re.fullmatch(r"2\.25\.[0-9]{1,39}", str(first.study_uid))
    assert tags(hash_uids=True, key=None).study_uid is None


CANARY = "CANARY"


def test_canaries_in_every_text_leave_nothing() -> None:
    planted = {
        "PatientName": CANARY, "InstitutionName": CANARY, "ImageComments": CANARY, "PatientID": CANARY,
        "IssuerOfPatientID": CANARY, "SeriesDescription": CANARY, "ViewPosition": CANARY, "PatientSex": CANARY,
        "BodyPartExamined": CANARY, "ImageLaterality": CANARY, "BurnedInAnnotation": CANARY, "PatientAge": CANARY,
        "Manufacturer": CANARY,
        "AccessionNumber": CANARY, "StudyInstanceUID": CANARY, "SeriesInstanceUID": CANARY, "StudyDate": CANARY,
        "PatientBirthDate": CANARY,
    }  # fmt: skip
    (film,) = decode_bytes(dicom(PIXELS, **planted), key=KEY)
    assert CANARY not in repr(film.tags)
    assert film.tags.patient_key == patient_key(CANARY, issuer=CANARY, key=KEY)


@given(st.text(max_size=16), st.text(max_size=16))
def test_any_text_ends_in_a_closed_set(text: str, other: str) -> None:
    planted = header(PIXELS)
    for keyword in (
        "ViewPosition",
        "PatientSex",
        "BodyPartExamined",
        "Laterality",
        "PatientAge",
        "Modality",
        "Manufacturer",
    ):
        planted.add_new(keyword, "LO", text)
    planted.PatientBirthDate, planted.StudyDate = other, text
    kept = kept_tags(planted, rows=4, columns=4, key=KEY)
    for name, value in asdict(kept).items():
        assert value is None or not isinstance(value, str) or re.fullmatch("[A-Z0-9 ]{1,16}|[0-9.]+", value), name
    assert kept.age is None or 0 <= kept.age <= 89


def test_pictures_carry_no_tags() -> None:
    from io import BytesIO

    from PIL import Image

    out = BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(out, "PNG")
    assert decode_bytes(out.getvalue(), key=KEY)[0].tags == Tags(rows=8, columns=8)
