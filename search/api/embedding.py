"""Serve routes that embed: texts and films as vectors of a model, also as the Model Garden's predictor does."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, UploadFile
from filmroom.db.errors import BadInput, FilmroomError
from filmroom.indexer.models.base import Vectors
from filmroom.search.api.context import Here, ModelName
from filmroom.search.api.uploads import Uploaded
from filmroom.search.searcher import Searcher
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter()


class Texts(BaseModel):
    """Texts to embed: each the bare finding, as the model's prompt is put around it."""

    texts: list[Annotated[str, Field(max_length=10_000)]]
    model: ModelName = None


class Pictures(BaseModel):
    """Films to embed, each a file's bytes as base64."""

    images: list[str]
    model: ModelName = None


class Instance(BaseModel):
    """One film or text of a batch, named as by Google's predictor of CXR Foundation. More names are passed over."""

    model_config = ConfigDict(extra="allow")

    input_bytes: str | None = None
    prompt_query: Annotated[str | None, Field(max_length=10_000)] = None


class Instances(BaseModel):
    """A batch."""

    model_config = ConfigDict(extra="allow")

    instances: list[Instance]


@router.post("/embed/text")
def embed_text(context: Here, body: Texts) -> dict[str, Any]:
    """Embed texts: a unit vector (D) each, in the space of the films."""
    _few(body.texts, context.limits.texts, "texts")
    searcher = context.open(body.model)
    vectors = searcher.towers.embed_texts(body.texts).tolist() if body.texts else []
    return {**_space(searcher), "vectors": vectors}


@router.post("/embed/images")
def embed_images(context: Here, body: Pictures) -> dict[str, Any]:
    """Embed films given as base64: unit vectors (T, D) each, or null and an error for one that cannot be read."""
    _few(body.images, context.limits.batch, "images")
    searcher = context.open(body.model)
    with Uploaded(context) as uploaded:
        files = [uploaded.keep_base64(text, at) for at, text in enumerate(body.images)]
        return {**_space(searcher), **_films(uploaded.embed(searcher, files))}


@router.post("/embed/files")
def embed_files(
    context: Here, files: Annotated[list[UploadFile], File(description="Films.")], model: ModelName = None
) -> dict[str, Any]:
    """Embed films that are uploaded (multipart), as /embed/images does."""
    _few(files, context.limits.batch, "files")
    searcher = context.open(model)
    with Uploaded(context) as uploaded:
        paths = [uploaded.keep(file, at) for at, file in enumerate(files)]
        return {**_space(searcher), **_films(uploaded.embed(searcher, paths))}


@router.post("/predict")
def predict(context: Here, body: Instances, model: ModelName = None) -> dict[str, Any]:
    """Embed a batch in the shape of the Model Garden's predictor of CXR Foundation.

    An instance with `input_bytes` gets `contrastive_img_emb` (T, D), one with `prompt_query` gets `contrastive_txt_emb`
    (D); one that cannot be embedded gets `error` alone, and the others their vectors.
    """
    _few(body.instances, context.limits.batch, "instances")
    searcher = context.open(model)
    with Uploaded(context) as uploaded:
        files = [uploaded.keep_base64(instance.input_bytes or "", at) for at, instance in enumerate(body.instances)]
        with_film = [at for at, instance in enumerate(body.instances) if instance.input_bytes is not None]
        films = dict(zip(with_film, uploaded.embed(searcher, [files[at] for at in with_film]), strict=True))
    texts = {
        at: instance.prompt_query for at, instance in enumerate(body.instances) if instance.prompt_query is not None
    }
    embedded: dict[int, Vectors] | str = _texts(searcher, texts)
    return {"predictions": [_prediction(films.get(at), at, embedded, texts) for at in range(len(body.instances))]}


def _texts(searcher: Searcher, texts: dict[int, str]) -> dict[int, Vectors] | str:
    """Return the vectors of the texts by their place, or why this model has none."""
    try:
        return dict(zip(texts, searcher.towers.embed_texts(list(texts.values())), strict=True)) if texts else {}
    except FilmroomError as error:
        return error.what


def _prediction(film: Vectors | str | None, at: int, embedded: dict[int, Vectors] | str, texts: dict[int, str]) -> Any:
    if film is None and at not in texts:
        return {"error": "an instance needs input_bytes or prompt_query"}
    if isinstance(film, str):
        return {"error": film}
    if at in texts and isinstance(embedded, str):
        return {"error": embedded}
    prediction: dict[str, Any] = {}
    if film is not None:
        prediction["contrastive_img_emb"] = film.tolist()
    if at in texts and not isinstance(embedded, str):
        prediction["contrastive_txt_emb"] = embedded[at].tolist()
    return prediction


def _films(films: list[Vectors | str]) -> dict[str, Any]:
    return {
        "vectors": [None if isinstance(film, str) else film.tolist() for film in films],
        "errors": [film if isinstance(film, str) else None for film in films],
    }


def _space(searcher: Searcher) -> dict[str, Any]:
    space = searcher.held.space
    return {"model": space.model, "fingerprint": space.fingerprint, "dim": space.dim}


def _few(batch: list[Any], most: int, kind: str) -> None:
    if len(batch) > most:
        raise BadInput(
            f"{len(batch):,} {kind} are more than {most:,}", where=kind, fix="Send them in several requests."
        )
