"""Keep an IVF index on the disk, as FAISS writes it: a head, then list after list, of each its codes of a byte a number
and after them the numbers of its vectors.

The facts, in a file of their own, are written last: without them the rest is not looked at. Beside them lie the sizes
of the lists and a checksum of each piece, so that to forget a film does not mean to read or make all of them.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from filmroom.db.files import private_files
from filmroom.db.reads.summary import IvfStats, ivf_stats
from filmroom.db.records import StoredSpace
from filmroom.db.vector_index.ivf import Approximate
from filmroom.db.vector_index.mapped import PIECE, sum_again, sums_of
from numpy.typing import NDArray

_NUMBER = np.dtype("<i8")
_SAME = 0.999
"""The cosine of a vector and the centre of a list from which the centre tells the vector."""
_BLOCK = 1024
_NONE = -1
"""The number of a vector that was overwritten: FAISS gives it where it has no more."""


@dataclass(frozen=True)
class _Layout:
    """`sizes` are the vectors of each list, `sums` the checksums of the file's pieces."""

    sizes: list[int]
    sums: list[int]


@dataclass(frozen=True)
class ShortenedLists:
    """Lists of which vectors were overwritten, open until they count again: so their file's number is nobody else's."""

    path: Path
    content: IO[bytes]
    facts: IvfStats
    layout: _Layout

    def are_in_place(self) -> bool:
        """Tell whether no process has put others in their place since."""
        try:
            return os.path.samestat(os.fstat(self.content.fileno()), self.path.stat())
        except OSError:
            return False


def save(folder: Path, space_id: int, built: Approximate) -> None:
    """Write the index aside and rename it, then what is said of it. Raises OSError."""
    import faiss

    private_files.make_folder(folder)
    path = _lists_path(folder, space_id)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    private_files.write(partial, b"")  # FAISS opens it by its name, and keeps its mode
    try:
        faiss.write_index(built.index, str(partial))
    except RuntimeError as error:
        partial.unlink(missing_ok=True)
        raise OSError(f"the index could not be written: {path.name}") from error
    sizes = [int(built.index.invlists.list_size(number)) for number in range(built.index.nlist)]
    layout = _Layout(sizes, sums_of(partial, flush=True))
    _facts_path(folder, space_id).unlink(missing_ok=True)
    os.replace(partial, path)
    facts = asdict(built.facts) | {"mark": built.mark, "rows": built.index.ntotal}
    _say(folder, space_id, IvfStats(**facts), layout)


