"""Find the labels of an archive that a person means; say what there is where none is meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from filmroom.db.catalog import Catalog
from filmroom.db.errors import BadInput
from filmroom.db.reads.film_facts import stated_names
from filmroom.indexer.radiology.abbreviations import spell_out
from filmroom.indexer.radiology.vocabulary import finding_of
from filmroom.search.cli.counting import some_of


def labels_of(catalog: Catalog) -> list[str]:
    """List the labels that people and programs gave, by name; those of probes left out."""
    return stated_names(catalog)


def labels_meant(names: Sequence[str], labels: Collection[str]) -> list[str]:
    """Return the label that each name means, or all. Raises BadInput where a name means none, or there is none."""
    meant = list(dict.fromkeys(_label_meant(name, labels) for name in names)) or sorted(labels)
    unknown = [name for name in meant if name not in labels]
    if unknown or not meant:
        raise no_such_label(unknown, labels)
    return meant


def no_such_label(names: Iterable[str], labels: Collection[str]) -> BadInput:
    """Say that no film bears labels of these names, and which labels films bear."""
    if not labels:
        return BadInput("no film is labelled", fix="Label films: filmroom label FILE, with the columns film and label.")
    return BadInput("there is no label of this name", where=", ".join(names), fix=f"Labels: {some_of(sorted(labels))}")


def _label_meant(name: str, labels: Iterable[str]) -> str:
    """Return the label that means the same: "enlarged heart" is cardiomegaly, PTX pneumothorax."""
    plain = name.strip().lower()
    meant = finding_of(spell_out(name.strip()).text)
    same = sorted(label for label in labels if finding_of(label) == meant)
    return plain if plain in labels or not same else same[0]
