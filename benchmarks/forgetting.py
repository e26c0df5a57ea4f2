"""Seconds to forget one film of 1,000, 10,000 and 100,000, and a search of every byte of the archive for what it was.

`python benchmarks/forgetting.py [COUNT ...]`
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.erasure.forget import forget
from filmroom.db.reads import spaces
from filmroom.db.records import FileResult, NewFilm, SourceFile, Space, Tags
from filmroom.db.vector_index.index import VectorIndex
from filmroom.db.writes import annotations, file_diff, ingest

DIM, THUMBNAIL, TOGETHER, FORGOTTEN = 256, 3000, 1000, 20


def film(number: int, chance: random.Random, vector: np.ndarray) -> tuple[FileResult, list[bytes]]:
    """A film with random UIDs, and the byte strings by which it could be known again."""
    uid = f"2.25.{chance.getrandbits(120)}"
    tags = Tags(
        rows=2991, columns=2508, modality="DX", view="PA", study_uid=f"{uid}.1", series_uid=f"{uid}.2",
        instance_uid=f"{uid}.3", patient_key=f"{chance.getrandbits(128):032x}",
    )  # fmt: skip
    thumbnail, digest = chance.randbytes(THUMBNAIL), f"{chance.getrandbits(256):064x}"
    source = SourceFile("/films", f"ward-{chance.randrange(97)}/patient-{chance.getrandbits(60)}.dcm", 1, 1)
    new = NewFilm(f"uid:{uid}.3#0", 0, tags, thumbnail, vector[None])
    traces = [uid, str(tags.patient_key), digest, source.path.split("/")[1]]
    stored = vector.astype(np.float16).tobytes()
    return FileResult(source, digest, [new]), [
        *(one.encode() for one in traces),
        thumbnail[500:600],
        stored[100:200],
    ]


def make(folder: Path, count: int) -> tuple[Archive, dict[int, list[bytes]]]:
    chance, rng = random.Random(count), np.random.default_rng(count)
    archive = Archive.create(folder)
    scope = file_diff.open_scope(archive.catalog, folder)
    space_id = ingest.ensure_space(archive.catalog, Space("made", "0" * 64, DIM))
    wanted = set(chance.sample(range(count), FORGOTTEN))
    traces: dict[int, list[bytes]] = {}
    for start in range(0, count, TOGETHER):
        vectors = rng.normal(size=(min(TOGETHER, count - start), DIM)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        results = []
        for at, vector in enumerate(vectors):
            result, of_film = film(start + at, chance, vector)
            results.append(result)
            if start + at in wanted:
                traces[start + at + 1] = of_film
        ingest.commit(archive.catalog, scope, space_id, results)
        said = [
            annotations.Report(f"No effusion. Heart size normal. word{chance.getrandbits(40)}", film_id=start + at + 1)
            for at in range(0, len(results), 4)
        ]
        annotations.put_reports(archive.catalog, said, source="made")
    (held,) = spaces.spaces(archive.catalog)
    VectorIndex.open(archive.catalog, held, archive.vectors, gpu=False).save()
    return archive, traces


def left(folder: Path, traces: list[bytes]) -> int:
    """How many of them any file below the folder still holds."""
    data = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return sum(any(trace in one for one in data) for trace in traces)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", type=int, nargs="*", default=[1_000, 10_000, 100_000], metavar="COUNT")
    counts = parser.parse_args().counts
    print("| films | forget one film, median | longest | traces before | traces after |")
    print("| --- | --- | --- | --- | --- |")
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="filmroom-") as place:
            archive, traces = make(Path(place, "archive"), count)
            everything = [trace for some in traces.values() for trace in some]
            before, spent = left(archive.folder, everything), []
            for film_id in traces:
                started = time.perf_counter()
                forget(archive, [film_id])
                spent.append(time.perf_counter() - started)
            archive.catalog.close()
            after = left(archive.folder, everything)
            print(f"| {count:,} | {np.median(spent):.2f} s | {max(spent):.2f} s | {before} | {after} |", flush=True)


if __name__ == "__main__":
    main()
