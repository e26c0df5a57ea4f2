"""Serve routes for what people say of films: collections, tags, labels and judgements."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from filmroom.db.errors import BadInput, NotFound
from filmroom.db.names import check_name
from filmroom.db.records import Label
from filmroom.db.writes import annotations as db_annotations
from filmroom.db.writes.annotations import Judgement
from filmroom.search.api.admission import MayWrite
from filmroom.search.api.context import FilmId, Here
from filmroom.search.classification.saved_probes import SOURCE
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter()

_MOST = 10_000
_PAGE = 1_000

Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"\S")]
Ids = Annotated[list[FilmId], Field(min_length=1, max_length=_MOST)]


class Films(BaseModel):
    """Films by id."""

    model_config = ConfigDict(extra="forbid")
    films: Ids


class TagNames(BaseModel):
    """All tags of a film; those that it had go."""

    model_config = ConfigDict(extra="forbid")
    tags: Annotated[list[Name], Field(max_length=100)]


class LabelOfFilm(BaseModel):
    """A label: 1 for there, 0 for not there."""

    model_config = ConfigDict(extra="forbid")
    film: FilmId
    name: Name
    value: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 1.0
    source: Name = "api"


class Labels(BaseModel):
    """Labels of films."""

    model_config = ConfigDict(extra="forbid")
    labels: Annotated[list[LabelOfFilm], Field(min_length=1, max_length=_MOST)]


class Grade(BaseModel):
    """A judge's grade of a film for a query: 0 no match, 3 exactly what was asked; null takes it back."""

    model_config = ConfigDict(extra="forbid")
    query: Annotated[str, Field(min_length=1, max_length=10_000, pattern=r"\S")]
    film: FilmId
    judge: Name
    grade: Annotated[int | None, Field(ge=0, le=3)]


@router.get("/collections")
def collections(context: Here) -> list[dict[str, Any]]:
    """List the collections."""
    return [asdict(collection) for collection in db_annotations.collections(context.archive().catalog)]


@router.get("/collections/{name:path}")
def collection(
    context: Here,
    name: str,
    k: Annotated[int, Query(ge=1, le=_MOST)] = _PAGE,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> dict[str, Any]:
    """Give the film ids of a collection, in the order in which they came."""
    catalog = context.archive().catalog
    films = db_annotations.collected(catalog, name, most=k, offset=offset)
    return {"name": name, "total": db_annotations.count_collected(catalog, name), "films": films}


@router.post("/collections/{name:path}/films", dependencies=[MayWrite])
def collect(context: Here, name: Name, body: Films) -> dict[str, Any]:
    """Put films into a collection, which is made if it is not there."""
    context.check_films(body.films)
    return {"name": name.strip(), "added": db_annotations.collect(context.archive().catalog, name, body.films)}


@router.delete("/collections/{name:path}/films", dependencies=[MayWrite])
def uncollect(
    context: Here, name: str, film: Annotated[list[FilmId] | None, Query(max_length=1_000)] = None
) -> dict[str, Any]:
    """Take films out of a collection. Without films, it is the collection NAME/films that is removed."""
    if not film:
        return remove_collection(context, f"{name}/films")
    catalog = context.archive().catalog
    db_annotations.count_collected(catalog, name)  # raises NotFound
    return {"name": name, "removed": len(db_annotations.uncollect(catalog, name, film))}


@router.delete("/collections/{name:path}", dependencies=[MayWrite])
def remove_collection(context: Here, name: str) -> dict[str, Any]:
    """Remove a collection; its films stay."""
    catalog = context.archive().catalog
    db_annotations.count_collected(catalog, name)  # raises NotFound
    return {"name": name, "films": len(db_annotations.uncollect(catalog, name))}


@router.get("/tags")
def tags(context: Here) -> list[str]:
    """List every tag of the archive."""
    return db_annotations.all_tags(context.archive().catalog)


@router.get("/films/{film_id}/tags")
def tags_of_film(context: Here, film_id: FilmId) -> list[str]:
    """List the tags of a film."""
    context.film(film_id)
    return db_annotations.tags_of(context.archive().catalog, film_id)


@router.put("/films/{film_id}/tags", dependencies=[MayWrite])
def set_tags(context: Here, film_id: FilmId, body: TagNames) -> list[str]:
    """Give a film these tags and no others."""
    context.film(film_id)
    db_annotations.set_tags(context.archive().catalog, film_id, body.tags)
    return db_annotations.tags_of(context.archive().catalog, film_id)


@router.get("/films/{film_id}/labels")
def labels_of_film(context: Here, film_id: FilmId) -> list[dict[str, Any]]:
    """List the labels of a film, with their sources; those of probes are probabilities."""
    return [asdict(label) for label in context.film(film_id).labels]


@router.post("/labels", dependencies=[MayWrite])
def put_labels(context: Here, body: Labels) -> dict[str, Any]:
    """Give films labels; the same name from the same source is replaced."""
    if any(label.source == SOURCE for label in body.labels):
        raise BadInput("this source is kept for probes", where=SOURCE, fix="Name another source.")
    for label in body.labels:
        check_name(label.name, "a label")
        check_name(label.source, "a source")
    context.check_films([label.film for label in body.labels])
    labels = [(label.film, Label(label.name, label.value, label.source)) for label in body.labels]
    return {"added": db_annotations.put_labels(context.archive().catalog, labels)}


@router.delete("/labels", dependencies=[MayWrite])
def remove_labels(
    context: Here, source: Name, name: Annotated[str | None, Query(max_length=80)] = None
) -> dict[str, Any]:
    """Remove the labels of a source, all or those of one name."""
    if source == SOURCE:
        raise BadInput("labels of probes go with their probe", where=SOURCE, fix="filmroom probe remove NAME")
    return {"removed": db_annotations.remove_labels(context.archive().catalog, source=source, name=name)}


@router.get("/judgements")
def judgements(
    context: Here,
    query: Annotated[str | None, Query(max_length=10_000)] = None,
    k: Annotated[int, Query(ge=1, le=_MOST)] = _PAGE,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> dict[str, Any]:
    """List grades of films for queries, oldest first."""
    catalog = context.archive().catalog
    judged = db_annotations.judgements(catalog, query, most=k, offset=offset)
    rows = [
        {"query": judgement.query, "film": judgement.film_id, "judge": judgement.judge, "grade": judgement.grade}
        for judgement in judged
    ]
    return {"total": db_annotations.count_judgements(catalog, query), "judgements": rows}


@router.put("/judgements", dependencies=[MayWrite])
def judge(context: Here, body: Grade) -> dict[str, Any]:
    """Keep a grade, or take it back."""
    catalog = context.archive().catalog
    context.film(body.film)
    if body.grade is not None:
        db_annotations.judge(catalog, Judgement(body.query, body.film, body.judge, body.grade))
    elif not db_annotations.unjudge(catalog, Judgement(body.query, body.film, body.judge, grade=0)):
        raise NotFound("there is no such judgement", where=f"film {body.film}")
    return body.model_dump()
