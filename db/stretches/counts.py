"""Count what takes longer the more films there are, stretch by stretch: SQLite alone, as `filmroom status` asks."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from itertools import zip_longest
from typing import Any

from filmroom.db.stretches.kept_answers import KeptAnswers
from filmroom.db.stretches.versions import ids_of_stretch, versions

NAME = "counts"

_PRESENT = "present"
_GONE = ("gone", "replaced")
_PARTS = {
    "film": (
        ("film",),
        "SELECT state, view, burned_in IS NOT NULL AND burned_in, count(*) FROM film WHERE id BETWEEN ?1 AND ?2 "
        "GROUP BY 1, 2, 3",
    ),
    "file": (("file",), "SELECT outcome, listed, count(*) FROM file WHERE id BETWEEN ?1 AND ?2 GROUP BY 1, 2"),
    "label": (
        ("label", "film"),
        "SELECT name, count(DISTINCT film_id) FROM label WHERE film_id BETWEEN ?1 AND ?2 AND value >= 0.5 "
        "AND source != 'probe' AND film_id NOT IN (SELECT id FROM film WHERE state IN ('gone', 'replaced') "
        "AND id BETWEEN ?1 AND ?2) GROUP BY name",
    ),
    "labelled": (("label",), "SELECT count(DISTINCT film_id) FROM label WHERE film_id BETWEEN ?1 AND ?2"),
    "report": (("report",), "SELECT count(*) FROM report WHERE id BETWEEN ?1 AND ?2"),
}
"""What is counted, from which tables it follows, and how within a stretch. The last column is a number."""

Stretch = list[Any]
"""Versions of a stretch, and the rows that were counted in it."""

Parts = dict[str, list[Stretch]]


def counts_by_stretch(connection: sqlite3.Connection, answers: KeptAnswers) -> dict[str, Any]:
    """Return what `counts_of` (`filmroom.db.reads.summary`) does, counting only stretches that were written since; the
    films of a space that are absent are left to who asks."""
    answer = answers.get(NAME)
    earlier: Parts = {} if answer is None else json.loads(answer)
    parts = _brought_up(connection, earlier)
    if parts != earlier:
        answers.put(NAME, json.dumps(parts).encode())
    return _joined({part: _sums(stretches) for part, stretches in parts.items()})


def differ(connection: sqlite3.Connection, answer: bytes) -> bool:
    """Tell whether kept counts are not those of the catalog."""
    return _brought_up(connection, json.loads(answer)) != _brought_up(connection, {})


def _brought_up(connection: sqlite3.Connection, earlier: Parts) -> Parts:
    return {part: _counted(connection, part, earlier.get(part, [])) for part in _PARTS}


def _counted(connection: sqlite3.Connection, part: str, earlier: list[Stretch]) -> list[Stretch]:
    relations, statement = _PARTS[part]
    current = zip_longest(*(versions(connection, relation) for relation in relations), fillvalue=0)
    stretches = []
    for number, stamps in enumerate(map(list, current)):
        if number < len(earlier) and earlier[number][0] == stamps:
            stretches.append(earlier[number])
        else:
            rows = connection.execute(statement, ids_of_stretch(number)).fetchall()
            stretches.append([stamps, [list(row) for row in rows]])
    return stretches


def _sums(stretches: list[Stretch]) -> Counter[tuple[Any, ...]]:
    """Return the sums of the last column, by the others."""
    sums: Counter[tuple[Any, ...]] = Counter()
    for _, rows in stretches:
        for *key, count in rows:
            sums[tuple(key)] += count
    return +sums


def _joined(sums: dict[str, Counter[tuple[Any, ...]]]) -> dict[str, Any]:
    views: Counter[str] = Counter()
    films = burned_in = 0
    for (state, view, is_burned_in), count in sums["film"].items():
        films += count if state == _PRESENT else 0
        if state not in _GONE:
            burned_in += count if is_burned_in else 0
            views[view] += count if view is not None else 0
    return {
        "films": films,
        "files": [[outcome, bool(listed), count] for (outcome, listed), count in sums["file"].items()],
        "views": _most_frequent(+views),
        "labels": _most_frequent(Counter({name: count for (name,), count in sums["label"].items()})),
        "labelled": sums["labelled"][()],
        "reports": sums["report"][()],
        "burned_in": burned_in,
    }


def _most_frequent(counts: Counter[str]) -> list[list[Any]]:
    return [list(pair) for pair in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
