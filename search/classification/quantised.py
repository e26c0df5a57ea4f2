"""Make the 8-bit form of a model on an archive's films, and keep it only where it answers alike and is faster.

Ranges are measured on some films, everything else on films of other patients: the cosine of each film's two vectors,
and how both rank the films for the findings that labels know, asked by their bare names.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput, ModelUnavailable
from filmroom.db.reads import films
from filmroom.db.records import Film
from filmroom.db.writes.annotations import label_values
from filmroom.indexer.decoding.rejections import Failure
from filmroom.indexer.decoding.workers import process
from filmroom.indexer.models.exported import quantise
from filmroom.indexer.models.exported.onnx import OnnxTowers
from filmroom.indexer.models.exported.onnx_export import graphs_of
from filmroom.indexer.models.exported.openvino import OpenVinoSession, embedded
from filmroom.indexer.models.model_folder import IMAGE_GRAPH
from filmroom.indexer.models.preprocess import Preprocess
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.sources.film_cache import source_files
from filmroom.indexer.training.ranking import ndcg
from filmroom.search.classification.zero_shot import prompt_sets, prompts_for, truth_of
from filmroom.search.evaluation.statistics import FEWEST, Interval, auc
from numpy.typing import NDArray

F32 = NDArray[np.float32]

ALIKE = 0.99
"""The least cosine between a film's 8-bit vector and its float vector."""
FASTER = 1.2
"""How many times the films a second it must embed to be worth a space of its own."""
CALIBRATED, COMPARED = 100, 300
FEWEST_FILMS = 20
_SAMPLES, _TURNS, _TIMED = 300, 3, 32


@dataclass(frozen=True)
class RankedAlike:
    """Means over `findings` of nDCG@5 and AUC by float and 8-bit vectors; the differences with their 95 % intervals
    over patients."""

    findings: tuple[str, ...]
    ndcg: tuple[float, float]
    auc: tuple[float, float]
    ndcg_difference: Interval
    auc_difference: Interval

    @property
    def is_worse(self) -> bool:
        return max(self.ndcg_difference.high, -1.0) < 0 or max(self.auc_difference.high, -1.0) < 0


@dataclass(frozen=True)
class Tried:
    """One recipe: the least and the mean cosine over the films, `ranked` where labels tell, and films a second."""

    recipe: str
    cosine_least: float
    cosine_mean: float
    films_a_second: float
    ranked: RankedAlike | None


@dataclass(frozen=True)
class Quantised:
    """What was compared on `films`; the `chosen` recipe is the first that passed, None where none did and nothing was
    written. `floats` are films a second by precision; `now` is that of a run of the float model."""

    model: str
    films: int
    now: float
    floats: dict[str, float]
    tried: tuple[Tried, ...]
    chosen: Tried | None
    name: str

    def faults(self, form: Tried) -> list[str]:
        """Say why a recipe was not kept; empty where it passes."""
        reasons = []
        if form.cosine_least < ALIKE:
            reasons.append(f"cosine below {ALIKE}")
        if form.ranked and form.ranked.is_worse:
            reasons.append("ranks worse")
        if form.films_a_second < FASTER * self.now:
            reasons.append(f"not {FASTER} times as fast")
        return reasons

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def quantise_model(
    archive: Archive, model: str, out: Path, *, progress: Callable[[str], None] = lambda stage: None
) -> Quantised:
    """Write the 8-bit form of a model to the folder `out`, where a recipe passes; its vectors are a space of its own.

    Raises BadInput where `out` holds something or too few films can be decoded, ModelUnavailable where the model has no
    exported image tower, or one that cannot be quantised.
    """
    if out.exists() and any(out.iterdir()):
        raise BadInput("the folder holds something already", where=out, fix="Give another --out.")
    floats = graphs_of(load_towers(model, device="cpu"))
    if floats is None:
        raise ModelUnavailable(
            "this model has no exported image tower to quantise",
            where=model,
            fix="Only models of open_clip whose export succeeded, and those in an exported folder, can be quantised.",
        )
    progress("Decoding films")
    calibration, compared, squares = _films(archive, floats.preprocess)
    batches = [floats.preprocess.normalise(squares[film.id][None]) for film in calibration]
    pixels = [squares[film.id] for film in compared]
    progress("Embedding in float32")
    vectors = _embed(floats, pixels)
    truth = _Truth.of(archive, compared, floats)
    timed = floats.preprocess.batch((pixels * _TIMED)[:_TIMED])
    rates = _rates(floats, timed)
    done = Quantised(floats.space.model, len(compared), _rate(floats.embed_prepared, timed), rates, (), None, out.name)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".quantise-", dir=out.parent) as work:
        flat = Path(work, "float.onnx")
        for recipe in quantise.RECIPES:
            progress(f"Trying {recipe.name}")
            folder = Path(work, "model")
            towers = _made(floats, flat, folder, batches, recipe, out.name)
            form = _compared(recipe, towers, vectors, pixels, truth, timed)
            done = replace(done, tried=(*done.tried, form))
            if not done.faults(form):
                shutil.copytree(folder, out, dirs_exist_ok=True)
                return replace(done, chosen=form)
            if form.films_a_second < FASTER * done.now:
                break  # the recipes that follow are no faster
    return done


