"""A small archive of drawn films under a small model of random weights: enough for pages, fast to make."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.ui.room import CHROMIUM, FLAGS, LISTEN, OPEN, PATIENCE, Room, local, ours

SIDE, PATCH, DIM = 96, 16, 32
FILMS = 36
WORDS = ("effusion", "cardiomegaly", "pneumothorax", "edema", "mass", "left", "right", "small", "large", "no")


def tiny_model(folder: Path, *, name: str = "tiny", seed: int = 7) -> Path:
    """A model folder with ONNX graphs: patches projected at random, texts as sums of random word vectors."""
    import onnx
    from filmroom.indexer.models.model_folder import write_facts
    from filmroom.indexer.models.preprocess import Preprocess
    from onnx import TensorProto, helper, numpy_helper
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    grid = SIDE // PATCH

    def constant(name: str, value: NDArray[np.generic]) -> onnx.TensorProto:
        return numpy_helper.from_array(value, name)

    def save(file: str, nodes: list[onnx.NodeProto], given: tuple[str, int, list[object]], **rest: object) -> None:
        ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in rest["outputs"]]  # type: ignore[attr-defined]
        start = helper.make_tensor_value_info(*given)
        graph = helper.make_graph(nodes, file, [start], ends, rest["constants"])  # type: ignore[arg-type]
        opset = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), folder / file)

    filters = random.normal(size=(DIM, 1, PATCH, PATCH)).astype(np.float32) / PATCH
    save(
        "image.onnx",
        [
            helper.make_node("Conv", ["pixels", "filters"], ["maps"], strides=[PATCH, PATCH]),
            helper.make_node("Transpose", ["maps"], ["patches"], perm=[0, 2, 3, 1]),
            helper.make_node("ReduceMean", ["maps"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("LpNormalization", ["mean"], ["embedding"], axis=1, p=2),
        ],
        ("pixels", TensorProto.FLOAT, ["n", 1, SIDE, SIDE]),
        outputs=[("embedding", ["n", DIM]), ("patches", ["n", grid, grid, DIM])],
        constants=[constant("filters", filters)],
    )
    vocabulary = {"[PAD]": 0, "[UNK]": 1} | {word: at + 2 for at, word in enumerate(WORDS)}
    table = random.normal(size=(len(vocabulary), DIM)).astype(np.float32)
    table[0] = 0
    save(
        "text.onnx",
        [
            helper.make_node("Gather", ["table", "tokens"], ["words"]),
            helper.make_node("ReduceMean", ["words"], ["mean"], axes=[1], keepdims=0),
            helper.make_node("LpNormalization", ["mean"], ["embedding"], axis=1, p=2),
        ],
        ("tokens", TensorProto.INT64, ["n", "l"]),
        outputs=[("embedding", ["n", DIM])],
        constants=[constant("table", table)],
    )
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    write_facts(
        folder,
        name=name,
        preprocess=Preprocess(SIDE, (0.5,), (0.25,)),
        dim=DIM,
        licence="Apache-2.0",
        context_length=16,
        notes="Random weights, for tests.",
    )
    return folder


def drawn_film(number: int) -> NDArray[np.uint16]:
    """Two dark lungs and a bright heart on grey; odd films have a bright left base. (H, W) uint16."""
    random = np.random.default_rng(number)
    y, x = np.arange(400)[:, None] / 400, np.arange(340)[None] / 340
    film = 0.75 + 0.02 * random.normal(size=(400, 340))
    for middle in (0.3, 0.7):
        film -= 0.5 * np.exp(-(((x - middle) / 0.13) ** 4)) * np.exp(-(((y - 0.45) / 0.28) ** 4))
    film += 0.2 * np.exp(-(((x - 0.55) / (0.1 + 0.004 * number)) ** 2)) * np.exp(-(((y - 0.62) / 0.12) ** 2))
    if number % 2:
        film += 0.4 * np.exp(-(((x - 0.72) / 0.14) ** 2)) * np.exp(-(((y - 0.68) / 0.07) ** 2))
    return (np.clip(film, 0, 1) * 65535).astype(np.uint16)


def make_archive(place: Path) -> Path:
    """An archive of FILMS drawn films with labels and reports, and one file that cannot be read."""
    from filmroom.db.archive import Archive
    from filmroom.db.reads import films
    from filmroom.db.records import Filter, Label
    from filmroom.db.writes import annotations
    from filmroom.indexer import pipeline
    from filmroom.indexer.models import registry

    source = place / "films"
    source.mkdir(parents=True)
    for number in range(FILMS):
        Image.fromarray(drawn_film(number)).save(source / f"film-{number:03d}.png", compress_level=1)
    (source / "broken.dcm").write_text("not a film")
    registry.add_model(str(tiny_model(place / "tiny")))
    archive = Archive.create(place / "archive")
    pipeline.index(archive, [source], registry.load_towers("tiny"))
    found = films.films(archive.catalog, films.select_ids(archive.catalog, Filter()).tolist())
    odd = [film for film in found if int(film.path[5:8]) % 2]
    even = [film for film in found if film not in odd]
    annotations.put_labels(archive.catalog, [(film.id, Label("effusion")) for film in odd])
    annotations.put_labels(archive.catalog, [(film.id, Label("no finding")) for film in even])
    annotations.put_labels(archive.catalog, [(film.id, Label("<b>bold</b> [x](y)")) for film in odd[:1]])
    said = "Small left pleural effusion. <script>alert(1)</script>"
    reports = [annotations.Report(said, film_id=film.id) for film in odd]
    annotations.put_reports(archive.catalog, reports, source="test")
    return archive.folder


@contextmanager
def models_of(place: Path) -> Iterator[None]:
    """While it lasts, the models are those that were added for the archive in `place`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(place / "config"))
        yield


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reading-room")


