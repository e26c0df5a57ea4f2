"""Write words from files and queries on a page: as they are, never as markup."""

from __future__ import annotations

import re

from filmroom.db.records import Film, Tags
from filmroom.indexer.radiology.vocabulary import NORMAL, finding_of
from filmroom.search.cli import counting

NOTICE = "Research use only, not for diagnosis"
_THIN = "\N{NARROW NO-BREAK SPACE}"

# Everything that Streamlit's Markdown reads: emphasis, links, HTML, directives (:red[...]), shortcodes, formulas.
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:$&\"'/@=^])")
_LINE_BREAKS = re.compile(r"\s+")


def is_normal(label: str) -> bool:
    """Tell whether a label says that there is nothing: no finding to look for, and nothing of which a film can lack."""
    return finding_of(label) == NORMAL


def plain(text: str) -> str:
    """Return `text` escaped for a Markdown label or paragraph, on one line: what is read is what was written. Bytes of
    a file name that are no UTF-8, which no browser takes, are spelled out."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return _SPECIAL.sub(r"\\\1", _LINE_BREAKS.sub(" ", text).strip())


def facts(tags: Tags) -> str:
    """Return view, sex, age and year on one line, as far as they are known."""
    person = " ".join(part for part in (tags.sex, None if tags.age is None else f"{tags.age} y") if part)
    parts = (tags.view or tags.modality, person, None if tags.year is None else str(tags.year))
    return " · ".join(part for part in parts if part) or "No facts"


def findings(film: Film) -> str:
    """Return the labels that are present, by name, on one line."""
    return ", ".join(dict.fromkeys(label.name for label in film.labels if label.value >= 0.5))


def spoken(film: Film) -> str:
    """Return the film in words, for those who do not see it."""
    labels = findings(film)
    return f"Film {film.id}: {facts(film.tags).replace(' · ', ', ')}" + (f"; labels {labels}" if labels else "")


def number(count: int) -> str:
    """Write a number with thin spaces between the thousands."""
    return counting.number(count, thousands=_THIN)


def counted(count: int, singular: str, many: str | None = None) -> str:
    """Return `1 film`, `2 000 films`; `many` where it is not `one` with an s."""
    return counting.counted(count, singular, many, thousands=_THIN)


def films(count: int) -> str:
    return counted(count, "film")
