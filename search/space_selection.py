"""Choose which of an archive's spaces answers: the one named, the one in use, or the fullest that reads words."""

from __future__ import annotations

from pathlib import Path

from filmroom.db.archive import Archive
from filmroom.db.catalog import get_meta, set_meta
from filmroom.db.errors import FilmroomError, ModelUnavailable, NotFound
from filmroom.db.reads import spaces
from filmroom.db.reads.spaces import StoredSpace
from filmroom.indexer.models.base import Towers
from filmroom.indexer.models.precomputed import is_imported
from filmroom.indexer.models.registry import is_loadable, load_space, load_towers

_IN_USE = "model"


def choose(archive: Archive, model: str | None, weights: Path | None) -> tuple[StoredSpace, Towers]:
    """Return the space of a model by name, or the one in use, with its towers.

    Raises NotFound where nothing is indexed with the model, ModelUnavailable where it cannot be loaded.
    """
    stored = _indexed_spaces(archive)
    if model is None:
        default = _default(archive, stored)
        try:
            return default, load_space(default.space)
        except ModelUnavailable as error:
            newer = _newer(default, stored)
            if not newer:
                raise
            problem = f"{error.what}; newer ones hold {newer[0].films:,} of {default.films:,} so far"
            raise ModelUnavailable(problem, where=error.where, fix=error.fix) from None
    imported = next((space for space in stored if space.space.model == model and is_imported(space.space)), None)
    try:
        towers = load_towers(model, weights=weights)
    except FilmroomError:
        if imported is None:
            raise
        return imported, load_space(imported.space)
    for space in stored:
        if space.space.fingerprint == towers.space.fingerprint:
            return space, towers
    if imported is not None:
        return imported, load_space(imported.space)
    if any(space.space.model == towers.space.model for space in stored):
        raise ModelUnavailable(
            "the films are embedded with earlier weights of this model",
            where=towers.space.model,
            fix=f"Run `filmroom index FOLDER --model {model}` on the same folders: nothing else is lost.",
        )
    names = ", ".join(dict.fromkeys(space.space.model for space in stored))
    raise NotFound(
        "no film of this archive is indexed with this model",
        where=towers.space.model,
        fix=f"Run `filmroom index FOLDER --model {model}`, or search with one that is: {names}.",
    )


def use(archive: Archive, model: str) -> StoredSpace:
    """Let this model answer from now on where none is named. Raises NotFound."""
    stored = _indexed_spaces(archive)
    match = next((space for space in stored if space.space.model == model), None)
    if match is None:
        names = ", ".join(dict.fromkeys(space.space.model for space in stored))
        raise NotFound(
            "no film of this archive is indexed with this model",
            where=model,
            fix=f"Run `filmroom index FOLDER --model {model}`; the archive has: {names}.",
        )
    set_meta(archive.catalog, _IN_USE, match.space.fingerprint)
    return match


def in_use(archive: Archive) -> StoredSpace:
    """Return the space that answers where none is named. Raises NotFound where no film is indexed."""
    return _default(archive, _indexed_spaces(archive))


def chosen(archive: Archive) -> str | None:
    """Return what `use` has kept: another value, another space may answer. One small query."""
    return get_meta(archive.catalog, _IN_USE)


def with_text(archive: Archive) -> list[str]:
    """Return the models of the archive that read words."""
    return list(dict.fromkeys(space.space.model for space in _indexed_spaces(archive) if space.space.has_text))


def _indexed_spaces(archive: Archive) -> list[StoredSpace]:
    stored = [space for space in spaces.spaces(archive.catalog) if space.films]
    if not stored:
        raise NotFound("no film is indexed yet", where=archive.folder, fix="Run: filmroom index FOLDER")
    return stored


def _default(archive: Archive, stored: list[StoredSpace]) -> StoredSpace:
    """Return the one that was chosen, else the one that reads words. Where the model has got other weights since,
    those, as soon as they hold as many films."""
    fingerprint = chosen(archive)
    chosen_space = next((space for space in stored if space.space.fingerprint == fingerprint), None)
    default = chosen_space or _reading_words(stored)
    return next((newer for newer in _newer(default, stored) if newer.films >= default.films), default)


def _reading_words(stored: list[StoredSpace]) -> StoredSpace:
    """Find, of the fullest spaces, the newest whose text tower can be loaded here: vectors from elsewhere do not
    silence the words. Where none can, the fullest that would read words, whose error says what is missing."""
    readers = [space for space in stored if space.space.has_text]
    if len(readers) < 2:
        return (readers or stored)[0]
    return next((reader for reader in readers if _newer(reader, stored) or is_loadable(reader.space)), readers[0])


def _newer(current: StoredSpace, stored: list[StoredSpace]) -> list[StoredSpace]:
    """Return the spaces of the same model with later weights, the newest first."""
    if is_imported(current.space):
        return []
    versions = [space for space in stored if space.space.model == current.space.model and not is_imported(space.space)]
    return sorted((space for space in versions if space.id > current.id), key=lambda space: space.id, reverse=True)
