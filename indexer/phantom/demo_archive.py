"""Write the demo archive: synthetic films with labels, reports, queries and graded judgements, in half a minute."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from filmroom.db.errors import BadInput
from filmroom.indexer.child_processes import context
from filmroom.indexer.phantom.dicom import Identity, Syntax, Voi, write_dicom
from filmroom.indexer.phantom.judge import grade, qrels, read_queries, write_qrels
from filmroom.indexer.phantom.rendering.render import render
from filmroom.indexer.phantom.sampling import compatible, sample, sample_body, sample_finding
from filmroom.indexer.phantom.spec import Body, Finding, Kind, Phantom, Place, Severity, Side, View
from filmroom.indexer.phantom.words import SYNTHETIC, report

PICTURES = 6
_SIZES = (768, 768, 832, 896, 1024)
# Shares of the transfer syntaxes; the uncompressed ones are few because they are large.
_SYNTAXES = (
    *(Syntax.JPEG_LS,) * 11, *(Syntax.JPEG_LOSSLESS,) * 7, *(Syntax.RLE,) * 2, Syntax.DEFLATED, Syntax.JPEG_2000,
    Syntax.EXPLICIT, Syntax.IMPLICIT,
)  # fmt: skip
_GOOD_ANSWERS = 6
_VOIS = (Voi.WINDOW, Voi.WINDOW, Voi.WINDOWS, Voi.LUT, Voi.NONE)
_README = """SYNTHETIC DEMO ARCHIVE - no patient was ever filmed for it

Every film in this folder is a computed phantom: simple three-dimensional anatomy, projected by X-ray attenuation,
with findings that are known because they were put there. Names, ages, dates and numbers are made up. Research use
only, not for diagnosis.

films/       {films} DICOM films and {pictures} pictures (16-bit PNG, JPEG)
labels.csv   film,label,value: 1 where a finding is present, 0 where it is not
reports.csv  film,report
queries.tsv  query id, query, group
qrels.txt    TREC judgements: 2 = the finding with all that the query asks of it, 1 = the finding, 0 = neither

