"""Count what an archive holds, by SQLite alone.

`filmroom status` answers from here: to import SQLAlchemy takes longer than all of these counts together. The
statements touch only columns that every catalog has had; tests hold their answers equal to those of
`filmroom.db.reads.films`.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filmroom.db.files.read_only import may_write, reading
from filmroom.db.records import SAME_UID, Counts, Facet, FileCounts, Outcome, Run, RunState, Space, StoredSpace
from filmroom.db.stretches.counts import counts_by_stretch
from filmroom.db.stretches.kept_answers import KeptAnswers

BUSY_SECONDS = 15


@dataclass(frozen=True)
class IvfStats:
    """What was built for fast answers from many films (`filmroom.db.vector_index.ivf`), and what it was measured to do:
    the share `recall` of the exact ten best that it finds, and milliseconds a query."""

    fingerprint: str
    mark: int
    rows: int
    lists: int
    probes: int
    recall: float
    exact_ms: float
    approximate_ms: float


@dataclass(frozen=True)
class HnswStats:
    """What a server's index of `rows` vectors was measured to do (`filmroom.db.vector_index.hnsw`): as `IvfStats`.
    `ef_search`: the width of the search; 0 where none found enough, so that every answer is exact."""

    rows: int
    ef_search: int
    recall: float
    exact_ms: float
    approximate_ms: float


@dataclass(frozen=True)
class Glance:
    """`ivf`: the IVF index by space id, where one was built. `labelled`: films that have labels;
    `burned_in`: that may have words in their pixels. `runs`: the newest first. `same_uid`: paths of files that are not
    indexed, as they bear the UID of another picture. `size`: the bytes that a server keeps for it; None of a file.
    `hnsw`: a server's own index by space id."""

    films: int
    files: FileCounts
    roots: tuple[str, ...]
    spaces: tuple[StoredSpace, ...]
    ivf: dict[int, IvfStats]
    views: tuple[Facet, ...]
    labels: tuple[Facet, ...]
    labelled: int
    reports: int
    burned_in: int
    runs: tuple[Run, ...]
    same_uid: tuple[str, ...]
    size: int | None = None
    hnsw: Mapping[int, HnswStats] = field(default_factory=dict)


_SPACES = "SELECT id, model, fingerprint, dim, vectors, has_text, generation FROM space"
# Those that are absent are counted, which are few: a count over all would read every film's row.
_ABSENT = """
SELECT space_id, count(*) FROM film JOIN embedding ON embedding.film_id = film.id
WHERE film.state IN ('gone', 'replaced') GROUP BY space_id
"""
# All are counted in the order of an index, less those that are gone, which are few.
_VIEWS = """
SELECT view, sum(films) FROM (
    SELECT view, count(*) AS films FROM film WHERE view IS NOT NULL GROUP BY view
    UNION ALL
    SELECT view, -1 FROM film WHERE view IS NOT NULL AND state IN ('gone', 'replaced')
) AS counted
GROUP BY view HAVING sum(films) > 0 ORDER BY 2 DESC, 1
"""
_FILES = "SELECT outcome, count(*) FROM file GROUP BY outcome"
_UNLISTED = "SELECT outcome, count(*) FROM (SELECT outcome FROM file WHERE NOT listed) AS unlisted GROUP BY outcome"
# Distinct in the order of the table's key: nothing is sorted.
_LABELLED = "SELECT count(*) FROM (SELECT DISTINCT film_id FROM label) AS labelled"
_BURNED_IN = """
SELECT count(*) FROM film
WHERE burned_in AND id NOT IN (SELECT id FROM film WHERE state IN ('gone', 'replaced'))
"""
_SAME_UID = "SELECT path FROM file WHERE outcome = 'duplicate' AND listed AND reason = ? ORDER BY path"
_LABELS = """
SELECT name, count(DISTINCT film_id) FROM label
WHERE value >= 0.5 AND source != 'probe' AND film_id NOT IN (SELECT id FROM film WHERE state IN ('gone', 'replaced'))
GROUP BY name ORDER BY 2 DESC, 1
"""


def glance(path: Path, *, runs: int = 5) -> Glance:
    """Read the catalog at `path` in one transaction. Raises sqlite3.Error where it is no catalog that can be read."""
    with _opened(path) as connection:
        connection.execute("BEGIN")
        answers = KeptAnswers(connection, path)
        counts = _by_stretch(connection, answers) if answers.usable else counts_of(connection)
        return glance_at(connection, path.with_name("vectors"), is_alive, counts, runs=runs)


def _by_stretch(connection: sqlite3.Connection, answers: KeptAnswers) -> dict[str, Any]:
    return counts_by_stretch(connection, answers) | {"absent": connection.execute(_ABSENT).fetchall()}


def counts_of(connection: sqlite3.Connection) -> dict[str, Any]:
    """Count what takes longer the more films there are, as values that JSON has."""
    return {
        "films": _one(connection, "SELECT count(*) FROM film WHERE state = 'present'"),
        "files": _file_rows(connection),
        "absent": [list(row) for row in connection.execute(_ABSENT)],
        "views": [[view, int(films)] for view, films in connection.execute(_VIEWS)],
        "labels": [list(row) for row in connection.execute(_LABELS)],
        "labelled": _one(connection, _LABELLED),
        "reports": _one(connection, "SELECT count(*) FROM report"),
        "burned_in": _one(connection, _BURNED_IN),
    }


