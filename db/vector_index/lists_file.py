"""Keep an IVF index on the disk, as FAISS writes it: a head, then list after list, of each its codes of a byte a number
and after them the numbers of its vectors.

The facts, in a file of their own, are written last: without them the rest is not looked at. Beside them lie the sizes
of the lists and a checksum of each piece, so that to forget a film does not mean to read or make all of them.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from filmroom.db.files import private_files
from filmroom.db.reads.summary import IvfStats, ivf_stats
from filmroom.db.records import StoredSpace
from filmroom.db.vector_index.ivf import Approximate, Lists
from filmroom.db.vector_index.mapped import (
    NUMBER,
    PIECE,
    ListsHead,
    MappedLists,
    TornSnapshot,
    read_sound,
    sum_again,
    sums_of,
)
from numpy.typing import NDArray

_STEPS = 255
"""Of the range of a number, into which a code of a byte divides it."""
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


def load(folder: Path, stored_space: StoredSpace) -> Approximate | None:
    """Return what was saved for the space, or None where there is nothing that can be trusted."""
    path = _lists_path(folder, stored_space.id)
    try:
        facts, layout = _said(folder, stored_space)
        if facts is None or sum(layout.sizes) != facts.rows or sums_of(path) != layout.sums:
            return None
        return _by_faiss(path, stored_space, facts, mapped=False)
    except (OSError, ValueError, LookupError, TypeError, RuntimeError):
        return None


def load_mapped(folder: Path, stored_space: StoredSpace) -> Lists | None:
    """Return the same lists where they lie on the disk. But for their head they are not checked: they only name rows,
    which have the last word."""
    path = _lists_path(folder, stored_space.id)
    try:
        facts, layout = _said(folder, stored_space)
        if facts is None or sum(layout.sizes) != facts.rows:
            return None
        with ExitStack() as until_taken:
            content = until_taken.enter_context(path.open("rb"))
            size = os.fstat(content.fileno()).st_size - _lists_size(stored_space, layout)
            head = _read_head(read_sound(content, size, layout.sums), stored_space.space.dim, layout.sizes)
            if head is not None:
                until_taken.pop_all()
                return MappedLists(content, size, layout.sizes, head, facts)
        return _by_faiss(path, stored_space, facts, mapped=True)
    except (OSError, ValueError, LookupError, TypeError, RuntimeError, TornSnapshot):
        return None


def _by_faiss(path: Path, stored_space: StoredSpace, facts: IvfStats, *, mapped: bool) -> Approximate | None:
    import faiss

    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY if mapped else 0)
    if (index.ntotal, index.d) != (facts.rows, stored_space.space.dim):
        return None
    return Approximate(index, facts, facts.mark, grows=not mapped)


def _read_head(head: bytes, dim: int, sizes: list[int]) -> ListsHead | None:
    """Read what FAISS writes before lists of codes of a byte, each of a difference from its centre. None where it is
    written in any other way, as another version of FAISS may: FAISS itself reads that."""
    lists = len(sizes)
    form = np.dtype(
        [
            ("kind", "S4"), ("dim", "<i4"), ("rows", "<i8", 3), ("trained", "i1"), ("metric", "<i4"), ("lists", "<i8"),
            ("probes", "<i8"), ("finder", "S4"), ("finder_dim", "<i4"), ("finder_rows", "<i8", 3),
            ("finder_trained", "i1"), ("finder_metric", "<i4"), ("numbers", "<i8"), ("centres", "<f4", (lists, dim)),
            ("direct_map", "i1"), ("direct", "<i8"), ("code", "<i4"), ("range", "<i4"), ("range_argument", "<f4"),
            ("code_dim", "<i8"), ("code_size", "<i8"), ("learned", "<i8"), ("least", "<f4", dim), ("span", "<f4", dim),
            ("bytes", "<i8"), ("of_residuals", "i1"), ("storage", "S4"), ("stored", "<i8"), ("stored_bytes", "<i8"),
            ("sizes_kind", "S4"), ("count", "<i8"), ("sizes", "<i8", lists),
        ]
    )  # fmt: skip
    if len(head) != form.itemsize:
        return None
    written = np.frombuffer(head, form)[0]
    expected = {
        "kind": b"IwSq", "dim": dim, "metric": 0, "lists": lists, "finder": b"IxFI", "finder_dim": dim,
        "numbers": lists * dim, "direct_map": 0, "direct": 0, "code": 0, "code_dim": dim, "code_size": dim,
        "learned": 2 * dim, "bytes": dim, "of_residuals": 1, "storage": b"ilar", "stored": lists, "stored_bytes": dim,
        "sizes_kind": b"full", "count": lists,
    }  # fmt: skip
    if any(written[name] != value for name, value in expected.items()) or written["sizes"].tolist() != sizes:
        return None
    return ListsHead(written["centres"], written["span"] / np.float32(_STEPS))


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
        for places, nothing in ((codes, bytes(dim)), (numbers, np.array(_NONE, NUMBER).tobytes())):
            for place in places.tolist():
                content.seek(place)
                content.write(nothing)
        content.flush()
        sum_again(path, layout.sums, codes, dim)
        sum_again(path, layout.sums, numbers, NUMBER.itemsize)
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
        of_list = np.frombuffer(content.read(size * NUMBER.itemsize), NUMBER)
        ids = of_list // per_film
        goes = np.flatnonzero((of_list != _NONE) & ((ids >= stays.size) | ~stays[np.clip(ids, 0, stays.size - 1)]))
        codes.append(start + goes * dim)
        numbers.append(first_number + goes * NUMBER.itemsize)
        start = first_number + size * NUMBER.itemsize
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
    return path.stat().st_size - _lists_size(stored_space, layout)


def _lists_size(stored_space: StoredSpace, layout: _Layout) -> int:
    return sum(layout.sizes) * (stored_space.space.dim + NUMBER.itemsize)


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
