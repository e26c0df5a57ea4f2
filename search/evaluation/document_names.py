"""Call films as runs and judgements do, each by a name of its own, without holding all names of the archive."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from filmroom.db.catalog import Catalog
from filmroom.db.path_names import parts_of, tail
from filmroom.db.reads import named_films
from filmroom.db.records import Film
from filmroom.search.evaluation.trec import apart, document_name

_FRAME = re.compile(r"#[0-9]+$")


class DocumentNames:
    """What the films of an archive are called: as judgements call them where they do, else by their paths."""

    def __init__(self, catalog: Catalog, judged: Mapping[int, str] | None = None) -> None:
        self._catalog = catalog
        self._judged = judged or {}

    def of(self, films: Collection[Film]) -> dict[int, str]:
        """Return the name of each film; those that another film of the archive has, too, bear what tells them apart."""
        names = {film.id: self._name(film) for film in films}
        shared = self._shared(names)
        return {film.id: apart(film) if names[film.id] in shared else names[film.id] for film in films}

    def in_run(self, films: Collection[Film]) -> dict[int, str]:
        """Return the name of each film in a run; those that another film has, too, bear the film's id."""
        names = {film.id: self._name(film) for film in films}
        shared = self._shared(names)
        return {film_id: f"{name}~{film_id}" if name in shared else name for film_id, name in names.items()}

    def _name(self, film: Film) -> str:
        return self._judged.get(film.id) or document_name(film)

    def _shared(self, names: Mapping[int, str]) -> set[str]:
        films: dict[str, set[int]] = {name: set() for name in names.values()}
        for film_id, name in (*names.items(), *self._judged.items()):
            films.get(name, set()).add(film_id)
        tails = {tail(parts[:-1], parts[-1]) for name in films for end in _ends(name) if (parts := parts_of(end))}
        for _, _, film in named_films.by_tail(self._catalog, [(ending, ending + b"\0") for ending in tails]):
            films.get(self._name(film), set()).add(film.id)
        return {name for name, ids in films.items() if len(ids) > 1}


def _ends(name: str) -> set[str]:
    return {name, _FRAME.sub("", name)}
