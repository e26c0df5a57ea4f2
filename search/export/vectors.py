"""Write stored vectors with the names of their films: NPZ, Parquet or safetensors, as `import-vectors` reads them.

A film's name is its identity in the archive: `uid:UID#FRAME` for DICOM, `sha256:HASH#FRAME` for other pictures, so that
no file name leaves and no vector can come back to another film.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from filmroom.db.errors import MissingExtra
from filmroom.db.reads import film_facts, spaces
from filmroom.db.records import StoredSpace
from filmroom.search.export.job import Failures, Job
from filmroom.search.export.table import need_pyarrow
from filmroom.search.results import Hit
from numpy.typing import NDArray

_BLOCK = 4_096
_ROWS, _IDS, _NAMES = "vectors.f2", "ids.i8", "names.txt"


@dataclass(frozen=True)
class _Block:
    """Some films in order: ids (n,), names, vectors float16 (n, T, D)."""

    ids: NDArray[np.int64]
    names: list[str]
    vectors: NDArray[np.float16]


class VectorsFile:
    """Collects vectors as they are stored (float16, unit length), then writes them in the format of the suffix."""

    batch = _BLOCK

    def __init__(self, job: Job, stored: StoredSpace, suffix: str) -> None:
        self._job = job
        self._stored = stored
        self._suffix = suffix
        if suffix == ".parquet":
            need_pyarrow()
        if suffix == ".safetensors":
            _safetensors()

    def write(self, films: Sequence[Hit]) -> Failures:
        ids = [hit.id for hit in films]
        vectors = spaces.vectors_of(self._job.archive.catalog, self._stored, ids)
        names = film_facts.identities(self._job.archive.catalog, ids)
        embedded = [film_id for film_id in ids if film_id in vectors]
        if embedded:
            self._job.growing(_ROWS).write(np.stack([vectors[film_id] for film_id in embedded]).astype("<f2").tobytes())
            self._job.growing(_IDS).write(np.array(embedded, "<i8").tobytes())
            self._job.growing(_NAMES).write("".join(f"{names[film_id]}\n" for film_id in embedded).encode())
        lacking = f"it has no vector of {self._stored.space.model}"
        return [(film_id, lacking) for film_id in ids if film_id not in vectors]

    def finish(self) -> Path:
        path = self._job.folder / f"vectors{self._suffix}"
        {".npz": self._npz, ".parquet": self._parquet, ".safetensors": self._tensors}[self._suffix](path)
        return path

    @property
    def _count(self) -> int:
        return int(self._job.state["films"])

    @property
    def _facts(self) -> dict[str, str]:
        space = self._stored.space
        return {"model": space.model, "fingerprint": space.fingerprint, "has_text": str(space.has_text).lower()}

    @property
    def _shape(self) -> tuple[int, ...]:
        space = self._stored.space
        return (space.dim,) if space.vectors == 1 else (space.vectors, space.dim)

    def _blocks(self) -> Iterator[_Block]:
        space, folder = self._stored.space, self._job.folder
        size = space.vectors * space.dim
        with (folder / _ROWS).open("rb") as rows, (folder / _IDS).open("rb") as ids, (folder / _NAMES).open() as names:
            while chunk := np.fromfile(ids, "<i8", _BLOCK).tolist():
                vectors = np.fromfile(rows, "<f2", len(chunk) * size).reshape(-1, space.vectors, space.dim)
                yield _Block(np.array(chunk), [names.readline().rstrip("\n") for _ in chunk], vectors)

    def _width(self) -> int:
        return max(len(name) for block in self._blocks() for name in block.names)

    def _npz(self, path: Path) -> None:
        """Write arrays `vectors` float16 (N, D) or (N, T, D), `names` and `ids` (N,), `model`, `fingerprint`,
        `has_text`."""
        width = self._width()
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as packed:
            with _entry(packed, "names", f"<U{width}", (self._count,)) as out:
                for block in self._blocks():
                    out.write(np.array(block.names, f"<U{width}").tobytes())
            with _entry(packed, "ids", "<i8", (self._count,)) as out:
                for block in self._blocks():
                    out.write(block.ids.astype("<i8").tobytes())
            with _entry(packed, "vectors", "<f2", (self._count, *self._shape)) as out:
                for block in self._blocks():
                    out.write(block.vectors.tobytes())
            for name, value in self._facts.items():
                with _entry(packed, name, f"<U{max(1, len(value))}", ()) as out:
                    out.write(np.array(value).tobytes())

    def _parquet(self, path: Path) -> None:
        """Write columns `id`, `name` and `vector`, float32 of a fixed length, lists of lists where T is more than 1."""
        import pyarrow
        from pyarrow import parquet

        space = self._stored.space
        kind = pyarrow.list_(pyarrow.float32(), space.dim)
        kind = kind if space.vectors == 1 else pyarrow.list_(kind, space.vectors)
        schema = pyarrow.schema(
            [("id", pyarrow.int64()), ("name", pyarrow.string()), ("vector", kind)],
            metadata={name: value.encode() for name, value in self._facts.items()},
        )
        with parquet.ParquetWriter(path, schema) as out:
            for block in self._blocks():
                column: Any = pyarrow.array(block.vectors.astype(np.float32).ravel())
                for length in reversed(self._shape):
                    column = pyarrow.FixedSizeListArray.from_arrays(column, length)
                out.write_table(pyarrow.Table.from_arrays([block.ids, block.names, column], schema=schema))

    def _tensors(self, path: Path) -> None:
        """Write tensors `vectors` F16, `ids` I64 and `names`, UTF-8 in rows of bytes filled up with zeros."""
        width = max(len(name.encode()) for block in self._blocks() for name in block.names)
        sizes = {
            "ids": ("I64", (self._count,), 8),
            "vectors": ("F16", (self._count, *self._shape), 2),
            "names": ("U8", (self._count, width), 1),
        }
        header: dict[str, Any] = {"__metadata__": self._facts}
        start = 0
        for name, (kind, shape, item_bytes) in sizes.items():
            stop = start + item_bytes * int(np.prod(shape))
            header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, stop]}
            start = stop
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with path.open("wb") as out:
            out.write(len(text).to_bytes(8, "little") + text)
            for block in self._blocks():
                out.write(block.ids.astype("<i8").tobytes())
            for block in self._blocks():
                out.write(block.vectors.tobytes())
            for block in self._blocks():
                out.write(b"".join(name.encode().ljust(width, b"\0") for name in block.names))


class _entry:  # noqa: N801 (used as a function)
    """An array of an NPZ that is written piece by piece."""

    def __init__(self, packed: zipfile.ZipFile, name: str, kind: str, shape: tuple[int, ...]) -> None:
        self._file: IO[bytes] = packed.open(f"{name}.npy", "w", force_zip64=True)
        header = {"descr": kind, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def __enter__(self) -> IO[bytes]:
        return self._file

    def __exit__(self, *fault: object) -> None:
        self._file.close()


def _safetensors() -> None:
    """Raise MissingExtra where nothing here could read the file back."""
    try:
        import safetensors  # noqa: F401
    except ImportError:
        raise MissingExtra("safetensors export", extra="transformers") from None
