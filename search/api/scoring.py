"""Serve routes that score films: findings from prompts alone, and probes that were learned."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from filmroom.db.errors import NotFound
from filmroom.db.reads import films
from filmroom.search.api.context import FilmId, Here, ModelName
from filmroom.search.classification import saved_probes
from filmroom.search.classification.zero_shot_archive import screen
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter()

_MOST_FILMS = 1_000


class Screened(BaseModel):
    """Which findings of which films, and from which threshold on a film is counted."""

    model_config = ConfigDict(extra="forbid")

    findings: Annotated[list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=50)]
    where: Annotated[str, Field(max_length=10_000)] = ""
    threshold: Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)] = 0.0
    k: Annotated[int, Field(ge=0, le=10_000, description="Films with their scores, best first.")] = 10
    model: ModelName = None


@router.post("/zeroshot")
def zeroshot(context: Here, body: Screened) -> dict[str, Any]:
    """Score films for findings from prompts alone, as `filmroom zeroshot`, with the best films of each."""
    screening = screen(context.open(body.model), body.findings, where=body.where, threshold=body.threshold)
    answer = screening.to_json()
    for finding in answer["findings"]:
        scores = screening.scores[finding["finding"]]
        best = scores.argsort(kind="stable")[::-1][: body.k]
        finding["films"] = [
            {"id": int(screening.film_ids[place]), "score": round(float(scores[place]), 6)} for place in best
        ]
    return answer


@router.get("/probes")
def probes(context: Here) -> list[dict[str, Any]]:
    """List the probes that are kept."""
    return saved_probes.saved_json(context.archive())


@router.get("/probes/{name:path}/scores")
def probe_scores(
    context: Here,
    name: str,
    films_: Annotated[list[FilmId], Query(alias="film", min_length=1, max_length=_MOST_FILMS)],
) -> dict[str, Any]:
    """Give a probe's probabilities of films, null for one that came after the probe was applied."""
    archive = context.archive()
    if name not in {probe.name for probe in saved_probes.saved(archive)}:
        raise NotFound("there is no probe of this name", where=name, fix="See /api/v1/probes.")
    context.check_films(films_)
    known = {
        film.id: label.value
        for film in films.films(archive.catalog, films_)
        for label in film.labels
        if (label.source, label.name) == (saved_probes.SOURCE, name)
    }
    return {"probe": name, "scores": [{"film": film_id, "probability": known.get(film_id)} for film_id in films_]}