def _films(archive: Archive, preprocess: Preprocess) -> tuple[list[Film], list[Film], dict[int, NDArray[np.uint16]]]:
    """Draw films to measure ranges on and films of other patients to compare on, always the same ones; those with
    labels first. Decode them."""
    present = list(films.everyone(archive.catalog))
    order = np.random.default_rng(0).permutation(len(present)).tolist()
    drawn = sorted((present[n] for n in order), key=lambda film: not film.labels)
    chosen = {film.id: film for film in drawn[: CALIBRATED + COMPARED]}
    places = {(film.root, film.path, film.frame): film.id for film in chosen.values()}
    squares: dict[int, NDArray[np.uint16]] = {}
    files = dict.fromkeys((root, path) for root, path, _ in places)
    for result in process(source_files(files), prepare=preprocess.shrink, key=archive.patient_key(), any_modality=True):
        if not isinstance(result, Failure):
            for film in result.films:
                number = places.get((result.listed.root, result.listed.path, film.frame))
                if number is not None:
                    squares[number] = film.prepared.astype(np.uint16)
    usable = [film for film in chosen.values() if film.id in squares]
    patients = list(dict.fromkeys(_patient(film) for film in usable))
    count = max(1, len(patients) * CALIBRATED // (CALIBRATED + COMPARED))
    first = set(patients[:count])
    calibration = [film for film in usable if _patient(film) in first][:CALIBRATED]
    compared = [film for film in usable if _patient(film) not in first]
    if len(usable) < FEWEST_FILMS or not compared:
        raise BadInput(
            f"{len(usable)} films of the archive can be decoded, and {FEWEST_FILMS} are needed",
            where=archive.folder,
            fix="Index more films, of several patients: any model will do.",
        )
    return calibration, compared, squares


def _patient(film: Film) -> str:
    return film.tags.patient_key or film.tags.study_uid or f"film {film.id}"


def _made(
    floats: OnnxTowers, flat: Path, folder: Path, batches: Sequence[F32], recipe: quantise.Recipe, name: str
) -> OnnxTowers:
    """Write a model folder with the 8-bit graph in place of the image tower, and load it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        if not flat.is_file():
            quantise.folded(floats.folder / IMAGE_GRAPH, flat)
        quantise.quantise(flat, folder / IMAGE_GRAPH, batches, recipe)
    except Exception as fault:  # ONNX's and ONNX Runtime's errors have no common parent but Exception
        lines = str(fault).strip().splitlines() or [type(fault).__name__]
        raise ModelUnavailable(
            f"its image tower cannot be quantised ({lines[0][:160]})", where=floats.space.model
        ) from None
    for file in floats.facts.files:
        if file.endswith((".json", ".onnx")) and file != IMAGE_GRAPH:
            shutil.copyfile(floats.folder / file, folder / file)
    return OnnxTowers(folder, device="cpu", facts=quantise.facts_of(floats.facts, folder, name, len(batches)))


def _compared(
    recipe: quantise.Recipe, towers: OnnxTowers, floats: F32, pixels: Sequence[NDArray[np.uint16]], truth: _Truth,
    timed: F32,
) -> Tried:  # fmt: skip
    vectors = _embed(towers, pixels)
    cosines = (floats * vectors).sum(axis=-1).reshape(len(floats), -1).min(axis=1)
    rate = _rate(towers.embed_prepared, timed)
    return Tried(recipe.name, float(cosines.min()), float(cosines.mean()), rate, truth.compare(floats, vectors))


def _embed(towers: OnnxTowers, pixels: Sequence[NDArray[np.uint16]]) -> F32:
    """Return (N, T, D) as a run would."""
    parts = [pixels[at : at + 16] for at in range(0, len(pixels), 16)]
    return np.concatenate([towers.embed_prepared(towers.preprocess.batch(squares)) for squares in parts])


def _rates(floats: OnnxTowers, timed: F32) -> dict[str, float]:
    """Measure films a second of OpenVINO by precision; none where it cannot run the graph."""
    rates = {}
    for name, precision in (("float32", "f32"), ("bfloat16", "bf16")):
        with contextlib.suppress(Exception):  # not installed, or a graph or a precision it cannot run
            rates[name] = _rate(partial(embedded, OpenVinoSession(floats.folder / IMAGE_GRAPH, precision)), timed)
    return rates


def _rate(embed: Callable[[F32], Any], batch: F32) -> float:
    """Return the films a second of the best of some turns."""
    seconds = []
    for _ in range(_TURNS):
        started = time.perf_counter()
        embed(batch)
        seconds.append(time.perf_counter() - started)
    return len(batch) / min(seconds)


@dataclass(frozen=True)
class _Truth:
    """What labels know of films: `shows` finding -> (N,) 1, 0 or NaN; `texts` finding -> (D,)."""

    shows: dict[str, NDArray[np.float64]]
    texts: dict[str, F32]
    patients: NDArray[np.str_]

    @staticmethod
    def of(archive: Archive, compared: Sequence[Film], towers: OnnxTowers) -> _Truth:
        labels, ids = label_values(archive.catalog), [film.id for film in compared]
        shows = {}
        for prompts in prompts_for(prompt_sets()) if towers.space.has_text else ():
            known = truth_of(prompts, labels, ids)
            if min((known == 1).sum(), (known == 0).sum()) >= FEWEST:
                shows[prompts.finding] = known
        texts = dict(zip(shows, towers.embed_texts(list(shows)), strict=True)) if shows else {}
        return _Truth(shows, texts, np.array([_patient(film) for film in compared]))

    def compare(self, floats: F32, eights: F32) -> RankedAlike | None:
        """Compare the rankings by two sets of vectors (N, T, D); None where no finding has labels enough."""
        if not self.shows:
            return None
        rankings = [{name: (rows @ text).max(axis=1) for name, text in self.texts.items()} for rows in (floats, eights)]
        everyone = np.arange(len(floats))
        value = self._means(rankings, everyone)
        _, whose = np.unique(self.patients, return_inverse=True)
        members = [np.flatnonzero(whose == patient) for patient in range(int(whose.max()) + 1)]
        rng = np.random.default_rng(0)
        drawn = [
            self._means(rankings, np.concatenate([members[n] for n in rng.integers(0, len(members), len(members))]))
            for _ in range(_SAMPLES)
        ]
        differences = np.array([[ndcgs[1] - ndcgs[0], aucs[1] - aucs[0]] for ndcgs, aucs in drawn])
        low, high = np.nanquantile(differences, (0.025, 0.975), axis=0)
        (ndcgs, aucs), count = value, len(members)
        return RankedAlike(
            tuple(self.shows), ndcgs, aucs,
            Interval(ndcgs[1] - ndcgs[0], float(low[0]), float(high[0]), count),
            Interval(aucs[1] - aucs[0], float(low[1]), float(high[1]), count),
        )  # fmt: skip

    def _means(
        self, rankings: Sequence[dict[str, F32]], rows: NDArray[np.int64]
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the mean nDCG@5 and the mean AUC of each ranking over some films."""
        ndcgs, aucs = [], []
        for name, shows in self.shows.items():
            known = rows[~np.isnan(shows[rows])]
            grades = shows[known].astype(np.float32)
            if grades.any() and not grades.all():
                ndcgs.append([ndcg(scores[name][known], grades) for scores in rankings])
                aucs.append([auc(scores[name][known], grades) for scores in rankings])
        first, second = np.nanmean(ndcgs, axis=0), np.nanmean(aucs, axis=0)
        return (float(first[0]), float(first[1])), (float(second[0]), float(second[1]))
