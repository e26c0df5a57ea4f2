"""Score findings without training: how much nearer a film is to prompts that say so than to those that deny it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from filmroom.assets import ASSETS
from filmroom.db.errors import BadInput
from filmroom.indexer.radiology.abbreviations import spell_out
from filmroom.indexer.radiology.assertion import plain_assertions
from filmroom.indexer.radiology.negation import split_negations
from filmroom.indexer.radiology.report_labeler import says_normal
from filmroom.indexer.radiology.vocabulary import NORMAL, finding_of
from filmroom.search.evaluation.statistics import Interval, auc_interval
from filmroom.search.query.concept_vector import EmbedTexts, prompted
from filmroom.search.query.fields import FIELDS
from numpy.typing import NDArray

Scores = NDArray[np.float32]
PRESENT = 0.5
"""The least value of a label that says that the finding is there."""


@dataclass(frozen=True)
class Prompts:
    """What is asked for one finding; `labels` are the findings that count as it."""

    finding: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class ZeroShotRow:
    """One finding: films labelled with and without it, and the AUC with its interval, None where either is 0."""

    finding: str
    positives: int
    negatives: int
    auc: Interval | None


@dataclass(frozen=True)
class ZeroShotTable:
    """`mean` is over the findings whose AUC has an interval: at least five films with and five without them."""

    rows: tuple[ZeroShotRow, ...]
    mean: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


_FIELD = re.compile(rf"-?(?:{'|'.join(FIELDS)}):\S", re.I)


def prompt_sets() -> tuple[str, ...]:
    """Return the names of the sets of findings that ship."""
    return tuple(_file()["sets"])


def check_set(name: str) -> str:
    """Raise BadInput for a set of findings that does not ship."""
    if name.lower() not in prompt_sets():
        raise BadInput("There is no set of findings of this name", where=name, fix=f"Known: {', '.join(prompt_sets())}")
    return name


def prompts_for(findings: Sequence[str], *, model: str = "") -> list[Prompts]:
    """Return prompts of the findings named, in order; a set's name stands for its findings.

    A finding that the file lacks is asked in its own words, abbreviations spelled out, against "no ..." and a normal
    film; words for a normal film against the usual findings. Raises BadInput for an empty list, and for a denial.
    """
    content = _file()
    parts = (part.strip() for name in findings for part in content["sets"].get(name.lower(), [name]))
    names = {part.lower(): part for part in parts if part}
    if not names:
        raise BadInput("No finding is named", fix=f"Name findings or a set: {', '.join(content['sets'])}")
    of_model = content.get("models", {}).get(model, {})
    prompts = []
    for name, written in names.items():
        check_no_denial(written)
        words = spell_out(written).text.lower()
        plain = {"positive": [words], "negative": [f"no {words}", "normal chest x-ray"], "labels": [name, words]}
        if says_normal(words):
            plain["negative"] = (of_model.get(NORMAL) or content["findings"][NORMAL])["negative"]
            plain["labels"].append(NORMAL)
        entry = plain | content["findings"].get(words, {}) | of_model.get(words, {})
        positive, negative, labels = (tuple(dict.fromkeys(entry[key])) for key in ("positive", "negative", "labels"))
        prompts.append(Prompts(name, positive, negative, labels))
    return prompts


def check_no_denial(name: str) -> None:
    """Raise BadInput for words that deny a finding ("no effusion", "effusion: none"): taken for a finding they would
    rank the wrong way round; for a word that only begins a denial, and for a filter. Words for a normal film are a
    finding."""
    if name.strip().lower() in ("no", "not", "without"):
        fix = 'In a shell, a finding of several words stands in quotes: "pleural effusion"'
        raise BadInput("this alone is no finding", where=name.strip(), fix=fix)
    if _FIELD.match(name.strip()):
        fix = 'In a shell, all of a filter stands in quotes: --where "view:PA sex:F"'
        raise BadInput("this is a filter, and no finding", where=name.strip(), fix=fix)
    words = spell_out(" ".join(name.split()).replace("_", " ")).text
    if says_normal(words):
        return
    excluded = (words[1:],) if re.match(r"-[^\W\d]", words) else ()
    denied = excluded or split_negations(plain_assertions(words).text)[1]
    if denied:
        raise BadInput(
            "this denies a finding, and is none",
            where=name.strip(),
            fix=f'Ask for "{denied[0]}": films without it score lowest. For your own prompts: --positive, --negative.',
        )


def own_prompts(finding: str, positive: Sequence[str], negative: Sequence[str]) -> Prompts:
    """Return prompts of one's own for a finding; its labels are those that `prompts_for` knows. Raises BadInput where
    one side has none: a score is a difference."""
    say, deny = (tuple(dict.fromkeys(text.strip() for text in side if text.strip())) for side in (positive, negative))
    if not (finding.strip() and say and deny):
        raise BadInput(
            "a score needs prompts that say the finding and prompts that deny it",
            where=finding.strip() or None,
            fix='For example: --positive "large pleural effusion" --negative "no pleural effusion"',
        )
    return Prompts(finding.strip().lower(), say, deny, labels_of(finding))


def labels_of(finding: str) -> tuple[str, ...]:
    """Return the labels that a finding may have in an archive, lower case: its own words, and those of the findings
    that ship prompts which say it ("enlarged heart" is kept as cardiomegaly)."""
    name = spell_out(finding.strip()).text.lower()
    entries = _file()["findings"].items()
    known = [
        entry.get("labels", [other])
        for other, entry in entries
        if name in (other, *entry["positive"], *entry.get("labels", ()))
    ]
    known += [[NORMAL]] if says_normal(name) else []
    return tuple(dict.fromkeys([finding.strip().lower(), name, *(label for labels in known for label in labels)]))


def zero_shot(films: NDArray[np.floating], prompts: Prompts, embed_texts: EmbedTexts, *, prompt: str = "{}") -> Scores:
    """Return (N,) float32 in [-2, 2]: mean over positive prompts of the film's similarity, minus that over negative
    ones.

    `films` (N, T, D) or (N, D), rows of unit length; of T vectors the nearest to each prompt counts.
    """
    texts = [prompted(words, prompt) for words in (*prompts.positive, *prompts.negative)]
    text_vectors = np.asarray(embed_texts(texts), dtype=np.float32)
    split = len(prompts.positive)
    stacked = films if films.ndim == 3 else films[:, None, :]
    if stacked.shape[1] == 1:  # the mean of similarities is the similarity to the mean
        direction = text_vectors[:split].mean(axis=0) - text_vectors[split:].mean(axis=0)
        along: Scores = np.asarray(stacked[:, 0], np.float32) @ direction
        return along
    by_vector = [stacked[:, t].astype(np.float32) @ text_vectors.T for t in range(stacked.shape[1])]
    similar = np.stack(by_vector).max(axis=0)
    scores: Scores = similar[:, :split].mean(axis=1) - similar[:, split:].mean(axis=1)
    return scores


def truth_of(prompts: Prompts, labels: Mapping[str, Mapping[int, float]], films: Sequence[int]) -> NDArray[np.float64]:
    """Return `known_truth` of the labels that a finding may have."""
    return known_truth(prompts.labels, labels, films)


def known_truth(
    names: Sequence[str], labels: Mapping[str, Mapping[int, float]], films: Sequence[int]
) -> NDArray[np.float64]:
    """Turn (N,) 1 present, 0 absent, NaN unknown, from label name into film -> value; `names` mean the same, in any
    spelling.

    A film that is labelled with other findings but not with this one counts as absent, unless an archive states
    absences of this finding (value 0), as CheXpert does: then only what is stated counts.
    """
    stated: dict[int, float] = {}
    ideas = {finding_of(name) for name in names}
    for name, values in labels.items():
        if finding_of(name) in ideas:
            for film, value in values.items():
                stated[film] = max(value, stated.get(film, 0.0))
    return truth_of_stated(
        np.asarray(films, np.int64),
        np.array([film for film, value in stated.items() if value >= PRESENT], np.int64),
        np.array([film for film, value in stated.items() if value < PRESENT], np.int64),
        lambda: np.array([film for values in labels.values() for film in values], np.int64),
    )


def truth_of_stated(
    films: NDArray[np.int64], present: NDArray[np.int64], absent: NDArray[np.int64],
    labelled: Callable[[], NDArray[np.int64]],
) -> NDArray[np.float64]:  # fmt: skip
    """Return `known_truth` where these films are labelled with the finding, and those with its absence; `labelled`
    gives the films with any label, which are asked for where no absence is stated."""
    truth = np.full(len(films), np.nan)
    if present.size and not absent.size:
        absent = labelled()
    truth[np.isin(films, absent)] = 0.0
    truth[np.isin(films, present)] = 1.0
    return truth


def even_threshold(scores: Scores, truth: NDArray[np.float64]) -> float:
    """Return the threshold at which sensitivity and specificity over the films with a known truth (N,) are as near to
    each other as they can be, halfway between two films' scores (N,). Some films must have the finding, some not."""
    known = ~np.isnan(truth)
    values, present = scores[known].astype(np.float64), truth[known] > 0.5
    steps = np.unique(values)
    below = [np.searchsorted(np.sort(values[side]), steps) / side.sum() for side in (present, ~present)]
    sensitivity, specificity = 1 - below[0], below[1]
    gap = np.abs(sensitivity - specificity)
    best = np.flatnonzero(gap <= gap.min() + 1e-9)
    at = best[(sensitivity + specificity)[best].argmax()]
    return float(steps[max(0, at - 1) : at + 1].mean())


def zero_shot_table(
    scores: Mapping[str, Scores],
    truth: Mapping[str, NDArray[np.float64]],
    *,
    groups: Sequence[str] | None = None,
) -> ZeroShotTable:
    """Return AUC of each finding over the films whose truth is known; intervals over `groups` (patients) where
    given."""
    rows = []
    for finding, values in scores.items():
        known = ~np.isnan(truth[finding])
        present = truth[finding][known] > 0.5
        patients = None if groups is None else np.asarray(groups)[known]
        measurable = present.any() and not present.all()
        interval = auc_interval(values[known], present, groups=patients) if measurable else None
        rows.append(ZeroShotRow(finding, int(present.sum()), int((~present).sum()), interval))
    measured = [row.auc.value for row in rows if row.auc and not np.isnan(row.auc.low)]
    return ZeroShotTable(tuple(rows), float(np.mean(measured)) if measured else None)


@cache
def _file() -> dict[str, Any]:
    return tomllib.loads(ASSETS.joinpath("prompts.toml").read_text(encoding="utf-8"))
