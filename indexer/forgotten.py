"""Keep forgotten films out: the films themselves, and the paths where they were, which can hold a name."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace

from filmroom.db.archive import Archive
from filmroom.db.erasure import forget, path_pseudonyms
from filmroom.db.records import FileResult, Scope, SourceFile, Tags
from filmroom.db.writes.file_diff import Comparison
from filmroom.db.writes.ingest import identity
from filmroom.db.writes.runs import RejectedFile
from filmroom.indexer.decoding.rejections import Failure, Refusal
from filmroom.indexer.decoding.workers import Processed

Decoded = Generator[Processed | Failure, None, None]

FORGOTTEN = Refusal.FORGOTTEN.code


class Forgetting:
    """What one run knows of the forgotten films of one scope. With `bring_back` they are indexed, now and from then
    on."""

    def __init__(self, archive: Archive, scope: Scope, *, bring_back: bool) -> None:
        self._archive, self._scope, self._bring_back = archive, scope, bring_back
        # An archive of an earlier version has their paths.
        self._vacate(path_pseudonyms.named(archive.catalog, scope, code=FORGOTTEN))
        self._paths = path_pseudonyms.places(archive.catalog, archive.patient_key(), scope)
        self._met: set[str] = set()

    def as_stored(self, source: SourceFile) -> SourceFile:
        """Say by which name the catalog knows a file of the listing."""
        stored = self._paths.known(source.path)
        return source if stored is None else replace(source, stored_as=stored)

    def to_work_on(self, compared: Comparison) -> list[SourceFile]:
        """Give the files that need work by their paths alone: what becomes of them is not known yet."""
        self._vacate(source.key for source in compared.work if source.stored_as)
        self._met |= {source.key for source in compared.forgotten}
        return [replace(source, stored_as=None) if source.stored_as else source for source in compared.work]

    def turn_away(self, decoded: Decoded) -> Decoded:
        """Give what was decoded without the films that were forgotten."""
        marks = forget.marks(self._archive)
        with closing(decoded):
            for result in decoded:
                if isinstance(result, Failure):
                    yield result
                    continue
                names = {
                    film.frame: (identity(film.tags, result.sha256, film.frame), film.tags.patient_key)
                    for film in result.films
                }
                # A film that was kept apart from another of its UID is known by its content.
                by_content = {frame: identity(Tags(), result.sha256, frame) for frame in names}
                forgotten = {
                    frame for frame, keys in names.items() if marks.hold(*keys) or marks.hold(by_content[frame], None)
                }
                if forgotten and self._bring_back:
                    for frame in forgotten:
                        forget.release(self._archive, *names[frame])
                        forget.release(self._archive, by_content[frame], None)
                elif forgotten:
                    rest = tuple(film for film in result.films if film.frame not in forgotten)
                    yield replace(result, films=rest) if rest else Failure(result.listed, Refusal.FORGOTTEN.error())
                    continue
                yield result

    def without_paths(self, results: Sequence[FileResult]) -> list[FileResult]:
        """Give the results, those of forgotten files without a path, even if they cannot be read any more."""
        self._vacate(result.source.path for result in results if self._is_forgotten(result.source))
        return [
            replace(result, source=self._without_path(result.source)) if self._is_forgotten(result.source) else result
            for result in results
        ]

    def has_met(self, file: RejectedFile) -> bool:
        """Tell whether this run met a rejected file whose path the catalog does not hold."""
        return file.root == self._scope.root and file.path in self._met

    def _vacate(self, paths: Iterable[str]) -> None:
        path_pseudonyms.vacate(self._archive.catalog, self._scope, paths)

    def _is_forgotten(self, source: SourceFile) -> bool:
        if source.rejected is None or source.rejected.code == FORGOTTEN:
            return source.rejected is not None
        return not self._bring_back and self._paths.known(source.path) is not None

    def _without_path(self, source: SourceFile) -> SourceFile:
        stored = self._paths.digest(source.path)
        self._met.add(stored)
        return replace(source, stored_as=stored)
