"""Serve Python programs and notebooks: an archive whose methods are what the commands of the same names run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from filmroom.db.archive import Archive, default_folder, folder_of
from filmroom.db.errors import BadInput, NotFound
from filmroom.db.reads import films
from filmroom.db.records import Counts, Film
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.models.registry import DEFAULT_MODEL, add_model, load_towers
from filmroom.indexer.pipeline import Options, Summary, check
from filmroom.indexer.pipeline import index as run_index
from filmroom.search.classification import saved_probes
from filmroom.search.classification.saved_probes import Probed
from filmroom.search.classification.zero_shot import Prompts
from filmroom.search.classification.zero_shot_archive import Screening, read_prompts, screen
from filmroom.search.classification.zero_shot_choice import Choice, choose_among
from filmroom.search.evaluation.evaluator import Measured, evaluate_files
from filmroom.search.evaluation.metrics import MEASURES, read_gain
from filmroom.search.exchange.import_facts import ImportedFacts, import_facts
from filmroom.search.exchange.original_pixels import original
from filmroom.search.export.export import export as run_export
from filmroom.search.export.export import options_of
from filmroom.search.export.job import Done as Exported
from filmroom.search.export.selection import chosen_by, select
from filmroom.search.request import request_of
from filmroom.search.results import Results
from filmroom.search.searcher import Searcher
from filmroom.search.send.choice import collection_or_query
from filmroom.search.send.send import Sent
from filmroom.search.send.send import send as run_send
from filmroom.search.send.targets import target_of
from filmroom.search.send.titles import title_of
from filmroom.search.sources.read_sources import read_sources
from numpy.typing import NDArray

PathLike = str | Path


@dataclass(frozen=True)
class IndexedFilm:
    """A film of an archive: `record` is what the catalog holds of it, `reports` are newest first."""

    record: Film
    reports: tuple[str, ...]

    @property
    def id(self) -> int:
        return self.record.id

    @property
    def path(self) -> Path:
        """Where its file was when it was indexed."""
        return films.full_path(self.record)

    def pixels(self) -> NDArray[np.uint16]:
        """Decode the file: (H, W) uint16 presentation pixels, 0 black to 65535 white.

        Raises NotFound where the file is gone or is another one by now, Rejected where it can no longer be decoded.
        """
        return original(self.record)


class OpenArchive:
    """An archive through one model: the one named, else the one that `filmroom models use` named, else the fullest.

    Nothing is read before the first call. The model is loaded once; what other processes index meanwhile is found.
    Every method raises children of FilmroomError, which say what is wrong, where, and what to do.
    """

    def __init__(
        self, folder: PathLike | None = None, *, model: str | None = None, weights: PathLike | None = None
    ) -> None:
        self.folder = default_folder() if folder is None else folder_of(folder)
        self.model = model
        self.weights = None if weights is None else Path(weights)

    def __repr__(self) -> str:
        return f"filmroom.open({str(self.folder)!r})"

    def index(
        self,
        paths: PathLike | Sequence[PathLike],
        *,
        limits: Limits | None = None,
        workers: int | None = None,
        retry: bool = False,
        any_modality: bool = False,
        hash_uids: bool = False,
        bring_back: bool = False,
        keep_apart: bool = False,
        ray: str | None = None,
        on_progress: Callable[[Counts], None] = lambda counts: None,
    ) -> Summary:
        """Index folders, files, or servers and buckets by address: new films are embedded, known ones left alone. Makes
        the archive if need be. `ray`: HOST:PORT of a Ray cluster to decode and embed on, or "here" for the one at hand.

        A file that cannot be indexed is counted in the summary and stops nothing. An interrupt commits what is done
        and is raised again.
        """
        sources = read_sources([str(path) for path in ([paths] if isinstance(paths, str | Path) else paths)])
        options = Options(
            limits or Limits(),
            workers,
            retry=retry,
            any_modality=any_modality,
            hash_uids=hash_uids,
            bring_back=bring_back,
            keep_apart=keep_apart,
            ray=ray,
        )
        check(sources, options)  # before the archive is made
        towers = load_towers(self.model or DEFAULT_MODEL, weights=self.weights)
        if self.model and Path(self.model).is_dir():
            add_model(self.model)  # later searches name no folder: the archive must find its model again
        archive = Archive.create(self.folder)
        self.__dict__.pop("searcher", None)  # the model that holds most films may be another one now
        summary = run_index(archive, sources, towers, options=options, on_progress=on_progress)
        if summary.stopped:
            raise KeyboardInterrupt
        return summary

    @cached_property
    def _archive(self) -> Archive:
        return Archive.open(self.folder)

    @cached_property
    def searcher(self) -> Searcher:
        """What answers. Raises NotFound where there is no archive or nothing is indexed with the model."""
        return Searcher.open(self.folder, self.model, weights=self.weights)

    def search(
        self,
        query: str = "",
        *,
        like: int | PathLike | Sequence[int | PathLike] = (),
        unlike: Sequence[int] = (),
        k: int = 10,
        offset: int = 0,
        per_study: bool = False,
        hybrid: bool = False,
        judged: bool = False,
        order: str = "match",
        least: str | float | None = None,
    ) -> Results:
        """Find films: words, fields such as view:AP, -term, "report words"; `like` and `unlike` are example films.

        `order` is match, newest, oldest or age; `least` a score, or "90%" for a percentile, below which films are left
        out.

        Results say how the query was understood; `to_pandas()` makes a table of them.
        """
        examples = _examples(like)
        if not query.strip() and not examples and not unlike:
            raise BadInput("there is nothing to search for", fix='Try: search("pleural effusion view:AP")')
        request = request_of(
            query,
            like=examples,
            unlike=unlike,
            upload=self.searcher.upload,
            per_study=per_study,
            hybrid=hybrid,
            judged=judged,
            order=order,
            least=least,
            k=k,
            offset=offset,
        )
        return self.searcher.answer(request)

    def export(
        self,
        what: str,
        query: str = "",
        *,
        to: PathLike,
        collection: str | None = None,
        everything: bool = False,
        best: int | None = None,
        like: int | PathLike | Sequence[int | PathLike] = (),
        unlike: Sequence[int] = (),
        per_study: bool = False,
        hybrid: bool = False,
        judged: bool = False,
        order: str = "match",
        least: str | float | None = None,
        layout: str = "imagefolder",
        split: str | None = None,
        seed: int = 0,
        bits: int | None = None,
        window: str = "film",
        size: int | None = None,
        deidentify: bool = False,
        paths: bool = False,
        licence: str = "",
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Exported:
        """Write films to a new file or folder: `what` is table, vectors, png, copies, dataset or cohort.

        The films are those of a query, of a `collection`, or `everything`. Called again after an interrupt, it goes on.
        """
        request = request_of(
            query,
            like=_examples(like),
            unlike=unlike,
            upload=lambda file: self.searcher.upload(file),
            per_study=per_study,
            hybrid=hybrid,
            judged=judged,
            order=order,
            least=least,
        )
        return run_export(
            self._archive,
            what,
            chosen_by(request, collection=collection, everything=everything, best=best),
            Path(to),
            searcher=lambda: self.searcher,
            options=options_of(
                layout=layout,
                split=split,
                seed=seed,
                bits=bits,
                window=window,
                size=size,
                paths=paths,
                deidentify=deidentify,
                licence=licence,
                model=self.model,
            ),
            progress=on_progress,
        )

    def send(
        self,
        what: str,
        to: PathLike,
        *,
        best: int = 10,
        title: str = "research",
        reason: str | None = None,
        description: str = "",
        findings: bool = False,
        dry_run: bool = False,
        credentials: PathLike | None = None,
    ) -> Sent:
        """Send the films of a collection or query to a DICOMweb server or folder as Key Object Selections, with
        `findings` also as reports. Nothing is asked before.

        Raises BadInput for words that are not known, ServerError where the server is away, MissingExtra.
        """
        document_title = title_of(title, reason, description)
        chosen = collection_or_query(self._archive, what, best)
        ids = select(self._archive, chosen, lambda: self.searcher).ranking.ids.tolist()
        target = target_of(str(to), None if credentials is None else Path(credentials))
        return run_send(self._archive, ids, target, document_title, with_findings=findings, dry_run=dry_run)

    def vectors(self, ids: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """Read the stored vectors (N, T, D) of films, in the order of `ids`; T is 1 for most models, 32 for ELIXR.

        Raises NotFound where a film has no vector of the model.
        """
        try:
            film_ids = np.asarray(ids, np.int64)
        except OverflowError:
            raise NotFound("no film has such an id", fix="A search gives the ids of films.") from None
        index = self.searcher.index
        index.refresh()
        lacking = film_ids[~index.holds(film_ids)] if film_ids.size else film_ids
        if lacking.size:
            raise NotFound(
                f"this film has no vector of {self.searcher.model}",
                where=int(lacking[0]),
                fix="Index its folder with this model.",
            )
        return index.vectors(film_ids)

    def film(self, film_id: int) -> IndexedFilm:
        """Look up one film by the id that a search gives. Raises NotFound."""
        catalog = self._archive.catalog
        record = films.get(catalog, film_id)
        return IndexedFilm(record, tuple(films.reports(catalog, record)))

    def facts(
        self,
        files: PathLike | Sequence[PathLike],
        *,
        public_set: str | None = None,
        source: str | None = None,
        overwrite: bool = False,
    ) -> ImportedFacts:
        """Give films patient, study, view, sex, age, year and split from tables, or from the files of a public set.

        What a film's own header says stays, unless it is to be overwritten.
        """
        return import_facts(self._archive, _paths(files), public_set=public_set, source=source, overwrite=overwrite)

    def evaluate(
        self,
        queries: PathLike,
        qrels: PathLike,
        *,
        measures: Sequence[str] = MEASURES,
        gain: str = "linear",
        judged_only: bool = False,
        per_study: bool = False,
        hybrid: bool = False,
        public_set: str | None = None,
        run: PathLike | None = None,
        report: PathLike | None = None,
    ) -> Measured:
        """Measure the ranking over TREC queries and judgements: nDCG and its relatives."""
        return evaluate_files(
            self.searcher,
            Path(queries),
            Path(qrels),
            measures=measures,
            gain=read_gain(gain),
            judged_only=judged_only,
            per_study=per_study,
            hybrid=hybrid,
            public_set=public_set,
            run=None if run is None else Path(run),
            report=None if report is None else Path(report),
        )

    def zeroshot(
        self,
        findings: str | Sequence[str] = (),
        *,
        prompts: PathLike | Sequence[Prompts] = (),
        where: str = "",
        threshold: float = 0.0,
    ) -> Screening:
        """Score the archive for findings, or for a set of them such as chexpert13, from prompts alone.

        `prompts` are of one's own: a table with the columns finding, positive and negative, or what
        `filmroom.search.classification.zero_shot.own_prompts` makes. `where` is a filter such as "view:PA age:60..".
        AUC is given where labels say what is there.
        """
        names = [findings] if isinstance(findings, str) else list(findings)
        read = read_prompts(Path(prompts)) if isinstance(prompts, str | Path) else prompts
        return screen(self.searcher, names, prompts=read, where=where, threshold=threshold)

    def zeroshot_among(self, candidates: Sequence[str], *, where: str = "") -> Choice:
        """Choose one candidate for each film by a softmax over them; accuracy where labels name exactly one."""
        return choose_among(self.searcher, candidates, where=where)

    def probe(
        self,
        labels: str | Sequence[str] = (),
        *,
        table: PathLike | None = None,
        split_column: str | None = None,
        save: str | None = None,
    ) -> Probed:
        """Learn findings from labelled films, on the stored vectors, split by patient. No image is read.

        The labels are the archive's, or those of a CSV `table`; with a table and no `labels` every column is learned.
        `split_column` is the table's own split into train, tune and test.
        With `save` the probe is kept under that name and applied, and `probe:NAME>0.8` then filters.
        """
        names = [labels] if isinstance(labels, str) else list(labels)
        if table is None and not names:
            raise BadInput("there is nothing to learn", fix="Name labels of the archive, or give table=FILE.")
        if split_column is not None and table is None:
            raise BadInput("a split is read from a table", where=split_column, fix="Give table=FILE.")
        if save is not None:
            saved_probes.check_name(save)
        searcher = self.searcher
        known = (
            saved_probes.labels_of_archive(searcher.archive)
            if table is None
            else saved_probes.labels_of_table(searcher.archive, Path(table), split=split_column)
        )
        learned = saved_probes.learn(searcher, known, names)
        if save is not None:
            saved_probes.keep(searcher, save, learned)
        return learned


def _examples(like: int | PathLike | Sequence[int | PathLike]) -> list[int | Path]:
    several = [like] if isinstance(like, int | str | Path) else like
    return [Path(example) if isinstance(example, str) else example for example in several]


def _paths(paths: PathLike | Sequence[PathLike]) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
