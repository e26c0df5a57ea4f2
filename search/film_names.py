"""Which film is meant: the names by which judgements, labels and reports speak of films."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from filmroom.db.records import Film

_PICTURES = {".png", ".jpg", ".jpeg", ".dcm", ".dicom", ".tif", ".tiff"}


class FilmNames:
    """Finds films by instance UID, relative path, file name or stem, in this order of trust.

    Folders and a picture's suffix that the archive does not know are ignored; `#` names a frame: `UID#2`.
    """

    def __init__(self, films: Iterable[Film]) -> None:
        self._kinds: tuple[dict[str, set[int]], ...] = ({}, {}, {}, {})
        for film in films:
            for kind, values in zip(self._kinds, _names(film), strict=True):
                for value in values:
                    kind.setdefault(value, set()).add(film.id)

    def find(self, called: str) -> frozenset[int]:
        """The ids of the films of this name: none, one, or several where it is ambiguous."""
        spellings = _spellings(called)
        return frozenset(next((kind[name] for name in spellings for kind in self._kinds if name in kind), ()))


def _names(film: Film) -> tuple[tuple[str, ...], ...]:
    path = PurePosixPath(film.path)
    frame = f"#{film.frame}"
    instance = film.tags.instance_uid
    return (
        (instance, instance + frame) if instance else (),
        (film.path, film.path + frame, str(path.with_suffix("")), str(path.with_suffix("")) + frame),
        (path.name, path.name + frame),
        (path.stem, path.stem + frame),
    )


def _spellings(document: str) -> tuple[str, ...]:
    called = document.replace("%20", " ").replace("\\", "/")
    name = PurePosixPath(called)
    stem = name.stem if name.suffix.lower() in _PICTURES else name.name
    return (document, called, name.name, stem)
