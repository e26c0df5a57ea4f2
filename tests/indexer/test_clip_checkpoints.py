"""Wrong checkpoints of open_clip models: one clear line each, and nothing of theirs is run."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filmroom.db.errors import ModelUnavailable
from filmroom.indexer.models import registry

from tests.indexer.clip_folders import VIT, bert_folder, vit_folder

pytestmark = pytest.mark.slow


class Bomb:
    """A pickle that would write a file if it were run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def _for_another_architecture(folder: Path) -> None:
    wider = VIT | {"vision_cfg": VIT["vision_cfg"] | {"width": 48, "layers": 1}}
    other = vit_folder(folder / "other", model_cfg=wider)
    shutil.copy(other / "open_clip_model.safetensors", folder)


def _not_weights(folder: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"something": np.zeros(3, np.float32)}, folder / "open_clip_model.safetensors")


def _pickled(folder: Path) -> None:
    (folder / "open_clip_model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(folder / "exploded")))


def _pickled_by_torch(folder: Path) -> None:
    import torch

    (folder / "open_clip_model.safetensors").unlink()
    torch.save({"state_dict": Bomb(folder / "exploded")}, folder / "pytorch_model.bin")


def _torchscript(folder: Path) -> None:
    import torch

    (folder / "open_clip_model.safetensors").unlink()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), folder / "pytorch_model.bin")


def _torn(folder: Path) -> None:
    with (folder / "open_clip_model.safetensors").open("r+b") as file:
        file.truncate(5000)


def _empty(folder: Path) -> None:
    (folder / "open_clip_model.safetensors").write_bytes(b"")


def _unbuildable(folder: Path) -> None:
    said = json.loads((folder / "open_clip_config.json").read_text())
    said["model_cfg"]["vision_cfg"]["no_such_option"] = 1
    (folder / "open_clip_config.json").write_text(json.dumps(said))


CHECKPOINTS = {
    _for_another_architecture: "does not fit .* \\(weights .*missing, .*of another shape\\)",
    _not_weights: "does not fit",
    _pickled: "holds more than weights",
    _pickled_by_torch: "holds more than weights",
    _torchscript: "TorchScript",
    _torn: "damaged",
    _empty: "damaged",
    _unbuildable: "its architecture cannot be built",
}


@pytest.mark.parametrize("spoil", CHECKPOINTS, ids=lambda spoil: spoil.__name__.strip("_"))
def test_a_wrong_checkpoint_is_one_clear_line_and_runs_nothing(spoil: Any, tmp_path: Path) -> None:
    folder = vit_folder(tmp_path / "wrong")
    spoil(folder)
    with pytest.raises(ModelUnavailable, match=CHECKPOINTS[spoil]) as fault:
        registry.load_towers(str(folder), device="cpu")
    assert "\n" not in str(fault.value)
    with pytest.raises(ModelUnavailable, match=CHECKPOINTS[spoil]):
        registry.add_model(str(folder), name="wrong")
    assert "wrong" not in {card.name for card in registry.list_models()}, "it is told when it is added, not later"
    assert not (folder / "exploded").exists()


def test_a_text_tower_described_elsewhere_says_what_to_bring(tmp_path: Path) -> None:
    folder = bert_folder(tmp_path / "bare")
    described = (folder / "config.json").read_text()
    (folder / "config.json").unlink()
    with pytest.raises(ModelUnavailable, match=r"nobody/text-tower.*config.json"):
        registry.load_towers(str(folder), device="cpu")
    (folder / "config.json").write_text(described)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(ModelUnavailable, match=r"its tokenizer .* is not on this disk"):
        registry.load_towers(str(folder), device="cpu")
