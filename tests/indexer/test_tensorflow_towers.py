"""ELIXR and REMEDIS against SavedModels of their signatures: exact calls, one vector set a film, bad folders."""

from __future__ import annotations

import io
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filmroom.db.errors import FilmroomError, MissingExtra, ModelUnavailable
from filmroom.db.records import Tags
from filmroom.indexer.child_processes import context
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models import registry
from filmroom.indexer.models.preprocess import Preprocess, Resize
from filmroom.indexer.models.tensorflow import confined, elixr_text, saved_model
from filmroom.indexer.models.tensorflow.elixr import AsPng, ElixrTowers
from filmroom.indexer.models.tensorflow.remedis import Encoder, SavedModelTowers
from PIL import Image

from tests.indexer.saved_models import (
    elixr_folder,
    reaching_folder,
    remedis_folder,
    tensorflow,
    vocabulary,
    writing_folder,
)

pytestmark = pytest.mark.slow  # TensorFlow takes a quarter of a minute to import


@pytest.fixture(scope="module")
def elixr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return elixr_folder(tmp_path_factory.mktemp("cxr-foundation"))


@pytest.fixture(scope="module")
def remedis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return remedis_folder(tmp_path_factory.mktemp("cxr-50x1-remedis-m"))


def _end_fork_server() -> None:
    """Kill it: asked to stop, it would take TensorFlow down in order, which takes seconds and may never end."""
    server: Any = forkserver._forkserver  # type: ignore[attr-defined]
    if server._forkserver_pid is not None:
        os.kill(server._forkserver_pid, signal.SIGKILL)
    server._stop()


@pytest.fixture(scope="module")
def _server_of_tensorflow() -> Iterator[None]:
    """A fork server that has TensorFlow, in the place of the one of the decoders."""
    tensorflow()
    _end_fork_server()
    yield
    _end_fork_server()


