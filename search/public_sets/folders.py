"""Read sets whose films lie in a folder for each class: chest_xray/train/PNEUMONIA/x.jpeg (Kermany, COVID-QU)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filmroom.db.errors import BadInput
from filmroom.db.reads.films import full_path
from filmroom.db.records import Film

FOLDERS = "folders"
MOST_CLASSES = 100
_SPLITS = {*(["train", "training", "val", "valid", "validate", "validation", "dev", "test", "testing"])}
_NO_CLASS = {
    *_SPLITS,
    "image",
    "images",
    "img",
    "imgs",
    "data",
    "dataset",
    "files",
    "png",
    "jpg",
    "jpeg",
    "dicom",
    "dcm",
}


@dataclass(frozen=True)
class Foldered:
    """A film below a folder: the name of its class, "" where there is none, and its part of a split."""

    film: Film
    label: str
    split: str


def read_folders(folders: Sequence[Path], films: Iterable[Film]) -> list[Foldered]:
    """Return the class of every film below the folders: the nearest folder above it that is no split and no `images`,
    or the folder given where all its films lie in it. Masks have none.

    Raises BadInput where no film lies there, or the folders are too many to be classes.
    """
    everyone = list(films)
    foldered = [film for folder in folders for film in _below(folder, everyone)]
    classes = {film.label for film in foldered if film.label}
    if len(classes) > MOST_CLASSES or not classes:
        raise BadInput(
            f"there are {len(classes):,} folders that could be classes" if classes else "no folder is that of a class",
            where=folders[0],
            fix="Name the folder that holds one folder for each class.",
        )
    return foldered


def split_of(folders: Iterable[str]) -> str:
    """Return the part of a split that the folders of a path name; "" where none does."""
    return next((name.lower() for name in folders if name.lower() in _SPLITS), "")


def _below(folder: Path, films: Iterable[Film]) -> Iterator[Foldered]:
    top = folder.resolve()
    below = [(film, path.relative_to(top)) for film in films if (path := full_path(film)).is_relative_to(top)]
    if not below:
        raise BadInput("no film of the archive lies in this folder", where=folder, fix="Index it first.")
    flat = all(len(path.parts) == 1 for _, path in below)
    for film, path in below:
        above = [top.name] if flat else list(path.parts[:-1])
        masked = any("mask" in name.lower() for name in above)
        classes = [] if masked else [name for name in above if name.lower() not in _NO_CLASS]
        label = " ".join(classes[-1].replace("_", " ").split()).lower() if classes else ""
        yield Foldered(film, label, split_of([top.name, *path.parts[:-1]]))
