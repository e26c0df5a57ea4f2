from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.reads import spaces
from filmroom.db.records import Space
from filmroom.db.writes import ingest
from filmroom.db.writes.imported_vectors import put_vectors
from filmroom.indexer.models.model_folder import read_facts
from numpy.typing import NDArray

from tests.measure_helpers import as_json, said
from tests.search.export.conftest import House
from tests.terminal import Terminal
from tests.tiny_model import make_model

Films = Callable[..., Path]
FORMATS = ("npz", "parquet", "safetensors")
SHAPES = {"plain": (1, 16), "elixr": (32, 128), "elixr-general": (32, 768), "pooled": (1, 1376), "maps": (64, 1376)}


@pytest.fixture(scope="module")
def shaped(house: House) -> dict[str, NDArray[np.float32]]:
    """Vectors of several shapes in the archive, by model: (films, T, D) in the order of the films' ids."""
    found = {}
    ids = sorted(film.id for film in house.films.values())
    for model, (count, dim) in SHAPES.items():
        vectors = np.random.default_rng(dim).normal(size=(len(ids), count, dim)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
        space = ingest.ensure_space(house.archive.catalog, Space(model, f"test {model}", dim, count, has_text=False))
        put_vectors(house.archive.catalog, space, dict(zip(ids, vectors, strict=True)))
        found[model] = vectors
    return found


def stored(house: House, model: str, *, imported: bool) -> NDArray[np.float32]:
    held = next(
        one
        for one in spaces.spaces(house.archive.catalog)
        if one.space.model == model and one.space.fingerprint.startswith("imported:") == imported
    )
    ids = sorted(film.id for film in house.films.values())
    vectors = spaces.vectors_of(house.archive.catalog, held, ids)
    return np.stack([vectors[one] for one in ids])


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("model", SHAPES)
def test_vectors_come_back_as_they_left(
    model: str, kind: str, shell: Terminal, house: House, shaped: dict[str, NDArray[np.float32]], tmp_path: Path
) -> None:
    path = tmp_path / f"v.{kind}"
    done = as_json(shell, "export", "vectors", "--all", "--to", path, "--model", model)
    assert done["films"] == 24
    assert done["sha256"]
    more = ["--model", f"{model}-{kind}"] if model != "elixr" else []
    back = as_json(shell, "import-vectors", path, *more)
    assert (back["films"], back["missing"], (back["vectors"], back["dim"])) == (24, [], SHAPES[model])
    assert np.allclose(stored(house, back["model"], imported=True), shaped[model], atol=1e-3)


def test_numpy_reads_the_arrays(
    shell: Terminal, house: House, shaped: dict[str, NDArray[np.float32]], tmp_path: Path
) -> None:
    for model in ("plain", "elixr"):
        shell("export", "vectors", "--all", "--to", tmp_path / f"{model}.npz", "--model", model)
        with np.load(tmp_path / f"{model}.npz", allow_pickle=False) as held:
            wanted = shaped[model][:, 0] if model == "plain" else shaped[model]
            assert held["vectors"].dtype == np.float16
            assert np.array_equal(held["vectors"], wanted.astype(np.float16))
            assert held["ids"].tolist() == sorted(film.id for film in house.films.values())
            names = dict(zip(held["ids"].tolist(), held["names"].tolist(), strict=True))
            assert str(held["model"]) == model
    assert names[house.films["p1-0.dcm"].id] == "uid:1.2.826.0.7.1.0#0"
    assert names[house.films["=picture,0.png"].id].startswith("sha256:")
    assert not any("picture" in name for name in names.values())


def test_safetensors_and_parquet_are_read_by_their_libraries(
    shell: Terminal, shaped: dict[str, NDArray[np.float32]], tmp_path: Path
) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    parquet = pytest.importorskip("pyarrow.parquet")
    shell("export", "vectors", "--all", "--to", tmp_path / "v.safetensors", "--model", "elixr")
    tensors = numpy.load_file(tmp_path / "v.safetensors")
    assert np.array_equal(tensors["vectors"], shaped["elixr"].astype(np.float16))
    assert bytes(tensors["names"][0]).rstrip(b"\0").startswith((b"uid:", b"sha256:"))
    shell("export", "vectors", "--all", "--to", tmp_path / "v.parquet", "--model", "plain")
    table = parquet.read_table(tmp_path / "v.parquet")
    assert table.schema.metadata[b"model"] == b"plain"
    assert np.allclose(np.stack(table["vector"].to_pylist()), shaped["plain"][:, 0], atol=1e-3)


def test_vectors_of_one_archive_fill_another(
    shell: Terminal, house: House, films: Films, tiny: Path, tmp_path: Path
) -> None:
    """Films are known by their identity, whatever they are called there."""
    shell("export", "vectors", "path:picture", "--to", tmp_path / "v.npz", "--model", "tiny")
    folder = films(6, "renamed")
    shell.archive = tmp_path / "other"
    shell("index", folder, "--model", tiny)
    back = as_json(shell, "import-vectors", tmp_path / "v.npz", "--model", "theirs")
    assert (back["films"], back["missing"]) == (4, [])
    found = as_json(shell, "search", "--like", 1, "--model", "theirs")
    assert found["total"] == 3


def test_films_without_a_vector_are_said(shell: Terminal, house: House, tmp_path: Path) -> None:
    space = ingest.ensure_space(house.archive.catalog, Space("few", "test few", 8, 1, has_text=False))
    some = house.films["p0-0.dcm"].id
    put_vectors(house.archive.catalog, space, {some: np.ones((1, 8), np.float32) / np.sqrt(8)})
    done = as_json(shell, "export", "vectors", "--all", "--to", tmp_path / "v.npz", "--model", "few")
    assert (done["films"], done["failed"]) == (1, 23)
    assert np.load(tmp_path / "v.npz")["vectors"].shape == (1, 8)


def test_vectors_of_another_shape_need_another_name(shell: Terminal, house: House, tmp_path: Path) -> None:
    name = "sha256:" + "0" * 64
    np.savez(tmp_path / "a.npz", names=np.array(["uid:1.2.826.0.7.1.0#0", name]), vectors=np.ones((2, 8)))
    np.savez(tmp_path / "b.npz", names=np.array(["uid:1.2.826.0.7.1.0#0"]), vectors=np.ones((1, 9)))
    assert as_json(shell, "import-vectors", tmp_path / "a.npz", "--model", "mine")["missing"] == [name]
    assert "Give these another name" in said(shell, "import-vectors", tmp_path / "b.npz", "--model", "mine")
    assert "does not say which model" in said(shell, "import-vectors", tmp_path / "b.npz")


@pytest.mark.parametrize("kind", FORMATS)
def test_a_cut_file_is_one_line(kind: str, shell: Terminal, house: House, tmp_path: Path) -> None:
    path = tmp_path / f"v.{kind}"
    shell("export", "vectors", "--all", "--to", path, "--model", "tiny")
    path.write_bytes(path.read_bytes()[:-90])
    assert "damaged" in said(shell, "import-vectors", path, "--model", "cut")


def test_of_a_model_with_other_weights_since_those_vectors_are_exported_by_which_it_searches(
    terminal: Terminal, films: Films, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "reweighed", name="reweighed")
    older = read_facts(model).fingerprint
    folder = films(3)
    terminal("index", folder, "--model", model)
    make_model(model, name="reweighed", seed=1)
    terminal("index", folder / "film-000.png", "--model", model)
    assert terminal.code == 0, terminal.err
    done = as_json(terminal, "export", "vectors", "--all", "--to", tmp_path / "out.npz", "--model", model)
    assert (done["films"], done["failed"]) == (1, 2)
    catalog = Archive.open(terminal.archive).catalog
    (newer,) = [space for space in spaces.spaces(catalog) if space.space.fingerprint != older]
    (stored_vector,) = spaces.vectors_of(catalog, newer, [1, 2, 3]).values()
    assert np.array_equal(np.load(tmp_path / "out.npz")["vectors"], stored_vector)
