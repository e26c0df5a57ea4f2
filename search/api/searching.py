"""Serve routes that ask: search by words, films and uploads, one film's facts and pictures, findings."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, File, Query, UploadFile
from fastapi.responses import Response
from filmroom.db.errors import NotFound
from filmroom.db.reads import film_facts, films
from filmroom.db.writes import annotations as kept
from filmroom.db.writes import findings as said_findings
from filmroom.search.api.context import Context, FilmId, Here, MayRead
from filmroom.search.api.uploads import Uploaded
from filmroom.search.cli.output import results_json
from filmroom.search.export.pictures import Look, pngs, read_window
from filmroom.search.findings import search as findings
from filmroom.search.request import MOST_EXAMPLES, Order, SearchRequest
from filmroom.search.results import Results
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter(dependencies=[MayRead])

Text = Annotated[str, Field(max_length=10_000)]
Model = Annotated[str | None, Query(description="A model of the archive; default: the one in use.", max_length=200)]
Examples = Annotated[list[FilmId], Field(max_length=MOST_EXAMPLES)]
Some = Annotated[int, Query(ge=1, le=10_000)]
Offset = Annotated[int, Query(ge=0, le=10_000_000)]


class Asked(BaseModel):
    """A search request: the same that the page, the terminal and an export hand on."""

    model_config = ConfigDict(extra="forbid")

    query: Text = ""
    like: Examples = Field(default_factory=list)
    unlike: Examples = Field(default_factory=list)
    per_study: bool = False
    hybrid: bool = False
    order: Order = Order.MATCH
    k: Annotated[int, Field(ge=1, le=10_000)] = 10
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    model: Annotated[str | None, Field(max_length=200)] = None

    def request(self) -> SearchRequest:
        return SearchRequest(
            self.query.strip(),
            like=tuple(dict.fromkeys(self.like)),
            unlike=tuple(dict.fromkeys(self.unlike)),
            per_study=self.per_study,
            hybrid=self.hybrid,
            order=self.order,
            k=self.k,
            offset=self.offset,
        )


def answer(context: Context, request: SearchRequest, model: str | None) -> dict[str, Any]:
    """Return the answer as `filmroom search --json` prints it."""
    found: Results = context.open(model).answer(request)
    context.queries()
    return results_json(found)


@router.get("/search")
def search(
    context: Here,
    q: Annotated[str, Query(max_length=10_000, description="Words and fields, such as effusion view:PA.")] = "",
    k: Some = 10,
    offset: Offset = 0,
    like: Annotated[list[FilmId] | None, Query(max_length=MOST_EXAMPLES)] = None,
    unlike: Annotated[list[FilmId] | None, Query(max_length=MOST_EXAMPLES)] = None,
    per_study: bool = False,
    hybrid: bool = False,
    order: Order = Order.MATCH,
    model: Model = None,
) -> dict[str, Any]:
    """Find films, best first; without words and examples those that pass the fields, or all."""
    asked = Asked(query=q, like=like or [], unlike=unlike or [], per_study=per_study, hybrid=hybrid, order=order, k=k)
    asked.offset = offset
    return answer(context, asked.request(), model)


@router.post("/search")
def search_by_request(context: Here, asked: Asked) -> dict[str, Any]:
    """Find films by a search request."""
    return answer(context, asked.request(), asked.model)


@router.get("/films/{film_id}/similar")
def similar(context: Here, film_id: FilmId, k: Some = 10, offset: Offset = 0, model: Model = None) -> dict[str, Any]:
    """Find films like one of the archive."""
    return answer(context, SearchRequest(like=(film_id,), k=k, offset=offset), model)


@router.post("/similar")
def similar_to_upload(
    context: Here,
    file: Annotated[UploadFile, File(description="DICOM, PNG, JPEG, TIFF, BMP or WebP; nothing of it is kept.")],
    k: Some = 10,
    offset: Offset = 0,
    model: Model = None,
) -> dict[str, Any]:
    """Find films like an uploaded one."""
    searcher = context.open(model)
    with Uploaded(context) as uploaded:
        film = uploaded.film(searcher, file)
    return answer(context, SearchRequest(uploads=(film,), k=k, offset=offset), model)


@router.get("/films/{film_id}")
def film(context: Here, film_id: FilmId) -> dict[str, Any]:
    """Give what the archive holds of a film: facts, labels, tags, collections, note, reports, findings."""
    catalog = context.archive().catalog
    one = context.film(film_id)
    found = asdict(one)
    found.pop("root")
    found["tags"] = film_facts.tags_of_films(catalog, [film_id]).get(film_id, [])
    return {
        **found,
        "facts": asdict(one.tags),
        "collections": film_facts.collections_of_films(catalog, [film_id]).get(film_id, []),
        "note": kept.note_of(catalog, film_id),
        "reports": films.reports(catalog, one),
        "findings": [asdict(said) for said in said_findings.of_film(catalog, film_id)],
    }


@router.get("/films/{film_id}/thumbnail", response_class=Response, responses={200: {"content": {"image/webp": {}}}})
def thumbnail(context: Here, film_id: FilmId) -> Response:
    """Give a film as WebP of at most 256 pixels a side."""
    context.film(film_id)
    found = films.thumbnails(context.archive().catalog, [film_id]).get(film_id)
    if found is None:
        raise NotFound("this film has no thumbnail", where=film_id)
    return Response(found, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/films/{film_id}/pixels", response_class=Response, responses={200: {"content": {"image/png": {}}}})
def pixels(
    context: Here,
    film_id: FilmId,
    window: Annotated[str, Query(max_length=40, description="film, full or CENTER/WIDTH.")] = "film",
) -> Response:
    """Give a film's presentation pixels as 16-bit PNG, decoded from its file."""
    look = Look(16, read_window(window))
    with context.decoding:
        found, failed = pngs([context.film(film_id)], look)
    if failed:
        raise NotFound(failed[0][1], where=f"film {film_id}", fix="Mount its disk, or index the folder again.")
    return Response(found[film_id], media_type="image/png")


@router.get("/findings")
def list_findings(
    context: Here,
    words: Annotated[str, Query(max_length=1_000, description="All of which a sentence has.")] = "",
    meaning: Annotated[str, Query(max_length=1_000, description="What a sentence says, in other words.")] = "",
    k: Some = 100,
    model: Model = None,
) -> list[dict[str, Any]]:
    """List what a report model wrote about films: sentences with boxes, by their words or by what they mean."""
    if meaning.strip():
        found = findings.by_meaning(context.open(model), meaning.strip(), k)
    elif words.strip():
        found = findings.by_words(context.archive(), words.strip(), k)
    else:
        found = findings.everything(context.archive().catalog)[:k]
    return [one.to_json() for one in found]