@pytest.fixture
def forked(_server_of_tensorflow: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models' processes come from a server that has imported TensorFlow, which takes a spawned one seconds. They are
    confined like those, which the tests of both models' vectors start."""
    monkeypatch.setattr(confined, "context", lambda method: context("forkserver", preload=["tensorflow"]))


def _film(height: int = 60, width: int = 40, seed: int = 0) -> Radiograph:
    return Radiograph(np.random.default_rng(seed).random((height, width), dtype=np.float32), Tags())


def test_a_film_goes_through_both_models_as_their_notebook_has_it(elixr: Path) -> None:
    tf = tensorflow()
    towers = registry.load_towers(str(elixr))
    assert (towers.space.dim, towers.space.vectors, towers.space.has_text) == (128, 32, True)
    film = _film()
    example = tf.train.Example()
    example.features.feature["image/encoded"].bytes_list.value.append(AsPng().shrink(film.pixels).tobytes())
    example.features.feature["image/format"].bytes_list.value.append(b"png")
    image = tf.saved_model.load(str(elixr / "elixr-c-v2-pooled")).signatures["serving_default"]
    joined = tf.saved_model.load(str(elixr / "pax-elixr-b-text")).signatures["serving_default"]
    maps = image(input_example=tf.constant([example.SerializeToString()]))["feature_maps_0"]
    zeros = np.zeros((1, 1, 128))
    wanted = joined(image_feature=maps, ids=tf.constant(zeros, tf.int32), paddings=tf.constant(zeros, tf.float32))[
        "all_contrastive_img_emb"
    ].numpy()[0]
    found = towers.embed_images([film])
    assert found.shape == (1, 32, 128)
    np.testing.assert_allclose(found[0], wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-5)


def test_a_text_is_lower_cased_cut_and_its_end_is_padding(elixr: Path, forked: None) -> None:
    tokenizer = elixr_text.read_vocabulary(elixr / "vocab.txt")
    ids, paddings = elixr_text.encode(tokenizer, ["Pleural EFFUSIONS.", "no edema " * 200])
    assert ids.shape == paddings.shape == (2, 1, 128)
    assert (ids.dtype, paddings.dtype) == (np.int32, np.float32)
    words = [vocabulary()[at] for at in ids[0, 0, :6]]
    assert words == ["[CLS]", "pleural", "effusion", "##s", ".", "[PAD]"]
    assert paddings[0, 0].tolist() == [0.0] * 5 + [1.0] * 123
    assert 102 not in ids
    assert paddings[1, 0].tolist() == [0.0] * 127 + [1.0]
    towers = ElixrTowers(elixr)
    said = towers.embed_texts(["Pleural EFFUSION", "pleural effusion", "edema"])
    assert said.shape == (3, 128)
    np.testing.assert_array_equal(said[0], said[1])
    assert float(said[0] @ said[2]) < 0.99


def test_eight_and_sixteen_bit_files_of_one_picture_give_one_embedding(
    elixr: Path, tmp_path: Path, forked: None
) -> None:
    from filmroom.indexer.decoding.workers import process_file

    eight = np.random.default_rng(1).integers(0, 256, (50, 70), np.uint8)
    eight[0, :2] = 0, 255
    Image.fromarray(eight).save(tmp_path / "eight.png")
    Image.fromarray(eight.astype(np.uint16) * 257).save(tmp_path / "sixteen.png")
    towers = ElixrTowers(elixr)
    png = [
        process_file(tmp_path / name, prepare=towers.preprocess.shrink).films[0].prepared
        for name in ("eight.png", "sixteen.png")
    ]
    sent = Image.open(io.BytesIO(png[0].tobytes()))
    assert (sent.size, sent.mode) == ((70, 50), "I;16")
    found = [towers.embed_prepared(towers.preprocess.batch([one])) for one in png]
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_the_darkest_pixel_becomes_black_and_the_brightest_white() -> None:
    film = np.linspace(0.2, 0.6, 12, dtype=np.float32).reshape(3, 4)
    for pixels, ends in ((film, (0, 65535)), (np.full((3, 4), 0.5, np.float32), (0, 0))):
        grey = np.asarray(Image.open(io.BytesIO(AsPng().shrink(pixels).tobytes())))
        assert (int(grey.min()), int(grey.max())) == ends


def test_several_films_run_in_several_processes_and_come_back_in_order(elixr: Path, forked: None) -> None:
    towers = ElixrTowers(elixr)
    films = [_film(seed=seed, height=30 + seed) for seed in range(5)]
    alone = np.concatenate([towers.embed_images([film]) for film in films[:2]])
    batch = towers.preprocess.batch([towers.preprocess.shrink(film.pixels) for film in films])
    together = towers.embed_prepared([*batch, b"no picture"])
    np.testing.assert_allclose(together[:2], alone, atol=1e-5)
    assert np.isfinite(together[:5]).all()
    assert np.isnan(together[5]).all(), "a film that the model cannot read is told apart"
    assert towers._several.count >= 2


def test_remedis_takes_448_pixels_in_zero_to_one_and_reads_no_words(remedis: Path) -> None:
    tf = tensorflow()
    towers = registry.load_towers(str(remedis))
    assert isinstance(towers, SavedModelTowers)
    assert (towers.space.dim, towers.space.has_text) == (2048, False)
    assert (towers.preprocess.size, towers.preprocess.channels) == (448, 3)
    film = _film()
    pixels = towers.preprocess.apply(film.pixels)
    assert (float(pixels.min()), pixels.shape) == (0.0, (3, 448, 448))
    assert pixels.max() <= 1.0
    wanted = tf.saved_model.load(str(remedis))(tf.constant(pixels.transpose(1, 2, 0)[None])).numpy()[0]
    np.testing.assert_allclose(towers.embed_images([film])[0, 0], wanted / np.linalg.norm(wanted), atol=1e-5)
    with pytest.raises(ModelUnavailable, match="has no text tower"):
        towers.embed_texts(["effusion"])


@pytest.mark.parametrize("side", [448, 64])
def test_medsiglips_resize_is_tensorflows(side: int) -> None:
    tf = tensorflow()
    film = _film(97, 131, seed=3).pixels
    square = np.zeros((131, 131, 1), np.float32)
    square[17:114, :, 0] = film  # zeros above and below, as its makers' server pads
    wanted = tf.image.resize(square, [side, side], method="bilinear", antialias=False).numpy()[..., 0]
    found = Preprocess(side, (0.5,) * 3, (0.5,) * 3, Resize.SAMPLED).apply(film)
    np.testing.assert_allclose(found, np.broadcast_to((wanted - 0.5) / 0.5, (3, side, side)), atol=1e-4)


def test_a_model_without_a_signature_is_called_itself(tmp_path: Path, forked: None) -> None:
    tf = tensorflow()

    class Encoder(tf.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.mix = tf.Variable([1.0, 2.0, 3.0])

        @tf.function(input_signature=[tf.TensorSpec([None, 64, 64, 3], tf.float32)])
        def __call__(self, inputs: Any) -> Any:
            return tf.reduce_mean(inputs, axis=[1, 2]) * self.mix

    # Without signatures given, TensorFlow makes one of a lone call: an older model may have none.
    tf.saved_model.save(Encoder(), str(tmp_path / "model"), signatures={})
    towers = SavedModelTowers(tmp_path / "model", name="own")
    assert (towers.space.dim, towers.preprocess.size) == (3, 64)


def _without(name: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return spoil


ELIXR_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no Q-former": (_without("pax-elixr-b-text"), "pax-elixr-b-text is missing"),
    "no vocabulary": (_without("vocab.txt"), r"text vocabulary is missing \(vocab.txt\)"),
    "no variables": (_without("elixr-c-v2-pooled/variables/variables.index"), "variables/variables.index is missing"),
    "another vocabulary": (
        lambda folder: (folder / "vocab.txt").write_text("a\nb\n"),
        "this is not the vocabulary of BERT uncased",
    ),
    "a torn graph": (
        lambda folder: (folder / "elixr-c-v2-pooled" / "saved_model.pb").write_bytes(b"\xff" * 50),
        "damaged or no SavedModel",
    ),
    "the models changed places": (
        lambda folder: (
            (folder / "elixr-c-v2-pooled").rename(folder / "aside"),
            (folder / "pax-elixr-b-text").rename(folder / "elixr-c-v2-pooled"),
            (folder / "aside").rename(folder / "pax-elixr-b-text"),
        ),
        "its signature has no input input_example",
    ),
}


@pytest.mark.parametrize("kind", ELIXR_FAULTS)
def test_a_bad_elixr_folder_is_one_clear_line_and_is_not_added(
    kind: str, elixr: Path, forked: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    spoil, wanted = ELIXR_FAULTS[kind]
    folder = Path(shutil.copytree(elixr, tmp_path / "model"))
    spoil(folder)
    with pytest.raises(FilmroomError, match=wanted) as fault:
        registry.add_model(str(folder), name="elixr")
    assert "\n" not in str(fault.value)
    assert registry.describe("elixr").load.startswith("hf-hub:"), "not added"


def test_vectors_of_another_size_are_refused(forked: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = elixr_folder(tmp_path / "model", dim=64)
    with pytest.raises(ModelUnavailable, match=r"all_contrastive_img_emb has the shape \(1, 32, 64\), not \(32, 128\)"):
        registry.add_model(str(folder))


def test_an_encoder_of_another_input_is_refused(tmp_path: Path, elixr: Path, forked: None) -> None:
    with pytest.raises(ModelUnavailable, match="this SavedModel is no image encoder: it takes"):
        SavedModelTowers(elixr / "elixr-c-v2-pooled", name="x")
    with pytest.raises(ModelUnavailable, match="this SavedModel is no image encoder: it has 3 inputs"):
        Encoder(elixr / "pax-elixr-b-text")


def test_a_program_that_reads_files_is_not_loaded(tmp_path: Path, forked: None) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    folder = reaching_folder(tmp_path / "model", secret)
    with pytest.raises(ModelUnavailable, match=r"operations that a model may not use \(ReadFile\)"):
        SavedModelTowers(folder, name="x")


@pytest.mark.parametrize("kind", ["PrintV2", "SaveV2", "WriteFile", "DebugIdentityV2", "in a branch"])
def test_a_program_that_writes_files_is_not_loaded(tmp_path: Path, kind: str) -> None:
    """As the process of a model loads it: each would import TensorFlow for seconds."""
    folder = writing_folder(tmp_path / "model", tmp_path / "target", kind)
    wanted = "WriteFile" if kind == "in a branch" else kind
    with pytest.raises(ModelUnavailable, match=rf"operations that a model may not use \(.*{wanted}"):
        Encoder(folder)
    assert {path.name for path in tmp_path.iterdir()} == {"model"}


def test_without_tensorflow_it_names_the_extra(
    elixr: Path, remedis: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_model, "find_spec", lambda name: None)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for folder in (elixr, remedis):
        with pytest.raises(MissingExtra, match=r"pip install 'filmroom\[elixr\]'"):
            registry.add_model(str(folder))