@pytest.fixture(scope="session")
def archive_folder(place: Path) -> Path:
    with models_of(place):
        return make_archive(place)


@pytest.fixture(scope="module", autouse=True)
def _its_models(place: Path) -> Iterator[None]:
    with models_of(place):
        yield


@pytest.fixture
def numbered(archive_folder: Path) -> list[int]:
    """The ids of the films by the number in their name."""
    from filmroom.db.archive import Archive
    from filmroom.db.reads import films

    everyone = films.everyone(Archive.open(archive_folder).catalog)
    return [film.id for film in sorted(everyone, key=lambda film: film.path)]


@pytest.fixture(scope="session")
def room(place: Path, archive_folder: Path) -> Iterator[Room]:
    """The archive, served."""
    with models_of(place):
        served = Room(archive_folder)
    yield served
    served.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        playwright.expect.set_options(timeout=PATIENCE)
        found = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def visitor(browser: Any, room: Room) -> Iterator[Any]:
    """One visitor's browser. Streamlit's scripts are fetched once, and as one page stays open, whose process the
    others share, compiled once. Who asks for less motion sees nothing fade in, which is drawn sixty times a second."""
    look: dict[str, Any] = {"color_scheme": "dark", "reduced_motion": "reduce"}
    context = browser.new_context(viewport={"width": 1280, "height": 900}, **look)
    context.add_init_script(LISTEN)
    context.new_page().goto(f"{room.url}/_stcore/health")
    yield context
    context.close()


@pytest.fixture
def tab(visitor: Any) -> Iterator[Any]:
    """A page of its own session; it fails the test on a script's error, a request that fails or leaves the machine."""
    visitor.clear_cookies()
    visitor.add_cookies([cookie for one in OPEN for cookie in one.cookies])
    page = visitor.new_page()
    page.set_default_timeout(PATIENCE)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(f"{line.text} {line.location}") if ours(line) else None)
    page.on("dialog", lambda dialog: faults.append(f"dialog {dialog.message}"))
    page.on("request", lambda asked: None if local(asked.url) else faults.append(f"left the machine: {asked.url}"))
    yield page
    page.close()
    assert not faults


if __name__ == "__main__":  # an archive by hand: python tests/ui/conftest.py FOLDER
    import sys

    print(json.dumps({"archive": str(make_archive(Path(sys.argv[1])))}))
