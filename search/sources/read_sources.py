"""Read what `index` is to index: paths, and the addresses of servers with what is asked of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from filmroom.db.errors import BadInput
from filmroom.indexer.pipeline import Source
from filmroom.indexer.sources.bucket import CLOUDS, Bucket, bucket_address, is_listing
from filmroom.indexer.sources.credentials import Credentials, read_credentials
from filmroom.indexer.sources.dicomweb import Selection, Server, is_address, server_address
from filmroom.indexer.sources.fetching import Remote


def read_sources(
    sources: Sequence[str],
    modality: str | None = None,
    body: str | None = None,
    since: str | None = None,
    study: str | None = None,
    limit: int | None = None,
    *,
    requests_per_second: float | None = None,
    credentials: Path | None = None,
) -> list[Source]:
    """Tell paths from addresses. Raises BadInput for an option of servers without a server, and for what is no date."""
    selection = Selection(
        tuple(modality.strip().upper() for modality in (modality or "").split(",") if modality.strip()),
        body,
        _day(since),
        study,
        limit,
    )
    buckets = {source for source in sources if source.startswith(CLOUDS) or is_listing(source)}
    servers = [source for source in sources if is_address(source) and source not in buckets]
    if strange := next((source for source in sources if "://" in source and source not in (*servers, *buckets)), None):
        raise BadInput(
            "addresses of this kind are not read",
            where=strange,
            fix="Name a folder, https://HOST/dicom-web, or a bucket: s3://, gs://, az://.",
        )
    _check_options(selection, servers, buckets, credentials=credentials, per_second=requests_per_second)
    known = read_credentials(credentials) if servers else Credentials()

    def read(source: str) -> Source:
        if source in buckets:
            return Remote(Bucket(bucket_address(source)), selection)
        if is_address(source):
            return Remote(Server(server_address(source), known, requests_per_second), selection)
        return Path(source)

    return [read(source) for source in sources]


def _check_options(
    selection: Selection,
    servers: Sequence[str],
    buckets: Collection[str],
    *,
    credentials: Path | None,
    per_second: float | None,
) -> None:
    """Raise BadInput for an option that no source takes, or that not every remote one does."""
    of_servers = replace(selection, limit=None) != Selection() or credentials or per_second
    if of_servers and (buckets or not servers):
        raise BadInput(
            "--modality, --body, --since, --study, --requests-per-second and --credentials are for servers",
            fix="Name one, and no bucket: filmroom index https://HOST/dicom-web",
        )
    if selection.limit is not None and not servers and not buckets:
        raise BadInput("--limit is for servers and buckets", fix="Name one: filmroom index https://HOST/dicom-web")


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInput("this is no date", where=f"--since {text}", fix="Write it as 2024-01-31.") from None
