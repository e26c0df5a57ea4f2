"""Search X-ray archives by meaning. Research use only, not for diagnosis.

    >>> import filmroom
    >>> archive = filmroom.open("archive")
    >>> archive.search("pleural effusion view:PA", k=50).to_pandas()

Everything heavy waits for `open`: the terminal imports this package, too, and has to answer at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from filmroom.db.errors import FilmroomError

if TYPE_CHECKING:
    from pathlib import Path

    from filmroom.search.python_api import OpenArchive

__all__ = ["FilmroomError", "open"]


def open(  # noqa: A001 (as `shelve.open` and `PIL.Image.open` are called)
    archive: str | Path | None = None, *, model: str | None = None, weights: str | Path | None = None
) -> OpenArchive:
    """Open an archive for Python: `archive` is its folder, by default that of the terminal.

    The folder need not be there yet: `index` makes it. `model` and `weights` are those of `filmroom search`.
    """
    from filmroom.search.python_api import OpenArchive

    return OpenArchive(archive, model=model, weights=weights)
