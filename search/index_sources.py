"""Read what `index` is to index: paths, and the addresses of servers with what is asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from filmroom.db.errors import BadInput
from filmroom.indexer.pipeline import Source
from filmroom.indexer.sources.credentials import read_credentials
from filmroom.indexer.sources.dicomweb import Selection, Server, is_address, server_address
from filmroom.indexer.sources.fetching import Remote


def read_sources(
    sources: Sequence[str],
    modality: str | None,
    body: str | None,
    since: str | None,
    study: str | None,
    limit: int | None,
    *,
    requests_per_second: float | None,
    credentials: Path | None,
) -> list[Source]:
    """Tell paths from addresses. Raises BadInput for an option of servers without a server, and for what is no date."""
    selection = Selection(
        tuple(one.strip().upper() for one in (modality or "").split(",") if one.strip()),
        body,
        _day(since),
        study,
        limit,
    )
    servers = [one for one in sources if is_address(one)]
    if strange := next((one for one in sources if "://" in one and not is_address(one)), None):
        raise BadInput(
            "addresses of this kind are not read", where=strange, fix="Name a folder, or https://HOST/dicom-web."
        )
    if not servers and (not selection.complete or credentials or requests_per_second):
        raise BadInput(
            "--modality, --body, --since, --study, --limit, --requests-per-second and --credentials are for servers",
            fix="Name one: filmroom index https://HOST/dicom-web",
        )
    known = read_credentials(credentials) if servers else None
    return [
        Remote(Server(server_address(one), known, requests_per_second), selection)
        if known and is_address(one)
        else Path(one)
        for one in sources
    ]


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInput("this is no date", where=f"--since {text}", fix="Write it as 2024-01-31.") from None
