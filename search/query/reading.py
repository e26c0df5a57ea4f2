"""Say how a query was read: what it ranks by and against, what it leaves open, and which of its words could filter."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from filmroom.db.records import Filter, Range
from filmroom.indexer.radiology.abbreviations import spell_out
from filmroom.search.query.parser import Concept, Query, to_text

_SEXES = (
    (re.compile(r"(?<!\S)(?:women|woman|females?|ladies|girls?)(?:\s+patients?)?(?![^\s,;.])", re.I), "F"),
    (re.compile(r"(?<!\S)(?:men|man|males?|boys?)(?:\s+patients?)?(?![^\s,;.])", re.I), "M"),
)
_WHO = r"(?<!\S)(?P<who>(?:women|woman|females?|men|man|males?|patients?|adults?|children|girls?|boys?)\s+)?"
_AGED = r"(?P<aged>aged?\s+|at\s+)?"
_YEARS = r"(?P<years>\s+years?(?:\s+(?:old|of age))?)?(?![^\s,;.])"
_AGES = (
    (re.compile(rf"{_WHO}{_AGED}(?P<than>over|above|older than)\s+(?P<low>\d{{1,3}}){_YEARS}", re.I), (1, None)),
    (re.compile(rf"{_WHO}{_AGED}(?P<than>under|below|younger than)\s+(?P<low>\d{{1,3}}){_YEARS}", re.I), (None, -1)),
    (
        re.compile(
            rf"{_WHO}(?P<than>aged)\s+(?P<low>\d{{1,3}})(?:\s*(?:to|-|and)\s*(?P<high>\d{{1,3}}))?{_YEARS}", re.I
        ),
        (0, 0),
    ),
)
_YEAR = re.compile(r"(?<!\S)(?:in|from|of)\s+((?:19|20)\d\d)(?!\S)", re.I)
_VIEW = re.compile(r"(?<!\S)(?:(pa|ap)|(lateral))\s+(?:views?|films?|projections?|radiographs?|x-rays?)(?!\S)", re.I)
_JOINING = r"(?:in|of|for|with|and|patients?)"
_LEFT_OVER = re.compile(rf"^(?:[\s,]*{_JOINING}(?=\s|$))+[\s,]*|(?:(?:^|[\s,]+){_JOINING})+[\s,]*$", re.I)


@dataclass(frozen=True)
class Reading:
    """How the words of a query were read.

    `doubted` ranks as if it were sure. `spelled_out` pairs an abbreviation with what it was read as; `unknown` are
    words in capitals that stand in no table. `as_filter` is the query with those words turned to fields that could be.
    """

    ranked_by: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    doubted: tuple[str, ...] = ()
    spelled_out: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()
    as_filter: str = ""

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is to be said of it: nothing where the words were taken as they stand."""
        said = []
        if self.against or self.doubted:
            parts = [f"by: {', '.join(self.ranked_by)}"] if self.ranked_by else []
            parts += [f"against: {', '.join(self.against)}"] if self.against else []
            parts += [f"not sure, but ranked: {', '.join(self.doubted)}"] if self.doubted else []
            said.append(f"Ranked {'; '.join(parts)}.")
        said += [f"{short} is read as {long}." for short, long in self.spelled_out]
        if self.unknown:
            which = "an abbreviation that is" if len(self.unknown) == 1 else "abbreviations that are"
            said.append(f"{', '.join(self.unknown)}: {which} not known here; write it out.")
        if self.as_filter:
            said.append(f"Some of these words can filter instead of rank: {self.as_filter}")
        return tuple(said)


def read(query: Query) -> Reading:
    """Tell how `query` is read; the work of a few regular expressions."""
    spelled = [spell_out(concept.text) for concept in query.concepts]
    return Reading(
        query.positive,
        query.negated,
        query.doubted,
        tuple(dict.fromkeys(pair for one in spelled for pair in one.read)),
        tuple(dict.fromkeys(word for one in spelled for word in one.unknown)),
        as_filter(query),
    )


def as_filter(query: Query) -> str:
    """Write the query with "women over 60" as `sex:F age:61..`; empty where no word could filter.

    A field that the query filters by already is left alone.
    """
    words = " ".join(query.positive)
    changes: dict[str, object] = {}
    have = query.filter
    age, words = _age(words) if have.age == Range() else (Range(), words)
    if age != Range():
        changes["age"] = age
    for pattern, sex in _SEXES:
        if not have.sexes and "sexes" not in changes and (found := pattern.search(words)):
            words, changes["sexes"] = _without(words, found), (sex,)
    if have.year == Range() and (found := _YEAR.search(words)):
        year = int(found[1])
        words, changes["year"] = _without(words, found), Range(year, year)
    if not have.views and (found := _VIEW.search(words)):
        words, changes["views"] = _without(words, found), ("LATERAL" if found[2] else found[1].upper(),)
    if not changes:
        return ""
    words = re.sub(r"\s*,(?:\s*,)+", ",", _LEFT_OVER.sub("", words)).strip(" ,")
    positive = (Concept(words),) if words else ()
    concepts = (*positive, *(concept for concept in query.concepts if concept.negated))
    merged: Filter = replace(have, **changes)  # type: ignore[arg-type]
    return to_text(replace(query, concepts=concepts, filter=merged))


def _age(text: str) -> tuple[Range, str]:
    age, words = Range(), text
    for pattern, (low, high) in _AGES:
        found = pattern.search(words)
        if not found or not (found["who"] or found["years"] or "than" in found["than"] or "aged" in found[0].lower()):
            continue  # "a mass over 3 cm"
        number = int(found["low"])
        if low == 0:
            last = int(found["high"] or number)
            age = Range(min(number, last), max(number, last))
        else:
            age = Range(age.low if low is None else number + low, age.high if high is None else number + high)
        words = _without(words, found, keep=found["who"] or "")
    if age.low is not None and age.high is not None and age.low > age.high:
        return Range(), text
    return age, words


def _without(words: str, found: re.Match[str], *, keep: str = "") -> str:
    return " ".join(f"{words[: found.start()]} {keep} {words[found.end() :]}".split())
