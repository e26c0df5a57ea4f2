"""Keep the probes of an archive: learned from its vectors and labels, kept in its folder, applied as labels.

A probe is a file `probes/NAME.json` in the archive folder (numbers, nothing that runs). Its probabilities are labels of
source "probe", so that `probe:NAME>0.8` filters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput, NotFound
from filmroom.db.reads import films
from filmroom.db.records import Filter, Label
from filmroom.db.writes.annotations import label_values, put_labels, remove_labels
from filmroom.search.classification.learning_curve import ProbeReport, probe
from filmroom.search.classification.linear_probe import Head, load_head, save_head
from filmroom.search.classification.table_split import Part, read_split
from filmroom.search.classification.zero_shot import known_truth
from filmroom.search.classification.zero_shot_archive import patients_of, stored_vectors
from filmroom.search.cli.counting import some_of
from filmroom.search.exchange.import_labels import read_labels
from filmroom.search.exchange.tables import read_text
from filmroom.search.searcher import Searcher
from numpy.typing import NDArray

SOURCE = "probe"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")

Values = Mapping[str, Mapping[int, float]]
"""Label name, lower case -> film id -> value."""


@dataclass(frozen=True)
class Labelled:
    """What to learn from. `patients` are keys that a table gave, by film; the archive's own are used elsewhere. With
    `parts` only the films in them count, and none of them is drawn."""

    values: Values
    patients: Mapping[int, str]
    missing: tuple[str, ...] = ()
    ambiguous: tuple[str, ...] = ()
    parts: Mapping[int, Part] = field(default_factory=dict)


@dataclass(frozen=True)
class Probed:
    """One report and head a finding that could be learned, and why the others could not. `alone` counts the
    labelled films without a patient key, each of which counts as a patient of its own; `straddling` the patients that
    a table's split has in more than one part."""

    model: str
    reports: tuple[ProbeReport, ...]
    heads: tuple[Head, ...]
    left_out: dict[str, str]
    alone: int
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]
    straddling: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "probes": [report.to_json() for report in self.reports],
            "left_out": self.left_out,
            "films_without_patient": self.alone,
            "patients_in_several_parts": self.straddling,
            "missing": list(self.missing),
            "ambiguous": list(self.ambiguous),
        }


@dataclass(frozen=True)
class SavedProbe:
    """A kept probe. `films` have its probability; `auc` is of the head that was measured when it was made."""

    name: str
    finding: str
    model: str
    films: int
    auc: float | None


def labels_of_archive(archive: Archive) -> Labelled:
    """Return the labels that the archive holds, those of probes left out."""
    return Labelled(label_values(archive.catalog), {})


def labels_of_table(archive: Archive, path: Path, *, split: str | None = None) -> Labelled:
    """Return the labels of a table; nothing is stored. A column patient, patient_id or subject_id is used for the
    split, or the column `split` says which films are to train, tune and test on.

    Raises BadInput where no row matches a film.
    """
    labels, patients, imported = read_labels(archive.catalog, path, split=split, key=archive.patient_key())
    if not labels:
        raise BadInput(
            f"none of the {imported.rows:,} rows labels a film of this archive",
            where=path,
            fix="Films are matched by instance UID, path or file name.",
        )
    values: dict[str, dict[int, float]] = {}
    for film, label in labels:
        column = values.setdefault(label.name.strip().lower(), {})
        column[film] = max(label.value, column.get(film, 0.0))
    parts = read_split(archive.catalog, path, split) if split else {}
    return Labelled(values, patients, imported.missing, imported.ambiguous, parts)


def learn(
    searcher: Searcher,
    labelled: Labelled,
    names: Sequence[str] = (),
    *,
    on_fit: Callable[[str], None] = lambda name: None,
) -> Probed:
    """Probe the findings `names`, or all that are labelled. No image is read.

    Raises BadInput where a named finding is not labelled, or where none has enough patients with and without it.
    """
    findings = _findings_to_learn(names, labelled)
    film_ids, vectors = _labelled_vectors(searcher, labelled)
    keys_in_archive = patients_of(searcher.catalog, film_ids.tolist())
    keys = [labelled.patients.get(int(film)) or key for film, key in zip(film_ids, keys_in_archive, strict=True)]
    parts = np.array([labelled.parts[int(film)] for film in film_ids]) if labelled.parts else None
    reports, heads, left_out = [], [], {}
    for name in findings:
        truth = known_truth((name,), labelled.values, film_ids.tolist())
        try:
            report, head = probe(
                vectors,
                truth,
                keys,
                name=name,
                space=searcher.held.space,
                parts=parts,
                on_fit=partial(on_fit, name),
            )
        except BadInput as fault:
            if len(findings) == 1:
                raise
            left_out[name] = fault.what
        else:
            reports.append(report)
            heads.append(head)
    if not reports:
        raise BadInput("no finding has enough patients with and without it", fix="Label at least four of each.")
    return Probed(
        searcher.model,
        tuple(reports),
        tuple(heads),
        left_out,
        sum(key.startswith("film ") for key in keys),
        labelled.missing,
        labelled.ambiguous,
        0 if parts is None else _straddling(keys, parts.tolist()),
    )


