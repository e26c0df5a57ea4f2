"""Draw synthetic chest films: three-dimensional anatomy, projected by attenuation, with findings that are known.

    phantom = sample(7)
    pixels = render(phantom, 384)
    write_dicom(phantom, path)

`write_dicom` lives in `filmroom.filmroom.indexer.phantom.dicom`, so that drawing does not import pydicom.
"""

from filmroom.indexer.phantom.rendering.render import render
from filmroom.indexer.phantom.sampling import sample, sample_body, sample_finding
from filmroom.indexer.phantom.spec import Body, Finding, Kind, Phantom, Place, Severity, Sex, Side, Technique, View
from filmroom.indexer.phantom.words import Described, describe, phrase, report

__all__ = [
    "Body",
    "Described",
    "Finding",
    "Kind",
    "Phantom",
    "Place",
    "Severity",
    "Sex",
    "Side",
    "Technique",
    "View",
    "describe",
    "phrase",
    "render",
    "report",
    "sample",
    "sample_body",
    "sample_finding",
]
