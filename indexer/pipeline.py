"""Index films: list files, compare them with the catalog, decode in worker processes, embed here, commit a batch.
Over a cluster others decode and embed; what is listed, compared and committed is so here.

Every batch is one transaction, so a run can be killed at any instant and simply run again.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

from filmroom.db import doctor
from filmroom.db.archive import Archive
from filmroom.db.batching import chunked
from filmroom.db.catalog import get_meta, set_meta
from filmroom.db.errors import BadInput, FilmroomError
from filmroom.db.reads import spaces
from filmroom.db.records import DECODING, SAME_UID, Counts, FileResult, Outcome, RunState, Scope, SourceFile, Tags
from filmroom.db.stretches import upkeep
from filmroom.db.thumbnails.moving import sweep
from filmroom.db.vector_index import snapshot
from filmroom.db.vector_index.opening import open_index
from filmroom.db.writes import file_diff, ingest, runs
from filmroom.db.writes.runs import DuplicateFile
from filmroom.indexer.cluster.connection import check_address, connected
from filmroom.indexer.cluster.spread import Spread
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding.rejections import Failure, Refusal
from filmroom.indexer.decoding.workers import Processed, process
from filmroom.indexer.embedding import embed, to_keep
from filmroom.indexer.forgotten import FORGOTTEN, Decoded, Forgetting
from filmroom.indexer.interrupts import between_steps, step
from filmroom.indexer.models.base import Towers
from filmroom.indexer.models.preprocess import Preprocess
from filmroom.indexer.moving_thumbnails import move_thumbnails
from filmroom.indexer.sources.changed import Changed
from filmroom.indexer.sources.dicomweb import Server
from filmroom.indexer.sources.fetching import Remote, fetched
from filmroom.indexer.sources.folder import check_there
from filmroom.indexer.sources.listing import content_hash, listed, passed_over

BATCH = 32
"""Films embedded and committed together: what a kill can cost."""

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
    ray: str | None = None


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
    """Bring the archive up to what lies below folders, or what servers hold. Raises NotFound for a path that is not
    there (before anything is written), ArchiveBusy when another run is under way, ServerError where a server cannot be
    asked; an interrupt ends it cleanly with `stopped`."""
    check(sources, options)
    _settle_uids(archive, hashed=options.hash_uids)
    started = time.monotonic()
    with (
        _cluster(options) as spread,
        archive.writing(f"indexing {', '.join(map(str, sources))}"),
        between_steps(),
    ):
        with step():
            run_id = runs.start(archive.catalog, sources, towers.space.model)
            run = _Run(archive, towers, options, on_progress, run_id, spread)
        try:
            sweep(archive.catalog)
            for source in sources:
                if isinstance(source, Remote):
                    run.take_remote(source)
                else:
                    run.take(source)
            if not all(isinstance(source, Changed) for source in sources):  # a few files: who searches reads them
                with step():
                    doctor.settle_checksums(archive)
                    run.save_index()
                    upkeep.after_many_writes(archive.catalog)
                move_thumbnails(archive.catalog)
        except KeyboardInterrupt:
            run.end(RunState.STOPPED)
            return run.summary(started, stopped=True)
        except BaseException as error:
            run.end(RunState.FAILED, str(error) if isinstance(error, FilmroomError) else type(error).__name__)
            raise
        run.end(RunState.DONE)
        return run.summary(started)


def check(sources: Sequence[Source], options: Options) -> None:
    """Raise NotFound for a path that is not there, BadInput for a server where UIDs are not to be kept, MissingExtra
    for a cluster without Ray."""
    if options.ray is not None:
        check_address(options.ray)
    places = [source for source in sources if not isinstance(source, Remote)]
    check_there([place.folder if isinstance(place, Changed) else place for place in places])
    servers = [source for source in sources if isinstance(source, Remote) and isinstance(source.server, Server)]
    if options.hash_uids and servers:
        raise BadInput(
            "a server's films are known by their UIDs", where="--hash-uids", fix="Copy them to a folder first."
        )


@contextmanager
def _cluster(options: Options) -> Iterator[Spread | None]:
    if options.ray is None:
        yield None
        return
    with connected(options.ray) as ray:
        yield Spread(ray, decoders=options.workers)


def _settle_uids(archive: Archive, *, hashed: bool) -> None:
    """Keep or hash UIDs for a whole archive: one film under two identities would be two films."""
    stored = get_meta(archive.catalog, "hash_uids")
    chosen = "yes" if hashed else "no"
    if stored is None:
        set_meta(archive.catalog, "hash_uids", chosen)
    elif stored != chosen:
        raise BadInput(
            "this archive keeps hashes of the UIDs" if stored == "yes" else "this archive keeps the UIDs as they are",
            where=archive.folder,
            fix="Add --hash-uids." if stored == "yes" else "Leave --hash-uids out, or name a new --archive.",
        )


class _Run:
    """The state of one run: its counts so far, and what every step of it needs."""

    def __init__(
        self,
        archive: Archive,
        towers: Towers,
        options: Options,
        on_progress: OnProgress,
        run_id: int,
        spread: Spread | None,
    ) -> None:
        self._archive = archive
        self._catalog = archive.catalog
        self._towers = towers
        self._options = options
        self._on_progress = on_progress
        self._id = run_id
        self._spread = spread
        self._counts = Counts()
        self._taken: list[tuple[Scope, Forgetting]] = []
        self._space_id = ingest.ensure_space(self._catalog, towers.space)

    def take(self, place: Path | Changed) -> None:
        """Index what lies below a folder, or a file, or what changed in a folder."""
        scope = file_diff.open_scope(self._catalog, place.folder if isinstance(place, Changed) else place)
        forgetting = self._forgetting(scope)
        skip = self._archive.folder
        files = place.listed(scope, skip) if isinstance(place, Changed) else listed(scope, place, skip)
        unseen = passed_over(scope, place, skip) if isinstance(place, Path) else []
        compared = self._compared(scope, forgetting, files, complete=isinstance(place, Path), unseen=unseen)
        work = forgetting.to_work_on(compared)
        for results in chunked(FileResult(source, None) for source in work if source.rejected):
            self._commit(scope, forgetting, results)
        readable = [source for source in work if not source.rejected]
        fresh = not ingest.any_films(self._catalog)
        unknown = readable if fresh else self._unknown(scope, readable)
        self._decode(scope, forgetting, chain(unknown, compared.older))
        if isinstance(place, Changed):
            file_diff.unlist(self._catalog, scope, place.gone(scope))
        self._count(gone=file_diff.finish(self._catalog, scope))

    def take_remote(self, remote: Remote) -> None:
        """Index what a server or bucket holds: what is not known is fetched while other films are decoded."""
        connection = remote.server.open()
        scope = file_diff.open_remote_scope(self._catalog, connection.url, connection.prefix)
        forgetting = self._forgetting(scope)
        complete = remote.selection.complete
        compared = self._compared(scope, forgetting, connection.listed(remote.selection), complete=complete)
        needed = [*forgetting.to_work_on(compared), *compared.older]
        most = self._options.limits.max_bytes
        if self._spread is not None:
            self._decode(scope, forgetting, needed, remote)
            self._count(gone=file_diff.finish(self._catalog, scope))
            return
        with fetched(connection, needed, self._archive.folder, max_bytes=most) as files:
            self._decode(scope, forgetting, files)
        self._count(gone=file_diff.finish(self._catalog, scope))

    def _forgetting(self, scope: Scope) -> Forgetting:
        forgetting = Forgetting(self._archive, scope, bring_back=self._options.bring_back)
        self._taken.append((scope, forgetting))
        return forgetting

    def _compared(
        self,
        scope: Scope,
        forgetting: Forgetting,
        files: Iterable[SourceFile],
        *,
        complete: bool = True,
        unseen: Sequence[str] = (),
    ) -> file_diff.Comparison:
        """Compare a listing with the catalog, and count the files that need no work."""
        let_in = {Refusal.NOT_RADIOGRAPH.code: self._options.any_modality, FORGOTTEN: self._options.bring_back}
        compared = file_diff.compare(
            self._catalog,
            scope,
            map(forgetting.as_stored, files),
            space_id=self._space_id,
            retry=self._options.retry,
            passing=(*PASSING, *self._options.limits.raised(), *(code for code, lets in let_in.items() if lets)),
            final=(FORGOTTEN,),
            reopened=[SAME_UID] if self._options.keep_apart else [],
            complete=complete,
            unseen=unseen,
        )
        self._count(
            listed=compared.listed,
            unchanged=compared.unchanged,
            duplicate=compared.duplicate,
            rejected=compared.rejected,
        )
        return compared

    def save_index(self) -> None:
        stored_space = next(space for space in spaces.spaces(self._catalog) if space.id == self._space_id)
        stamp = spaces.stamp(self._catalog, stored_space.id)
        # An earlier run may have been killed between its last commit and its snapshot.
        current = snapshot.is_current(self._archive.vectors, stored_space, generation=stamp.generation, mark=stamp.mark)
        if stamp.mark and not current:
            open_index(self._catalog, stored_space, self._archive.vectors, gpu=False).save()

    def end(self, state: RunState, message: str | None = None) -> None:
        runs.end(self._catalog, self._id, state, self._counts, message)

    def summary(self, started: float, *, stopped: bool = False) -> Summary:
        reasons = Counter(
            file.code
            for file in runs.rejected(self._catalog)
            for scope, forgetting in self._taken
            if (forgetting.has_met(file) if file.forgotten else _is_within(scope, file))
        )
        doubles = runs.duplicates(self._catalog, why=SAME_UID) if self._counts.duplicate else []
        same_uid = tuple(file for file in doubles if any(_is_within(scope, file) for scope, _ in self._taken))
        return Summary(self._counts, dict(reasons.most_common()), time.monotonic() - started, stopped, same_uid)

    def _hashed(self, work: Sequence[SourceFile], pool: ThreadPoolExecutor) -> Iterator[tuple[SourceFile, str | None]]:
        if self._spread is not None:
            yield from self._spread.hashed(work)
            return
        for batch in chunked(work, HASHED_TOGETHER):
            yield from zip(batch, pool.map(content_hash, batch), strict=True)

    def _decoded(self, files: Iterable[SourceFile], remote: Remote | None) -> Decoded:
        """Decode files, and where others do it embed them too."""
        preprocess = self._towers.preprocess
        decode = partial(
            process,
            prepare=preprocess.shrink,
            limits=self._options.limits,
            key=self._archive.patient_key(),
            any_modality=self._options.any_modality,
            hash_uids=self._options.hash_uids,
            # Twice the tower's input: what a JPEG decoder then leaves out, resampling would.
            side=2 * preprocess.size if isinstance(preprocess, Preprocess) else None,
        )
        if self._spread is None:
            return decode(files, workers=self._options.workers)
        server, most = remote.server if remote else None, self._options.limits.max_bytes
        return self._spread.embedded(files, decode=decode, space=self._towers.space, server=server, max_bytes=most)

    def _decode(
        self, scope: Scope, forgetting: Forgetting, files: Iterable[SourceFile], remote: Remote | None = None
    ) -> None:
        """Decode, embed and commit. The films of `remote` are fetched by those who decode."""
        decoded = self._decoded(files, remote)
        batch: list[Processed] = []
        refused: list[FileResult] = []
        alike: list[tuple[SourceFile, Sequence[Tags]]] = []
        with closing(forgetting.turn_away(decoded)) as results:
            for result in results:
                if isinstance(result, Failure):
                    refused.append(FileResult(replace(result.listed, rejected=result.error), None))
                elif result.alike is not None:
                    alike.append((result.listed, result.alike))
                else:
                    batch.append(result)
                if result.listed.fetched:
                    os.unlink(result.listed.fetched)
                if sum(len(decoded_file.films) for decoded_file in batch) >= BATCH or len(refused) >= BATCH:
                    self._commit(scope, forgetting, refused + self._embedded(batch))
                    batch, refused = [], []
                if len(alike) >= LOOKED_AT_TOGETHER:
                    self._keep(scope, alike)
                    alike = []
        self._commit(scope, forgetting, refused + self._embedded(batch))
        self._keep(scope, alike)

    def _keep(self, scope: Scope, alike: Sequence[tuple[SourceFile, Sequence[Tags]]]) -> None:
        if alike:
            ingest.keep_as_they_are(self._catalog, scope, alike)
            self._count(unchanged=len(alike))

    def _unknown(self, scope: Scope, work: Sequence[SourceFile]) -> Iterator[SourceFile]:
        """Give the files whose content is new, and settle without decoding those that only moved, or are copies, unless
        an earlier version of decoding, named in `decoding`, made their films."""
        with ThreadPoolExecutor(4) as pool:
            for batch in chunked(self._hashed(work, pool), HASHED_TOGETHER):
                hashed = [(source, sha256) for source, sha256 in batch if sha256]
                known = ingest.keep_known(self._catalog, scope, self._space_id, hashed)
                settled = {source.path: file for (source, _), file in zip(hashed, known, strict=True) if file}
                indexed = {path: file for path, file in settled.items() if file.outcome is Outcome.INDEXED}
                older = {path: file.decoding for path, file in indexed.items() if file.decoding < DECODING}
                tally = Counter(file.outcome for path, file in settled.items() if path not in older)
                self._count(unchanged=tally[Outcome.INDEXED], duplicate=tally[Outcome.DUPLICATE])
                for source, _ in batch:
                    if source.path in older:
                        yield replace(source, decoding=older[source.path])
                    elif source.path not in settled:
                        yield source

    def _embedded(self, batch: Sequence[Processed]) -> list[FileResult]:
        if self._spread is not None:
            return to_keep(batch)
        with step():
            return to_keep(embed(self._towers, batch))

    def _commit(self, scope: Scope, forgetting: Forgetting, results: Sequence[FileResult]) -> None:
        if not results:
            return
        results = forgetting.without_paths(results)
        apart = self._options.keep_apart
        with step():
            tally = Counter(ingest.commit(self._catalog, scope, self._space_id, results, keep_apart=apart))
        self._count(
            indexed=tally[Outcome.INDEXED], duplicate=tally[Outcome.DUPLICATE], rejected=tally[Outcome.REJECTED]
        )

    def _count(self, **added: int) -> None:
        if any(added.values()):
            summed = {name: getattr(self._counts, name) + value for name, value in added.items()}
            self._counts = replace(self._counts, **summed)
            runs.progress(self._catalog, self._id, self._counts)
        self._on_progress(self._counts)


def _is_within(scope: Scope, file: runs.RejectedFile | DuplicateFile) -> bool:
    below = f"{scope.prefix}/" if scope.prefix else ""
    return file.root == scope.root and f"{file.path}/".startswith(below)
