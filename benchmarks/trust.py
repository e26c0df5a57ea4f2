"""What is thrown at an archive and what is lost: hostile files, faults, and many users at once.

    python benchmarks/trust.py [--seconds 60] [--films 12]

Prints a Markdown table; exits with 1 where a file ended in a wrong place, a search was wrong, or anything was lost.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from filmroom.indexer.decoding.rejections import Failure  # noqa: E402
from filmroom.indexer.decoding.workers import process  # noqa: E402
from filmroom.indexer.sources.folder import list_folder  # noqa: E402

from tests.indexer.deeds import halve  # noqa: E402
from tests.indexer.dicom_files import LOSSLESS, dicom, ramp  # noqa: E402
from tests.indexer.hostile_files import BOMBS, DICOM, INDEXED, PICTURES, Hostile, make, saved  # noqa: E402
from tests.memory import watched  # noqa: E402


def files(folder: Path) -> tuple[Counter[str], int, float]:
    """Outcomes of hostile and damaged files, how many ended in a wrong place, and the longest wait for one (s)."""
    known: dict[str, Hostile] = {}
    for name, group in (("bombs", BOMBS), ("dicom", DICOM), ("pictures", PICTURES)):
        make(folder / name, group)
        known |= {f"{name}/{one}": group[one] for one in group}
    damaged(folder / "damaged")
    outcomes: Counter[str] = Counter()
    wrong, slowest = 0, 0.0
    items = [one for one in list_folder(folder) if not one.rejected]
    began = time.perf_counter()
    for one in process(items, prepare=halve, workers=1, ahead=1):
        slowest, began = max(slowest, time.perf_counter() - began), time.perf_counter()
        place = one.error.reason if isinstance(one, Failure) else INDEXED
        outcomes[place] += 1
        if one.listed.path in known and place not in known[one.listed.path][1]:
            print(f"{one.listed.path}: {place}", file=sys.stderr)
            wrong += 1
    return outcomes, wrong + len(items) - outcomes.total(), slowest


def damaged(folder: Path) -> None:
    """Films of every syntax and kind with a byte changed, or cut off, at a hundred places each."""
    import numpy as np

    folder.mkdir()
    grey = np.random.default_rng(1).integers(0, 256, (64, 64)).astype(np.uint8)
    whole = {name: dicom(ramp(), syntax=syntax) for name, syntax in LOSSLESS.items() if name != "JPEG lossless"}
    whole |= {form: saved(grey, form) for form in ("PNG", "JPEG", "TIFF", "BMP", "WEBP")}
    luck = np.random.default_rng(2)
    for name, data in whole.items():
        for number in range(100):
            torn = bytearray(data)
            at = int(luck.integers(len(data)))
            torn[at] = int(luck.integers(256))
            (folder / f"{name} {number}").write_bytes(bytes(torn[:at] if number % 2 else torn))


def flips(folder: Path, number: int) -> Counter[str]:
    """How many of so many bit flips in an archive the doctor finds, and how many change nothing or are missed."""
    from tests import bit_flips, faults
    from tests.tiny_model import make_model

    for film in range(12):
        faults.write_film(folder / "films" / f"{film}.png", film)
    faults.index(folder / "archive", [folder / "films"], make_model(folder / "model"))
    return bit_flips.flipped(folder / "archive", number, seed=1)


def main() -> int:
    import visitors  # every worker imports this script, and need not wait for what these need

    from benchmarks import interrupts
    from tests import faults

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="of two indexers and ten searchers at once")
    parser.add_argument("--films", type=int, default=12)
    parser.add_argument("--flips", type=int, default=200, help="bits that fall over, one at a time")
    parser.add_argument("--interrupts", type=int, default=200, help="of Ctrl-C on a terminal")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="filmroom-trust-") as place:
        folder = Path(place)
        (folder / "files").mkdir()
        with watched() as peak:
            outcomes, wrong, slowest = files(folder / "files")
        done = {
            name: faults.run(name, folder / name, said.seconds if name == "storm" else None, films=said.films)
            for name in faults.TRIALS
        }
        (folder / "room").mkdir()
        room = visitors.visit(folder / "room")
        fallen = flips(folder / "flips", said.flips)
    ends, kept = interrupts.tries(said.interrupts, seed=1)
    crashed = sum(count for name, count in ends.items() if name not in ("exit 0", "exit 130", "SIGINT"))
    storm = done["storm"]
    rows = [
        ("hostile and damaged files", f"{outcomes.total():,}"),
        *((f"- {place}", f"{count:,}") for place, count in outcomes.most_common()),
        ("files in a wrong place", f"{wrong:,}"),
        ("longest wait for a file, with the start of a new worker after it, s", f"{slowest:.1f}"),
        ("most memory of a decoding process, GB", f"{peak[0] / 2**30:.2f}"),
        ("kills at a commit, flush or rename", f"{done['kills']['kills']:,}"),
        ("kills at random", f"{done['chance']['kills'] + storm['kills']:,}"),
        ("runs whose writes failed", f"{done['writes']['faults']:,}"),
        ("runs that filled a small disk", done["disk"].get("full", "not allowed here")),
        (f"searches in {said.seconds} s beside two indexers, ten at once", f"{storm['searches']:,}"),
        ("searches that said why not", f"{storm.get('searches that said why not', 0):,}"),
        *((f"bit flips {what}", f"{fallen[what]:,}") for what in ("found", "harmless", "missed")),
        ("interrupts by Ctrl-C", f"{ends.total():,}"),
        ("- that ended in a crash", f"{crashed:,}"),
        ("- after which the archive was not sound", f"{kept['faults']:,}"),
        ("wrong answers", f"{storm['wrong answers']:,}"),
        *room.rows(),
        ("films lost", f"{sum(one.get('lost', 0) for one in done.values()):,}"),
    ]
    print("| what | how many |\n| --- | --- |")
    for what, count in rows:
        print(f"| {what} | {count} |")
    lost = sum(one.get("lost", 0) + one.get("said nothing", 0) for one in done.values())
    bad = fallen["missed"] or crashed or kept["faults"] or not room.sound
    return 1 if wrong or lost or bad or storm["wrong answers"] or storm["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
