"""Serve routes that ask: search by words, films and uploads, one film's facts and pictures, findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, File, Query, UploadFile
from fastapi.responses import Response
from filmroom.db.errors import NotFound
from filmroom.db.reads import film_facts, films
from filmroom.db.thumbnails.reading import thumbnails
from filmroom.db.writes import annotations as db_annotations
from filmroom.db.writes import findings as said_findings
from filmroom.search.api.context import Context, FilmId, Here, ModelName
from filmroom.search.api.uploads import Uploaded, called
from filmroom.search.export.look import Look, read_window
from filmroom.search.export.pictures import pngs
from filmroom.search.findings import search as findings
from filmroom.search.request import MOST_EXAMPLES, Order, SearchRequest, UploadedFilm, request_of
from filmroom.search.results import Results
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter()

Text = Annotated[str, Field(max_length=10_000)]
Examples = Annotated[list[FilmId], Field(max_length=MOST_EXAMPLES)]
Some = Annotated[int, Field(ge=1, le=10_000)]
_WORDS = "Words and fields, such as effusion view:PA."
Words = Annotated[str, Field(max_length=10_000, description=_WORDS)]
Offset = Annotated[int, Field(ge=0, le=10_000_000)]
Least = Annotated[
    str | None, Field(max_length=40, description="Films of this score or more: 0.31, or 90% for a percentile.")
]
_MOST_UPLOADS = 8


class HowAsked(BaseModel):
    """What a search request says besides its words, in an address and in a body."""

    like: Examples = Field(default_factory=list)
    unlike: Examples = Field(default_factory=list)
    per_study: bool = False
    hybrid: bool = False
    judged: Annotated[bool, Field(description="Learn from films judged, voted on or labelled for the words.")] = False
    order: Order = Order.MATCH
    least: Least = None
    k: Some = 10
    offset: Offset = 0
    model: ModelName = None

    def request(self, uploads: Sequence[UploadedFilm] = ()) -> SearchRequest:
        """Hand on what was asked, with the uploaded films as vectors."""
        fields = self.model_dump(exclude={"like", "uploads", "model"})
        return request_of(like=[*self.like, *uploads], **fields)


class AskedInAddress(HowAsked):
    """A search request as the parameters of an address."""

    query: Annotated[Text, Field(alias="q", description=_WORDS)] = ""


class Asked(HowAsked):
    """A search request: the same that the page, the terminal and an export hand on."""

    model_config = ConfigDict(extra="forbid")

    query: Text = ""
    uploads: Annotated[
        list[str],
        Field(max_length=_MOST_UPLOADS, description="Films to search by, as base64."),
    ] = Field(default_factory=list)


def answer(context: Context, request: SearchRequest, model: str | None) -> dict[str, Any]:
    """Return the answer as `filmroom search --json` prints it."""
    results: Results = context.open(model).answer(request)
    context.queries()
    return results.to_json()


@router.get("/search")
def search(context: Here, parameters: Annotated[AskedInAddress, Query()]) -> dict[str, Any]:
    """Find films, best first; without words and examples those that pass the fields, or all."""
    return answer(context, parameters.request(), parameters.model)


@router.post("/search")
def search_by_request(context: Here, body: Asked) -> dict[str, Any]:
    """Find films by a search request."""
    uploads: list[UploadedFilm] = []
    if body.uploads:
        searcher = context.open(body.model)
        with Uploaded(context) as uploaded:
            files = [uploaded.keep_base64(text, at) for at, text in enumerate(body.uploads)]
            uploads = uploaded.examples(searcher, files, "uploads.{}".format)
    return answer(context, body.request(uploads), body.model)


@router.get("/films/{film_id}/similar")
def similar(
    context: Here, film_id: FilmId, q: Words = "", k: Some = 10, offset: Offset = 0, model: ModelName = None
) -> dict[str, Any]:
    """Find films like one of the archive."""
    return answer(context, request_of(q, like=[film_id], k=k, offset=offset), model)


@router.post("/similar")
def similar_to_upload(
    context: Here,
    file: Annotated[UploadFile, File(description="DICOM, PNG, JPEG, TIFF, BMP or WebP; nothing of it is kept.")],
    q: Words = "",
    k: Some = 10,
    offset: Offset = 0,
    model: ModelName = None,
) -> dict[str, Any]:
    """Find films like an uploaded one."""
    searcher = context.open(model)
    with Uploaded(context) as uploaded:
        examples = uploaded.examples(searcher, [uploaded.keep(file, 0)], lambda _: called(file))
    return answer(context, request_of(q, like=examples, k=k, offset=offset), model)


@router.get("/films/{film_id}")
def film(context: Here, film_id: FilmId) -> dict[str, Any]:
    """Give what the archive holds of a film: facts, labels, tags, collections, note, reports, findings."""
    catalog = context.archive().catalog
    record = context.film(film_id)
    facts = asdict(record)
    del facts["root"], facts["sha256"]
    facts["tags"] = film_facts.tags_of_films(catalog, [film_id]).get(film_id, [])
    return {
        **facts,
        "facts": asdict(record.tags),
        "collections": film_facts.collections_of_films(catalog, [film_id]).get(film_id, []),
        "note": db_annotations.note_of(catalog, film_id),
        "reports": films.reports(catalog, record),
        "findings": [asdict(finding) for finding in said_findings.of_film(catalog, film_id)],
    }


@router.get("/films/{film_id}/thumbnail", response_class=Response, responses={200: {"content": {"image/webp": {}}}})
def thumbnail(context: Here, film_id: FilmId) -> Response:
    """Give a film as WebP of at most 256 pixels a side."""
    context.film(film_id)
    webp = thumbnails(context.archive().catalog, [film_id]).get(film_id)
    if webp is None:
        raise NotFound("this film has no thumbnail", where=film_id)
    return Response(webp, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/films/{film_id}/pixels", response_class=Response, responses={200: {"content": {"image/png": {}}}})
def pixels(
    context: Here,
    film_id: FilmId,
    window: Annotated[str, Query(max_length=40, description="film, full or CENTER/WIDTH.")] = "film",
    size: Annotated[int | None, Query(ge=16, le=65_535, description="The longer side at most.")] = None,
) -> Response:
    """Give a film's presentation pixels as 16-bit PNG, decoded from its file."""
    look = Look(16, read_window(window), size)
    with context.decoding:
        pictures, failures = pngs([context.film(film_id)], look)
    if failures:
        raise NotFound(failures[0][1], where=f"film {film_id}", fix="Mount its disk, or index the folder again.")
    return Response(pictures[film_id], media_type="image/png")


@router.get("/findings")
def list_findings(
    context: Here,
    words: Annotated[str, Query(max_length=1_000, description="All of which a sentence has.")] = "",
    meaning: Annotated[str, Query(max_length=1_000, description="What a sentence says, in other words.")] = "",
    k: Some = 100,
    model: ModelName = None,
) -> list[dict[str, Any]]:
    """List what a report model wrote about films: sentences with boxes, by their words or by what they mean."""
    if meaning.strip():
        sentences = findings.by_meaning(context.open(model), meaning.strip(), k)
    elif words.strip():
        sentences = findings.by_words(context.archive(), words.strip(), k)
    else:
        sentences = findings.everything(context.archive().catalog, most=k)
    return [sentence.to_json() for sentence in sentences]