def glance_at(
    connection: sqlite3.Connection,
    vectors: Path,
    alive: Callable[[Run], bool],
    counts: Mapping[str, Any],
    *,
    runs: int = 5,
) -> Glance:
    """Read a catalog of these `counts_of` in a transaction that has begun; what is derived from it lies in
    `vectors`."""
    spaces = stored_spaces(connection, vectors, dict(counts["absent"]))
    ivf = {space.id: stats for space in spaces if (stats := ivf_stats(vectors, space)) is not None}
    return Glance(
        films=counts["films"],
        files=_file_counts(counts["files"]),
        roots=tuple(os.fsdecode(row[0]) for row in connection.execute("SELECT path FROM root ORDER BY path")),
        spaces=spaces,
        ivf=ivf,
        views=tuple(Facet(*row) for row in counts["views"]),
        labels=tuple(Facet(*row) for row in counts["labels"]),
        labelled=counts["labelled"],
        reports=counts["reports"],
        burned_in=counts["burned_in"],
        runs=_runs(connection, runs, alive),
        same_uid=tuple(os.fsdecode(row[0]) for row in connection.execute(_SAME_UID, (SAME_UID,))),
    )


def _opened(path: Path) -> AbstractContextManager[sqlite3.Connection]:
    if not may_write(path):
        return reading(path)
    return closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS))


def stored_spaces(
    connection: sqlite3.Connection, folder: Path, absent: Mapping[int, int] | None = None
) -> tuple[StoredSpace, ...]:
    """Return all spaces, the most complete first, the newest first among equals. `folder` holds their snapshots;
    `absent` are the films of each that are not present, where they have been counted."""
    archive = connection.execute("SELECT value FROM meta WHERE key = 'archive_id'").fetchone()
    archive_id = archive[0] if archive else ""
    if absent is None:
        absent = {row[0]: row[1] for row in connection.execute(_ABSENT).fetchall()}
    spaces = []
    for row in connection.execute(_SPACES).fetchall():
        space_id, model, fingerprint, dim, vectors, has_text, generation = (row[at] for at in range(7))
        counted, mark = _counted_vectors(folder, space_id, (archive_id, fingerprint, generation))
        newest = connection.execute("SELECT max(id) FROM embedding WHERE space_id = ?", (space_id,)).fetchone()[0] or 0
        if mark > newest:  # of a later state of this archive, of which a copy took its place
            counted, mark = 0, 0
        newer = "SELECT count(*) FROM embedding WHERE space_id = ? AND id > ?"
        films = counted + connection.execute(newer, (space_id, mark)).fetchone()[0] - absent.get(space_id, 0)
        space = Space(model, fingerprint, dim, vectors, bool(has_text))
        spaces.append(StoredSpace(space_id, space, films, archive_id))
    return tuple(sorted(spaces, key=lambda stored: (stored.films, stored.id), reverse=True))


def _counted_vectors(folder: Path, space_id: int, state: tuple[str, str, int]) -> tuple[int, int]:
    """Return the vectors up to a watermark where a snapshot has counted them, so that millions need not be counted
    again; `state` is the archive's id, the fingerprint and the generation, which rises when a vector goes."""
    try:
        claims = json.loads((folder / f"{space_id}.json").read_text())
        sound = claims.pop("crc") == zlib.crc32(json.dumps(claims, sort_keys=True).encode())
        if sound and claims["live"] >= 0 and (claims["archive"], claims["fingerprint"], claims["generation"]) == state:
            return int(claims["live"]), int(claims["mark"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass
    return 0, 0


def ivf_stats(folder: Path, stored_space: StoredSpace) -> IvfStats | None:
    """Return what is said of the space's IVF index, where one was built for these weights."""
    try:
        stats = IvfStats(**json.loads((folder / f"lists-{stored_space.id}.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return stats if stats.fingerprint == stored_space.space.fingerprint else None


def run_of(row: Mapping[str, Any], alive: Callable[[Run], bool]) -> Run:
    """Read a row of the table of runs. One that says it is running, with a process that is no longer there, is
    broken."""
    record = Run(
        id=row["id"],
        paths=tuple(json.loads(row["paths"])),
        model=row["model"],
        pid=row["pid"],
        state=RunState(row["state"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        counts=Counts(**{name: row[name] for name in Counts.__dataclass_fields__}),
        message=row["message"],
    )
    broken = record.state is RunState.RUNNING and not alive(record)
    return replace(record, state=RunState.BROKEN) if broken else record


def _one(connection: sqlite3.Connection, statement: str) -> int:
    return int(connection.execute(statement).fetchone()[0])


def _file_rows(connection: sqlite3.Connection) -> list[list[Any]]:
    """Return outcome, whether they are listed, and number of the files: the index of outcomes counts all, and those
    that are not listed are looked for in one pass."""
    unlisted = {outcome: count for outcome, count in connection.execute(_UNLISTED)}  # noqa: C416 (rows of any driver)
    listed = [[outcome, True, count - unlisted.get(outcome, 0)] for outcome, count in connection.execute(_FILES)]
    return [*listed, *([outcome, False, count] for outcome, count in unlisted.items())]


def _file_counts(rows: Sequence[Sequence[Any]]) -> FileCounts:
    listed_counts = {outcome: count for outcome, listed, count in rows if listed}
    return FileCounts(
        indexed=listed_counts.get(Outcome.INDEXED.value, 0),
        duplicate=listed_counts.get(Outcome.DUPLICATE.value, 0),
        rejected=listed_counts.get(Outcome.REJECTED.value, 0),
        gone=sum(count for _, listed, count in rows if not listed),
    )


def _runs(connection: sqlite3.Connection, limit: int, alive: Callable[[Run], bool]) -> tuple[Run, ...]:
    rows = connection.execute("SELECT * FROM run ORDER BY id DESC LIMIT ?", (limit,))
    names = [column[0] for column in rows.description]
    return tuple(run_of(dict(zip(names, row, strict=True)), alive) for row in rows)


def is_alive(run: Run) -> bool:
    """Tell whether the process of a run is there, on this machine."""
    try:
        os.kill(run.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
