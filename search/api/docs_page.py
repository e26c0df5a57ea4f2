"""Write /api/docs: the OpenAPI document as one page of HTML, without a script and without another host."""

from __future__ import annotations

import html
import json
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 14px/1.45 ui-monospace, monospace; } pre { overflow-x: auto; padding: .75rem; background: #8881; }
h2 { margin-top: 2.5rem; } summary { cursor: pointer; padding: .3rem 0; } summary code { font-weight: 600; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd; } a { color: #8bf; } }
"""
_METHODS = ("get", "post", "put", "delete")


def docs_page(document: dict[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                operation = methods[method]
                tag = operation.get("tags", ["other"])[0]
                by_tag.setdefault(tag, []).append(_operation(path, method, operation, document))
    parts = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Filmroom: REST</title>',
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(document['info']['title'])}: REST</h1>",
        f"<p>{html.escape(document['info'].get('summary', ''))}</p>",
        '<p>For programs: <a href="v1/openapi.json">openapi.json</a> (OpenAPI). A token is sent as ',
        "<code>Authorization: Bearer TOKEN</code>; faults are problem details (RFC 9457).</p>",
    ]
    for tag, operations in by_tag.items():
        parts += [f"<h2>{html.escape(tag.capitalize())}</h2>", *operations]
    return "\n".join([*parts, "</body></html>"])


def _operation(path: str, method: str, operation: dict[str, Any], document: dict[str, Any]) -> str:
    rows = [_parameter(parameter) for parameter in operation.get("parameters", [])]
    table = f"<table><tr><th>name<th>in<th>kind<th></tr>{''.join(rows)}</table>" if rows else ""
    bodies = [
        f"<p>Body, <code>{html.escape(kind)}</code>:</p>"
        f"<pre>{html.escape(json.dumps(_resolved(content.get('schema', {}), document), indent=2))}</pre>"
        for kind, content in operation.get("requestBody", {}).get("content", {}).items()
    ]
    text = html.escape(operation.get("description", operation.get("summary", "")))
    return (
        f"<details><summary><code>{method.upper()} {html.escape(path)}</code> {text.partition('.')[0]}</summary>"
        f"<p>{text}</p>{table}{''.join(bodies)}</details>"
    )


def _parameter(parameter: dict[str, Any]) -> str:
    needed = ", needed" if parameter.get("required") else ""
    cells = (
        parameter["name"],
        parameter["in"] + needed,
        _kind(parameter.get("schema", {})),
        parameter.get("description", ""),
    )
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(choice) for choice in schema["anyOf"])
    kind = str(schema.get("type", schema.get("$ref", "").rpartition("/")[2]))
    return f"{kind} of {_kind(schema['items'])}" if "items" in schema else kind


def _resolved(schema: Any, document: dict[str, Any], depth: int = 4) -> Any:
    """Return the schema with what it refers to in its place."""
    if isinstance(schema, list):
        return [_resolved(part, document, depth) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema and depth:
        name = schema["$ref"].rpartition("/")[2]
        return _resolved(document["components"]["schemas"][name], document, depth - 1)
    return {key: _resolved(part, document, depth) for key, part in schema.items() if key != "title"}
