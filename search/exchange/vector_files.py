"""Read files of embeddings with the names of their films: NPZ, Parquet and safetensors."""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from filmroom.db.errors import BadInput, MissingExtra, NotFound
from filmroom.search.exchange.tables import read_table
from numpy.typing import NDArray

NamedVectors = Iterator[tuple[str, NDArray[np.float32]]]

_DAMAGE = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)
_NAMES = ("image_id", "image_ids", "ids", "id", "names", "films", "paths", "files")
_VECTORS = ("vectors", "vector", "embeddings", "embedding")
_FACTS = ("model", "fingerprint", "has_text")
_BLOCK = 1_024
_MOST_HEADER = 100 << 20


@dataclass(frozen=True)
class Facts:
    """What a file says of the model that made its vectors; empty where it says nothing."""

    model: str = ""
    has_text: bool | None = None


class VectorFile(Protocol):
    """A file of vectors. `shape` is (T, D), of the vectors of one film."""

    facts: Facts
    shape: tuple[int, int]

    def rows(self) -> NamedVectors:
        """Yield each film's name and its vectors (T, D), in the file's order, one after the other from the disk."""
        ...


def open_vectors(path: Path, table: Path | None = None) -> VectorFile:
    """Open a file by what it is. `table` names the rows where the file does not.

    Raises NotFound, and BadInput for what is no such file or says not which film a row is of.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except FileNotFoundError:
        raise NotFound("there is no such file", where=path) from None
    except OSError as fault:
        raise BadInput(f"the file cannot be read ({fault.strerror})", where=path) from None
    if start[:4] == b"PAR1":
        return ParquetVectors(path)
    if start[8:] == b"{" and 0 < int.from_bytes(start[:8], "little") < _MOST_HEADER:
        return TensorVectors(path, table)
    return NpzVectors(path, table)


class NpzVectors:
    """One array a film under its name; or one array of all, (N, D) or (N, T, D), with the names in a second one."""

    def __init__(self, path: Path, table: Path | None) -> None:
        self._path = path
        self._table = table
        try:
            self._npz: Any = np.load(path, allow_pickle=False)
        except _DAMAGE:
            raise _unreadable(path) from None
        if not isinstance(self._npz, np.lib.npyio.NpzFile) or not self._npz.files:
            raise _unreadable(path)
        files: list[str] = self._npz.files
        facts = {name: str(self._array(name)) for name in _FACTS if name in files and not self._shape(name)}
        self.facts = Facts(facts.get("model", ""), facts["has_text"] == "true" if "has_text" in facts else None)
        self._arrays = [name for name in files if name not in facts]
        if not self._arrays:
            raise _unreadable(path)
        self._stacked = self._of_all()
        shape = self._shape(self._stacked or self._arrays[0])
        self.shape = _vectors_and_dim(shape[1:] if self._stacked else shape, path)

    def rows(self) -> NamedVectors:
        if self._stacked is None:
            for name in self._arrays:
                yield name, _rows(self._array(name))
            return
        names = self._names()
        with self._npz.zip.open(f"{self._stacked}.npy") as file:
            shape, fortran, kind = _header(file)
            if len(names) != shape[0]:
                raise BadInput(
                    f"there are {shape[0]:,} rows of vectors and {len(names):,} names", where=self._table or self._path
                )
            if fortran or kind.hasobject:
                for name, vectors in zip(names, self._array(self._stacked), strict=True):
                    yield name, _rows(vectors)
                return
            size = math.prod(shape[1:]) * kind.itemsize
            for name in names:
                data = file.read(size)
                if len(data) < size:
                    raise _unreadable(self._path)
                yield name, _rows(np.frombuffer(data, kind).reshape(shape[1:]))

    def _of_all(self) -> str | None:
        """Return the name of the array that holds all films; None where each film has its own."""
        known = next((name for name in _VECTORS if name in self._arrays), None)
        if known and any(name in self._arrays for name in _NAMES):
            return known
        if len(self._arrays) > 2:
            return None
        shapes = {name: self._shape(name) for name in self._arrays}
        labels = [name for name in self._arrays if name in _NAMES and len(shapes[name]) <= 2]
        big = [name for name in self._arrays if name not in labels]
        if len(big) != 1:
            return None
        shape = shapes[big[0]]
        if labels:
            return big[0] if len(shape) >= 2 and shape[0] == math.prod(shapes[labels[0]]) else None
        # A single film may come as (1, 32, D) under its own name.
        return big[0] if (len(shape) >= 3 and shape[0] > 1) or self._table else None

    def _names(self) -> list[str]:
        if self._table is not None:
            return _names_of(self._table)
        order = sorted(_NAMES, key=lambda name: name != "names")  # beside `ids` of the archive that wrote it
        other = next((name for name in order if name in self._arrays), None)
        if other is None:
            raise _nameless(self._path)
        return [str(name) for name in self._array(other).ravel().tolist()]

    def _shape(self, name: str) -> tuple[int, ...]:
        try:
            with self._npz.zip.open(f"{name}.npy") as file:
                return _header(file)[0]
        except (KeyError, *_DAMAGE):
            raise _unreadable(self._path) from None

    def _array(self, name: str) -> NDArray[Any]:
        try:
            array: NDArray[Any] = self._npz[name]
        except ValueError as fault:
            if "pickle" in str(fault).lower():
                raise BadInput(
                    f"the array {name[:80]} holds pickled objects, which are code and are not loaded",
                    where=self._path,
                    fix="Save numbers and names alone.",
                ) from None
            raise _unreadable(self._path) from None
        except _DAMAGE:
            raise _unreadable(self._path) from None
        return array


class ParquetVectors:
    """A column of names (`name`, `film`, `path`, ...) and one of vectors, lists of numbers or lists of such lists."""

    def __init__(self, path: Path) -> None:
        try:
            from pyarrow import ArrowException, parquet
        except ImportError:
            raise MissingExtra("Reading Parquet", extra="parquet") from None
        self._path = path
        try:
            self._file = parquet.ParquetFile(path)
            schema = self._file.schema_arrow
        except (ArrowException, OSError):
            raise _unreadable(path) from None
        facts = {key.decode("utf-8", "replace"): value.decode() for key, value in (schema.metadata or {}).items()}
        self.facts = Facts(facts.get("model", ""), facts["has_text"] == "true" if "has_text" in facts else None)
        self._name = next((name for name in ("name", "film", *_NAMES, "path", "file") if name in schema.names), None)
        self._vector = next((name for name in _VECTORS if name in schema.names), None)
        if self._name is None or self._vector is None:
            raise BadInput(
                "it has no column of names, or none of vectors", where=path, fix="Call them `name` and `vector`."
            )
        first = next(self.rows(), None)
        if first is None:
            raise BadInput("it holds no vector", where=path)
        self.shape = _vectors_and_dim(first[1].shape, path)

    def rows(self) -> NamedVectors:
        for batch in self._file.iter_batches(_BLOCK, columns=[self._name, self._vector]):
            for row in batch.to_pylist():
                try:
                    yield str(row[self._name]), _rows(np.asarray(row[self._vector], np.float32))
                except ValueError:  # lists of several lengths
                    raise _unreadable(self._path) from None


@dataclass(frozen=True)
class _Tensor:
    kind: str
    shape: tuple[int, ...]
    start: int


class TensorVectors:
    """A safetensors file: a tensor of all vectors, and one of names as rows of UTF-8 filled up with zeros."""

    def __init__(self, path: Path, table: Path | None) -> None:
        self._path = path
        self._table = table
        kinds = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
        try:
            with path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
                header: dict[str, Any] = json.loads(file.read(size))
            facts = header.pop("__metadata__", {})
            tensors = {
                name: _Tensor(entry["dtype"], tuple(entry["shape"]), 8 + size + int(entry["data_offsets"][0]))
                for name, entry in header.items()
            }
            if 8 + size + max(int(entry["data_offsets"][1]) for entry in header.values()) > path.stat().st_size:
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise _unreadable(path) from None
        self.facts = Facts(str(facts.get("model", "")), facts["has_text"] == "true" if "has_text" in facts else None)
        big = [name for name, tensor in tensors.items() if tensor.kind in kinds and len(tensor.shape) >= 2]
        if len(big) != 1:
            raise BadInput("it does not hold one tensor of vectors", where=path, fix="Call it `vectors`.")
        self._vectors = tensors[big[0]]
        self._dtype = np.dtype(kinds[self._vectors.kind])
        names = tensors.get("names")
        self._names = names if names and names.kind == "U8" and len(names.shape) == 2 else None
        if self._names is None and table is None:
            raise _nameless(path)
        self.shape = _vectors_and_dim(self._vectors.shape[1:], path)

    def rows(self) -> NamedVectors:
        names = self._read_names()
        count = self._vectors.shape[0]
        if len(names) != count:
            raise BadInput(
                f"there are {count:,} rows of vectors and {len(names):,} names", where=self._table or self._path
            )
        with self._path.open("rb") as file:
            file.seek(self._vectors.start)
            size = math.prod(self._vectors.shape[1:])
            for name in names:
                numbers = np.fromfile(file, self._dtype, size)
                if numbers.size < size:
                    raise _unreadable(self._path)
                yield name, _rows(numbers.reshape(self._vectors.shape[1:]))

    def _read_names(self) -> list[str]:
        if self._table is not None or self._names is None:
            return _names_of(self._table) if self._table else []
        count, width = self._names.shape
        with self._path.open("rb") as file:
            file.seek(self._names.start)
            data = file.read(count * width)
        return [data[at : at + width].rstrip(b"\0").decode("utf-8", "replace") for at in range(0, len(data), width)]


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    form = np.lib.format
    read = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}.get(form.read_magic(file))
    if read is None:
        raise ValueError
    shape, fortran, kind = read(file)
    return shape, fortran, kind


def _rows(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Shape any array of one film as (T, D)."""
    return np.asarray(vectors, np.float32).reshape(-1, vectors.shape[-1] if vectors.ndim else 1)


def _vectors_and_dim(shape: tuple[int, ...], path: Path) -> tuple[int, int]:
    if not shape or not all(shape):
        raise BadInput(f"its arrays have the shape {shape}, which holds no vector a film", where=path)
    return math.prod(shape[:-1]), shape[-1]


def _names_of(table: Path) -> list[str]:
    listed = read_table(table)
    column = listed.need("film", "image", "image_id", "file", "path")
    return [row.get(column) for row in listed]


def _nameless(path: Path) -> BadInput:
    return BadInput(
        "it does not say which film each row is",
        where=path,
        fix="Give a table with a column film, in the same order: --films TABLE.csv",
    )


def _unreadable(path: Path) -> BadInput:
    return BadInput(
        "this is not an NPZ file (nor Parquet or safetensors) of vectors, or it is damaged",
        where=path,
        fix="numpy.savez writes an NPZ.",
    )
