"""Write down a cohort: what was asked, of which model, which films answered, how many of what; and compare two.

A film is named by its id in the archive and by a key, the beginning of the SHA-256 of its identity, so that cohorts of
one archive that was indexed anew, or of two archives, can be compared and no UID is in the file.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from filmroom.db.errors import BadInput, NotFound
from filmroom.db.reads import film_facts
from filmroom.search.export.job import Failures, Job
from filmroom.search.export.selection import hits
from filmroom.search.results import Hit

KIND = "filmroom cohort"
_VERSION = 1
_BLOCK = 5_000
_KEY = 16
_SHOWN = 50
_ASKED = ("chosen", "model", "fingerprint", "split", "licence")


class Cohort:
    """A manifest as a file of its own."""

    batch = _BLOCK

    def __init__(self, job: Job) -> None:
        self._job = job

    def write(self, films: Sequence[Hit]) -> Failures:
        return []

    def finish(self) -> Path:
        path = self._job.folder / "cohort.json"
        write(self._job, path)
        return path


def write(job: Job, path: Path) -> dict[str, Any]:
    """Write the manifest of the films that an export wrote, a line a film; give it without its films.

    The films are written first, beside it: their counts and hash stand before them, and a million are not held.
    """
    part = job.folder / "cohort.films"
    with part.open("w", encoding="utf-8") as lines:
        about = _count(job, lines)
    with path.open("w", encoding="utf-8") as out, part.open(encoding="utf-8") as lines:
        out.write(json.dumps(about, ensure_ascii=False).removesuffix("}") + ', "films": [\n')
        shutil.copyfileobj(lines, out)
        out.write("]}\n")
    part.unlink()
    return about


def _count(job: Job, lines: IO[str]) -> dict[str, Any]:
    """Write the films as rows of JSON with commas between, and count them."""
    left_out = {film_id for film_id, _ in job.failures()}
    facts = job.facts
    choice = {name: facts[name] for name in ("chosen", "model", "fingerprint", "split")}
    # As of the JSON of [asked, keys].
    digest = hashlib.sha256(f"[{json.dumps(choice, sort_keys=True)}, [".encode())
    counts = _Counts()
    for hit, key in _keyed(job):
        if hit.id in left_out:
            continue
        split = job.split_of(hit.id)
        row = [hit.id, key, hit.rank, None if hit.score is None else round(hit.score, 6), split]
        lines.write((",\n" if counts.films else "") + json.dumps(row))
        digest.update(f"{', ' if counts.films else ''}{json.dumps(key)}".encode())
        counts.add(hit, key, split)
    digest.update(b"]]")
    return {
        "kind": KIND,
        "version": _VERSION,
        "created_at": int(time.time()),
        **choice,
        "licence": facts["licence"],
        "counts": counts.to_json(),
        "hash": digest.hexdigest(),
        "columns": ["id", "key", "rank", "score", "split"],
    }


class _Counts:
    """How many films, patients and studies, and how many films of each label, view, sex and split."""

    def __init__(self) -> None:
        self.films = 0
        self._patients: set[str] = set()
        self._studies: set[str] = set()
        self._of: dict[str, Counter[str]] = {name: Counter() for name in ("labels", "views", "sexes", "splits")}

    def add(self, hit: Hit, key: str, split: str | None) -> None:
        tags = hit.film.tags
        self.films += 1
        self._patients.add(tags.patient_key or tags.study_uid or key)
        self._studies.add(tags.study_uid or key)
        self._of["labels"].update(hit.film.label_names)
        self._of["views"][tags.view or "unknown"] += 1
        self._of["sexes"][tags.sex or "unknown"] += 1
        if split:
            self._of["splits"][split] += 1

    def to_json(self) -> dict[str, Any]:
        return {
            "films": self.films,
            "patients": len(self._patients),
            "studies": len(self._studies),
            **{name: dict(sorted(counted.items())) for name, counted in self._of.items()},
        }


def _keyed(job: Job) -> Iterator[tuple[Hit, str]]:
    for start in range(0, int(job.ranking.ids.size), _BLOCK):
        block = [hit for hit in hits(job.archive, job.ranking, start, start + _BLOCK) if hit is not None]
        names = film_facts.identities(job.archive.catalog, [hit.id for hit in block])
        for hit in block:
            yield hit, hashlib.sha256(names[hit.id].encode()).hexdigest()[:_KEY]


@dataclass(frozen=True)
class Place:
    """A film of one of two cohorts: its id, and its rank before and after."""

    id: int
    rank_before: int | None
    rank_after: int | None


@dataclass(frozen=True)
class Difference:
    """What came, went and moved from one cohort to another. Lists are cut to the first fifty; counts are whole.

    `moved` are films of both whose order among the films of both is another; those that moved furthest come first.
    `changed` names what else differs: the request, the model, its fingerprint, the split.
    """

    before: int
    after: int
    came: int
    went: int
    stayed: int
    moved: int
    other_split: int
    changed: tuple[str, ...]
    films_came: tuple[Place, ...]
    films_went: tuple[Place, ...]
    films_moved: tuple[Place, ...]

    @property
    def same(self) -> bool:
        return not (self.came or self.went or self.moved or self.other_split or self.changed)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"same": self.same}


def read_cohort(path: Path) -> dict[str, Any]:
    """Read a manifest, or that of a data set's folder. Raises NotFound, BadInput."""
    file = path / "cohort.json" if path.is_dir() else path
    try:
        cohort: dict[str, Any] = json.loads(file.read_text("utf-8"))
        if cohort["kind"] != KIND or not all(len(film) == len(cohort["columns"]) for film in cohort["films"]):
            raise ValueError
    except FileNotFoundError:
        raise NotFound("there is no such file", where=path) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise BadInput(
            "is no cohort manifest, or is damaged", where=path, fix="`filmroom export cohort` writes one."
        ) from None
    return cohort


def diff(before: dict[str, Any], after: dict[str, Any]) -> Difference:
    """Compare two manifests by the films' keys."""
    old, new = _films(before), _films(after)
    came = [key for key in new if key not in old]
    went = [key for key in old if key not in new]
    stayed = [key for key in new if key in old]
    order = {key: at for at, key in enumerate(key for key in old if key in new)}
    moves = {key: at - order[key] for at, key in enumerate(stayed)}
    moved = sorted((key for key in stayed if moves[key]), key=lambda key: (-abs(moves[key]), new[key]["rank"]))
    return Difference(
        len(old),
        len(new),
        len(came),
        len(went),
        len(stayed),
        len(moved),
        sum(old[key]["split"] != new[key]["split"] for key in stayed),
        tuple(name for name in _ASKED if before.get(name) != after.get(name)),
        tuple(Place(new[key]["id"], None, new[key]["rank"]) for key in came[:_SHOWN]),
        tuple(Place(old[key]["id"], old[key]["rank"], None) for key in went[:_SHOWN]),
        tuple(Place(new[key]["id"], old[key]["rank"], new[key]["rank"]) for key in moved[:_SHOWN]),
    )


def _films(cohort: dict[str, Any]) -> dict[str, dict[str, Any]]:
    rows = (dict(zip(cohort["columns"], film, strict=True)) for film in cohort["films"])
    return {row["key"]: row for row in rows}
