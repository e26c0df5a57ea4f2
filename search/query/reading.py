"""Say how a query was read: what it ranks by and against, what it leaves open, and which of its words could filter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from filmroom.db.catalog import Catalog
from filmroom.db.reads import fulltext
from filmroom.db.records import Filter, Range
from filmroom.indexer.models.base import KnowsWords
from filmroom.indexer.radiology.abbreviations import spell_out
from filmroom.indexer.radiology.assertion import is_change_alone
from filmroom.indexer.radiology.known_words import meant_by, unfamiliar_words
from filmroom.search.query.parser import Concept, Query, to_text

_SEXES = (
    (re.compile(r"(?<!\S)(?:women|woman|females?|ladies|girls?)(?:\s+patients?)?(?![^\s,;.])", re.I), "F"),
    (re.compile(r"(?<!\S)(?:men|man|males?|boys?)(?:\s+patients?)?(?![^\s,;.])", re.I), "M"),
)
_PEOPLE = r"(?:women|woman|females?|men|man|males?|patients?|adults?|people|girls?|boys?)"
_WHO = rf"(?<!\S)(?P<who>{_PEOPLE}\s+)"
_AGED = r"(?:aged?\s+|at\s+|of\s+|who\s+are\s+)?"
_YEARS = r"(?:\s+(?:years?|yrs?|y/?o)(?:\s+(?:old|of\s+age))?|-years?-olds?|\s+years?-olds?)"
_END = r"(?![^\s,;.])"
_OLDER = r"(?:over|above|older\s+than|more\s+than|>)"
_YOUNGER = r"(?:under|below|younger\s+than|less\s+than|<)"
_TO = r"\s*(?:to|and|-|\u2013)\s*"
_PERSON = rf"(?:{_WHO}{_AGED}|(?<!\S)(?P<aged>aged?)\s+)"


def _ages(pattern: str) -> tuple[re.Pattern[str], ...]:
    """Return the patterns beside a person, or with years behind: "a mass over 3 cm" is no age."""
    return (
        re.compile(rf"{_PERSON}{pattern}{_YEARS}?{_END}", re.I),
        re.compile(rf"(?<!\S){pattern}{_YEARS}{_END}", re.I),
    )


_AGES: tuple[tuple[tuple[re.Pattern[str], ...], tuple[int | None, int | None]], ...] = (
    (_ages(rf"(?:between\s+)?(?P<low>\d{{1,3}}){_TO}(?P<high>\d{{1,3}})"), (0, 0)),
    (_ages(rf"{_OLDER}\s*(?P<low>\d{{1,3}})"), (1, None)),
    (_ages(r"(?:at\s+least|>=|\u2265)\s*(?P<low>\d{1,3})"), (0, None)),
    (_ages(r"(?P<low>\d{1,3})(?:\s*\+|\s+(?:and|or)\s+(?:over|older|above|more))"), (0, None)),
    (_ages(rf"{_YOUNGER}\s*(?P<high>\d{{1,3}})"), (None, -1)),
    ((re.compile(rf"(?<!\S)(?P<low>\d{{1,3}})\s*\+(?=\s+{_PEOPLE}{_END})", re.I),), (0, None)),
    ((re.compile(rf"(?<!\S)older\s+than\s+(?P<low>\d{{1,3}}){_YEARS}?{_END}", re.I),), (1, None)),
    ((re.compile(rf"(?<!\S)younger\s+than\s+(?P<high>\d{{1,3}}){_YEARS}?{_END}", re.I),), (None, -1)),
    (
        (
            re.compile(rf"(?:{_WHO})?(?<!\S)aged\s+(?P<low>\d{{1,3}}){_YEARS}?{_END}", re.I),
            re.compile(rf"(?<!\S)(?P<low>\d{{1,3}})(?:-|\s+)years?(?:-|\s+)olds?{_END}", re.I),
        ),
        (0, 0),
    ),
    ((re.compile(rf"(?<!\S)(?:children|child|paediatric|pediatric)(?:\s+patients?)?{_END}", re.I),), (None, 17)),
)
_YEARS_OF = (
    (re.compile(rf"(?<!\S)(?:from|between)\s+((?:19|20)\d\d){_TO}((?:19|20)\d\d){_END}", re.I), (0, 0)),
    (re.compile(rf"(?<!\S)(?:since|from)\s+((?:19|20)\d\d)\s+on(?:wards?)?{_END}", re.I), (0, None)),
    (re.compile(rf"(?<!\S)since\s+((?:19|20)\d\d){_END}", re.I), (0, None)),
    (re.compile(rf"(?<!\S)after\s+((?:19|20)\d\d){_END}", re.I), (1, None)),
    (re.compile(rf"(?<!\S)before\s+((?:19|20)\d\d){_END}", re.I), (None, -1)),
    (re.compile(rf"(?<!\S)(?:in|from|of)\s+((?:19|20)\d\d){_END}", re.I), (0, 0)),
)
_VIEW = re.compile(
    r"(?<!\S)(?:(pa|ap)|(lateral))\s+(?:chest\s+)?(?:views?|films?|projections?|radiographs?|x-rays?)(?!\S)", re.I
)
_JOINING = r"(?:in|of|for|with|and|patients?)"
_LEFT_OVER = re.compile(rf"^(?:[\s,]*{_JOINING}(?=\s|$))+[\s,]*|(?:(?:^|[\s,]+){_JOINING})+[\s,]*$", re.I)


@dataclass(frozen=True)
class Reading:
    """How the words of a query were read.

    `doubted` ranks as if it were sure. `spelled_out` pairs an abbreviation with what it was read as; `unknown` are
    words in capitals that stand in no table, `unfamiliar` ones that neither the model nor a report knows, `suggested`
    pairs of these with the words that they may be slips of. `changes` are parts that say how a film differs from an
    earlier one, `unclosed` the words behind a quote that is never closed, `either` what says nothing of a finding
    ("with or without atelectasis"), `slips` sentences on signs and operators that join, close or exclude nothing.
    `as_filter` is the query with those words turned to fields that could be.
    """

    ranked_by: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    doubted: tuple[str, ...] = ()
    spelled_out: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()
    unfamiliar: tuple[str, ...] = ()
    as_filter: str = ""
    changes: tuple[str, ...] = ()
    unclosed: str = ""
    either: tuple[str, ...] = ()
    slips: tuple[str, ...] = ()
    suggested: tuple[tuple[str, str], ...] = ()

    @property
    def unknown_words(self) -> tuple[str, ...]:
        """What is to be said of words that nobody knows here."""
        sentences = []
        if self.unknown:
            which = "an abbreviation that is" if len(self.unknown) == 1 else "abbreviations that are"
            sentences.append(f"{', '.join(self.unknown)}: {which} not known here; write it out.")
        if self.unfamiliar:
            which = "a word that" if len(self.unfamiliar) == 1 else "words that"
            meant = f" Did you mean {' and '.join(word for _, word in self.suggested)}?" if self.suggested else ""
            sentences.append(
                f"{', '.join(self.unfamiliar)}: {which} neither the model nor any report here knows.{meant}"
            )
        return tuple(sentences)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is to be said of it: nothing where the words were taken as they stand."""
        sentences = []
        if self.against or self.doubted or len(self.ranked_by) > 1:
            doubts = ", ".join(self.doubted)
            all_doubted = bool(doubts) and doubts == ", ".join(self.ranked_by)
            ranked = f"{doubts} (not sure)" if all_doubted else " and ".join(self.ranked_by)
            parts = [f"by: {ranked}"] if ranked else []
            parts += [f"against: {', '.join(self.against)}"] if self.against else []
            parts += [f"not sure, but ranked: {doubts}"] if doubts and not all_doubted else []
            sentences.append(f"Ranked {'; '.join(parts)}.")
        sentences += [f"{short} is read as {long}." for short, long in self.spelled_out]
        sentences += self.unknown_words
        sentences += [f"{part}: one film alone cannot show it. Name the finding that changed." for part in self.changes]
        sentences += [f"{part}: that says nothing of it, and ranks nothing." for part in self.either]
        if self.unclosed:
            sentences.append(f'The quote before "{self.unclosed}" is not closed: these words rank, and filter nothing.')
        sentences += self.slips
        if self.as_filter:
            sentences.append(f"Some of these words can filter instead of rank: {self.as_filter}")
        return tuple(sentences)


