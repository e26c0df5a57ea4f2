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
        tuple(one.strip().upper() for one in (modality or "").split(",") if one.strip()),
        body,
        _day(since),
        study,
        limit,
    )
    buckets = {one for one in sources if one.startswith(CLOUDS) or is_listing(one)}
    servers = [one for one in sources if is_address(one) and one not in buckets]
    if strange := next((one for one in sources if "://" in one and one not in (*servers, *buckets)), None):
        raise BadInput(
            "addresses of this kind are not read",
            where=strange,
            fix="Name a folder, https://HOST/dicom-web, or a bucket: s3://, gs://, az://.",
        )
    _check_options(selection, servers, buckets, credentials=credentials, per_second=requests_per_second)
    known = read_credentials(credentials) if servers else Credentials()

    def read(one: str) -> Source:
        if one in buckets:
            return Remote(Bucket(bucket_address(one)), selection)
        if is_address(one):
            return Remote(Server(server_address(one), known, requests_per_second), selection)
        return Path(one)

    return [read(one) for one in sources]


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
