"""The way of a film: listed, compared, decoded beside, embedded here, committed a batch at a time.

Every batch is one transaction, so a run can be killed at any instant and simply run again.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np
from filmroom.db import doctor
from filmroom.db.archive import Archive
from filmroom.db.batching import chunked
from filmroom.db.catalog import get_meta, learn_sizes, set_meta
from filmroom.db.erasure import path_pseudonyms
from filmroom.db.errors import BadInput, FilmroomError, Rejected
from filmroom.db.reads import spaces
from filmroom.db.records import DECODING, SAME_UID, Counts, Outcome, RunState, Scope, Tags
from filmroom.db.vector_index import snapshot
from filmroom.db.vector_index.index import VectorIndex
from filmroom.db.writes import file_diff, ingest, runs
from filmroom.db.writes.file_diff import Seen
from filmroom.db.writes.runs import DuplicateFile
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding.rejections import Refusal
from filmroom.indexer.decoding.workers import Processed, process
from filmroom.indexer.forgotten import turned_away
from filmroom.indexer.interrupts import between_steps, step
from filmroom.indexer.models.base import Towers
from filmroom.indexer.models.preprocess import Preprocess
from filmroom.indexer.sources.changed import Changed
from filmroom.indexer.sources.fetching import Remote, fetched
from filmroom.indexer.sources.folder import check_there
from filmroom.indexer.sources.listing import as_stored, content_hash, listed
from filmroom.indexer.sources.source_file import Failure, SourceFile

BATCH = 32
"""Films embedded and committed together: what a kill can cost."""

_FORGOTTEN = Refusal.FORGOTTEN.code

PASSING = (Refusal.UNREADABLE.code, Refusal.NOT_FETCHED.code, Refusal.NOT_ON_SERVER.code)
"""Codes of reasons that may be gone by the next run without the file having changed."""

LOOKED_AT_TOGETHER = 256
"""Files of an earlier version that are noted as alike in one transaction: a header takes a few milliseconds."""

HASHED_TOGETHER = 64
"""Files whose content is looked up in one transaction before any of them is decoded."""


@dataclass(frozen=True)
class Options:
    """How a run treats files. `retry`: try again what was rejected before; `bring_back`: take what was forgotten;
    `keep_apart`: a picture under the UID of another is a film of its own."""

    limits: Limits = field(default_factory=Limits)
    workers: int | None = None
    retry: bool = False
    any_modality: bool = False
    hash_uids: bool = False
    bring_back: bool = False
    keep_apart: bool = False


@dataclass(frozen=True)
class Summary:
    """What a run did. `reasons` counts the files rejected in it or before, by code; `same_uid` are those that bear the
    UID of another picture and are not indexed; `stopped`: it was interrupted."""

    counts: Counts
    reasons: dict[str, int]
    seconds: float
    stopped: bool = False
    same_uid: tuple[DuplicateFile, ...] = ()

    @property
    def fruitless(self) -> bool:
        """Whether there were files, and every one was turned away."""
        return 0 < self.counts.listed == self.counts.rejected


OnProgress = Callable[[Counts], None]
Source = Path | Remote | Changed


def index(
    archive: Archive,
    sources: Sequence[Source],
    towers: Towers,
    *,
    options: Options = Options(),
    on_progress: OnProgress = lambda counts: None,
) -> Summary:
    """Brings the archive up to what lies below folders, or what servers hold. Raises NotFound for a path that is not
    there (before anything is written), ArchiveBusy when another run is under way, ServerError where a server cannot be
    asked; an interrupt ends it cleanly with `stopped`."""
    check(sources, options)
    _settle_uids(archive, hashed=options.hash_uids)
    started = time.monotonic()
    with archive.writing(f"indexing {', '.join(map(str, sources))}"), between_steps():
        with step():
            run_id = runs.start(archive.catalog, sources, towers.space.model)
            run = _Run(archive, towers, options, on_progress, run_id)
        try:
            for source in sources:
                if isinstance(source, Remote):
                    run.take_remote(source)
                else:
                    run.take(source)
            if not all(isinstance(source, Changed) for source in sources):  # a few files: who searches reads them
                with step():
                    doctor.settle_checksums(archive)
                    run.save_index()
                    learn_sizes(archive.catalog)
        except KeyboardInterrupt:
            run.end(RunState.STOPPED)
            return run.summary(started, stopped=True)
        except BaseException as error:
            run.end(RunState.FAILED, str(error) if isinstance(error, FilmroomError) else type(error).__name__)
            raise
        run.end(RunState.DONE)
        return run.summary(started)


def check(sources: Sequence[Source], options: Options) -> None:
    """Raise NotFound for a path that is not there, BadInput for a server where UIDs are not to be kept."""
    check_there([one.folder if isinstance(one, Changed) else one for one in sources if not isinstance(one, Remote)])
    if options.hash_uids and any(isinstance(source, Remote) for source in sources):
        raise BadInput(
            "a server's films are known by their UIDs", where="--hash-uids", fix="Copy them to a folder first."
        )


def _settle_uids(archive: Archive, *, hashed: bool) -> None:
    """UIDs are kept or hashed for a whole archive: one film under two identities would be two films."""
    kept = get_meta(archive.catalog, "hash_uids")
    wanted = "yes" if hashed else "no"
    if kept is None:
        set_meta(archive.catalog, "hash_uids", wanted)
    elif kept != wanted:
        raise BadInput(
            "this archive keeps hashes of the UIDs" if kept == "yes" else "this archive keeps the UIDs as they are",
            where=archive.folder,
            fix="Add --hash-uids." if kept == "yes" else "Leave --hash-uids out, or name a new --archive.",
        )


class _Run:
    """The state of one run: its counts so far, and what every step of it needs."""

    def __init__(
        self, archive: Archive, towers: Towers, options: Options, on_progress: OnProgress, run_id: int
    ) -> None:
        self._archive = archive
        self._catalog = archive.catalog
        self._towers = towers
        self._options = options
        self._on_progress = on_progress
        self._id = run_id
        self._counts = Counts()
        self._scopes: list[Scope] = []
        self._forgotten: set[tuple[str, str]] = set()
        self._space_id = ingest.ensure_space(self._catalog, towers.space)

    def take(self, source: Path | Changed) -> None:
        """What lies below a folder, or a file, or what changed there."""
        scope = file_diff.open_scope(self._catalog, source.folder if isinstance(source, Changed) else source)
        path_pseudonyms.vacate(self._catalog, scope, path_pseudonyms.named(self._catalog, scope, code=_FORGOTTEN))
        failed: dict[str, Rejected] = {}
        unreadable: list[str] = []
        if isinstance(source, Changed):
            files = source.listed(scope, self._archive.folder, failed)
        else:
            files = listed(scope, source, self._archive.folder, failed, unreadable)
        work, older = self._compared(scope, files, unreadable=unreadable, complete=isinstance(source, Path))
        self._reject(scope, [seen for seen in work if seen.path in failed], failed)
        self._embed(scope, [seen for seen in work if seen.path not in failed], older)
        if isinstance(source, Changed):
            file_diff.unlist(self._catalog, scope, source.gone(scope))
        self._count(gone=file_diff.finish(self._catalog, scope))

    def take_remote(self, source: Remote) -> None:
        """A server's films: those that the archive does not have are fetched while others are decoded."""
        connection = source.server.open()
        scope = file_diff.open_remote_scope(self._catalog, connection.url)
        films = (Seen(path, 0, 0) for path in connection.films(source.selection))
        work, older = self._compared(scope, films, complete=source.selection.complete)
        wanted = {seen.path: seen for seen in (*work, *(seen for seen, _ in older))}
        with fetched(connection, list(wanted), self._archive.folder) as files:
            self._decode(scope, files, wanted)
        self._count(gone=file_diff.finish(self._catalog, scope))

    def _compared(
        self, scope: Scope, files: Iterable[Seen], *, unreadable: Sequence[str] = (), complete: bool = True
    ) -> tuple[list[Seen], Sequence[tuple[Seen, int]]]:
        """Count what needs nothing; give the files that need work, by their own paths, and those of old versions."""
        self._scopes.append(scope)
        self._places = path_pseudonyms.places(self._catalog, self._archive.patient_key(), scope)
        shown: dict[str, str] = {}
        compared = file_diff.compare(
            self._catalog,
            scope,
            as_stored(files, self._places, shown),
            space_id=self._space_id,
            retry=self._options.retry,
            unreadable=unreadable,
            passing=(*PASSING, *([_FORGOTTEN] if self._options.bring_back else [])),
            final=(_FORGOTTEN,),
            reopened=[SAME_UID] if self._options.keep_apart else [],
            complete=complete,
        )
        self._count(
            listed=compared.listed,
            unchanged=compared.unchanged,
            duplicate=compared.duplicate,
            rejected=compared.rejected,
        )
        again = {seen.path for seen in compared.work} & shown.keys()
        path_pseudonyms.vacate(self._catalog, scope, again)
        self._forgotten |= {(scope.root, stored) for stored in shown.keys() - again}
        return [replace(seen, path=shown.get(seen.path, seen.path)) for seen in compared.work], compared.older

    def save_index(self) -> None:
        held = next(space for space in spaces.spaces(self._catalog) if space.id == self._space_id)
        stamp = spaces.stamp(self._catalog, held.id)
        # An earlier run may have been killed between its last commit and its snapshot.
        current = snapshot.is_current(self._archive.vectors, held, generation=stamp.generation, mark=stamp.mark)
        if stamp.mark and not current:
            VectorIndex.open(self._catalog, held, self._archive.vectors, gpu=False).save()

    def end(self, state: RunState, message: str | None = None) -> None:
        runs.end(self._catalog, self._id, state, self._counts, message)

    def summary(self, started: float, *, stopped: bool = False) -> Summary:
        reasons = Counter(
            one.code
            for one in runs.rejected(self._catalog)
            for scope in self._scopes
            if one.root == scope.root and self._is_within(scope, one)
        )
        doubles = runs.duplicates(self._catalog, why=SAME_UID) if self._counts.duplicate else []
        same_uid = tuple(
            one for one in doubles if any(one.root == scope.root and _below(scope, one.path) for scope in self._scopes)
        )
        return Summary(self._counts, dict(reasons.most_common()), time.monotonic() - started, stopped, same_uid)

    def _is_within(self, scope: Scope, one: runs.RejectedFile) -> bool:
        if one.forgotten:
            return (one.root, one.path) in self._forgotten
        return _below(scope, one.path)

    def _reject(self, scope: Scope, work: Sequence[Seen], failed: dict[str, Rejected]) -> None:
        results = [ingest.Result(seen, None, rejected=failed[seen.path]) for seen in work]
        for some in chunked(results):
            self._commit(scope, some)

    def _embed(self, scope: Scope, work: Sequence[Seen], older: Sequence[tuple[Seen, int]]) -> None:
        """`work` is decoded and embedded, and of `older` what has other pixels by the present version of decoding."""
        by_path = {seen.path: seen for seen in (*work, *(seen for seen, _ in older))}
        fresh = not ingest.any_films(self._catalog)
        unknown = ((seen, None) for seen in work) if fresh else self._unknown(scope, work)
        files = (
            SourceFile(scope.root, seen.path, seen.size, seen.mtime_ns, decoding)
            for seen, decoding in chain(unknown, older)
        )
        self._decode(scope, files, by_path)

    def _decode(self, scope: Scope, files: Iterable[SourceFile], by_path: dict[str, Seen]) -> None:
        """Decode, embed and commit."""
        decoded = process(
            files,
            prepare=self._towers.preprocess.shrink,
            limits=self._options.limits,
            workers=self._options.workers,
            key=self._archive.patient_key(),
            any_modality=self._options.any_modality,
            hash_uids=self._options.hash_uids,
            # Twice the tower's input: what a JPEG decoder then leaves out, resampling would.
            side=2 * self._towers.preprocess.size if isinstance(self._towers.preprocess, Preprocess) else None,
        )
        decoded = turned_away(decoded, self._archive, bring_back=self._options.bring_back)
        batch: list[Processed] = []
        refused: list[ingest.Result] = []
        alike: list[tuple[Seen, Sequence[Tags]]] = []
        with closing(decoded):
            for result in decoded:
                if isinstance(result, Failure):
                    refused.append(ingest.Result(by_path[result.listed.path], None, rejected=result.error))
                elif result.alike is not None:
                    alike.append((by_path[result.listed.path], result.alike))
                else:
                    batch.append(result)
                if result.listed.fetched:
                    os.unlink(result.listed.fetched)
                if sum(len(one.films) for one in batch) >= BATCH or len(refused) >= BATCH:
                    self._commit(scope, refused + self._embedded(batch, by_path))
                    batch, refused = [], []
                if len(alike) >= LOOKED_AT_TOGETHER:
                    self._keep(scope, alike)
                    alike = []
        self._commit(scope, refused + self._embedded(batch, by_path))
        self._keep(scope, alike)

    def _keep(self, scope: Scope, alike: Sequence[tuple[Seen, Sequence[Tags]]]) -> None:
        if alike:
            ingest.keep_as_they_are(self._catalog, scope, alike)
            self._count(unchanged=len(alike))

    def _unknown(self, scope: Scope, work: Sequence[Seen]) -> Iterator[tuple[Seen, int | None]]:
        """The files whose content is new; those that only moved, or are copies, are settled without decoding, but where
        an earlier version of decoding, given beside them, made their films."""
        with ThreadPoolExecutor(4) as pool:
            for some in chunked(work, HASHED_TOGETHER):
                hashes = pool.map(lambda seen: content_hash(scope, seen), some)
                hashed = [(seen, sha256) for seen, sha256 in zip(some, hashes, strict=True) if sha256]
                known = ingest.keep_known(self._catalog, scope, self._space_id, hashed)
                settled = {seen.path: one for (seen, _), one in zip(hashed, known, strict=True) if one}
                older = {
                    path: one.decoding
                    for path, one in settled.items()
                    if one.outcome is Outcome.INDEXED and one.decoding < DECODING
                }
                tally = Counter(one.outcome for path, one in settled.items() if path not in older)
                self._count(unchanged=tally[Outcome.INDEXED], duplicate=tally[Outcome.DUPLICATE])
                yield from ((seen, older.get(seen.path)) for seen in some if seen.path not in settled.keys() - older)

    def _embedded(self, batch: Sequence[Processed], by_path: dict[str, Seen]) -> list[ingest.Result]:
        films = [film for one in batch for film in one.films]
        if not films:
            return []
        with step():
            ready = self._towers.preprocess.batch([film.prepared for film in films])
            vectors = iter(self._towers.embed_prepared(ready))
        results = []
        for one in batch:
            new = [
                ingest.NewFilm(
                    identity=ingest.identity(film.tags, one.sha256, film.frame),
                    frame=film.frame,
                    tags=film.tags,
                    thumbnail=film.thumbnail,
                    vectors=next(vectors),
                    since=film.since,
                )
                for film in one.films
            ]
            seen = by_path[one.listed.path]
            if all(np.isfinite(film.vectors).all() for film in new):
                results.append(ingest.Result(seen, one.sha256, films=new))
            else:
                results.append(ingest.Result(seen, one.sha256, rejected=Refusal.NOT_PREPARED.error()))
        return results

    def _commit(self, scope: Scope, results: Sequence[ingest.Result]) -> None:
        if not results:
            return
        path_pseudonyms.vacate(self._catalog, scope, [one.seen.path for one in results if self._is_forgotten(one)])
        results = [self._nameless(scope, one) if self._is_forgotten(one) else one for one in results]
        with step():
            tally = Counter(
                ingest.commit(self._catalog, scope, self._space_id, results, keep_apart=self._options.keep_apart)
            )
        self._count(
            indexed=tally[Outcome.INDEXED], duplicate=tally[Outcome.DUPLICATE], rejected=tally[Outcome.REJECTED]
        )

    def _is_forgotten(self, result: ingest.Result) -> bool:
        """Also what was forgotten and can now not even be read."""
        if result.rejected is None or result.rejected.code == _FORGOTTEN:
            return result.rejected is not None
        return not self._options.bring_back and self._places.known(result.seen.path) is not None

    def _nameless(self, scope: Scope, result: ingest.Result) -> ingest.Result:
        """What was forgotten on request leaves no path: it may hold a name."""
        stored = self._places.digest(result.seen.path)
        self._forgotten.add((scope.root, stored))
        return replace(result, seen=replace(result.seen, path=stored))

    def _count(self, **more: int) -> None:
        if any(more.values()):
            summed = {name: getattr(self._counts, name) + value for name, value in more.items()}
            self._counts = replace(self._counts, **summed)
            runs.progress(self._catalog, self._id, self._counts)
        self._on_progress(self._counts)


def _below(scope: Scope, path: str) -> bool:
    return f"{path}/".startswith(f"{scope.prefix}/" if scope.prefix else "")
