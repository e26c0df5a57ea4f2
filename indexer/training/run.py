"""Run `filmroom adapt`: from a base model and films to a model folder that search accepts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filmroom.db.errors import BadInput
from filmroom.indexer.models.model_folder import TOKENIZER, ModelFacts
from filmroom.indexer.models.open_clip.source import ClipSource
from filmroom.indexer.models.open_clip.tokenizer import as_tokenizers
from filmroom.indexer.models.open_clip.towers import ClipTowers
from filmroom.indexer.training.by_labels import (
    EPOCHS,
    PHANTOMS,
    has_such_tower,
    tells_findings_apart,
    train_by_labels,
)
from filmroom.indexer.training.data.films import TrainingFilm, patients_apart
from filmroom.indexer.training.train import Loss, Options, Progress, Trained, train
from filmroom.indexer.training.write import draw_history, write_model


@dataclass(frozen=True)
class Adapted:
    """A model that was written, and its nDCG@5 beside that of its base on the same `held` films of other patients;
    None where nothing was held out."""

    facts: ModelFacts
    base: str
    base_ndcg: float | None
    ndcg: float | None
    held: int

    @property
    def worse(self) -> bool:
        return self.ndcg is not None and self.base_ndcg is not None and self.ndcg < self.base_ndcg


def adapt(
    films: Sequence[TrainingFilm], base: ClipSource, out: Path, *, name: str | None = None,
    options: Options | None = None, sources: str = "", progress: Callable[[Progress], None] | None = None,
) -> Adapted:  # fmt: skip
    """Train `base` on films and write the model to `out`; call again with the same arguments to go on after a kill.

    Where `options` name no loss, `settled` does. `sources` is said in the model card: the films by source and licence.
    Raises BadInput where `out` holds another model or the films say too little, ModelUnavailable where the base cannot
    be loaded.
    """
    options, name = options or Options(), name or out.name
    refuse_taken(out)
    tell = progress or (lambda progress: None)
    tell(Progress("model", 0, 1))
    loaded = ClipTowers(base, device=options.device)
    tell(Progress("model", 1, 1))
    options = settled(options, loaded.model.visual, films, base.name)
    way = train_by_labels if options.loss is Loss.LABELS else train
    done = way(
        loaded.model, loaded.tokenize, films, loaded.preprocess, work=out / "work", options=options, progress=progress
    )
    text_cfg = base.model_cfg["text_cfg"]
    words = as_tokenizers(loaded.tokenizer)
    if words is None:
        raise BadInput("its tokenizer cannot be kept with the model", where=base.name, fix="Use another base.")
    folder = base.tokenizer_folder
    if folder is None or not (folder / TOKENIZER).is_file():
        out.mkdir(parents=True, exist_ok=True)
        words[0].save(str(out / TOKENIZER))
    facts = write_model(
        done.model.cpu(), out, base=folder or out, name=name, model_cfg=base.model_cfg, preprocess=loaded.preprocess,
        context_length=int(text_cfg.get("context_length") or 77), pad_id=words[1], licence=base.licence,
        prompt=base.prompt,
        notes=f"{base.name} trained further on {done.training} films. Research use only, not for diagnosis.",
    )  # fmt: skip
    draw_history(done.history, out / "training.png")
    (out / "MODEL_CARD.md").write_text(card(facts, base, films, done, options, sources), encoding="utf-8")
    return Adapted(facts, base.name, done.base_ndcg, done.best_ndcg, done.validation)


def refuse_taken(out: Path) -> None:
    """Raise BadInput where `out` holds anything but an earlier run."""
    if out.exists() and any(out.iterdir()) and not (out / "work").is_dir():
        raise BadInput("the folder holds something already", where=out, fix="Give another --out.")


def settled(options: Options, visual: Any, films: Sequence[TrainingFilm], base: str) -> Options:
    """Return options that name a loss: labels where they tell findings apart and the image tower can be taught so, else
    the sigmoid loss. Raises BadInput where labels are asked for and cannot be learnt from."""
    if options.loss is None:
        by_labels = has_such_tower(visual) and not options.train_text and tells_findings_apart(films)
        options = replace(options, loss=Loss.LABELS if by_labels else Loss.SIGLIP)
    if options.loss is not Loss.LABELS:
        return options
    if not has_such_tower(visual):
        raise BadInput("its image tower cannot be taught by labels", where=base, fix="Use --loss siglip.")
    if options.train_text:
        raise BadInput("labels teach the image tower alone", fix="Leave out --train-text, or use --loss siglip.")
    return replace(options, epochs=min(options.epochs, EPOCHS))


def card(
    facts: ModelFacts, base: ClipSource, films: Sequence[TrainingFilm], done: Trained, options: Options, sources: str
) -> str:
    """Return MODEL_CARD.md of an adapted model: what it was made of, how, and what was measured."""
    groups = Counter(film.group or "archive" for film in films)
    best = "not measured (nothing was held out)"
    if done.best_ndcg is not None and done.base_ndcg is not None:
        best = f"{done.best_ndcg:.3f}, and {done.base_ndcg:.3f} of {base.name} as it was"
    rows = "\n".join(f"| {name} | {digest} |" for name, digest in sorted(facts.files.items()))
    return f"""# {facts.name}

Research use only, not for diagnosis.

- Base: {base.name} (licence: {base.licence}).
- Films: {", ".join(f"{count} from {group}" for group, count in sorted(groups.items()))}; {done.training} for training,
  {done.validation} held out, {patients_apart(films)}.{f" Sources: {sources}" if sources else ""}
- Method: {_method(options, len(done.history))} No left-right flips. Loss and nDCG: training.png.
- Measured: nDCG@5 of statements about the held-out films and of sentences of their reports: {best}.
  {_CHOSEN[options.loss is Loss.LABELS]}

| file | SHA-256 |
| --- | --- |
{rows}
"""


_CHOSEN = {
    True: "It was measured once, after the last epoch.",
    False: "The epoch was chosen by this figure, so it flatters.",
}


def _method(options: Options, epochs: int) -> str:
    ran = f"{epochs} epochs, seed {options.seed}"
    if options.loss is Loss.LABELS:
        return (
            f"one answer for each label and for what is said of {PHANTOMS:,} synthetic films, {ran}; the last layer "
            "made anew, so that words rank films as these answers do; text tower kept."
        )
    text = "trained" if options.train_text else "kept"
    towers = f"the first {options.frozen} stages of the image tower kept, text tower {text}."
    return f"{options.loss} loss, {ran}, {towers}"
