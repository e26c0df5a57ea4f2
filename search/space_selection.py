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
    held = _held(archive)
    if model is None:
        kept = _default(archive, held)
        try:
            return kept, load_space(kept.space)
        except ModelUnavailable as error:
            newer = _newer(kept, held)
            if not newer:
                raise
            said = f"{error.what}; newer ones hold {newer[0].films:,} of {kept.films:,} so far"
            raise ModelUnavailable(said, where=error.where, fix=error.fix) from None
    imported = next((one for one in held if one.space.model == model and is_imported(one.space)), None)
    try:
        towers = load_towers(model, weights=weights)
    except FilmroomError:
        if imported is None:
            raise
        return imported, load_space(imported.space)
    for one in held:
        if one.space.fingerprint == towers.space.fingerprint:
            return one, towers
    if imported is not None:
        return imported, load_space(imported.space)
    if any(one.space.model == towers.space.model for one in held):
        raise ModelUnavailable(
            "the films are embedded with earlier weights of this model",
            where=towers.space.model,
            fix=f"Run `filmroom index FOLDER --model {model}` on the same folders: nothing else is lost.",
        )
    names = ", ".join(dict.fromkeys(one.space.model for one in held))
    raise NotFound(
        "no film of this archive is indexed with this model",
        where=towers.space.model,
        fix=f"Run `filmroom index FOLDER --model {model}`, or search with one that is: {names}.",
    )


def use(archive: Archive, model: str) -> StoredSpace:
    """Let this model answer from now on where none is named. Raises NotFound."""
    held = _held(archive)
    kept = next((one for one in held if one.space.model == model), None)
    if kept is None:
        names = ", ".join(dict.fromkeys(one.space.model for one in held))
        raise NotFound(
            "no film of this archive is indexed with this model",
            where=model,
            fix=f"Run `filmroom index FOLDER --model {model}`; the archive has: {names}.",
        )
    set_meta(archive.catalog, _IN_USE, kept.space.fingerprint)
    return kept


def in_use(archive: Archive) -> StoredSpace:
    """Return the space that answers where none is named. Raises NotFound where no film is indexed."""
    return _default(archive, _held(archive))


def chosen(archive: Archive) -> str | None:
    """Return what `use` has kept: another value, another space may answer. One small query."""
    return get_meta(archive.catalog, _IN_USE)


def with_text(archive: Archive) -> list[str]:
    """Return the models of the archive that read words."""
    return list(dict.fromkeys(one.space.model for one in _held(archive) if one.space.has_text))


def _held(archive: Archive) -> list[StoredSpace]:
    held = [space for space in spaces.spaces(archive.catalog) if space.films]
    if not held:
        raise NotFound("no film is indexed yet", where=archive.folder, fix="Run: filmroom index FOLDER")
    return held


def _default(archive: Archive, held: list[StoredSpace]) -> StoredSpace:
    """Return the one that was chosen, else the one that reads words. Where the model has got other weights since,
    those, as soon as they hold as many films."""
    wanted = chosen(archive)
    kept = next((space for space in held if space.space.fingerprint == wanted), None) or _reading_words(held)
    return next((one for one in _newer(kept, held) if one.films >= kept.films), kept)


def _reading_words(held: list[StoredSpace]) -> StoredSpace:
    """Find, of the fullest spaces, the newest whose text tower can be loaded here: vectors from elsewhere do not
    silence the words. Where none can, the fullest that would read words, whose error says what is missing."""
    readers = [space for space in held if space.space.has_text]
    if len(readers) < 2:
        return (readers or held)[0]
    return next((reader for reader in readers if _newer(reader, held) or is_loadable(reader.space)), readers[0])


def _newer(kept: StoredSpace, held: list[StoredSpace]) -> list[StoredSpace]:
    """Return the spaces of the same model with later weights, the newest first."""
    if is_imported(kept.space):
        return []
    found = [space for space in held if space.space.model == kept.space.model and space.id > kept.id]
    return sorted((one for one in found if not is_imported(one.space)), key=lambda one: one.id, reverse=True)
