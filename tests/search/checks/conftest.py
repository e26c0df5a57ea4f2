"""An archive of pictures with structure, some of them copies of others that were changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.terminal import Terminal

SIDE = 320


def picture(seed: int) -> Image.Image:
    """Draw a picture with coarse and fine structure, another for every seed."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((SIDE, SIDE), np.float32)
    for cells, weight in ((8, 1.0), (40, 0.7), (110, 0.5)):
        grid = Image.fromarray(rng.random((cells, cells), dtype=np.float32))
        pixels += weight * np.asarray(grid.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    pixels -= pixels.min()
    return Image.fromarray((255 * pixels / pixels.max()).astype(np.uint8))


def changed(whole: Image.Image) -> dict[str, Image.Image]:
    """Change a picture as pictures change on their way: it remains the same film."""
    marked = whole.copy()
    ImageDraw.Draw(marked).text((15, 15), "PORTABLE L", fill=255, font_size=28)
    grey = np.asarray(whole, np.float32)
    windowed = np.clip((grey - 60) * 1.6, 0, 255).astype(np.uint8)
    return {
        "resized": whole.resize((200, 200), Image.Resampling.BICUBIC),
        "windowed": Image.fromarray(windowed),
        "cropped": whole.crop((14, 0, SIDE, SIDE - 14)),
        "marked": marked,
        "inverted": Image.fromarray(255 - np.asarray(whole)),
    }


@pytest.fixture
def leaky(terminal: Terminal, tiny: Path, tmp_path: Path) -> Terminal:
    """Index twelve films, half of them to train on; one to test on is there five times more, changed, to train on."""
    folder = tmp_path / "films"
    folder.mkdir()
    rows = ["film,patient,split,sex"]
    labels = ["film,label,value"]
    for seed in range(12):
        picture(seed).save(folder / f"film-{seed:02}.png")
        rows.append(
            f"film-{seed:02}.png,p{seed if seed != 7 else 2},{'test' if seed < 6 else 'train'},{'FM'[seed % 2]}"
        )
        labels.append(f"film-{seed:02}.png,edema,{int(seed < 6)}")
    for name, one in changed(picture(0)).items():
        one.save(folder / f"{name}.png")
        rows.append(f"{name}.png,q-{name},train,F")
    (tmp_path / "facts.csv").write_text("\n".join(rows))
    terminal("index", folder, "--model", tiny, "--workers", 1)
    assert terminal.code == 0, terminal.err
    terminal("facts", tmp_path / "facts.csv")
    assert terminal.code == 0, terminal.err
    (tmp_path / "labels.csv").write_text("\n".join(labels))
    terminal("label", tmp_path / "labels.csv")
    assert terminal.code == 0, terminal.err
    return terminal
