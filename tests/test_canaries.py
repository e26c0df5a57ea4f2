"""Canaries in every attribute that PS3.15 table E.1-1 names, and everywhere else a name can stand: none gets out."""

from __future__ import annotations

import base64
import io
import json
import os
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pydicom
import pytest
from filmroom.db.archive import Archive
from filmroom.db.reads import films as catalog_films
from filmroom.search.export import page_tables
from filmroom.search.export.copies import copy_films
from PIL import Image, PngImagePlugin
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from tests.indexer import dicom_files
from tests.terminal import Terminal

CANARY, PATH_CANARY, DAY, NUMBER, UID = "Zqcanary", "Zqpath", "19310704", "42424242", "1.2.999.424242"
VIEW = "ZQVIEW"  # no attribute of the table, but no place for free text either
TEXTS = frozenset({"LO", "SH", "PN", "ST", "LT", "UT", "UC", "CS", "AE", "UR"})
# What is kept of these is in docs/privacy.md: three UIDs, the class of the object, and closed sets of values.
KEPT = frozenset({"SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "MediaStorageSOPInstanceUID"})


def confidential() -> list[int]:
    """The tags of table E.1-1, as dicom-anonymizer lists them."""
    fields = pytest.importorskip("dicomanonymizer.dicom_anonymization_databases.dicomfields_2024b")
    lists = [value for name, value in vars(fields).items() if name.endswith("_TAGS")]
    # Overlays and curves are groups of tags: their first one stands for them.
    return sorted({int(Tag(one[0], one[1])) for tags in lists for one in tags if len(one) in (2, 4)})


def value_for(vr: str, number: int) -> object:
    if vr in TEXTS:
        return f"{CANARY}{number}"
    if vr == "SQ":
        item = Dataset()
        item.PatientName, item.CodeMeaning = f"{CANARY}{number}", f"{CANARY}{number}"
        return [item]
    known = {"DA": DAY, "DT": f"{DAY}131415", "TM": "131415.42", "UI": f"{UID}.{number}", "DS": NUMBER, "IS": NUMBER}
    known |= {"AS": "077Y"}
    return known.get(vr, CANARY.encode() * 2 if vr in ("OB", "UN") else None)


def planted() -> tuple[bytes, int]:
    """A film with a canary in each, in private elements, in its preamble, in the file meta group and behind its end."""
    film = pydicom.dcmread(io.BytesIO(dicom_files.dicom(dicom_files.ramp(64, 64))))
    count = 0
    for number, tag in enumerate(confidential()):
        try:
            vr = dictionary_VR(tag)
        except KeyError:
            continue
        value = value_for(vr, number)
        if value is None or tag >> 16 in (0, 2) or keyword_for_tag(tag) in KEPT or tag == 0x7FE00010:
            continue
        film[tag] = DataElement(tag, vr, value)
        count += 1
    block = film.private_block(0x0011, f"{CANARY} private", create=True)
    block.add_new(0x01, "LO", f"{CANARY} private text")
    block.add_new(0x02, "SQ", value_for("SQ", 0))
    film.PatientSex, film.ViewPosition = CANARY.upper(), VIEW
    item = Dataset()
    item.PatientName = CANARY
    film.ViewCodeSequence = [item]  # a sequence that stays
    film.preamble = (CANARY * 20).encode()[:128]
    film.file_meta.SourceApplicationEntityTitle = CANARY
    film.file_meta.PrivateInformationCreatorUID = UID
    film.file_meta.PrivateInformation = CANARY.encode() + b" "
    out = io.BytesIO()
    film.save_as(out)
    return out.getvalue() + b"\xfc\xff\xfc\xffOB\0\0\x08\0\0\0" + CANARY.encode(), count


def pictures(folder: Path) -> None:
    picture = Image.fromarray(dicom_files.ramp(64, 64, top=255).astype("uint8"))
    info = PngImagePlugin.PngInfo()
    for name in ("Author", "Comment", "XML:com.adobe.xmp"):
        info.add_text(name, f"{CANARY} {name}")
    picture.save(folder / "texts.png", pnginfo=info)
    exif = Image.Exif()
    exif[0x010E] = exif[0x013B] = exif[0x8298] = f"{CANARY} exif"
    picture.rotate(90).save(folder / "exif.jpg", exif=exif, comment=CANARY.encode())
    picture.rotate(180).save(folder / "tags.tiff", tiffinfo={270: CANARY, 315: CANARY, 33432: CANARY})


def spellings(secret: str) -> Iterator[bytes]:
    for text in (secret, secret.upper(), secret.lower()):
        yield text.encode()
        yield text.encode("utf-16-le")
        yield quote(text).encode()
        yield base64.b64encode(text.encode())[:-4]
        yield text.encode().hex().encode()


def holds(data: bytes, *secrets: str) -> list[str]:
    return [secret for secret in secrets if any(one in data for one in spellings(secret))]


def everything_in(*folders: Path) -> bytes:
    found = [path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return b"\n".join(found)


def pages(archive: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """All that the pages of the reading room hand to a browser."""
    import streamlit
    from filmroom.search.ui import layout

    from tests.pages import PAGES, opened

    monkeypatch.setattr("sys.argv", ["app.py", "--archive", str(archive)])
    layout.archive_folder.cache_clear()
    streamlit.cache_resource.clear()
    streamlit.cache_data.clear()

    sent: list[bytes] = []

    def gather(node: object) -> None:
        proto = getattr(node, "proto", None)
        if proto is not None:
            sent.append(proto.SerializeToString())
        for child in getattr(node, "children", {}).values():
            gather(child)

    for name in PAGES:
        page = opened(name)
        page.query_params["q"] = "effusion"
        page.query_params["film"] = "1"
        page.run()
        assert not page.exception
        gather(page._tree)
    assert len(sent) > 50
    return b"\n".join(sent)


@pytest.mark.slow
def test_no_canary_gets_out(
    terminal: Terminal, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "films" / f"{PATH_CANARY}^Anna"
    folder.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        film, count = planted()
    caplog.clear()  # pydicom tells of what is planted
    assert count > 500, "as good as the whole table"
    (folder / f"{PATH_CANARY}.dcm").write_bytes(film)
    (folder / "broken.dcm").write_bytes(film.replace(b"DX", b"CT"))
    (folder / "cut.dcm").write_bytes(film[: len(film) // 2])
    pictures(folder)
    good = folder / f"{PATH_CANARY}.dcm"
    said = ""
    for command in (
        ("index", tmp_path / "films", "--model", tiny),
        ("index", tmp_path / "films", "--model", tiny, "--retry", "--any-modality", "--json"),
        ("search", "effusion year:1931"),
        ("search", "effusion", "--json"),
        ("search", "--like", good),
        ("search", "--like", folder / "cut.dcm"),
        ("status",),
        ("rejected", "--json"),
        ("duplicates", "--json"),
        ("doctor",),
        ("backup", tmp_path / "backup"),
        ("models",),
    ):
        said += terminal(*command) + terminal.err
    assert f"{PATH_CANARY}.dcm" in said, "names of files are shown to their owner"
    with zipfile.ZipFile(tmp_path / "backup") as packed:
        backup = b"".join(packed.read(name) for name in packed.namelist())
    home = [Path(os.environ[name]) for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")]
    shown = pages(terminal.archive, monkeypatch)
    archive = Archive.open(terminal.archive)
    films = list(catalog_films.everyone(archive.catalog))
    assert len(films) == 4
    handed = page_tables.as_csv(archive, films) + page_tables.as_parquet(archive, films)
    copy_films(films, tmp_path / "copies", deidentify=True)
    copies = everything_in(tmp_path / "copies")
    kept = everything_in(terminal.archive, *home)
    places = {
        "archive": kept, "output": said.encode(), "log": caplog.text.encode(), "pages": shown, "exports": handed,
        "backup": backup, "table of copies": (tmp_path / "copies" / "films.csv").read_bytes(),
    }  # fmt: skip
    secrets = (CANARY, DAY, "1931-07-04", NUMBER, UID, VIEW, "131415")
    assert {name: found for name, data in places.items() if (found := holds(data, *secrets))} == {}
    assert holds(copies, CANARY, PATH_CANARY, DAY) == []
    assert holds(handed, PATH_CANARY) == []
    assert holds(everything_in(archive.vectors), PATH_CANARY) == []
    assert b"year" in handed
    assert json.loads(terminal("search", "effusion year:1931", "--json"))["total"] == 1, "the year is kept"
