"""Find the films that an answer may hold: those that pass its filter, and have a vector of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from filmroom.db.reads import films
from filmroom.db.records import Filter
from filmroom.db.vector_index.index import VectorIndex
from filmroom.search.findings.read_reports import read_reports
from numpy.typing import NDArray

if TYPE_CHECKING:
    from filmroom.db.catalog import Catalog  # brings SQLAlchemy with it

KEPT_FILTERS = 8
"""Filters whose films are kept at hand: of a million, 8 MB each."""


def without(ids: NDArray[np.int64], few: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ids but for a few, in their order: a million are not sorted for that."""
    return ids[np.isin(ids, np.asarray(few, np.int64), invert=True)]


class PassingFilms:
    """The films of one archive that pass filters, for one model. Shared by all threads of a Searcher."""

    def __init__(self, catalog: Catalog, index: VectorIndex) -> None:
        self._catalog = catalog
        self._index = index
        self._kept: dict[Filter, tuple[int | str, NDArray[np.int64]]] = {}
        self._sorted: tuple[str, dict[tuple[str, bool], NDArray[np.int64]]] = ("", {})

    def within(self, where: Filter, like: Sequence[int], unlike: Sequence[int]) -> NDArray[np.int64] | None:
        """Return the ids that pass, without the examples; None where neither leaves a film out."""
        examples = [*like, *unlike]
        if not where and not examples:
            return None
        if where.asks_reports:
            read_reports(self._catalog)  # those of archives from before, and of a run that was killed
        allowed = self.of_filter(where)
        return without(allowed, examples) if examples else allowed

    def state(self, where: Filter) -> int | str:
        """Return what is another whenever other films may pass the filter."""
        return self._catalog.changes() if where.asks_annotations else self._catalog.fact_state()

    def of_filter(self, where: Filter) -> NDArray[np.int64]:
        """Return the films that pass, kept until others may, so that paging and rephrasing reuse them."""
        state = self.state(where)
        known = self._kept.get(where)
        if known is None or known[0] != state:
            ids = films.select_ids(self._catalog, where)
            ids.flags.writeable = False
            known = state, ids
            older = [pair for pair in self._kept.items() if pair[0] != where]
            self._kept = dict([*older, (where, known)][-KEPT_FILTERS:])
        return known[1]

    def by_fact(self, column: Literal["year", "age"], *, descending: bool) -> NDArray[np.int64]:
        """Return all films in the order of a fact, kept until that may have changed."""
        state = self._catalog.fact_state()
        known, orders = self._sorted
        if known != state:
            orders = {}
        if (column, descending) not in orders:
            ids = films.ids_by_fact(self._catalog, column, descending=descending)
            ids.flags.writeable = False
            orders = {**orders, (column, descending): ids}
            self._sorted = state, orders
        return orders[column, descending]

    def searchable(self, within: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
        """Return those of the films that have a vector of this model: no others can be ranked."""
        return within if within is None else within[self._index.holds(within)]
