"""Words in the pixels: flagged for a person to look at, found by a filter, and never taken for anatomy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from filmroom.indexer.decoding.burned_in_text import looks_written
from filmroom.indexer.phantom import Kind, View, render, sample
from PIL import Image, ImageDraw, ImageFont

from tests.indexer import dicom_files
from tests.terminal import Terminal


def written(film: np.ndarray, words: str, *, height: int, ink: float = 1.0) -> np.ndarray:
    """The film with words in its dark upper left corner."""
    picture = Image.fromarray(film)
    ImageDraw.Draw(picture).text((8, 8), words, fill=ink, font=ImageFont.load_default(height))
    return np.asarray(picture)


def dark(side: int) -> np.ndarray:
    """A film's darkest part: what the beam hit without a patient, with its noise."""
    return np.random.default_rng(side).normal(0.08, 0.02, (side, side)).astype(np.float32).clip(0, 1)


@pytest.mark.parametrize("side", [400, 1000, 2400])
@pytest.mark.parametrize("share", [0.02, 0.04, 0.08])
@pytest.mark.parametrize("ink", [1.0, 0.6])
def test_a_name_is_noticed_at_any_size(side: int, share: float, ink: float) -> None:
    film = dark(side)
    assert not looks_written(film)
    assert looks_written(written(film, "DOE^JANE 1961-04-03", height=round(side * share), ink=ink))


def test_ink_on_paper_and_words_on_their_side() -> None:
    paper = written(np.full((600, 600), 0.95, np.float32), "PATIENT 4711 AP", height=20, ink=0.0)
    assert looks_written(paper)


def test_a_side_marker_an_arrow_and_an_edge_are_no_text() -> None:
    film = dark(800)
    film[:, 500:] = 1.0  # a collimator's edge
    film[100:140, 100:180] = 0.9
    assert not looks_written(film)
    assert not looks_written(written(dark(800), "L", height=60))


@pytest.mark.parametrize("shape", [(1, 1), (3, 9000), (64, 64), (63, 63), (70, 65), (5000, 10)])
def test_any_shape(shape: tuple[int, int]) -> None:
    assert not looks_written(np.zeros(shape, np.float32))


def test_phantoms_without_words_are_not_flagged() -> None:
    films = [one for one in map(sample, range(20)) if one.view in (View.PA, View.AP) and not one.of(Kind.PACEMAKER)]
    assert len(films) > 5
    assert [one.seed for one in films if looks_written(render(one, 512))] == []


def test_flagged_films_are_found_by_a_filter_and_counted(terminal: Terminal, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    shown = {"plain": dark(500), "written": written(dark(501), "DOE^JANE 1961-04-03", height=20)}
    for name, pixels in shown.items():
        data = dicom_files.dicom((pixels * 4095).astype(np.uint16), WindowCenter=2048, WindowWidth=4096)
        (tmp_path / "films" / f"{name}.dcm").write_bytes(data.replace(b"1.2.3.4.5", b"1.2.3.4." + name[:1].encode()))
    said = {"said": "YES", "denied": "NO"}
    for name, value in said.items():
        data = dicom_files.dicom(dicom_files.ramp(), BurnedInAnnotation=value, SOPInstanceUID=f"1.2.7.{len(name)}")
        (tmp_path / "films" / f"{name}.dcm").write_bytes(data)
    terminal("index", tmp_path / "films", "--model", tiny)
    wanted = {"has:burned-in": {"said.dcm", "written.dcm"}, "edema -has:burned-in": {"plain.dcm", "denied.dcm"}}
    for query, names in wanted.items():
        found = terminal.json("search", query)
        assert isinstance(found, dict)
        assert {hit["path"] for hit in found["hits"]} == names
    assert "Perhaps with words burned into their pixels: 2 films." in terminal("status")
