"""Serve routes about the archive as a whole: what is in it, its models, index runs, and checks of the data set."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response
from filmroom.db.errors import ArchiveBusy, BadInput, NotFound
from filmroom.db.writes import runs
from filmroom.indexer.models.registry import list_models
from filmroom.search import background_check, background_index
from filmroom.search import status as overview
from filmroom.search.api.admission import MayNameFolders, MayWrite
from filmroom.search.api.context import Here, ModelName
from filmroom.search.checks.result import as_csv
from pydantic import BaseModel, ConfigDict, Field

router = APIRouter()

_MOST_RUNS = 1_000

Finding = Annotated[
    str | None,
    Query(max_length=200, description="How well each was measured to find this: effusion."),
]
RunId = Annotated[int, Field(ge=1, lt=2**63)]


class Start(BaseModel):
    """Folders or files of the serving machine, by their whole path."""

    model_config = ConfigDict(extra="forbid")
    paths: Annotated[list[Annotated[str, Field(min_length=1, max_length=4_096)]], Field(min_length=1, max_length=100)]
    model: Annotated[str | None, Field(max_length=200, pattern=r"^[A-Za-z0-9]")] = None


CheckId = Annotated[int, Field(ge=1, lt=2**53)]
_Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]


class AskedCheck(BaseModel):
    """A check and its options, as `filmroom check` takes them."""

    model_config = ConfigDict(extra="forbid")

    check: Literal["archive", "splits", "duplicates", "labels", "slices", "drift", "next"]
    split_column: Annotated[_Name | None, Field(description="splits: the fact that names each film's side.")] = None
    collections: Annotated[list[_Name], Field(max_length=2, description="splits: two, in place of a fact.")] = Field(
        default_factory=list
    )
    findings: Annotated[
        list[_Name],
        Field(max_length=100, description="labels, slices: default all that have enough films; next: one."),
    ] = Field(default_factory=list)
    threshold: Annotated[
        float | None, Field(ge=-2, le=2, allow_inf_nan=False, description="slices: a zero-shot score.")
    ] = None
    query_set: Annotated[
        _Name | None, Field(description="slices: default all judged queries; next: in place of a finding.")
    ] = None
    between: Annotated[list[_Name], Field(max_length=2, description="drift: two sides, as year:2019.")] = Field(
        default_factory=list
    )
    films: Annotated[int | None, Field(ge=1, le=1_000, description="next: how many.")] = None
    model: ModelName = None


@router.get("/status")
def status(context: Here) -> dict[str, Any]:
    """Give what is in the archive and what the last runs did, as `filmroom status --json`."""
    return asdict(overview.status(context.folder))


@router.get("/models")
def models(context: Here, finding: Finding = None) -> list[dict[str, Any]]:
    """List the models that can be searched with, and how well each was measured to find a finding."""
    return [asdict(model) for model in overview.models(context.archive(), finding=finding)]


@router.get("/runs")
def list_runs(context: Here, k: Annotated[int, Query(ge=1, le=_MOST_RUNS)] = 20) -> list[dict[str, Any]]:
    """List index runs, the newest first."""
    return [asdict(run) for run in runs.runs(context.archive().catalog, k)]


@router.post("/runs", status_code=202, dependencies=[MayNameFolders])
def start_run(context: Here, body: Start) -> dict[str, Any]:
    """Start to index folders of the serving machine; /runs tells how far it is."""
    paths = [Path(path) for path in body.paths]
    for path in paths:
        if not path.is_absolute() or "\0" in str(path):
            raise BadInput("not a whole path", where=str(path)[:200], fix="Begin with the root of the serving machine.")
    if body.model is not None and body.model not in (known := [model.name for model in list_models()]):
        raise NotFound("no model has this name", where=body.model, fix=f"Known: {', '.join(known)}.")
    if (busy := context.archive().writer()) is not None:
        raise ArchiveBusy("the archive is being written to", where=busy, fix="Wait for it, or stop it.")
    return {"pid": background_index.start_index(context.folder, paths, model=body.model)}


@router.get("/runs/{run_id}")
def run(context: Here, run_id: RunId) -> dict[str, Any]:
    """Give an index run with its counts so far."""
    return asdict(runs.get(context.archive().catalog, run_id))


@router.post("/runs/{run_id}/stop", status_code=202, dependencies=[MayWrite])
def stop_run(context: Here, run_id: RunId) -> dict[str, Any]:
    """Stop a run after its batch; what is done is kept."""
    archive = context.archive()
    background_index.stop_index(archive, runs.get(archive.catalog, run_id))
    return {"id": run_id, "stopping": True}


@router.get("/checks")
def list_checks(context: Here, k: Annotated[int, Query(ge=1, le=background_check.KEPT)] = 20) -> list[dict[str, Any]]:
    """List the checks that were started, the newest first."""
    return [asdict(run) for run in background_check.check_runs(context.archive())[:k]]


@router.post("/checks", status_code=202, dependencies=[MayWrite])
def start_check(context: Here, body: AskedCheck) -> dict[str, Any]:
    """Start a check, one at a time; /checks/ID tells how far it is. It changes no label, no split and no film."""
    options = body.model_dump(exclude={"check"})
    if body.model is not None:
        context.check_model(body.model)
    return asdict(background_check.start_check(context.archive(), body.check, options))


@router.get("/checks/{check_id}")
def check(context: Here, check_id: CheckId) -> dict[str, Any]:
    """Give a check with its steps so far."""
    return asdict(background_check.get(context.archive(), check_id))


@router.post("/checks/{check_id}/stop", status_code=202, dependencies=[MayWrite])
def stop_check(context: Here, check_id: CheckId) -> dict[str, Any]:
    """Stop a check; what it measured of pictures is kept for the next one."""
    background_check.stop_check(context.archive(), check_id)
    return {"id": check_id, "stopping": True}


@router.get("/checks/{check_id}/result")
def result(context: Here, check_id: CheckId) -> dict[str, Any]:
    """Give what a check found, as `filmroom check --json`."""
    return background_check.result_of(context.archive(), check_id).to_json()


@router.get(
    "/checks/{check_id}/result.csv",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
def result_csv(context: Here, check_id: CheckId) -> Response:
    """Give what a check found as `filmroom check --csv`: films by id and identity."""
    archive = context.archive()
    outcome = background_check.result_of(archive, check_id)
    return Response(as_csv(archive, outcome), media_type="text/csv; charset=utf-8")


@router.delete("/checks/{check_id}", dependencies=[MayWrite])
def remove_check(context: Here, check_id: CheckId) -> dict[str, Any]:
    """Remove a check that is over, with its result."""
    background_check.remove_check(context.archive(), check_id)
    return {"id": check_id, "removed": True}