def _findings_to_learn(names: Sequence[str], labelled: Labelled) -> list[str]:
    findings = [name.strip().lower() for name in names] or sorted(labelled.values)
    unknown = [name for name in findings if name not in labelled.values]
    if unknown or not findings:
        labels = some_of(sorted(labelled.values)) or "none"
        raise BadInput("there is no label of this name", where=", ".join(unknown) or None, fix=f"Labels: {labels}")
    return findings


def _labelled_vectors(searcher: Searcher, labelled: Labelled) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the ids of the labelled films that have vectors of this model, and the vectors."""
    everyone = np.array(sorted({film for column in labelled.values.values() for film in column}), np.int64)
    if labelled.parts:
        everyone = everyone[np.isin(everyone, list(labelled.parts))]
    blocks = list(stored_vectors(searcher, everyone))
    if not blocks:
        raise BadInput("no labelled film has a vector of this model", fix="Run `filmroom index` with it first.")
    return np.concatenate([ids for ids, _ in blocks]), np.concatenate([vectors for _, vectors in blocks])


def _straddling(keys: Sequence[str], parts: Sequence[str]) -> int:
    """Count the patients with films in more than one part."""
    parts_of: dict[str, set[str]] = {}
    for key, part in zip(keys, parts, strict=True):
        parts_of.setdefault(key, set()).add(part)
    return sum(len(patient_parts) > 1 for patient_parts in parts_of.values())


def keep(searcher: Searcher, name: str, probed: Probed) -> int:
    """Keep the one probe of `found` as `name` and apply it to the archive; returns the films it was applied to.

    Raises BadInput for a name that cannot be typed in a query, and for several probes.
    """
    path = _path(searcher.archive, check_name(name))
    if len(probed.heads) != 1:
        raise BadInput(
            f"{len(probed.heads)} findings were learned", where=name, fix="Name the one to keep with --label."
        )
    auc = probed.reports[0].auc()
    path.parent.mkdir(mode=0o700, exist_ok=True)
    save_head(probed.heads[0], path, about={"auc": auc.value, "auc_interval": [auc.low, auc.high]})
    return apply(searcher, name)


def apply(searcher: Searcher, name: str) -> int:
    """Score every film with a kept probe, in one transaction; films that came since are then scored too.

    Raises NotFound where there is none, ModelUnavailable where it belongs to another model.
    """
    head = load_head(_probe_file(searcher.archive, name), space=searcher.held.space)
    labels: list[tuple[int, Label]] = []
    for ids, vectors in stored_vectors(searcher, films.select_ids(searcher.catalog, Filter())):
        probabilities: NDArray[np.float32] = head.probabilities(vectors)
        labels += [
            (int(film), Label(name, round(float(probability), 6), SOURCE))
            for film, probability in zip(ids, probabilities, strict=True)
        ]
    return put_labels(searcher.catalog, labels)


def saved(archive: Archive) -> list[SavedProbe]:
    """Return the kept probes by name. Raises BadInput for a file there that is none."""
    values = label_values(archive.catalog, sources=[SOURCE])
    probes = []
    for path in sorted((archive.folder / "probes").glob("*.json")):
        head, about = load_head(path), json.loads(read_text(path)).get("about") or {}
        probes.append(
            SavedProbe(path.stem, head.name, head.space.model, len(values.get(path.stem, ())), about.get("auc"))
        )
    return probes


def saved_json(archive: Archive) -> list[dict[str, Any]]:
    return [asdict(probe) for probe in saved(archive)]


def remove(archive: Archive, name: str) -> int:
    """Delete a kept probe and its probabilities; returns the films that had one. Raises NotFound."""
    path = _probe_file(archive, name)
    deleted = remove_labels(archive.catalog, source=SOURCE, name=name)
    path.unlink(missing_ok=True)
    return deleted


def check_name(name: str) -> str:
    """Raise BadInput for a name that could not be typed in a query."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            "a probe's name is up to 64 of a-z, 0-9, dash, dot and underscore", where=name, fix="For example: edema-1"
        )
    return name


def _path(archive: Archive, name: str) -> Path:
    return archive.folder / "probes" / f"{name}.json"


def _probe_file(archive: Archive, name: str) -> Path:
    path = _path(archive, name)
    if not _NAME.fullmatch(name) or not path.is_file():
        names = ", ".join(sorted(file.stem for file in path.parent.glob("*.json"))) or "none"
        raise NotFound("there is no probe of this name", where=name, fix=f"Kept here: {names}")
    return path
