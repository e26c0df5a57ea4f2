"""Measure whether the heat map looks where the finding is: pointing game and energy in boxes, beside blind guesses.

The pointing game (Zhang et al., 2018) asks whether the map's highest point lies in a box of the finding, here without a
tolerance. The energy (Wang et al., 2020) is the share of the map that lies in the boxes. Guesses that see no film:
a random point, the film's centre, and for each finding the one point that is in most of its boxes, chosen with
these very boxes in sight. A map that does not beat the last has learned where findings usually are, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.errors import BadInput
from filmroom.db.reads import films
from filmroom.db.records import Film
from filmroom.indexer.decoding.orientation import box_on_film, size_in_file
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.radiology.report_labeler import spoken
from filmroom.indexer.radiology.vocabulary import finding_of
from filmroom.search.catalog_names import CatalogNames
from filmroom.search.evaluation.statistics import Interval, bootstrap_mean
from filmroom.search.exchange.original_pixels import decoded
from filmroom.search.exchange.tables import Row, read_table
from filmroom.search.heatmap import over_film
from filmroom.search.searcher import Searcher
from numpy.typing import NDArray

HEART = "cardiomegaly"
_NIH_SIDE = 1024.0  # the list of ChestX-ray14 is in pixels of its 1024 x 1024 files, whatever size they are kept in
_GRID = 64


@dataclass(frozen=True)
class Box:
    """Where a finding is, in pixels of a file of `side` x `side`, or of the film's own file where `side` is None."""

    x: float
    y: float
    width: float
    height: float
    side: float | None = None

    def share(self, film: Film) -> tuple[float, float, float, float]:
        """Return (left, top, right, bottom) in shares of the width and height of the film as it is shown."""
        rows, columns = size_in_file(film.tags)
        across, down = (self.side or columns), (self.side or rows)
        box = self.x / across, self.y / down, (self.x + self.width) / across, (self.y + self.height) / down
        return box_on_film(box, film.tags.orientation)


Boxes = Mapping[tuple[str, str], Sequence[Box]]
"""(film's name, finding) -> its boxes."""


@dataclass(frozen=True)
class Pointed:
    """One film and finding. Guesses are shares of hits: `random` the area of the boxes, `centre` and `fixed` 0 or 1."""

    film: str
    finding: str
    hit: bool
    energy: float
    random: float
    centre: bool
    fixed: bool


@dataclass(frozen=True)
class Grounded:
    """Means over `n` pairs of film and finding, with bootstrap intervals over the pairs. `random` is also what an
    even map has of energy."""

    name: str
    n: int
    pointing: Interval
    energy: Interval
    random: float
    centre: float
    fixed: float


@dataclass(frozen=True)
class Grounding:
    """`rows`: all findings, all but cardiomegaly (whose box is nearly always at the same place), then each."""

    model: str
    rows: tuple[Grounded, ...]
    pairs: tuple[Pointed, ...]
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]
    unread: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def read_boxes(path: Path) -> dict[tuple[str, str], list[Box]]:
    """Read BBox_List_2017.csv of NIH ChestX-ray14, or a table film,label,x,y,w,h in pixels of the films themselves.

    Raises BadInput for a box that is not four numbers with an area, and for an empty table.
    """
    table = read_table(path)
    name, label = table.need("Image Index", "film", "image_id"), table.need("Finding Label", "label")
    listed = table.column("Bbox [x", "Bbox [x,y,w,h]")
    columns = [listed or table.need("x"), table.column("y"), table.column("w", "width"), table.column("h]", "h")]
    boxes: dict[tuple[str, str], list[Box]] = {}
    for row in table:
        sides = _numbers(row, columns)
        if sides[2] <= 0 or sides[3] <= 0 or sides[0] < 0 or sides[1] < 0:
            raise BadInput("The box has no area on the film", where=row.where, fix="Write: x, y, width, height")
        finding = finding_of(row.get(label))
        boxes.setdefault((row.get(name), finding), []).append(Box(*sides, side=_NIH_SIDE if listed else None))
    if not boxes:
        raise BadInput("There are no boxes", where=path)
    return boxes


