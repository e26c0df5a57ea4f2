"""Latency of a warm query by archive size and filter, its parts, and the vector search against raw FAISS.

    python benchmarks/latency.py [--sizes 1000 10000 100000 1000000] [--dim 256] [--per-film 1] [--folder DIR]

On made vectors (see `made.py`). `raw` is FAISS's own scan of the same float16 rows, query by query in turn with ours
(`exact`); `ours` is what a search takes where the index has built an IVF index, whose recall is told on
the archive's own vectors. `batch` is 1,000 queries at once. `--folder` keeps the archives for the next time.
`--per-film 32 --dim 128` is the shape of ELIXR's spaces.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from filmroom.db.reads import films, spaces
from filmroom.db.records import Filter, Range
from filmroom.db.vector_index.index import VectorIndex
from filmroom.indexer.models.registry import load_towers
from filmroom.search.query.parser import parse
from made import kept_archive, machine, made_queries, median_ms

FILTERS = {"50 %": Filter(sexes=("F",)), "5 %": Filter(year=Range(2003, 2003)), "0.1 %": Filter(studies=())}


def raw_index(index: VectorIndex) -> Any:
    """FAISS's own, of the rows that the index holds."""
    stored = index._rows.stored()
    raw = faiss.IndexScalarQuantizer(stored.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    raw.is_trained = True
    raw.add_sa_codes(np.ascontiguousarray(stored).view(np.uint8))
    return raw


def in_turn(one: Callable[[int], object], other: Callable[[int], object], times: int = 25) -> tuple[float, float]:
    """Medians in ms of two that are called one after the other: whatever else the machine does, both feel."""
    spent = []
    for number in range(times + 2):
        before = time.perf_counter()
        one(number)
        between = time.perf_counter()
        other(number)
        spent.append((between - before, time.perf_counter() - between))
    first, second = 1000 * np.median(spent[2:], axis=0)
    return float(first), float(second)


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def agreement(index: VectorIndex, queries: Any) -> float:
    """The share of the exact ten best that a search gives."""
    held, index._approximate = index._approximate, None
    exact = index.search(queries, 10).film_ids
    index._approximate = held
    found = index.search(queries, 10).film_ids
    return float(np.mean([np.isin(*pair).mean() for pair in zip(exact, found, strict=True)]))


def measure(folder: Path, size: int, dim: int, per_film: int, ask: Callable[[int], object]) -> None:
    """`ask` puts the words of a query through the text tower."""
    archive = kept_archive(folder, size, dim, per_film)
    (held,) = spaces.spaces(archive.catalog)
    started = time.perf_counter()
    index = VectorIndex.open(archive.catalog, held, archive.vectors)
    opened = time.perf_counter() - started
    queries = made_queries(64, dim)
    raw = raw_index(index)
    # For k films k * T rows, as an exact answer needs.
    plain, exact = in_turn(
        lambda n: raw.search(queries[n : n + 1], 24 * per_film), lambda n: index.search(queries[n : n + 1], 24)
    )
    plain_whole, whole = in_turn(
        lambda n: (ask(n), raw.search(queries[n : n + 1], 24 * per_film)),
        lambda n: (ask(n), index.search(queries[n : n + 1], 24)),
    )
    builder = index.keep_fast()
    if builder is not None:
        started = time.perf_counter()
        builder.join()
        if look := index.approximation:
            told = f"recall@10 {look.recall}, {look.probes} of {look.lists} lists"
            print(f"          first look built in {time.perf_counter() - started:.0f} s: {told}")
    ours = median_ms(lambda n: index.search(queries[n : n + 1], 24))
    shares = []
    few = np.sort(np.random.default_rng(3).choice(size, max(1, size // 1000), replace=False)) + 1
    for name, where in FILTERS.items():
        ids = median_ms(lambda _n, where=where: films.select_ids(archive.catalog, where), 5)
        within = few if name == "0.1 %" else films.select_ids(archive.catalog, where)
        spent = median_ms(lambda n, within=within: index.search(queries[n : n + 1], 24, within), 7)
        shares.append(f"{spent:>7.2f}" + (f"+{ids:<5.1f}" if name != "0.1 %" else "      "))
    page = median_ms(lambda n: films.films(archive.catalog, few[:24].tolist()))
    many = np.resize(queries, (1000, dim))
    batch = f"{seconds(lambda: index.search(many, 24)):>8.2f}"
    if size <= 100_000:  # beyond, raw takes minutes
        batch += f" {seconds(lambda: raw.search(many, 24 * per_film)):>8.2f}"
    agreed = f"{agreement(index, queries):.4f}" if index.approximation else ""
    print(
        f"{size:>9,} {opened:>6.2f} {plain:>8.2f} {exact:>8.2f} {exact / plain:>6.2f} {whole / plain_whole:>6.2f} "
        f"{ours:>8.2f}  " + " ".join(shares) + f" {page:>6.1f} {batch}"
    )
    if agreed:
        print(f"          agreement with the exact ranking @10: {agreed}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    options.add_argument("--dim", type=int, default=256)
    options.add_argument("--per-film", type=int, default=1)
    options.add_argument("--folder", type=Path)
    asked = options.parse_args()
    towers = load_towers("filmroom-mini")
    words = [
        " ".join(parse(text).positive) for text in ("small left pleural effusion", "cardiomegaly", "a normal chest")
    ]

    def ask(number: int) -> object:
        return towers.embed_texts([words[number % 3]])

    text_ms = median_ms(ask)
    print(
        f"{machine()}\n{asked.per_film} x {asked.dim} a film, k=24, medians in ms; "
        f"the text tower of filmroom-mini takes {text_ms:.1f}"
    )
    print("ratio: exact / raw; whole: the same with the text tower before either; batch: 1,000 queries at once")
    print(
        "    films open s      raw    exact  ratio  whole     ours     50 %+SQL     5 %+SQL   0.1 %        page"
        "  batch s    raw s"
    )
    for size in asked.sizes:
        with tempfile.TemporaryDirectory() as place:
            measure(asked.folder or Path(place), size, asked.dim, asked.per_film, ask)


if __name__ == "__main__":
    main()
