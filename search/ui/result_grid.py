"""Draw films and hits as cells of the wall, with their thumbnails."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from filmroom.db.catalog import Catalog
from filmroom.db.reads.facets import tags_of_films
from filmroom.db.records import Film
from filmroom.db.thumbnails.reading import thumbnails
from filmroom.search.query.parser import term
from filmroom.search.request import SearchRequest
from filmroom.search.results import Hit
from filmroom.search.ui.components.grid.grid import Act, Cell, Done, Mark, PickBar, PickChange, grid
from filmroom.search.ui.query.search_state import film_address
from filmroom.search.ui.server import dicom_viewer
from filmroom.search.ui.text import facts, spoken

SEARCHING = (Act.UP, Act.DOWN, Act.LIKE, Act.PICK, Act.FILTER, Act.STUDY)


def wall_of_hits(
    catalog: Catalog,
    hits: Sequence[Hit],
    *,
    key: str,
    title: str,
    request: SearchRequest | None = None,
    tools: Sequence[Act] = (),
    marks: Mapping[int, tuple[Mark, str]] | None = None,
    standing: bool = True,
    small: bool = False,
    bar: PickBar | None = None,
    change: PickChange | None = None,
) -> Done | None:
    """Draw the wall of an answer: a cell's bar is the film's percentile in the archive, its upper half, as that is
    where hits are. Without `standing`, for an answer whose best film is not good, it shows the score alone. `bar` and
    `change` are those of the picked films. Returns what was done to which films."""
    pictures = thumbnails(catalog, [hit.id for hit in hits])
    votes = request.votes if request else {}
    viewer = dicom_viewer.template(catalog)
    tags = tags_of_films(catalog, [hit.id for hit in hits])
    cells = []
    for hit in hits:
        mark = (marks or {}).get(hit.id)
        cells.append(
            Cell(
                id=hit.id,
                href=film_address(hit.id, request),
                alt=_alt(hit),
                facts=facts(hit.film.tags),
                terms=_terms(hit.film, tags.get(hit.id, [])),
                thumbnail=pictures.get(hit.id),
                bar=None if hit.percentile is None else (hit.percentile - 50) / 50 if standing else 0.0,
                score=_standing(hit) if standing or hit.score is None else f"{hit.score:.2f}",
                score_says=_score_says(hit),
                vote=votes.get(hit.id, 0),
                mark=mark[0] if mark else None,
                mark_says=mark[1] if mark else "",
                viewer=dicom_viewer.link(viewer, hit.film),
            )
        )
    place = picks_place(catalog)
    return grid(cells, key=key, title=title, picks=place, tools=tools, small=small, bar=bar, change=change)


def bar_of_walls(catalog: Catalog, bar: PickBar, change: PickChange | None, *, key: str) -> Done | None:
    """Draw the bar of the picked films alone, for several walls below it; returns what it was asked for."""
    title = "Films of the walls below"
    return grid([], key=key, title=title, picks=picks_place(catalog), tools=(Act.PICK,), bar=bar, change=change)


def _terms(film: Film, tags: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return labels, then tags with a # before them: as they read, and as a query filters by them."""
    labels = [(name, term("label", name)) for name in film.label_names]
    return (*labels, *((f"#{name}", term("tag", name)) for name in tags))


def picks_place(catalog: Catalog) -> str:
    """Name an archive's picks in the browser: another archive at the same address has others."""
    file = catalog.path.stat().st_ino
    return hashlib.sha256(f"{catalog.path.absolute()} {file}".encode()).hexdigest()[:12]


def wall_of_films(
    catalog: Catalog,
    films: Sequence[Film],
    *,
    key: str,
    title: str,
    tools: Sequence[Act] = (),
    small: bool = False,
    request: SearchRequest | None = None,
    marks: Mapping[int, tuple[Mark, str]] | None = None,
    bar: PickBar | None = None,
    change: PickChange | None = None,
) -> Done | None:
    """Return the wall of films that no query ranked."""
    hits = [Hit(at + 1, film, None, None) for at, film in enumerate(films)]
    return wall_of_hits(
        catalog,
        hits,
        key=key,
        title=title,
        tools=tools,
        small=small,
        request=request,
        marks=marks,
        bar=bar,
        change=change,
    )


def _standing(hit: Hit) -> str:
    return f"{hit.standing} %" if hit.standing else ""


def _score_says(hit: Hit) -> str:
    if hit.score is None or hit.percentile is None:
        return ""
    return f"Score {hit.score:.3f}; {_standing(hit)} of the archive scores lower"


def _alt(hit: Hit) -> str:
    words = spoken(hit.film)
    return words if hit.percentile is None else f"Hit {hit.rank}. {words}; percentile {_standing(hit)}"
