"""A query on the search page in a real Chromium, on an archive of made vectors: python benchmarks/page_query.py

Every film has a vector in the bundled model's space and a thumbnail of its own, and each query is new to the server.
Two times a query: what the search took (tower, vectors, catalog: the figure that the page shows), and what a reader
waits, from Enter until the new films stand with their thumbnails. Then pages, and searches with filters that were not
asked before, from the address until the title or the box is there, and until the page stands still, twice each, with
the processor time of the server. With --archive it asks one that is there, which a run with --keep has left; what that
run has counted is kept. Needs playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image
from sqlalchemy import delete, insert

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from filmroom.db import schema  # noqa: E402
from filmroom.db.archive import Archive  # noqa: E402
from filmroom.db.reads import spaces  # noqa: E402
from filmroom.db.reads.summary import glance  # noqa: E402
from filmroom.db.vector_index.index import VectorIndex  # noqa: E402
from filmroom.indexer.models import registry  # noqa: E402

from benchmarks.made import BLOCK, made_archive  # noqa: E402
from docs.screenshots import chromium, served  # noqa: E402

FINDINGS = ("pleural effusion", "cardiomegaly", "pneumothorax", "edema", "nodule", "hiatal hernia", "pacemaker")
WORDS = tuple(f"{size} {finding}" for size in ("small", "large", "no", "left") for finding in FINDINGS)

PAGES = ("archive", "map", "zeroshot", "collections", "judge", "check")
FILTERED = ("edema view:PA", "edema age:50..60", "edema label:nodule", "edema label:nobody", "edema path:1")

# From the key's press to the new films on the wall, all in view with their thumbnails.
WATCH = """() => {
  const hosts = () => [...document.querySelectorAll('[data-testid="stMain"] *')].filter((one) => one.shadowRoot);
  const frames = () => hosts().flatMap((host) => [...host.shadowRoot.querySelectorAll('.frame')]);
  const wall = () => frames().map((one) => one.dataset.id).join();
  const before = wall();
  const shown = (one) => {
    const image = one.querySelector('img');
    return one.getBoundingClientRect().top > innerHeight || (image?.complete && image.naturalWidth > 0);
  };
  window.waited = null;
  addEventListener('keydown', () => {
    const start = performance.now();
    const look = () => {
      if (wall() !== before && frames().length && frames().every(shown)) window.waited = performance.now() - start;
      else setTimeout(look, 15);
    };
    look();
  }, { once: true, capture: true });
}"""


def furnished(folder: Path, films: int) -> Path:
    """An archive of `films` made films with thumbnails, in the space of the bundled model, with the snapshot that a run
    leaves and the IVF index that a server builds."""
    archive = made_archive(folder, films, registry.load_towers().space, snapshot=True)
    thumbnails = [thumbnail(seed) for seed in range(24)]
    with archive.catalog.write() as connection:
        connection.execute(delete(schema.thumbnail))
        for start in range(1, films + 1, BLOCK):
            connection.execute(
                insert(schema.thumbnail),
                # Bytes after a picture's end are not read: each film has an address of its own.
                [
                    {"film_id": i, "webp": thumbnails[i % 24] + i.to_bytes(8)}
                    for i in range(start, min(films + 1, start + BLOCK))
                ],
            )
    annotate(archive, films)
    (stored,) = spaces.spaces(archive.catalog)
    if building := VectorIndex.open(archive.catalog, stored, archive.vectors).keep_fast():
        building.join()
    return archive.folder


def annotate(archive: Archive, films: int) -> None:
    """Give each film the values of three labels and a split, and each fiftieth a tag."""
    numbers = np.arange(1, films + 1)
    with archive.catalog.write() as connection:
        cursor = connection.connection.cursor()
        for step, name in ((7, "pleural effusion"), (5, "cardiomegaly"), (11, "nodule")):
            rows = ((i, name, "made", float(i % step == 0)) for i in numbers.tolist())
            cursor.executemany("INSERT INTO label (film_id, name, source, value) VALUES (?, ?, ?, ?)", rows)
        splits = ((i, "split", ("train", "train", "test")[i % 3], "made", 0) for i in numbers.tolist())
        cursor.executemany("INSERT INTO fact (film_id, name, value, source, overrides) VALUES (?, ?, ?, ?, ?)", splits)
        cursor.executemany("INSERT INTO tag (film_id, name) VALUES (?, 'look')", [(i,) for i in range(1, films, 50)])
    archive.catalog.learn_sizes()


def thumbnail(seed: int) -> bytes:
    """Grey clouds as WebP, of the size and weight (4 to 5 KB) of a film's thumbnail."""
    clouds = np.random.default_rng(seed).integers(0, 256, (20, 20), np.uint8)
    out = io.BytesIO()
    Image.fromarray(clouds).resize((256, 256), Image.Resampling.BICUBIC).save(out, "WEBP", quality=80)
    return out.getvalue()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--films", type=int, default=10_000)
    options.add_argument("--queries", type=int, default=len(WORDS), help="new queries, the first of them")
    options.add_argument("--archive", type=Path, help="ask this one; nothing is made")
    options.add_argument("--keep", type=Path, help="make the archive here, and keep it")
    asked = options.parse_args()
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        archive = asked.archive or furnished(asked.keep or Path(folder) / "archive", asked.films)
        films = glance(archive / "catalog.sqlite").films
        process, url = served(archive)
        try:
            with sync_playwright() as driver:
                browser = chromium(driver)
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.goto(url)
                page.wait_for_selector(".grid .frame img", timeout=120_000)
                page.wait_for_timeout(3000)
                waits, searches = [], []
                for words in WORDS[: asked.queries]:
                    box = page.locator('input[type="search"]')
                    box.fill(words)
                    page.evaluate(WATCH)
                    box.press("Enter")
                    page.wait_for_function("window.waited", timeout=60_000)
                    waits.append(float(page.evaluate("window.waited")))
                    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
                    searches.append(took(page))
                addresses = {name: name for name in PAGES} | {words: f"?q={quote(words)}" for words in FILTERED}
                opened = {
                    name: [until_it_stands(page, f"{url}/{address}", process.pid) for _ in range(2)]
                    for name, address in addresses.items()
                }
                browser.close()
        finally:
            process.terminate()
            process.wait(20)
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, {films:,} films, {len(waits)} new queries, ms")
    for name, values in (("search", searches), ("to the films on the page", waits)):
        print(f"{name}: median {statistics.median(values):.0f}, worst {max(values):.0f}")
    print("page: first content, all of it, processor ms of the server; then again")
    for name, visits in opened.items():
        print(f"{name}: {'; '.join(', '.join(f'{value:.0f}' for value in visit) for visit in visits)}")


def until_it_stands(page: Any, address: str, server: int) -> tuple[float, float, float]:
    """The milliseconds from an address to the page's title or box, and to a page on which nothing is still being
    drawn; and what of them the server worked."""
    start, worked = time.perf_counter(), processor_ms(server)
    page.goto(address, wait_until="commit")
    page.wait_for_selector("[data-testid=stMain] :is(h1, input[type=search])", timeout=120_000)
    content = 1000 * (time.perf_counter() - start)
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=120_000)
    page.wait_for_function("!document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner]')")
    return content, 1000 * (time.perf_counter() - start), processor_ms(server) - worked


def processor_ms(server: int) -> float:
    """The processor time of a process and its children so far, where the system tells."""
    spent, families = 0.0, {server}
    for stat in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda stat: int(stat.parent.name)):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        process = int(stat.parent.name)
        if process in families or int(fields[1]) in families:
            families.add(process)
            spent += (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")
    return spent


def took(page: Any) -> float:
    """The milliseconds that the page says."""
    said = page.locator(".st-key-head [data-testid=stCaptionContainer]").first.inner_text()
    return float(said.rsplit("·", 1)[1].split()[0])


if __name__ == "__main__":
    main()
