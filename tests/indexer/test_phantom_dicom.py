"""Phantoms as DICOM files: what was written is read back, is shown as drawn, and says that it is synthetic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from filmroom.indexer.decoding.decode import decode
from filmroom.indexer.phantom import Body, Finding, Kind, Phantom, Place, Severity, Side, Technique, View, render
from filmroom.indexer.phantom.dicom import Identity, Syntax, Voi, write_dicom
from pydicom import dcmread

SIZE = 160
PHANTOM = Phantom(
    9, Body(9), View.PA, Technique(field_width=330, field_height=400, shift_y=20),
    (Finding(Kind.EFFUSION, Side.LEFT, Severity.MODERATE, Place.BASAL),),
)  # fmt: skip


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    return render(PHANTOM, SIZE)


@pytest.mark.parametrize("syntax", list(Syntax))
@pytest.mark.parametrize("monochrome1", [False, True])
def test_every_transfer_syntax_reads_back(tmp_path: Path, drawn: np.ndarray, syntax: Syntax, monochrome1: bool) -> None:
    path = tmp_path / "a" / "film.dcm"
    stored = write_dicom(PHANTOM, path, transfer_syntax=syntax, monochrome1=monochrome1, size=SIZE)
    data = dcmread(path)
    assert data.file_meta.TransferSyntaxUID == syntax.value
    assert np.array_equal(data.pixel_array, stored)
    assert data.PhotometricInterpretation == ("MONOCHROME1" if monochrome1 else "MONOCHROME2")
    assert (data.Rows, data.Columns) == drawn.shape
    shown = decode(path)[0]
    assert np.abs(shown.pixels - drawn).max() < 2e-3
    assert (shown.tags.view, shown.tags.sex, shown.tags.age) == ("PA", "M", 50)


@pytest.mark.parametrize("voi", list(Voi))
@pytest.mark.parametrize("monochrome1", [False, True])
@pytest.mark.parametrize("bits", [12, 16])
def test_it_is_shown_as_it_was_drawn(tmp_path: Path, drawn: np.ndarray, voi: Voi, monochrome1: bool, bits: int) -> None:
    path = tmp_path / "film.dcm"
    write_dicom(PHANTOM, path, voi=voi, monochrome1=monochrome1, bits=bits, size=SIZE)
    shown = decode(path)[0].pixels
    if voi is Voi.NONE:
        # Nothing says what is black and what is white: the viewer stretches as it sees fit.
        assert np.corrcoef(shown.ravel(), drawn.ravel())[0, 1] > 0.99
        return
    # The square-root table is steep in the black.
    error = np.abs(shown - drawn)
    assert error[drawn > 0.1].max() < 4e-3
    assert error.max() < 3e-2


def test_it_says_that_it_is_synthetic_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    write_dicom(PHANTOM, path, size=SIZE, identity=Identity(patient=12, study=3, age=71, date="20190412"))
    data = dcmread(path)
    assert data.PatientName == "SYNTHETIC^PHANTOM 012"
    for text in (data.SeriesDescription, data.ImageComments, data.StudyDescription, data.PatientComments):
        assert "SYNTHETIC PHANTOM" in text
    assert "not a patient" in data.SeriesDescription
    assert "not a patient" in data.ImageComments
    assert len(data.SeriesDescription) <= 64
    assert "moderate left pleural effusion" in data.ImageComments
    assert data.PatientIdentityRemoved == "YES"
    assert (data.PatientAge, data.StudyDate) == ("071Y", "20190412")


def test_identities_keep_studies_together_and_films_apart(tmp_path: Path) -> None:
    def uids(name: str, view: View, identity: Identity) -> tuple[str, str]:
        path = tmp_path / name
        write_dicom(Phantom(1, Body(1), view), path, size=96, identity=identity)
        data = dcmread(path, stop_before_pixels=True)
        return data.StudyInstanceUID, data.SOPInstanceUID

    frontal = uids("1.dcm", View.PA, Identity(1, 1, 1))
    again = uids("2.dcm", View.PA, Identity(1, 1, 1))
    lateral = uids("3.dcm", View.LATERAL, Identity(1, 1, 2))
    later = uids("4.dcm", View.PA, Identity(1, 2, 1))
    assert frontal == again
    assert lateral[0] == frontal[0]
    assert lateral[1] != frontal[1]
    assert later[0] != frontal[0]
