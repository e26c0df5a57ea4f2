"""Bits of an archive that fall over, one at a time: does the doctor find it, or is it harmless?"""

from __future__ import annotations

import random
import re
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from filmroom.db import doctor
from filmroom.db.archive import Archive
from filmroom.db.errors import FilmroomError
from filmroom.db.files import sqlite_file
from filmroom.db.reads import films as catalog_films
from filmroom.db.thumbnails.reading import thumbnails


def all_said(archive: Archive) -> list[object]:
    """Everything that a person or a search gets to see of the archive."""
    # A file of another size than was known is looked at by the next run, which puts that right.
    films = [replace(one, size=0) for one in catalog_films.everyone(archive.catalog)]
    found: list[object] = [*films, thumbnails(archive.catalog, [one.id for one in films])]
    for one in films:
        # Words are compared with their index, capital letters and commas are not.
        found += [re.findall(r"\w+", text.lower()) for text in catalog_films.reports(archive.catalog, one)]
    with closing(sqlite3.connect(archive.catalog.path)) as connection:
        return found + connection.execute("SELECT space_id, film_id, vectors FROM embedding").fetchall()


def flipped(folder: Path, number: int, seed: int) -> Counter[str]:
    """How many of so many random flips were found, harmless, or missed; each is taken back."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".sqlite", ".npy", ".json")]
    archive = Archive.open(folder)
    sqlite_file.empty_log(archive.catalog.path, seconds=5)  # what stands in the log hides what is in the file
    before = all_said(archive)
    archive.catalog.close()
    chance, tally = random.Random(seed), Counter[str]()
    for _ in range(number):
        (path,) = chance.choices(files, [one.stat().st_size for one in files])
        whole = path.read_bytes()
        torn = bytearray(whole)
        used = [at for at, byte in enumerate(torn) if byte]  # a small catalog is empty pages for the most part
        torn[chance.choice(used)] ^= 1 << chance.randrange(8)
        path.write_bytes(torn)
        try:
            archive = Archive.open(folder)
            healthy = doctor.examine(archive).healthy
            tally["found" if not healthy else "harmless" if all_said(archive) == before else "missed"] += 1
            archive.catalog.close()
        except FilmroomError:
            tally["found"] += 1
        path.write_bytes(whole)
    return tally