Seed {seed}; the same seed and number of films give the same archive.
"""


@dataclass(frozen=True)
class DemoSummary:
    """What was written. `folder` holds the tables, its subfolder `films` the films."""

    folder: str
    films: int
    pictures: int
    patients: int
    studies: int
    queries: int
    megabytes: float
    seconds: float


@dataclass(frozen=True)
class DemoFilm:
    """One file to be: `stem` names it everywhere; pictures have no identity."""

    stem: str
    phantom: Phantom
    identity: Identity
    size: int
    syntax: Syntax
    voi: Voi
    monochrome1: bool
    bits: int
    digital: bool
    suffix: str = ".dcm"

    @property
    def path(self) -> Path:
        folder = "pictures" if self.suffix != ".dcm" else f"patient-{self.identity.patient:03d}"
        return Path("films") / folder / f"{self.stem}{self.suffix}"


def write_demo(
    folder: Path, *, films: int = 160, seed: int = 7, progress: Callable[[int], None] | None = None
) -> DemoSummary:
    """Write the archive into `folder` (made if missing; must be empty or hold an older demo's files of the same names).

    `progress` is called with the number of files written so far. Raises BadInput when other things are in the folder.
    """
    began = time.monotonic()
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / "qrels.txt").exists())):
        raise BadInput("The demo is written into a folder of its own", where=folder, fix="Name a new or empty folder")
    plan = plan_demo(films, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    size = 0
    workers = max(1, min(os.cpu_count() or 1, 8))
    with _one_thread_each(), ProcessPoolExecutor(workers, mp_context=context("spawn")) as pool:
        jobs = [pool.submit(write_film, film, folder) for film in plan]
        for done, job in enumerate(as_completed(jobs), 1):
            size += job.result()
            if progress:
                progress(done)
    questions = read_queries()
    _write_tables(folder, plan)
    queries = "".join(f"{q.qid}\t{q.text}\t{q.group}\n" for q in questions)
    (folder / "queries.tsv").write_text(queries, encoding="utf-8")
    write_qrels(folder / "qrels.txt", qrels({film.stem: film.phantom for film in plan}, questions))
    dicoms = [film for film in plan if film.suffix == ".dcm"]
    readme = _README.format(films=len(dicoms), pictures=len(plan) - len(dicoms), seed=seed)
    (folder / "README.txt").write_text(readme, encoding="utf-8")
    return DemoSummary(
        folder=str(folder),
        films=len(dicoms),
        pictures=len(plan) - len(dicoms),
        patients=len({film.identity.patient for film in plan}),
        studies=len({(film.identity.patient, film.identity.study) for film in plan}),
        queries=len(questions),
        megabytes=round(size / 1e6, 1),
        seconds=round(time.monotonic() - began, 1),
    )


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that start meanwhile do their linear algebra in one thread: there is one for every processor."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def plan_demo(films: int, *, seed: int) -> tuple[DemoFilm, ...]:
    """Say which films there will be: every query has good answers, patients come back, some studies have a lateral
    view."""
    rng = np.random.default_rng([seed, 7])
    cases = _cases(films, rng)
    plan: list[DemoFilm] = []
    patient, study = 0, 0
    left_of_patient = 0
    body = sample_body(0)
    year = 2014
    while len(plan) < films:
        if left_of_patient == 0:
            patient += 1
            left_of_patient = int(rng.choice([1, 2, 3], p=[0.6, 0.25, 0.15]))
            body = sample_body(int(rng.integers(1 << 20)))
            year = int(rng.integers(2012, 2024))
        left_of_patient -= 1
        study += 1
        findings = cases[(study - 1) % len(cases)]
        icu = any(f.kind.device and f.kind not in (Kind.PACEMAKER, Kind.STERNOTOMY) for f in findings)
        shares = [0.05, 0.4, 0.55] if icu else [0.7, 0.18, 0.12]
        frontal = (View.PA, View.AP, View.AP_SUPINE)[int(rng.choice(3, p=shares))]
        views = [frontal]
        if frontal is View.PA and rng.random() < 0.35:
            views.append(View.LATERAL)
        date = f"{year}{int(rng.integers(1, 13)):02d}{int(rng.integers(1, 29)):02d}"
        for number, view in enumerate(views[: films - len(plan)], 1):
            phantom = sample(seed * 100_003 + len(plan), view=view, findings=findings, body=body)
            plan.append(
                DemoFilm(
                    stem=f"phantom-{len(plan) + 1:04d}",
                    phantom=phantom,
                    identity=Identity(patient, study, number, date, body.age),
                    size=int(rng.choice(_SIZES)),
                    syntax=_SYNTAXES[len(plan) * 7 % len(_SYNTAXES)],
                    voi=_VOIS[len(plan) % len(_VOIS)],
                    monochrome1=bool(rng.random() < 0.25),
                    bits=int(rng.choice([12, 14, 16], p=[0.86, 0.08, 0.06])),
                    digital=bool(rng.random() < 0.65),
                )
            )
        year += int(rng.integers(0, 2))
        body = replace(body, age=min(body.age + 1, 89))
    return (*plan, *_pictures(plan[-1], cases, rng, seed))


def _pictures(last: DemoFilm, cases: list[tuple[Finding, ...]], rng: np.random.Generator, seed: int) -> list[DemoFilm]:
    out = []
    for i in range(PICTURES):
        patient = last.identity.patient + 1 + i
        phantom = sample(
            seed * 100_003 + 90_000 + i, view=View.PA if i % 2 else View.AP, findings=cases[(3 + 11 * i) % len(cases)]
        )
        who = Identity(patient, last.identity.study + 1 + i)
        out.append(
            replace(
                last,
                stem=f"picture-{i + 1:02d}",
                phantom=phantom,
                identity=who,
                size=768,
                suffix=".png" if i % 2 else ".jpg",
            )
        )
    return out


def _cases(films: int, rng: np.random.Generator) -> list[tuple[Finding, ...]]:
    """Return what the studies show: all that the queries ask for, again and again, some with something else beside
    it."""
    either_side = (Side.LEFT, Side.RIGHT)
    findings: list[Finding] = []

    def add(
        kind: Kind,
        *,
        sides: tuple[Side | None, ...] = (None,),
        severities: tuple[Severity | None, ...] = (None,),
        places: tuple[Place | None, ...] = (None,),
    ) -> None:
        findings.extend(
            sample_finding(kind, rng, side=side, severity=severity, place=place)
            for side, severity, place in product(sides, severities, places)
        )

    every = tuple(Severity)
    ends = (Severity.SMALL, Severity.LARGE)
    lobes = (Place.UPPER, Place.LOWER)
    add(Kind.EFFUSION, sides=(*either_side, Side.BILATERAL), severities=every)
    add(Kind.EFFUSION, sides=either_side, severities=ends)
    add(Kind.PNEUMOTHORAX, sides=either_side, severities=every)
    add(Kind.PNEUMOTHORAX, sides=either_side, severities=ends)
    add(Kind.CARDIOMEGALY, severities=(*ends, *ends, *every))
    add(Kind.CONSOLIDATION, sides=(Side.RIGHT,), places=(*lobes, Place.MIDDLE), severities=every)
    add(Kind.CONSOLIDATION, sides=(Side.LEFT,), places=lobes, severities=ends)
    add(Kind.EDEMA, severities=(*ends, *ends, *every))
    add(Kind.ATELECTASIS, sides=either_side, severities=(Severity.SMALL, Severity.MODERATE))
    add(Kind.ATELECTASIS, sides=either_side, severities=(Severity.LARGE,), places=lobes[1:])
    add(Kind.NODULE, sides=either_side, places=(Place.UPPER, Place.UPPER, Place.LOWER))
    add(Kind.MASS, sides=either_side, places=(Place.UPPER, Place.LOWER, Place.LOWER))
    add(Kind.RIB_FRACTURE, sides=either_side, severities=(Severity.MODERATE, Severity.LARGE))
    add(Kind.HERNIA, severities=every)
    add(Kind.EMPHYSEMA, severities=every)
    add(Kind.VIRAL, severities=every)
    add(Kind.PLEURAL_THICKENING, sides=either_side, places=(Place.APICAL, Place.APICAL, Place.PERIPHERAL))
    add(Kind.ENDOTRACHEAL_TUBE, places=(Place.TRACHEA,) * 2 + (Place.RIGHT_MAIN_BRONCHUS,) * 4)
    add(Kind.NASOGASTRIC_TUBE, places=(Place.STOMACH,) * 4 + (Place.OESOPHAGUS,))
    add(Kind.CENTRAL_LINE, sides=either_side, places=(Place.SVC, Place.RIGHT_ATRIUM))
    add(Kind.CHEST_TUBE, sides=either_side, places=(Place.APICAL, Place.BASAL))
    add(Kind.PACEMAKER, sides=(Side.LEFT,) * 4 + (Side.RIGHT,))
    add(Kind.STERNOTOMY, sides=(None,) * 3)
    cases: list[tuple[Finding, ...]] = [(finding,) for finding in findings] + [()] * (len(findings) // 8)
    # About one study in seven has a second film, so this many studies there will be.
    order = _by_need(cases, round(films * 0.84), rng)
    return [_joined(cases[i], rng) if cases[i] and rng.random() < 0.4 else cases[i] for i in order]


def _by_need(cases: list[tuple[Finding, ...]], count: int, rng: np.random.Generator) -> list[int]:
    """Say which case comes when: next is always what helps the queries with the fewest good answers."""
    alone = [Phantom(0, Body(0), findings=case) for case in cases]
    answers = np.array([[grade(phantom, query.want) == 2 for query in read_queries()] for phantom in alone])
    good_answers, used = np.zeros(answers.shape[1]), np.zeros(len(cases))
    order = []
    for _ in range(count):
        gain = answers @ np.maximum(_GOOD_ANSWERS - good_answers, 0.05) + rng.uniform(0, 0.5, len(cases))
        best = int(np.argmax(gain / (1 + used) ** 2))
        good_answers += answers[best]
        used[best] += 1
        order.append(best)
    return [order[i] for i in rng.permutation(count)]


def _joined(case: tuple[Finding, ...], rng: np.random.Generator) -> tuple[Finding, ...]:
    kinds = list(Kind)
    beside = sample_finding(kinds[int(rng.integers(len(kinds)))], rng)
    return (*case, beside) if compatible(beside.kind, list(case)) else case


def write_film(film: DemoFilm, folder: Path) -> int:
    """Write one file of the plan under `folder`; its size in bytes."""
    path = folder / film.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if film.suffix == ".dcm":
        write_dicom(
            film.phantom, path, transfer_syntax=film.syntax, monochrome1=film.monochrome1, voi=film.voi, bits=film.bits,
            size=film.size, digital=film.digital, identity=film.identity,
        )  # fmt: skip
    else:
        _write_picture(film, path)
    return path.stat().st_size


def _write_picture(film: DemoFilm, path: Path) -> None:
    from PIL import Image, PngImagePlugin

    pixels = render(film.phantom, film.size)
    if film.suffix == ".png":
        notes = PngImagePlugin.PngInfo()
        notes.add_text("Comment", SYNTHETIC)
        Image.fromarray(np.rint(pixels * 65535).astype(np.uint16)).save(path, pnginfo=notes)
    else:
        Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(path, quality=92, comment=SYNTHETIC.encode())


def _write_tables(folder: Path, plan: tuple[DemoFilm, ...]) -> None:
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("film", "label", "value"))
        for film in plan:
            present = {finding.kind for finding in film.phantom.findings}
            table.writerows((film.stem, kind.value, int(kind in present)) for kind in Kind)
            table.writerow((film.stem, "no finding", int(not present)))
    with (folder / "reports.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("film", "report"))
        table.writerows((film.stem, report(film.phantom)) for film in plan)
