"""Describe films by a report model behind an endpoint: which are sent, with which lateral, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from filmroom.db.archive import Archive
from filmroom.db.batching import chunked
from filmroom.db.errors import ArchiveBusy, NotFound
from filmroom.db.reads import films
from filmroom.db.records import Film
from filmroom.db.writes import findings
from filmroom.indexer.models.cxrreportgen import SOURCE, BadAnswer, Endpoint, as_sent, ask
from filmroom.indexer.radiology.vocabulary import LATERAL, is_frontal, view_finding
from filmroom.search.exchange.original_pixels import originals

_DECODED_TOGETHER = 16
_CHEST = ("CHEST", "THORAX", "LUNG", "RIB")


@dataclass(frozen=True)
class Call:
    """One request: a frontal film, with the lateral of its study where there is one."""

    frontal: Film
    lateral: Film | None


@dataclass(frozen=True)
class Plan:
    """What a run would do. `left_out` counts films that are not sent, by reason; `done` those described before."""

    calls: tuple[Call, ...]
    done: int
    left_out: dict[str, int]

    @property
    def laterals(self) -> int:
        return sum(call.lateral is not None for call in self.calls)


@dataclass(frozen=True)
class Described:
    """What a run did. `failed` are (film id, reason): run again to try them again."""

    calls: int
    sentences: int
    boxes: int
    failed: tuple[tuple[int, str], ...]


def plan(archive: Archive, *, limit: int | None = None) -> Plan:
    """Return the films that have yet to be described: frontal films of the chest, the first `limit` of them by id.

    Films that say there are words burned into their pixels are not sent anywhere.
    """
    done = findings.described_ids(archive.catalog, source=SOURCE)
    frontal: list[Film] = []
    lateral: dict[str, Film] = {}
    left_out: dict[str, int] = {}
    before = 0
    everyone = list(films.everyone(archive.catalog))
    for film in everyone:
        reason = _why_not(film)
        if film.id in done:
            before += 1
        elif reason:
            left_out[reason] = left_out.get(reason, 0) + 1
        elif not _is_lateral(film):
            frontal.append(film)
        if reason is None and _is_lateral(film) and film.tags.study_uid:
            lateral.setdefault(film.tags.study_uid, film)
    studies = {film.tags.study_uid for film in frontal}
    alone = sum(
        _is_lateral(film) and _why_not(film) is None and film.id not in done and film.tags.study_uid not in studies
        for film in everyone
    )
    if alone:
        left_out["a lateral without a frontal"] = alone
    calls = tuple(Call(film, lateral.get(film.tags.study_uid or "")) for film in frontal[:limit])
    return Plan(calls, before, left_out)


def describe(
    archive: Archive, calls: Iterable[Call], to: Endpoint, *, on_call: Callable[[], None] = lambda: None
) -> Described:
    """Send the films one call after another; the findings of each call are kept in one transaction.

    A film that cannot be read, and an answer that makes no sense, cost that film alone. Raises EndpointFault where
    the endpoint itself fails, and ArchiveBusy where another process is at it.
    """
    described = sentences = boxes = 0
    failed: list[tuple[int, str]] = []
    with _alone(archive):
        for batch in chunked(calls, _DECODED_TOGETHER):
            pixels = originals([film for call in batch for film in (call.frontal, call.lateral) if film])
            for call in batch:
                frontal = pixels[call.frontal.id]
                # The lateral helps where it can be read; without it the frontal is described alone.
                side = pixels[call.lateral.id] if call.lateral else "there is none"
                if isinstance(frontal, str):
                    failed.append((call.frontal.id, frontal))
                    on_call()
                    continue
                seen = [call.frontal.id, *([call.lateral.id] if call.lateral and not isinstance(side, str) else [])]
                try:
                    answer = ask(to, as_sent(frontal), None if isinstance(side, str) else as_sent(side))
                    findings.put(archive.catalog, seen, answer, source=SOURCE)
                except (BadAnswer, NotFound) as fault:  # it may have been forgotten meanwhile
                    failed.append((call.frontal.id, fault.what))
                else:
                    sentences += len(answer)
                    boxes += sum(len(finding.boxes) for finding in answer)
                described += 1
                on_call()
    return Described(described, sentences, boxes, tuple(failed))


@contextmanager
def _alone(archive: Archive) -> Iterator[None]:
    """Keep a second run out, which would pay for every film twice. Indexing may go on meanwhile."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(archive.folder / "describing.lock", timeout=0):
            yield
    except Timeout:
        raise ArchiveBusy("another process is describing these films", where=archive.folder, fix="Wait.") from None


def _why_not(film: Film) -> str | None:
    part = (film.tags.body_part or "").upper()
    if film.tags.burned_in:
        return "words burned into the pixels"
    if part and not any(name in part for name in _CHEST):
        return "not of the chest"
    view = view_finding(film.tags.view)
    if film.tags.view and view != LATERAL and not is_frontal(view):
        return "neither frontal nor lateral"
    return None


def _is_lateral(film: Film) -> bool:
    return view_finding(film.tags.view) == LATERAL
