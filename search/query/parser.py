"""Parse the query language: what is typed in a search box, as concepts to rank by and a filter, and back again.

    pleural effusion view:AP sex:F age:60..80 year:2019.. label:edema -pacemaker "exact report words"

Bare words describe the film. `-term`, `-"several words"` and negations in words ("without effusion") are
concepts that count against a film. `field:value` filters; a comma, or the field again, gives alternatives;
`-` before a field excludes. `view:(PA OR AP)` is `view:PA,AP`, and `(label:edema OR view:AP)` lets either pass. Quoted
words must occur in the report.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache

from filmroom.db.errors import BadInput
from filmroom.db.records import Filter
from filmroom.indexer.radiology.abbreviations import signs_as_words
from filmroom.indexer.radiology.assertion import plain_assertions
from filmroom.indexer.radiology.negation import normal_film_apart, split_negations
from filmroom.search.query.fields import FIELDS, filter_terms, filtered, phrase_filter, settled, tokens
from filmroom.search.query.groups import bracketed_values, plain_operators, taken_groups
from filmroom.search.query.quoting import MARK, QUOTED, TYPOGRAPHIC, plain, quote, restored
from filmroom.search.query.slips import told, without_slips

MAX_CHARACTERS = 10_000
MAX_CONCEPTS = 32


_JOINS = ("OR", "or", "and", "-", *"\u2010\u2011\u2012\u2013\u2014\u2015")
# A quote or a field, of which no sign is read in words ("tag:HER2+"), or what stands between them.
_APART = rf'-?{QUOTED}|(?<!\w)-?(?i:{"|".join(FIELDS)}):(?:{QUOTED}|[^\s"])+'
_PART = re.compile(rf'(?P<apart>{_APART})|(?:(?!{_APART})[^"])+')
_EXCLUDES = re.compile(rf"(?<!\S)\(-\)\s+(?=(?i:{'|'.join(FIELDS)}):)")
# Beside a field or a quote a dash that stands alone only parts them; elsewhere "effusion -" denies.
_LONE_DASH = re.compile(r'(?<!\S)[-\u2010-\u2015]\s+(?=-?"|[A-Za-z_]+:\S|\()')
# What would be read with a field that is written behind it.
_REACHES_ON = re.compile(r"(?<!\S)(?:not|no|without|except(?:\s+for)?|excluding|\(-\)|w/)\s*$", re.I)


_NAMING = re.compile(rf'(?<!\w)((?:study|path):)(?:{QUOTED}|[^\s")])+')


@dataclass(frozen=True)
class Concept:
    """One thing to rank by. A negated one counts against the films that show it."""

    text: str
    negated: bool = False


@dataclass(frozen=True)
class Query:
    """What was asked. `text` is the query as typed and takes no part in comparisons."""

    concepts: tuple[Concept, ...] = ()
    filter: Filter = field(default_factory=Filter)
    text: str = field(default="", compare=False)
    doubted: tuple[str, ...] = field(default=(), compare=False)
    """What the words leave open ("cannot be excluded"): it ranks like what is asked for."""
    unclosed: str = field(default="", compare=False)
    """The words behind a quote that is never closed: they rank, and filter nothing."""
    either: tuple[str, ...] = field(default=(), compare=False)
    """What says nothing of a finding ("with or without atelectasis"), and ranks nothing."""
    slips: tuple[str, ...] = field(default=(), compare=False)
    """A sentence for each sign or operator that joins, closes or excludes nothing."""

    @property
    def positive(self) -> tuple[str, ...]:
        return tuple(concept.text for concept in self.concepts if not concept.negated)

    @property
    def negated(self) -> tuple[str, ...]:
        return tuple(concept.text for concept in self.concepts if concept.negated)

    def __bool__(self) -> bool:
        return bool(self.concepts) or bool(self.filter)


@lru_cache(maxsize=64)  # a page asks for the same text in many places
def parse(text: str) -> Query:
    """Read `text` as a query. Raises BadInput for an unknown field or an unusable value, never for mere words.

    A quote that is never closed is ignored, and told in `unclosed`, other signs that do nothing in `slips`; control
    characters are ignored, too. Bounds are inclusive, and `probe:NAME` alone means at least 0.5. An empty text is an
    empty query.
    """
    where = Filter()
    negated: list[str] = []
    doubted: list[str] = []
    unclosed: list[str] = []
    either: list[str] = []
    slips: list[str] = []
    rest, before = without_slips(settled(_readable(text), unclosed), slips), None  # of what was typed slips are told
    while rest != before:  # what remains when something is taken out may itself read as an operator
        before, rest = rest, without_slips(settled(rest, unclosed), [])
        rest = _with_signs_read(rest)
        rest, groups = taken_groups(bracketed_values(plain_operators(rest)))
        where = replace(where, any_of=tuple(dict.fromkeys((*where.any_of, *groups))))
        words: list[str] = []
        for token in tokens(restored(rest)):
            if token["field"]:
                where = filtered(where, token)
            elif token["quoted"]:
                where = phrase_filter(where, token, negated)
            elif token["minus"]:
                negated.append(token["word"].rstrip(",.;:") or token["word"])
            elif not token["bracket"]:
                words.append(token["word"])
        asserted = plain_assertions(_without_joins(words))
        doubted += asserted.doubted
        either += asserted.either
        rest, denied = split_negations(asserted.text)
        negated += denied
        rest = ", ".join(normal_film_apart(rest)).replace(MARK, '"')
    names = dict.fromkeys(name.replace(MARK, '"') for name in negated)
    if len(names) > MAX_CONCEPTS:
        raise BadInput(f"The query excludes {len(names)} things", fix=f"At most {MAX_CONCEPTS} can be weighed")
    return Query(
        (*map(Concept, normal_film_apart(rest)), *(Concept(name, negated=True) for name in names)),
        where,
        text.strip(),
        tuple(dict.fromkeys(doubt.replace(MARK, '"') for doubt in doubted)),
        " ".join(filter(None, unclosed)),
        tuple(dict.fromkeys(words.replace(MARK, '"') for words in either)),
        told(slips, unclosed, rest),
    )


def parse_whole(text: str) -> Query:
    """Read a query or filter by which films are written, sent or counted before anybody sees how it was read. Raises
    BadInput as `parse` does, and where a sign is passed over."""
    query = parse(text)
    if query.slips:
        raise BadInput(f"not every sign is read: {query.slips[0]}", where=text, fix="Write it without.")
    return query


def _readable(text: str) -> str:
    if len(text) > MAX_CHARACTERS:
        raise BadInput(f"The query has {len(text):,} characters", fix=f"At most {MAX_CHARACTERS:,} are read")
    return "".join(char if char.isprintable() else " " for char in text.translate(TYPOGRAPHIC))


def _with_signs_read(text: str) -> str:
    """Write "effusion -" and the like in words, outside of what is quoted and of fields."""
    text = _EXCLUDES.sub("no ", _LONE_DASH.sub("", text))
    return _PART.sub(lambda part: part[0] if part["apart"] else signs_as_words(part[0]), text)


def _without_joins(words: list[str]) -> str:
    """Join the words without those at either end that would join them to something."""
    while words and words[0] in _JOINS:
        del words[0]
    while words and words[-1] in _JOINS:
        del words[-1]
    return " ".join(words)


def to_text(query: Query) -> str:
    """Return the inverse of `parse`: `parse(to_text(q)) == q` for every query that came from `parse`."""
    parts = [", ".join(query.positive)] if query.positive else []
    parts += [f"-{name}" if name.isalpha() and name.lower() != "ve" else f"-{quote(name)}" for name in query.negated]
    fields = filter_terms(query.filter)
    return " ".join((*fields, *parts) if _REACHES_ON.search(" ".join(parts)) else (*parts, *fields))


def term(name: str, value: str) -> str:
    """Return `name:value` as it is to be typed: what has a space is quoted."""
    return f"{name}:{plain(value)}"


def with_filter(text: str, **changes: object) -> str:
    """Return `text` with fields of its Filter replaced: ("edema view:AP", views=("PA",)) gives "edema view:PA"."""
    query = parse(text)
    return to_text(replace(query, filter=replace(query.filter, **changes)))  # type: ignore[arg-type]


def without_names(text: str) -> str:
    """Return `text` for a file that names nobody: the values of `study:` and `path:`, UIDs and file names, are left
    out. Without such fields it is returned as it was typed."""
    plain_text = to_text(parse(text))
    withheld = _NAMING.sub(r"\1...", plain_text)
    return text if withheld == plain_text else withheld


def without_filter(text: str) -> str:
    """Return what ranks alone: the concepts of `text`."""
    return to_text(replace(parse(text), filter=Filter()))
