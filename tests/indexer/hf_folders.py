"""Small checkpoints of transformers' classes with random weights, in the layouts of MedSigLIP and RAD-DINO."""

from __future__ import annotations

import json
from pathlib import Path

_SAID = (
    "pleural effusion", "small left pleural effusion", "no pneumothorax", "cardiomegaly with pulmonary edema",
    "right upper lobe consolidation", "endotracheal tube tip above the carina", "no acute cardiopulmonary process",
)  # fmt: skip


def siglip_folder(folder: Path, *, side: int = 448, seed: int = 0) -> Path:
    """google/medsiglip-448's files: configuration, safetensors, sentencepiece model, processor."""
    import torch
    from transformers import SiglipConfig, SiglipModel

    folder.mkdir(parents=True, exist_ok=True)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    vocabulary = _sentence_pieces(folder / "spiece.model")
    config = SiglipConfig(
        text_config={**size, "vocab_size": vocabulary, "max_position_embeddings": 64, "projection_size": 32},
        vision_config={**size, "image_size": side, "patch_size": 14},
    )
    torch.manual_seed(seed)
    SiglipModel(config).save_pretrained(folder, safe_serialization=True)
    said = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2, "size": {"height": side, "width": side}}
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    tokenizer = {"tokenizer_class": "SiglipTokenizer", "model_max_length": 64, "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return folder


def dinov2_folder(folder: Path, *, side: int = 518, seed: int = 0) -> Path:
    """microsoft/rad-dino's files, with its mean and deviation."""
    import torch
    from transformers import Dinov2Config, Dinov2Model

    folder.mkdir(parents=True, exist_ok=True)
    config = Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=side, patch_size=14
    )
    torch.manual_seed(seed)
    Dinov2Model(config).save_pretrained(folder, safe_serialization=True)
    said = {
        "crop_size": {"height": side, "width": side},
        "size": {"shortest_edge": side},
        "image_mean": [0.5307] * 3,
        "image_std": [0.2583] * 3,
        "resample": 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return folder


def _sentence_pieces(path: Path) -> int:
    """A sentencepiece model with SigLIP's special pieces; returns how many pieces it has."""
    import io

    import sentencepiece

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_SAID * 4),
        model_writer=out,
        vocab_size=60,
        hard_vocab_limit=False,
        model_type="unigram",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    path.write_bytes(out.getvalue())
    return int(sentencepiece.SentencePieceProcessor(model_proto=out.getvalue()).get_piece_size())
