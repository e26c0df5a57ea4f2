"""Small open_clip models with random weights, in the layouts that real ones come in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MEAN, STD = [0.4, 0.45, 0.5], [0.2, 0.25, 0.3]
_VISION = {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16}
VIT: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": _VISION,
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


def vit_folder(folder: Path, *, seed: int = 0, model_cfg: dict[str, Any] | None = None) -> Path:
    """open_clip's local-dir layout: configuration and safetensors, CLIP's own tokenizer."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    _configure(folder, model_cfg or VIT)
    save_file(random_weights(folder, seed), folder / "open_clip_model.safetensors")
    return folder


def bert_folder(folder: Path) -> Path:
    """A model with a Hugging Face text tower and tokenizer, as BiomedCLIP is, all of it in one folder."""
    from safetensors.torch import save_file
    from transformers import BertConfig, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz0123456789.,;:&'()"]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz0123456789"] + ["pleural", "effusion"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    ).save_pretrained(folder)
    text = {
        "hf_model_name": "nobody/text-tower",
        "hf_tokenizer_name": "nobody/text-tower",
        "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler",
        "context_length": 64,
    }
    config = {"embed_dim": 24, "vision_cfg": _VISION, "text_cfg": {**text, "hf_model_name": str(folder)}}
    _configure(folder, config)
    save_file(random_weights(folder, 0), folder / "open_clip_model.safetensors")
    _configure(folder, {**config, "text_cfg": text})
    return folder


def random_weights(folder: Path, seed: int) -> dict[str, Any]:
    """A state dict for the architecture of a folder."""
    import open_clip
    import torch

    torch.manual_seed(seed)
    model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
    return {name: value.clone().contiguous() for name, value in model.state_dict().items()}


def _configure(folder: Path, model_cfg: dict[str, Any]) -> None:
    said = {"model_cfg": model_cfg, "preprocess_cfg": {"mean": MEAN, "std": STD, "interpolation": "bicubic"}}
    (folder / "open_clip_config.json").write_text(json.dumps(said))
