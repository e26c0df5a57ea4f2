"""What was forgotten on request does not come back by itself."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

from filmroom.db.archive import Archive
from filmroom.db.erasure import forget
from filmroom.db.records import Tags
from filmroom.db.writes.ingest import identity
from filmroom.indexer.decoding.rejections import Refusal
from filmroom.indexer.decoding.workers import Processed
from filmroom.indexer.sources.source_file import Failure

Decoded = Generator[Processed | Failure, None, None]


def turned_away(decoded: Decoded, archive: Archive, *, bring_back: bool) -> Decoded:
    """What was decoded, less the films that were forgotten; with `bring_back` they are taken, and so from then on."""
    marks = forget.marks(archive)
    with closing(decoded):
        for one in decoded:
            if isinstance(one, Failure):
                yield one
                continue
            names = {
                film.frame: (identity(film.tags, one.sha256, film.frame), film.tags.patient_key) for film in one.films
            }
            # A film that was kept apart from another of its UID is known by its content.
            held = {
                frame
                for frame, named in names.items()
                if marks.hold(*named) or marks.hold(identity(Tags(), one.sha256, frame), None)
            }
            if held and bring_back:
                for frame in held:
                    forget.release(archive, *names[frame])
                    forget.release(archive, identity(Tags(), one.sha256, frame), None)
            elif held:
                rest = tuple(film for film in one.films if film.frame not in held)
                yield replace(one, films=rest) if rest else Failure(one.listed, Refusal.FORGOTTEN.error())
                continue
            yield one
