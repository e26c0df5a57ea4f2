"""What every test may ask for: a tiny model, folders of films, archives, and the real films where they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from tests import postgres
from tests.terminal import Terminal
from tests.tiny_model import make_model

settings.register_profile("fuzz", max_examples=5000, deadline=None)  # make fuzz


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first: files that drive a browser, and in them what does, then those with slow tests.
    Among several workers, each of which takes whole files, what is short fills the end."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)
    ranks: dict[Path, int] = {}
    for item in items:
        marked = [item.get_closest_marker(name) is not None for name in ("browser", "slow")]
        rank = marked.index(True) if any(marked) else len(marked)
        ranks[item.path] = min(rank, ranks.get(item.path, rank))
    items.sort(key=lambda item: ranks[item.path])


@pytest.fixture(autouse=True, scope="session")
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing of the user's settings, models or archives is read or written by a test."""
    home = tmp_path_factory.mktemp("home")
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        os.environ[name] = str(home / name.lower())
    os.environ.pop("FILMROOM_ARCHIVE", None)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that loads in milliseconds."""
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


def write_film(path: Path, seed: int, *, side: int = 96) -> Path:
    """A smooth random picture, another for every seed, as a 16-bit PNG."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.random((6, 6), dtype=np.float32))
    pixels = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels * 65535, 0, 65535).astype(np.uint16)).save(path, "PNG")
    return path


@pytest.fixture
def films(tmp_path: Path) -> Callable[..., Path]:
    """films(n): a folder of n different pictures."""

    def make(count: int, folder: str = "films") -> Path:
        for number in range(count):
            write_film(tmp_path / folder / f"film-{number:03}.png", number)
        return tmp_path / folder

    return make


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real test films (cxr-real inside), where there is one."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    found = Path(os.environ.get("FILMROOM_TEST_DATA", beside))
    if not (found / "cxr-real" / "images" / "dev").is_dir():
        pytest.skip(f"no real films at {found}: set FILMROOM_TEST_DATA to the folder that holds cxr-real")
    return found


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a PostgreSQL server."""
    with postgres.running() as address:
        yield address


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def either(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each test twice: archives are SQLite's, then a server's. Says which."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "PostgreSQL":
            postgres.take_the_place(request.getfixturevalue("server"), patch)
        yield request.param


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(tmp_path / "archive", monkeypatch, capfd)