def read(query: Query, towers: object = None, catalog: Catalog | None = None) -> Reading:
    """Tell how `query` is read; the work of a few regular expressions.

    Of towers that know their words, the reading names those that neither they nor the reports of `catalog` hold.
    """
    spelled = [spell_out(concept.text) for concept in query.concepts]
    unknown = tuple(dict.fromkeys(word for wording in spelled for word in wording.unknown))
    words = towers.known_words() if query.concepts and isinstance(towers, KnowsWords) else frozenset()
    strange = unfamiliar_words((wording.text for wording in spelled), words) if words else ()
    unfamiliar = tuple(
        word for word in strange if word not in unknown and not (catalog and fulltext.holds(catalog, word))
    )
    suggested = ((word, meant_by(word)) for word in unfamiliar)
    return Reading(
        query.positive,
        query.negated,
        query.doubted,
        tuple(dict.fromkeys(pair for wording in spelled for pair in wording.read)),
        unknown,
        unfamiliar,
        as_filter(query),
        tuple(part for concept in query.positive for part in concept.split(", ") if is_change_alone(part)),
        query.unclosed,
        query.either,
        query.slips,
        tuple((word, meant) for word, meant in suggested if meant),
    )


def unknown_words_in(texts: Sequence[str], towers: object, catalog: Catalog) -> tuple[str, ...]:
    """Return what is to be said of words in these texts that neither the model nor any report here knows."""
    return read(Query(tuple(map(Concept, texts))), towers, catalog).unknown_words


