"""Measure the slices of the films that a training run held out, for the model's card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.db.records import Tags
from filmroom.db.writes.annotations import label_values
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models.base import Towers
from filmroom.indexer.training.data.archive import film_of
from filmroom.indexer.training.data.films import TrainingFilm, split
from filmroom.search.checks.subgroups.facts import known_films
from filmroom.search.checks.subgroups.figures import (
    LEAST,
    SliceFigure,
    State,
    finding_slices,
    threshold_of,
    worst_first,
)
from filmroom.search.checks.subgroups.resampling import patient_weights
from filmroom.search.classification.zero_shot import prompts_for, truth_of, zero_shot
from filmroom.search.report_document import Table, markdown_table
from numpy.typing import NDArray

_TOGETHER = 32
TITLE = "Held-out films by slice"


def add_slices(
    card: Path, archive: Archive, towers: Towers, films: Sequence[TrainingFilm], *, share: float, seed: int
) -> list[SliceFigure]:
    """Measure the slices of the films that `adapt` held out with these settings, and write them to the end of the
    card, in place of those that stand there. Returns what was measured."""
    of_card = card.read_text(encoding="utf-8").split(f"\n## {TITLE}\n")[0]
    held_out = [films[row] for row in split(films, share=share, seed=seed)[1]]
    figures = worst_first(_measured(archive, towers, held_out)) if held_out else []
    card.write_text("\n".join([of_card.rstrip("\n"), "", f"## {TITLE}", "", *_section(figures)]), encoding="utf-8")
    return [figure for figure in figures if figure.state is not State.SMALL]


def _measured(archive: Archive, towers: Towers, films: Sequence[TrainingFilm]) -> list[SliceFigure]:
    ordered = sorted(films, key=film_of)
    ids = np.array([film_of(film) for film in ordered], np.int64)
    known = known_films(archive.catalog, ids)
    vectors = _embedded(towers, ordered)
    weights = patient_weights(int(known.patients.max()) + 1)
    labels = label_values(archive.catalog)
    figures: list[SliceFigure] = []
    for name in sorted(labels):
        try:
            (prompts,) = prompts_for([name], model=towers.space.model)
        except BadInput:  # a label that denies a finding
            continue
        truth = truth_of(prompts, labels, ids.tolist())
        if np.nansum(truth) < LEAST:
            continue
        scores = zero_shot(vectors, prompts, towers.embed_texts).astype(np.float64)
        sure = ~np.isnan(truth)
        threshold = threshold_of(scores[sure], truth[sure] > 0.5, None)
        figures += finding_slices(name, scores, truth, known, weights, threshold=threshold)
    return figures


def _embedded(towers: Towers, films: Sequence[TrainingFilm]) -> NDArray[np.float32]:
    """Embed the pictures that were kept for training, (N, T, D)."""
    parts = []
    for start in range(0, len(films), _TOGETHER):
        pictures = [np.asarray(film.read() / np.float32(255), np.float32) for film in films[start : start + _TOGETHER]]
        parts.append(towers.embed_images([Radiograph(pixels, Tags()) for pixels in pictures]))
    return np.concatenate(parts)


def _section(figures: Sequence[SliceFigure]) -> list[str]:
    measured = [figure for figure in figures if figure.state is not State.SMALL]
    small = len(figures) - len(measured)
    if not measured:
        return [f"No slice has {LEAST} films with and {LEAST} without a labelled finding, inside it and outside.", ""]
    rows = tuple(
        (
            f"{figure.measure} {figure.of}", f"{figure.fact} {figure.name}", f"{figure.films}", f"{figure.with_it}",
            f"{figure.value:.2f} [{figure.low:.2f}, {figure.high:.2f}]", f"{figure.rest:.2f}", f"{figure.p:.3f}",
            figure.state.value,
        )
        for figure in measured
    )  # fmt: skip
    columns = ("measure", "slice", "films", "with it", "value, 95 %", "others", "p (Holm)", "")
    return [
        f"Zero-shot scores of the held-out films with labels, the worst slices first (too small: {small}). The "
        "thresholds are those at which 90 % of these films without the finding score lower; `filmroom check slices` "
        "measures the same of an archive, and docs/checks.md says what it means.",
        "",
        *markdown_table(Table("", columns, rows))[2:],
    ]
