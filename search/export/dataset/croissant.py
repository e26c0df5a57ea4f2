"""Describe a data set as Croissant 1.0 (JSON-LD): where it comes from, its files with their hashes, its columns."""

from __future__ import annotations

import json
import re
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filmroom.search.export.dataset.record import CSV
from filmroom.search.export.job import sha256_of

FILE = "croissant.json"
NOTICE = "Research use only, not for diagnosis."

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_NUMBERS = {"id", "frame", "age", "year", "rows", "columns", "width", "height"}


def write(folder: Path, *, name: str, columns: list[str], cohort: dict[str, Any], layout: str) -> None:
    """Write croissant.json into the folder. `cohort` is the manifest of the films, `columns` are those of films.csv."""
    files = [CSV, *(path.relative_to(folder).as_posix() for path in _described(folder))]
    document: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": _description(cohort, layout),
        "version": "1.0.0",
        "datePublished": time.strftime("%Y-%m-%d", time.gmtime(cohort["created_at"])),
        "creator": {"@type": "sc:Organization", "name": f"Exported by Filmroom {version('filmroom')}"},
        "usageInfo": NOTICE,
        "distribution": [_file(folder, file) for file in files] + [_pictures(layout)],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "films",
                "name": "films",
                "description": "A row a film.",
                "key": {"@id": "films/id"},
                "field": [_column(column, name) for column, name in zip(columns, _ids(columns), strict=True)],
            }
        ],
    }
    if cohort["licence"]:
        document["license"] = cohort["licence"]
    document["keywords"] = ["chest radiograph", "X-ray", *sorted(cohort["counts"]["labels"])][:50]
    (folder / FILE).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _described(folder: Path) -> list[Path]:
    """Return the files beside the pictures that tell of them."""
    paths = [path for kind in ("*.json", "*.jsonl", "*.tfrecord", "*_nih.csv") for path in folder.rglob(kind)]
    return sorted(path for path in paths if path.name != FILE)


def _description(cohort: dict[str, Any], layout: str) -> str:
    query = (cohort["chosen"]["request"] or {}).get("query")
    source = f"collection {cohort['chosen']['collection']}" if cohort["chosen"]["collection"] else "the whole archive"
    chosen = f"the query {query!r} with the model {cohort['model']}" if query is not None else source
    counts = cohort["counts"]
    return (
        f"{counts['films']} X-ray films of {counts['patients']} patients, chosen by {chosen}, as {layout}. "
        f"Cohort {cohort['hash']}. {NOTICE}"
    )


def _file(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    kinds = {".csv": "text/csv", ".json": "application/json", ".jsonl": "application/jsonlines"}
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": kinds.get(path.suffix, "application/octet-stream"),
        "sha256": sha256_of(path),
    }


def _pictures(layout: str) -> dict[str, Any]:
    packed = layout == "tfrecord"
    return {
        "@type": "cr:FileSet",
        "@id": "pictures",
        "name": "pictures",
        "description": f"The films, of which films.csv names path and SHA-256 ({layout}).",
        "encodingFormat": "application/octet-stream" if packed else "image/png",
        "includes": "*.tfrecord" if packed else "**/*.png",
    }


def _ids(columns: list[str]) -> list[str]:
    """Name the columns without blanks and marks, which an @id may not have; each another."""
    ids: list[str] = []
    for column in columns:
        plain = re.sub(r"[^\w.-]+", "_", column, flags=re.ASCII)
        ids.append(plain if plain not in ids else f"{plain}.{len(ids)}")
    return ids


def _column(column: str, name: str) -> dict[str, Any]:
    number = column in _NUMBERS
    real = column.startswith(("label:", "probe:")) or column in ("score", "percentile")
    return {
        "@type": "cr:Field",
        "@id": f"films/{name}",
        "name": column,
        "description": column,
        "dataType": "sc:Integer" if number else "sc:Float" if real else "sc:Text",
        "source": {"fileObject": {"@id": CSV}, "extract": {"column": column}},
    }