def as_filter(query: Query) -> str:
    """Write the query with "women over 60" as `sex:F age:61..`; empty where no word could filter.

    A field that the query filters by already is left alone.
    """
    words = ", ".join(query.positive)
    changes: dict[str, object] = {}
    where = query.filter
    age, words = _age(words) if where.age == Range() else (Range(), words)
    if age != Range():
        changes["age"] = age
    for pattern, sex in _SEXES:
        if not where.sexes and "sexes" not in changes and (match := pattern.search(words)):
            words, changes["sexes"] = _without(words, match), (sex,)
    year, words = _year(words) if where.year == Range() else (Range(), words)
    if year != Range():
        changes["year"] = year
    if not where.views and (match := _VIEW.search(words)):
        words, changes["views"] = _without(words, match), ("LATERAL" if match[2] else match[1].upper(),)
    if not changes:
        return ""
    words = re.sub(r"\s*,(?:\s*,)+", ",", _LEFT_OVER.sub("", words)).strip(" ,")
    positive = (Concept(words),) if words else ()
    concepts = (*positive, *(concept for concept in query.concepts if concept.negated))
    merged: Filter = replace(where, **changes)  # type: ignore[arg-type]
    return to_text(replace(query, concepts=concepts, filter=merged))


def _age(text: str) -> tuple[Range, str]:
    age, words = Range(), text
    for patterns, (low, high) in _AGES:
        matches = (pattern.search(words) for pattern in patterns)
        match = next(filter(None, matches), None)
        if match is None:
            continue
        numbers = match.groupdict()
        first = None if numbers.get("low") is None else int(numbers["low"])
        last = first if numbers.get("high") is None else int(numbers["high"])
        least = age.low if low is None else (0 if first is None else first) + low
        most = age.high if high is None else high if last is None else last + high
        age = Range(least, most)
        words = _without(words, match, keep=numbers.get("who") or "")
    if age.low is not None and age.high is not None and age.low > age.high:
        return Range(), text
    return age, words


def _year(text: str) -> tuple[Range, str]:
    for pattern, (low, high) in _YEARS_OF:
        if match := pattern.search(text):
            first, last = int(match[1]), int(match[match.re.groups])
            return Range(None if low is None else first + low, None if high is None else last + high), _without(
                text, match
            )
    return Range(), text


def _without(words: str, match: re.Match[str], *, keep: str = "") -> str:
    return " ".join(f"{words[: match.start()]} {keep} {words[match.end() :]}".split())