def load(folder: Path, stored_space: StoredSpace, *, whole: bool = True) -> Approximate | None:
    """Return what was saved for the space, or None where there is nothing that can be trusted. Where it need not be
    `whole`, the lists stay on the disk, take nothing new, and are not checked: they only name rows, which have the last
    word."""
    path = _lists_path(folder, stored_space.id)
    try:
        facts, layout = _said(folder, stored_space)
        if facts is None or sum(layout.sizes) != facts.rows:
            return None
        sums = sums_of(path) if whole else sums_of(path, size=_head_size(path, stored_space, layout))
        if sums != (layout.sums if whole else layout.sums[: len(sums)]):
            return None
        import faiss

        index = faiss.read_index(str(path), 0 if whole else faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    except (OSError, ValueError, LookupError, TypeError, RuntimeError):
        return None
    if (index.ntotal, index.d) != (facts.rows, stored_space.space.dim):
        return None
    return Approximate(index, facts, facts.mark, grows=whole)


def take_away(
    folder: Path, stored_space: StoredSpace, embedding_ids: NDArray[np.int64], gone: NDArray[np.float16]
) -> ShortenedLists | None:
    """Overwrite all vectors but those of these embeddings, where they stand in the lists of a space: codes and numbers.

    The lists count for nothing from then on, until they are put back. None where there are none that can be trusted,
    or where the centre of one is a vector that is `gone` (M, D). Raises OSError.
    """
    path = _lists_path(folder, stored_space.id)
    try:
        facts, layout = _said(folder, stored_space)
        _facts_path(folder, stored_space.id).unlink(missing_ok=True)
        if facts is None or sum(layout.sizes) != facts.rows:
            return None
        head_size = _head_size(path, stored_space, layout)
        if sums_of(path, size=head_size) != layout.sums[: -(-head_size // PIECE)] or _are_centres(path, gone):
            return None
        content = path.open("r+b")
    except (OSError, ValueError, LookupError, TypeError, RuntimeError):
        return None
    try:
        codes, numbers = _find_others(content, stored_space, layout, embedding_ids)
        dim = stored_space.space.dim
        for places, nothing in ((codes, bytes(dim)), (numbers, np.array(_NONE, _NUMBER).tobytes())):
            for place in places.tolist():
                content.seek(place)
                content.write(nothing)
        content.flush()
        sum_again(path, layout.sums, codes, dim)
        sum_again(path, layout.sums, numbers, _NUMBER.itemsize)
    except BaseException:
        content.close()
        raise
    return ShortenedLists(path, content, facts, layout)


def _are_centres(path: Path, vectors: NDArray[np.float16]) -> bool:
    """Tell whether the centre of a list is one of these vectors (M, D): that of a list that was learnt of one film."""
    if not len(vectors):
        return False
    import faiss

    index: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    centres = index.quantizer.reconstruct_n(0, index.nlist).T
    blocks = (vectors[start : start + _BLOCK].astype(np.float32) for start in range(0, len(vectors), _BLOCK))
    return any(bool(((block @ centres).max(axis=1) >= _SAME).any()) for block in blocks)


def _find_others(
    content: IO[bytes], stored_space: StoredSpace, layout: _Layout, embedding_ids: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where in the file the codes and the numbers stand of the vectors of any other embeddings."""
    dim, per_film = stored_space.space.dim, stored_space.space.vectors
    stays = np.zeros(int(embedding_ids.max(initial=0)) + 1, np.bool_)
    stays[embedding_ids] = True
    start = _head_size(Path(content.name), stored_space, layout)
    codes, numbers = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for size in layout.sizes:
        first_number = start + size * dim
        content.seek(first_number)
        of_list = np.frombuffer(content.read(size * _NUMBER.itemsize), _NUMBER)
        ids = of_list // per_film
        goes = np.flatnonzero((of_list != _NONE) & ((ids >= stays.size) | ~stays[np.clip(ids, 0, stays.size - 1)]))
        codes.append(start + goes * dim)
        numbers.append(first_number + goes * _NUMBER.itemsize)
        start = first_number + size * _NUMBER.itemsize
    return np.concatenate(codes), np.concatenate(numbers)


def put_back(folder: Path, stored_space: StoredSpace, lists: ShortenedLists) -> None:
    """Let lists count again, unless others took their place. Raises OSError."""
    with lists.content:
        if lists.are_in_place():
            _say(folder, stored_space.id, lists.facts, lists.layout)


def remove(folder: Path, space_id: int) -> None:
    """Delete the lists of a space."""
    # With what a process that was ended while it wrote has left.
    for path in folder.glob(f"lists-{space_id}.*"):
        path.unlink(missing_ok=True)


def _head_size(path: Path, stored_space: StoredSpace, layout: _Layout) -> int:
    return path.stat().st_size - sum(layout.sizes) * (stored_space.space.dim + _NUMBER.itemsize)


def _said(folder: Path, stored_space: StoredSpace) -> tuple[IvfStats | None, _Layout]:
    """Return what is said of the lists. Raises OSError, ValueError, LookupError or TypeError where it is not what was
    written."""
    return ivf_stats(folder, stored_space), _Layout(**json.loads(_layout_path(folder, stored_space.id).read_text()))


def _say(folder: Path, space_id: int, facts: IvfStats, layout: _Layout) -> None:
    for path, content in ((_layout_path(folder, space_id), layout), (_facts_path(folder, space_id), facts)):
        partial = path.with_name(f"{path.name}.{os.getpid()}.part")
        private_files.write(partial, json.dumps(asdict(content)).encode())
        os.replace(partial, path)


def _lists_path(folder: Path, space_id: int) -> Path:
    return folder / f"lists-{space_id}.faiss"


def _layout_path(folder: Path, space_id: int) -> Path:
    return folder / f"lists-{space_id}.layout.json"


def _facts_path(folder: Path, space_id: int) -> Path:
    return folder / f"lists-{space_id}.json"