def ground(searcher: Searcher, boxes: Boxes, *, on_film: Callable[[], None] = lambda: None) -> Grounding:
    """Ask each finding of the films that have boxes of it, and compare the heat maps with the boxes.

    Raises BadInput where no box belongs to a film of the archive, ModelUnavailable where the model has no patches.
    """
    names = CatalogNames(searcher.catalog).place(name for name, _ in boxes)
    placed: dict[int, dict[str, list[Box]]] = {}
    for (name, finding), film_boxes in boxes.items():
        if name in names.films:
            placed.setdefault(names.films[name], {}).setdefault(finding, []).extend(film_boxes)
    if not placed:
        raise BadInput("no box belongs to a film of this archive", fix="Films are matched by UID, path or file name.")
    findings = {finding for by_finding in placed.values() for finding in by_finding}
    vectors = {finding: searcher.vector(spoken(finding)) for finding in sorted(findings)}
    located = films.films(searcher.catalog, sorted(placed))
    best = {finding: _best_point(located, placed, finding) for finding in vectors}
    pairs: list[Pointed] = []
    unread: list[str] = []
    for film, patches in _patches(searcher, located):
        on_film()
        if patches is None:
            unread.append(film.path)
            continue
        for finding, film_boxes in sorted(placed[film.id].items()):
            vector = vectors[finding]
            if vector is None:
                continue
            heat = over_film(patches @ vector, film.tags.rows, film.tags.columns)
            pairs.append(_pointed(film, finding, heat, [box.share(film) for box in film_boxes], best[finding]))
    if not pairs:
        raise BadInput("none of the films with boxes could be read", fix="Mount their disk, or index them again.")
    pairs.sort(key=lambda pair: (pair.finding, pair.film))
    rows = [_mean("all", pairs)]
    without_heart = [pair for pair in pairs if pair.finding != HEART]
    if without_heart and len(without_heart) < len(pairs):
        rows.append(_mean(f"without {HEART}", without_heart))
    rows += [
        _mean(name, [pair for pair in pairs if pair.finding == name])
        for name in dict.fromkeys(p.finding for p in pairs)
    ]
    return Grounding(searcher.model, tuple(rows), tuple(pairs), names.missing, names.ambiguous, tuple(unread))


def _patches(searcher: Searcher, located: Sequence[Film]) -> Any:
    """Return (film, its patch vectors (h, w, D)), None where the file cannot be read, in any order.

    Workers hand back the square that the tower takes: resizing it again changes nothing.
    """
    towers = searcher.towers
    for film, done in decoded(located, prepare=towers.preprocess.shrink):
        if isinstance(done, str):
            yield film, None
        else:
            square = done.prepared.astype(np.float32) / np.float32(65535)
            yield film, towers.patch_vectors(Radiograph(square, film.tags))


def _pointed(
    film: Film,
    finding: str,
    heat: NDArray[np.float32],
    boxes: Sequence[tuple[float, float, float, float]],
    fixed: tuple[float, float],
) -> Pointed:
    height, width = heat.shape
    across, down = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    inside = np.zeros(heat.shape, bool)
    for left, top, right, bottom in boxes:
        inside |= ((down >= top) & (down < bottom))[:, None] & ((across >= left) & (across < right))[None]
    # Where resampling cuts the summit off, the middle of the plateau is its highest point.
    rows, columns = np.nonzero(heat == heat.max())
    point = across[round(columns.mean())], down[round(rows.mean())]
    total = float(heat.sum())
    area = float(inside.mean())
    return Pointed(
        film=film.path,
        finding=finding,
        hit=_within(point, boxes),
        energy=float(heat[inside].sum()) / total if total else area,
        random=area,
        centre=_within((0.5, 0.5), boxes),
        fixed=_within(fixed, boxes),
    )


def _within(point: tuple[float, float], boxes: Sequence[tuple[float, float, float, float]]) -> bool:
    x, y = point
    return any(left <= x < right and top <= y < bottom for left, top, right, bottom in boxes)


def _best_point(
    located: Sequence[Film], placed: Mapping[int, Mapping[str, Sequence[Box]]], finding: str
) -> tuple[float, float]:
    """Return the point of a 64 x 64 grid that lies in the boxes of the most films."""
    at = (np.arange(_GRID) + 0.5) / _GRID
    votes = np.zeros((_GRID, _GRID), int)
    for film in located:
        covered = np.zeros((_GRID, _GRID), bool)
        for box in placed[film.id].get(finding, ()):
            left, top, right, bottom = box.share(film)
            covered |= ((at >= top) & (at < bottom))[:, None] & ((at >= left) & (at < right))[None]
        votes += covered
    rows, columns = np.nonzero(votes == votes.max())
    middle = len(rows) // 2
    return float(at[columns[middle]]), float(at[rows[middle]])


def _mean(name: str, pairs: Sequence[Pointed]) -> Grounded:
    return Grounded(
        name=name,
        n=len(pairs),
        pointing=bootstrap_mean([float(pair.hit) for pair in pairs]),
        energy=bootstrap_mean([pair.energy for pair in pairs]),
        random=float(np.mean([pair.random for pair in pairs])),
        centre=float(np.mean([pair.centre for pair in pairs])),
        fixed=float(np.mean([pair.fixed for pair in pairs])),
    )


def _numbers(row: Row, columns: Sequence[str | None]) -> tuple[float, float, float, float]:
    x, y, width, height = map(row.number, columns)
    if not np.isfinite([x, y, width, height]).all():
        raise BadInput("A box needs four numbers", where=row.where, fix="Write: x, y, width, height")
    return x, y, width, height
