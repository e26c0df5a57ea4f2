"""Any open_clip model: the right vectors, exported once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filmroom.db.errors import ModelUnavailable
from filmroom.db.records import Tags
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models import registry
from filmroom.indexer.models.exported import onnx, onnx_export
from filmroom.indexer.models.exported.onnx import OnnxTowers
from filmroom.indexer.models.exported.onnx_export import ClipModelTowers
from filmroom.indexer.models.model_folder import read_facts
from PIL import Image

from tests.indexer.clip_folders import MEAN, STD, VIT, bert_folder, random_weights, vit_folder

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
TEXTS = ["small LEFT pleural effusion", "No acute disease; heart size 12.5 cm (normal).", "", "tube's tip " * 80]


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = os.environ["XDG_CACHE_HOME"]
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vit_folder(tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert_folder(tmp_path_factory.mktemp("bert"))


def films(count: int) -> list[Radiograph]:
    rng = np.random.default_rng(5)
    return [Radiograph(rng.random((60, 45), dtype=np.float32), Tags()) for _ in range(count)]


def reference(folder: Path, pictures: list[Radiograph], texts: list[str], tokenizer: Any) -> tuple[Any, Any]:
    """open_clip by itself: its own loading, and a preprocessing written out a second time (8-bit RGB, padded)."""
    import open_clip
    import torch

    model = open_clip.create_model(f"local-dir:{folder}", pretrained_text=False).eval()
    batch = []
    for film in pictures:
        square = np.zeros((60, 60), np.float32)
        square[:, 7:52] = film.pixels
        small = Image.fromarray(square).resize((32, 32), Image.Resampling.BICUBIC)
        grey = np.clip(np.asarray(small), 0, 1)
        batch.append([(grey - mean) / std for mean, std in zip(MEAN, STD, strict=True)])
    with torch.inference_mode():
        images = model.encode_image(torch.tensor(np.array(batch, np.float32)), normalize=True).numpy()
        words = model.encode_text(tokenizer(texts), normalize=True).numpy()
    return images, words


def cosines(one: Any, other: Any) -> Any:
    return (np.asarray(one) * np.asarray(other)).sum(axis=-1)


@pytest.mark.parametrize("kind", ["vit", "bert"])
def test_vectors_are_open_clips_own(kind: str, request: pytest.FixtureRequest) -> None:
    import open_clip

    folder: Path = request.getfixturevalue(kind)
    towers = registry.load_towers(str(folder), device="cpu")
    tokenizer = (
        open_clip.SimpleTokenizer(context_length=77)
        if kind == "vit"
        else open_clip.tokenizer.HFTokenizer(str(folder), context_length=64)
    )
    if kind == "bert":  # open_clip itself asks the hub for the text tower's configuration: give it the folder
        folder = Path(shutil.copytree(folder, folder.parent / "bert-reference", dirs_exist_ok=True))
        said = json.loads((folder / "open_clip_config.json").read_text())
        said["model_cfg"]["text_cfg"]["hf_model_name"] = str(folder)
        (folder / "open_clip_config.json").write_text(json.dumps(said))
    images, texts = reference(folder, films(3), TEXTS, tokenizer)
    assert isinstance(towers, ClipModelTowers)
    assert set(towers.facts.files) == {"image.onnx", "text.onnx", "tokenizer.json"}
    assert cosines(towers.embed_texts(TEXTS), texts).min() > 0.999
    assert cosines(towers.embed_images(films(3))[:, 0], images).min() > 0.999
    bulk = towers.embed_prepared(np.stack([towers.preprocess.apply(film.pixels) for film in films(3)]))
    assert bulk.shape == (3, 1, 24)
    assert cosines(bulk[:, 0], images).min() > 0.999
    assert np.allclose(np.linalg.norm(bulk, axis=-1), 1, atol=1e-5)


def test_a_short_text_of_a_masking_tower_is_not_padded_to_the_full_context(bert: Path) -> None:
    towers = registry.load_towers(str(bert), device="cpu")
    assert isinstance(towers, ClipModelTowers)
    assert towers.facts.pad_to_longest
    assert (
        cosines(towers.embed_texts(["pleural effusion"])[0], towers.embed_texts([*TEXTS, "pleural effusion"])[-1])
        > 0.9999
    )


@pytest.mark.parametrize("clip_is_faster", [True, False])
def test_a_long_run_goes_on_with_whichever_is_faster(
    vit: Path, monkeypatch: pytest.MonkeyPatch, clip_is_faster: bool
) -> None:
    """The first films go through the graph; then both are tried on films at hand."""
    towers = registry.load_towers(str(vit), device="cpu")
    assert isinstance(towers, ClipModelTowers)
    batch = np.stack([towers.preprocess.apply(film.pixels) for film in films(3)])
    first = towers.embed_prepared(batch)
    assert "_clip" not in vars(towers)
    monkeypatch.setattr(onnx_export, "_PATIENCE", 0.0)
    tried: list[int] = []

    def seconds(tower: object, some: np.ndarray) -> float:
        tried.append(len(some))
        return 2.0 if isinstance(tower, OnnxTowers) == clip_is_faster else 1.0

    monkeypatch.setattr(onnx_export, "_seconds", seconds)
    after = [towers.embed_prepared(batch) for _ in range(2)]
    assert tried == [3, 3]
    assert ("_clip" in vars(towers)) == clip_is_faster
    assert all(cosines(one[:, 0], first[:, 0]).min() > 0.999 for one in after)


class Quick:
    """Another runtime for the graph, which gives the same row for every film."""

    def run(self, _names: list[str], given: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [np.ones((len(given["pixels"]), 24), np.float32)]


@pytest.mark.parametrize("gpu", [True, False])
def test_a_run_that_found_a_faster_runtime_tries_open_clip_only_for_a_gpu(
    vit: Path, monkeypatch: pytest.MonkeyPatch, gpu: bool
) -> None:
    monkeypatch.setattr(onnx, "quicker", lambda *_: Quick())
    monkeypatch.setattr(onnx, "_PATIENCE", 0.0)
    monkeypatch.setattr(onnx_export, "_PATIENCE", 0.0)
    monkeypatch.setattr(onnx_export, "_has_gpu", lambda: gpu)
    monkeypatch.setattr(ClipModelTowers, "_faster", lambda _self, graph, batch: tried.append(len(batch)) or graph)
    tried: list[int] = []
    towers = registry.load_towers(str(vit))
    batch = np.stack([towers.preprocess.apply(film.pixels) for film in films(20)])
    for _ in range(3):
        found = towers.embed_prepared(batch)
    assert np.allclose(found, 24**-0.5)
    assert tried == ([8] if gpu else [])


def test_a_later_query_by_text_or_film_and_a_short_run_import_no_torch(vit: Path) -> None:
    first = registry.load_towers(str(vit), device="cpu")
    code = (
        "import sys, numpy; from filmroom.db.records import Tags; "
        "from filmroom.indexer.decoding.radiograph import Radiograph; "
        "from filmroom.indexer.models.registry import load_towers; "
        f"towers = load_towers({str(vit)!r}); towers.embed_texts(['edema']); "
        "towers.embed_images([Radiograph(numpy.ones((9, 9), numpy.float32), Tags())]); "
        "towers.embed_prepared(numpy.zeros((4, 3, 32, 32), numpy.float32)); "
        "print(towers.space.fingerprint, sorted({'torch', 'open_clip', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{first.space.fingerprint} []"


def test_an_architecture_with_a_checkpoint_and_the_space_finds_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import open_clip
    from filmroom.indexer.models.open_clip import source
    from safetensors.torch import save_file

    config = tmp_path / "configs" / "ViT-Tiny-8.json"
    config.parent.mkdir()
    config.write_text(json.dumps(VIT))
    known = source.architectures() | {"ViT-Tiny-8": config}
    monkeypatch.setattr(source, "architectures", lambda: known)
    monkeypatch.setattr("filmroom.indexer.models.exported.onnx_export.architectures", lambda: known)
    open_clip.add_model_config(config)
    weights = tmp_path / "mine.safetensors"
    save_file(random_weights(vit_folder(tmp_path / "shape"), 3), weights)

    towers = registry.load_towers("ViT-Tiny-8", weights=weights, device="cpu")
    assert (towers.space.model, towers.space.dim, towers.preprocess.size) == ("ViT-Tiny-8:mine", 24, 32)
    assert towers.preprocess.mean == (0.48145466, 0.4578275, 0.40821073)
    assert registry.load_space(towers.space, device="cpu").space == towers.space
    weights.unlink()  # the exported towers alone still answer queries of the archive
    assert cosines(registry.load_space(towers.space).embed_texts(["edema"]), towers.embed_texts(["edema"])) > 0.9999
    card = None
    with pytest.raises(ModelUnavailable, match="there is no such checkpoint"):
        card = registry.add_model("ViT-Tiny-8", weights=weights)
    assert card is None


def test_other_weights_in_the_same_place_are_another_space(tmp_path: Path) -> None:
    folder = vit_folder(tmp_path / "model", seed=1)
    first = registry.load_towers(str(folder), device="cpu")
    same = registry.load_towers(str(folder), device="cpu")
    assert same.space == first.space
    kept = first.embed_texts(["edema"])
    stat = (folder / "open_clip_model.safetensors").stat()
    vit_folder(folder, seed=2)
    os.utime(folder / "open_clip_model.safetensors", ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
    other = registry.load_towers(str(folder), device="cpu")
    assert other.space.fingerprint != first.space.fingerprint
    assert cosines(other.embed_texts(["edema"]), kept) < 0.99
    for late in (
        lambda: same.embed_texts(["edema"]),
        lambda: same.embed_prepared(np.zeros((1, 3, 32, 32), np.float32)),
    ):
        with pytest.raises(ModelUnavailable, match="replaced while it was in use"):
            late()


def test_a_checkpoint_of_a_training_run_loads(vit: Path, tmp_path: Path) -> None:
    """What open_clip's trainer writes: the state dict beside optimiser and epoch, from a distributed run."""
    import torch

    folder = tmp_path / "trained"
    folder.mkdir()
    shutil.copy(vit / "open_clip_config.json", folder)
    state = {f"module.{name}": value for name, value in random_weights(vit, 0).items()}
    torch.save({"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}}, folder / "epoch_3.pt")
    mine, theirs = (registry.load_towers(str(place), device="cpu") for place in (folder, vit))
    assert cosines(mine.embed_texts(["edema"]), theirs.embed_texts(["edema"])) > 0.9999


def test_a_tower_that_cannot_be_exported_runs_in_open_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def fails(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("an operator without an ONNX form")

    folder = vit_folder(tmp_path / "model", seed=4)
    monkeypatch.setattr(torch.onnx, "export", fails)
    towers = registry.load_towers(str(folder), device="cpu")
    assert isinstance(towers, ClipModelTowers)
    assert set(towers.facts.files) == {"tokenizer.json"}
    assert towers.space.has_text
    assert towers.embed_texts(["edema"]).shape == (1, 24)
    assert towers.embed_images(films(1)).shape == (1, 1, 24)
    again = registry.load_towers(str(folder), device="cpu")
    assert again.space == towers.space


def test_an_export_with_other_vectors_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from filmroom.indexer.models.open_clip import trace

    folder = vit_folder(tmp_path / "model", seed=5)
    honest = trace.trace_image

    def crooked(towers: Any, path: Path) -> None:
        import torch

        with torch.no_grad():
            weight = towers.model.visual.conv1.weight
            kept = weight.clone()
            weight.copy_(torch.randn_like(weight) * 3)
            honest(towers, path)
            weight.copy_(kept)

    monkeypatch.setattr(trace, "trace_image", crooked)
    towers = registry.load_towers(str(folder), device="cpu")
    assert isinstance(towers, ClipModelTowers)
    assert set(towers.facts.files) == {"text.onnx", "tokenizer.json"}


def test_a_batch_too_large_for_the_gpu_is_halved(vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in for a GPU: the forward pass runs out of memory for more than three films."""
    import torch
    from filmroom.indexer.models.open_clip.source import from_folder
    from filmroom.indexer.models.open_clip.towers import ClipTowers

    towers = ClipTowers(from_folder(vit), device="cpu")
    batch = towers.preprocess.normalise(np.random.default_rng(0).integers(0, 65535, (10, 32, 32), dtype=np.uint16))
    wanted = towers.embed_prepared(batch)
    honest, seen = ClipTowers._forward, []

    def small(self: ClipTowers, tower: Any, pixels: Any, dtype: Any) -> Any:
        seen.append(len(pixels))
        if len(pixels) > limit:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return honest(self, tower, pixels, dtype)

    limit = 3
    monkeypatch.setattr(ClipTowers, "_forward", small)
    assert cosines(towers.embed_prepared(batch), wanted).min() > 0.999
    assert sorted(set(seen)) == [2, 3, 5, 10]
    limit = 0
    with pytest.raises(ModelUnavailable, match="too little free memory"):
        towers.embed_prepared(batch)


def test_bfloat16_is_used_only_where_it_is_faster_and_alike(vit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from filmroom.indexer.models.open_clip import towers as clip_towers
    from filmroom.indexer.models.open_clip.source import from_folder

    monkeypatch.setattr(clip_towers, "_has_bfloat16", lambda _device: True)
    wanted = np.eye(2, 24, dtype=np.float32)
    cases = {(1.0, 2.0): torch.bfloat16, (2.0, 1.0): torch.float32}
    for (fast, slow), dtype in cases.items():
        towers = clip_towers.ClipTowers(from_folder(vit), device="cpu")
        seconds = {torch.float32: slow, torch.bfloat16: fast}
        monkeypatch.setattr(towers, "_timed", lambda _tower, _probe, kind, seconds=seconds: (wanted, seconds[kind]))
        assert towers._fastest(torch.zeros(2, 3, 32, 32))[1] is dtype
    towers = clip_towers.ClipTowers(from_folder(vit), device="cpu")
    answers = {torch.float32: (wanted, 2.0), torch.bfloat16: (wanted[::-1], 1.0)}
    monkeypatch.setattr(towers, "_timed", lambda _tower, _probe, kind: answers[kind])
    assert towers._fastest(torch.zeros(2, 3, 32, 32))[1] is torch.float32


def test_removing_a_model_drops_its_export(tmp_path: Path) -> None:
    folder = vit_folder(tmp_path / "model", seed=6)
    registry.add_model(str(folder), name="passing")
    registry.load_towers("passing", device="cpu")
    kept = Path(os.environ["XDG_CACHE_HOME"], "filmroom", "towers")
    (mine,) = kept.glob("passing-*")
    assert read_facts(mine).name == "passing"
    registry.remove_model("passing")
    assert not mine.exists()
