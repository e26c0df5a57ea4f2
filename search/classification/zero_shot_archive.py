"""Score a whole archive zero-shot: which films show a finding, from prompts alone, and how well that is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.catalog import Catalog
from filmroom.db.errors import BadInput
from filmroom.db.reads import film_facts, films, spaces
from filmroom.db.reads.film_facts import labelled_films, labelled_with, stated_names
from filmroom.db.records import Filter
from filmroom.indexer.radiology.vocabulary import finding_of
from filmroom.search.classification.zero_shot import (
    Prompts,
    ZeroShotRow,
    even_threshold,
    own_prompts,
    prompts_for,
    truth_of_stated,
    zero_shot,
    zero_shot_table,
)
from filmroom.search.exchange.delimited import csv_row
from filmroom.search.exchange.tables import read_table, write_aside
from filmroom.search.query.model_limits import limits_of_texts
from filmroom.search.query.parser import parse_whole
from filmroom.search.query.reading import unknown_words_in
from filmroom.search.searcher import Searcher
from numpy.typing import NDArray

BLOCK = 20_000

_ALONE = "film "
"""How the key of a film begins that counts as a patient of its own."""


@dataclass(frozen=True)
class ScreenedFinding:
    """One finding: `selected` of the films score at least the threshold. Sensitivity and specificity are of that
    threshold over the labelled films, None where no film is labelled with, or without. `even` is the threshold at which
    both meet, None where the AUC has no interval."""

    measured: ZeroShotRow
    selected: int
    sensitivity: float | None
    specificity: float | None
    even: float | None = None


@dataclass(frozen=True)
class Screening:
    """`scores` finding -> (N,), of the films `film_ids` (N,), ascending. `mean` is that of a ZeroShotTable.
    `unknown_patients` counts the labelled films without a patient key, each of which counts as a patient. `weakness`
    is what `ModelLimits` says of the findings, `unknown_words` of the words that nobody knows here."""

    model: str
    where: str
    threshold: float
    film_ids: NDArray[np.int64]
    scores: dict[str, NDArray[np.float32]]
    prompts: tuple[Prompts, ...]
    findings: tuple[ScreenedFinding, ...]
    mean: float | None
    unknown_patients: int = 0
    weakness: str = ""
    unknown_words: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "where": self.where,
            "threshold": self.threshold,
            "films": len(self.film_ids),
            "mean_auc": self.mean,
            "weakness": self.weakness,
            "unknown_words": list(self.unknown_words),
            "films_without_patient": self.unknown_patients,
            "findings": [
                {
                    **asdict(finding.measured),
                    "selected": finding.selected,
                    "sensitivity": finding.sensitivity,
                    "specificity": finding.specificity,
                    "even_threshold": finding.even,
                    "prompts": {"positive": list(prompts.positive), "negative": list(prompts.negative)},
                }
                for finding, prompts in zip(self.findings, self.prompts, strict=True)
            ],
        }


def screen(
    searcher: Searcher,
    findings: Sequence[str],
    *,
    prompts: Sequence[Prompts] = (),
    where: str = "",
    threshold: float = 0.0,
) -> Screening:
    """Score every film that passes `where` (the query language's fields) for each finding or set of findings, and for
    `prompts` of one's own.

    At the threshold 0 a film is nearer to the prompts that say the finding, which is no measured cut: the `even` one
    of a finding is. Raises BadInput where no film passes,
    and where `where` has words to rank by.
    """
    all_prompts = [*(prompts_for(findings, model=searcher.model) if findings or not prompts else ()), *prompts]
    within = filter_of(where)
    texts = list(dict.fromkeys(text for entry in all_prompts for text in (*entry.positive, *entry.negative)))
    known = dict(zip(texts, searcher.towers.embed_texts(texts), strict=True))
    ids: list[NDArray[np.int64]] = []
    scores: dict[str, list[NDArray[np.float32]]] = {entry.finding: [] for entry in all_prompts}
    for block, vectors in stored_vectors(searcher, films.select_ids(searcher.catalog, within)):
        ids.append(block)
        for entry in all_prompts:
            scores[entry.finding].append(
                zero_shot(vectors, entry, lambda names: np.stack([known[name] for name in names]))
            )
    if not ids:
        raise BadInput("no film passes", where=where or None, fix="Loosen the filter, or index films with this model.")
    film_ids = np.concatenate(ids)
    joined = {finding: np.concatenate(parts) for finding, parts in scores.items()}
    truth = truths_in(searcher.catalog, all_prompts, film_ids)
    labelled = ~np.all([np.isnan(values) for values in truth.values()], axis=0)
    patients = np.full(len(film_ids), "", object)
    patients[labelled] = patients_of(searcher.catalog, film_ids[labelled].tolist())
    table = zero_shot_table(joined, truth, groups=patients.tolist())
    rows = tuple(_at(row, joined[row.finding], truth[row.finding], threshold) for row in table.rows)
    unknown = sum(key.startswith(_ALONE) for key in patients)
    weakness = limits_of_texts(searcher.held.space, [entry.finding for entry in all_prompts]).sentence
    positive = [text for entry in all_prompts for text in entry.positive]
    return Screening(
        searcher.model, where, threshold, film_ids, joined, tuple(all_prompts), rows, table.mean, unknown, weakness,
        unknown_words_in(positive, searcher.towers, searcher.catalog),
    )  # fmt: skip


def truths_in(
    catalog: Catalog, prompts: Sequence[Prompts], film_ids: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return `known_truth` of each finding by the labels of the catalog, read as arrays."""
    truths = stated_truths(catalog, [entry.labels for entry in prompts], film_ids)
    return {entry.finding: truth for entry, truth in zip(prompts, truths, strict=True)}


def stated_truths(
    catalog: Catalog, findings: Iterable[Sequence[str]], film_ids: NDArray[np.int64]
) -> Iterator[NDArray[np.float64]]:
    """Yield `known_truth` (N,) of each finding, which is given by labels that mean it, read as arrays."""
    label_ideas = [(name, finding_of(name)) for name in stated_names(catalog)]
    labelled = cache(lambda: labelled_films(catalog))
    for names in findings:
        ideas = {finding_of(name) for name in names}
        present, absent = labelled_with(catalog, [name for name, idea in label_ideas if idea in ideas])
        yield truth_of_stated(film_ids, present, absent, labelled)


def read_prompts(path: Path) -> list[Prompts]:
    """Read a table with the columns finding, positive and negative: a prompt a cell, or several joined with |; a
    finding may have several rows. Raises BadInput where a finding has no prompt for or none against."""
    table = read_table(path)
    columns = [table.need(name) for name in ("finding", "positive", "negative")]
    sides: dict[str, tuple[list[str], list[str]]] = {}
    for row in table:
        finding, positive, negative = (row.get(column) for column in columns)
        prompt_sides = sides.setdefault(finding.lower(), ([], []))
        prompt_sides[0].extend(positive.split("|"))
        prompt_sides[1].extend(negative.split("|"))
    if not sides:
        raise BadInput("there are no rows", where=path, fix="Write: finding,positive,negative.")
    return [own_prompts(finding, *prompt_sides) for finding, prompt_sides in sides.items()]


def filter_of(where: str) -> Filter:
    """Read a filter in the query language. Raises BadInput where it has words to rank by, signs that do nothing, or no
    field."""
    query = parse_whole(where)
    if query.concepts or (where.strip() and not query.filter):
        raise BadInput("a filter has fields only", where=where, fix='For example: "view:PA age:60.."')
    return query.filter


def write_scores(path: Path, searcher: Searcher, screening: Screening) -> None:
    """Write CSV with a film a row: its id, its path and a column a finding. Raises BadInput where it cannot be
    written."""
    table = [csv_row(["id", "film", *screening.scores])]
    for start in range(0, len(screening.film_ids), BLOCK):
        block = screening.film_ids[start : start + BLOCK].tolist()
        for at, film in enumerate(films.films(searcher.catalog, block), start):
            table.append(
                csv_row([film.id, film.path, *(round(float(score[at]), 6) for score in screening.scores.values())])
            )
    write_aside(path, "".join(table))


def stored_vectors(
    searcher: Searcher, film_ids: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield (ids (n,), vectors (n, T, D)) in blocks, of those of the films that the space holds, in their order."""
    for start in range(0, len(film_ids), BLOCK):
        block = film_ids[start : start + BLOCK].tolist()
        vectors = spaces.vectors_of(searcher.catalog, searcher.held, block)
        present = [film for film in block if film in vectors]
        if present:
            yield np.array(present, np.int64), np.stack([vectors[film] for film in present])


def patients_of(catalog: Catalog, film_ids: Sequence[int]) -> list[str]:
    """Return the patient key of each film; a film without one is a patient of its own."""
    keys = film_facts.patient_keys(catalog, film_ids)
    return [keys.get(film_id) or f"{_ALONE}{film_id}" for film_id in film_ids]


def _at(row: ZeroShotRow, scores: NDArray[np.float32], truth: NDArray[np.float64], threshold: float) -> ScreenedFinding:
    above = scores >= threshold
    present, absent = truth > 0.5, truth <= 0.5
    return ScreenedFinding(
        row,
        int(above.sum()),
        float(above[present].mean()) if present.any() else None,
        float((~above[absent]).mean()) if absent.any() else None,
        even_threshold(scores, truth) if row.auc and not np.isnan(row.auc.low) else None,
    )
