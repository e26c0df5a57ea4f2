"""Keep of a DICOM header an allow-list of facts, each brought to a closed set of values."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING

from filmroom.db.records import Tags
from filmroom.indexer.radiology.views_and_body_parts import body_part_of, view_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

OLDEST = 89
"""Ages above this single out a person (HIPAA, 45 CFR 164.514(b)(2)(i)(C)) and are kept as this."""

# All that is ever read of a header besides what is needed to show the pixels.
READ_FOR_TAGS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "ViewPosition",
    "ViewCodeSequence", "BodyPartExamined", "AnatomicRegionSequence", "Laterality", "ImageLaterality",
    "PatientSex", "PatientAge", "PatientBirthDate", "StudyDate", "AcquisitionDate", "PatientID", "IssuerOfPatientID",
    "PhotometricInterpretation", "BurnedInAnnotation", "ConversionType", "Manufacturer",
)  # fmt: skip

_MODALITIES = frozenset({
    "CR", "CT", "DG", "DR", "DX", "ECG", "ES", "GM", "HC", "IO", "IVUS", "MG", "MR", "NM", "OCT",
    "OP", "OPT", "OT", "PT", "PX", "RF", "RG", "RTDOSE", "RTIMAGE", "SM", "US", "XA", "XC",
})  # fmt: skip
_PHOTOMETRICS = frozenset({
    "MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422",
    "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "PALETTE COLOR",
})  # fmt: skip
_MAKERS = {
    "AGFA": ("AGFA",),
    "CANON": ("CANON",),
    "CARESTREAM": ("CARESTREAM", "KODAK"),
    "DRGEM": ("DRGEM",),
    "FUJIFILM": ("FUJIFILM", "FUJI"),
    "GE": ("GE", "GEMS", "GENERAL ELECTRIC"),
    "HITACHI": ("HITACHI",),
    "HOLOGIC": ("HOLOGIC", "LORAD"),
    "KONICA MINOLTA": ("KONICA", "MINOLTA", "KONICAMINOLTA"),
    "MINDRAY": ("MINDRAY",),
    "PHILIPS": ("PHILIPS",),
    "PLANMECA": ("PLANMECA",),
    "SAMSUNG": ("SAMSUNG",),
    "SHIMADZU": ("SHIMADZU",),
    "SIEMENS": ("SIEMENS",),
    "SIRONA": ("SIRONA",),
    "SWISSRAY": ("SWISSRAY",),
    "TOSHIBA": ("TOSHIBA",),
    "UNITED IMAGING": ("UIH", "UNITED IMAGING"),
    "VATECH": ("VATECH",),
    "VIEWORKS": ("VIEWORKS",),
}
"""The code of a manufacturer, and the words by which it is known at the head of Manufacturer or within it."""
OTHER_MAKER = "OTHER"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_OLDEST_EVER = 125
_AGE = re.compile(r"0*([0-9]{1,3})\s*([DWMY])")
_SEXES = {"FEMALE": "F", "MALE": "M", "OTHER": "O"}


def kept_tags(header: Dataset, *, rows: int, columns: int, key: bytes | None = None, hash_uids: bool = False) -> Tags:
    """Return the tags of a film. A value outside the closed sets is left out, as it may be anything.

    `burned_in` is True where the header says so or the film is a secondary capture, which often has text in its
    pixels; `patient_key` is None without a `key` or a patient ID.
    """

    def word(keyword: str) -> str:
        return " ".join(str(_plain(header, keyword)).upper().replace("_", " ").split())

    def uid(keyword: str) -> str | None:
        value = str(_plain(header, keyword)).strip()
        if len(value) > 64 or not _UID.fullmatch(value):
            return None
        return hashed_uid(value, key=key) if hash_uids and key else None if hash_uids else value

    sex, modality = _SEXES.get(word("PatientSex"), word("PatientSex")), word("Modality")
    side = word("ImageLaterality") or word("Laterality")
    photometric = str(_plain(header, "PhotometricInterpretation")).strip().upper()
    study_date = _date(header, "StudyDate") or _date(header, "AcquisitionDate")
    return Tags(
        modality=modality if modality in _MODALITIES else None,
        view=view_of(word("ViewPosition"), _code(header, "ViewCodeSequence")),
        body_part=body_part_of(word("BodyPartExamined"), _code(header, "AnatomicRegionSequence")),
        laterality=side if side in {"L", "R", "B", "U"} else None,
        sex=sex if sex in {"M", "F", "O"} else None,
        age=_age(header, study_date),
        year=study_date.year if study_date else None,
        rows=rows,
        columns=columns,
        photometric=photometric if photometric in _PHOTOMETRICS else None,
        study_uid=uid("StudyInstanceUID"),
        series_uid=uid("SeriesInstanceUID"),
        instance_uid=uid("SOPInstanceUID"),
        patient_key=patient_key(
            str(_plain(header, "PatientID")), issuer=str(_plain(header, "IssuerOfPatientID")), key=key
        ),
        burned_in=_burned_in(header),
        maker=maker_of(str(_plain(header, "Manufacturer"))),
    )


def maker_of(text: str) -> str | None:
    """Return the code of a manufacturer; OTHER for one that is not listed, since people write anything there. None for
    no words."""
    words = " ".join(re.findall(r"[A-Z0-9]+", text.upper()))
    known = (code for code, names in _MAKERS.items() if any(f" {name} " in f" {words} " for name in names))
    return next(known, OTHER_MAKER) if re.search(r"\w", text) else None


def patient_key(patient_id: str, *, issuer: str = "", key: bytes | None) -> str | None:
    """Return a patient's key: 32 hex digits of HMAC-SHA256 under the archive's key. None without a key or an ID."""
    if not key or not patient_id.strip():
        return None
    identity = f"{patient_id.strip()}\x1f{issuer.strip()}".encode("utf-8", "surrogateescape")
    return hmac.new(key, identity, hashlib.sha256).hexdigest()[:32]


def hashed_uid(uid: str, *, key: bytes) -> str:
    """Return a UID in place of another, the same for the same archive: 2.25 and 128 bits of HMAC-SHA256 (PS3.5 B.2)."""
    return f"2.25.{int.from_bytes(hmac.new(key, uid.encode(), hashlib.sha256).digest()[:16])}"


def _plain(header: Dataset, keyword: str) -> object:
    """Return the first value of an element; "" where it is missing, empty or damaged."""
    try:
        value = header.get(keyword)
    except Exception:  # pydicom converts on access, and a damaged value can raise anything
        return ""
    if not isinstance(value, str) and isinstance(value, Iterable):
        value = next(iter(value), None)
    return "" if value is None else value


def _date(header: Dataset, keyword: str) -> date | None:
    """Return a date as DICOM writes it, YYYYMMDD (or with dots, as before 1993)."""
    digits = str(_plain(header, keyword)).strip().replace(".", "")
    try:
        parsed = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])) if len(digits) == 8 else None
    except ValueError:
        return None
    return parsed if parsed and 1895 <= parsed.year <= 2200 else None


def _age(header: Dataset, study_date: date | None) -> int | None:
    """Return completed years. An age that nobody reaches stands for one that is not known: 999Y."""
    stated = age_of(str(_plain(header, "PatientAge")))
    if stated is not None or not study_date or not (born := _date(header, "PatientBirthDate")):
        return stated
    return kept_age(study_date.year - born.year - ((study_date.month, study_date.day) < (born.month, born.day)))


def age_of(text: str) -> int | None:
    """Read an age as DICOM writes it (058Y, 006M) in completed years. None where it is not one that is reached."""
    stated = _AGE.fullmatch(text.strip().upper())
    return kept_age(int(stated[1]) // {"D": 365, "W": 52, "M": 12, "Y": 1}[stated[2]]) if stated else None


def kept_age(years: int) -> int | None:
    """Give an age as it may be kept; None for one that nobody reaches."""
    return min(years, OLDEST) if 0 <= years <= _OLDEST_EVER else None


def _code(header: Dataset, keyword: str) -> str:
    """Return the code of a sequence's first item; "" where there is none."""
    item = _plain(header, keyword)
    return str(_plain(item, "CodeValue")).strip() if hasattr(item, "get") else ""  # type: ignore[arg-type]


def _burned_in(header: Dataset) -> bool | None:
    answer = str(_plain(header, "BurnedInAnnotation")).strip().upper()
    if answer in {"YES", "NO"}:
        return answer == "YES"
    captured = str(_plain(header, "SOPClassUID")).startswith(_SECONDARY_CAPTURE)
    return True if captured or _plain(header, "ConversionType") else None
