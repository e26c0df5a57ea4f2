"""The query language: what is typed in a search box, as concepts to rank by and a filter, and back again.

    pleural effusion view:AP sex:F age:60..80 year:2019.. label:edema -pacemaker "exact report words"

Bare words describe the film. `-term`, `-"several words"` and negations in words ("without effusion") are
concepts that count against a film. `field:value` filters; a comma, or the field again, gives alternatives;
`-` before view, label, patient, report and has excludes. Quoted words must occur in the report.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from filmroom.db.errors import BadInput
from filmroom.db.records import Filter, Range, ScoreFilter
from filmroom.indexer.radiology.assertion import plain_assertions
from filmroom.indexer.radiology.negation import split_negations

MAX_CHARACTERS = 10_000
MAX_CONCEPTS = 32
_OLDEST = 89  # the archive keeps every higher age as 89 (privacy)

_QUOTED = r'"(?:[^"]|"")*"'
_TOKEN = re.compile(
    rf'(?P<minus>-(?="|[^\W\d_]))?'
    rf'(?:(?P<field>[A-Za-z_]+):(?P<value>(?!//)(?:{_QUOTED}|[^\s"])+)|(?P<quoted>{_QUOTED})|(?P<word>\S+))'
)
_ITEM = re.compile(rf'(?P<quoted>{_QUOTED})|[^,"]+')
_SCORE = re.compile(rf'(?P<name>{_QUOTED}|[^<>="]+)(?:(?P<sign>[<>]=?|=)(?P<value>.*))?')
_TYPOGRAPHIC = str.maketrans({"“": '"', "”": '"', "„": '"', "‟": '"', "\N{MINUS SIGN}": "-"})
# Word, macOS and iOS write these for a minus while one types; within words and between them they are what they are.
_DASH = re.compile(rf'{_QUOTED}|(?<!\S)[\u2010-\u2015\ufe58\ufe63\uff0d](?=["]|[^\W\d_])')
_SEXES = {"F": "F", "FEMALE": "F", "WOMAN": "F", "M": "M", "MALE": "M", "MAN": "M", "O": "O", "OTHER": "O"}


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

    @property
    def positive(self) -> tuple[str, ...]:
        return tuple(concept.text for concept in self.concepts if not concept.negated)

    @property
    def negated(self) -> tuple[str, ...]:
        return tuple(concept.text for concept in self.concepts if concept.negated)

    def __bool__(self) -> bool:
        return bool(self.concepts) or bool(self.filter)


@dataclass(frozen=True)
class _Field:
    """How one `field:` is read, written and excluded."""

    name: str
    example: str
    attribute: str
    excluded: str | None = None
    clean: Callable[[str], str] = str


def _upper(value: str) -> str:
    return value.upper()


def _sex(value: str) -> str:
    if value.upper() not in _SEXES:
        raise BadInput("Not a sex", where=f"sex:{value}", fix="Write sex:F, sex:M or sex:O")
    return _SEXES[value.upper()]


_LISTS = (
    _Field("view", "view:AP", "views", "not_views", _upper),
    _Field("sex", "sex:F", "sexes", None, _sex),
    _Field("label", "label:edema", "labels", "not_labels"),
    _Field("modality", "modality:DX", "modalities", None, _upper),
    _Field("body", "body:CHEST", "body_parts", None, _upper),
    _Field("tag", "tag:seen", "tags"),
    _Field("collection", 'collection:"my cohort"', "collections"),
    _Field("study", "study:1.2.840.1", "studies"),
    _Field("patient", "patient:3fa1", "patients", "not_patients"),
    _Field("path", "path:2019/ward", "paths"),
    _Field("report", 'report:"exact words"', "phrases", "not_phrases"),
    _Field("finding", 'finding:"left effusion"', "findings"),
)
_RANGES = (_Field("age", "age:60..80", "age"), _Field("year", "year:2019..", "year"))
_HAS = _Field("has", "has:report", "has_report", "has_report")
_THINGS = {"report": "has_report", "burned-in": "burned_in"}
_PROBE = _Field("probe", "probe:NAME>0.8", "scores")
_FIELDS = {known.name: known for known in (*_LISTS, *_RANGES, _HAS, _PROBE)}
FIELDS: dict[str, str] = {known.name: known.example for known in _FIELDS.values()}
"""Every field of the language with an example, for help texts and menus."""


def parse(text: str) -> Query:
    """The query of `text`. Raises BadInput for an unknown field or an unusable value, never for mere words.

    A quote that is never closed is ignored; so are control characters. Bounds are inclusive, and
    `probe:NAME` alone means at least 0.5. An empty text is an empty query.
    """
    if len(text) > MAX_CHARACTERS:
        raise BadInput(f"The query has {len(text):,} characters", fix=f"At most {MAX_CHARACTERS:,} are read")
    rest = "".join(char if char.isprintable() else " " for char in text.translate(_TYPOGRAPHIC))
    rest = _DASH.sub(lambda found: found[0] if found[0].startswith('"') else "-", rest)
    wanted = Filter()
    negated: list[str] = []
    doubted: list[str] = []
    while True:  # what remains after a negation is cut out may itself read as an operator: until nothing changes
        words: list[str] = []
        for token in _tokens(rest):
            if token["field"]:
                wanted = _filtered(wanted, token)
            elif token["quoted"]:
                wanted = _phrase(wanted, token, negated)
            elif token["minus"]:
                negated.append(token["word"].rstrip(",.;:") or token["word"])
            else:
                words.append(token["word"])
        joined = " ".join(words)
        asserted = plain_assertions(joined)
        doubted += asserted.doubted
        rest, said = split_negations(asserted.text)
        negated += said
        if rest == joined:
            break
    names = dict.fromkeys(negated)
    if len(names) > MAX_CONCEPTS:
        raise BadInput(f"The query excludes {len(names)} things", fix=f"At most {MAX_CONCEPTS} can be weighed")
    positive = (Concept(rest),) if rest else ()
    return Query(
        (*positive, *(Concept(name, negated=True) for name in names)),
        wanted,
        text.strip(),
        tuple(dict.fromkeys(doubted)),
    )


def to_text(query: Query) -> str:
    """The inverse of `parse`: `parse(to_text(q)) == q` for every query that came from `parse`."""
    parts = [*query.positive]
    parts += [f"-{name}" if name.isalpha() else f"-{_quote(name)}" for name in query.negated]
    wanted = query.filter
    for known in _LISTS:
        for attribute, sign in ((known.attribute, ""), (known.excluded, "-")):
            values = getattr(wanted, attribute) if attribute else ()
            if attribute == "phrases":
                parts += [_quote(value) for value in values]
            elif values:
                parts.append(f"{sign}{known.name}:{','.join(_plain(value) for value in values)}")
    for known in _RANGES:
        span: Range = getattr(wanted, known.attribute)
        if span != Range():
            parts.append(f"{known.name}:{_bounds(span)}")
    for thing, attribute in _THINGS.items():
        if (have := getattr(wanted, attribute)) is not None:
            parts.append(f"{'' if have else '-'}has:{thing}")
    for score in wanted.scores:
        name = _plain(score.name)
        low = [f"probe:{name}>{score.low!r}"] if score.low > 0.0 or score.high == 1.0 else []
        parts += low + ([f"probe:{name}<{score.high!r}"] if score.high < 1.0 else [])
    return " ".join(parts)


def term(name: str, value: str) -> str:
    """`name:value` as it is to be typed: what has a space is quoted."""
    return f"{name}:{_plain(value)}"


def with_filter(text: str, **changes: object) -> str:
    """`text` with fields of its Filter replaced: ("edema view:AP", views=("PA",)) gives "edema view:PA"."""
    query = parse(text)
    return to_text(replace(query, filter=replace(query.filter, **changes)))  # type: ignore[arg-type]


def with_term(text: str, term: str) -> str:
    """`text` and one more term, normalised: `with_term("edema", "label:effusion")`."""
    return to_text(parse(f"{text} {term}"))


def without_filter(text: str) -> str:
    """Only what ranks: the concepts of `text`."""
    return to_text(replace(parse(text), filter=Filter()))


def _tokens(text: str) -> Iterator[dict[str, str]]:
    position = 0
    while found := _TOKEN.search(text, position):
        position = found.end()
        groups = {name: value or "" for name, value in found.groupdict().items()}
        word = groups["word"]
        if word.startswith('"'):  # opened and never closed: the quote is dropped, the words are read on
            position = found.start("word") + 1
            continue
        name, colon, value = word.partition(":")
        if colon and (not value or value.startswith('"')) and name.lower() in _FIELDS:
            fault = "The quote is not closed" if value else f"{name}: has no value"
            raise BadInput(fault, where=_shown(word), fix=f"Write it without a space, as in {FIELDS[name.lower()]}")
        yield groups


def _phrase(wanted: Filter, token: dict[str, str], negated: list[str]) -> Filter:
    phrase = _unquote(token["quoted"])
    if not phrase:
        return wanted
    if token["minus"]:
        negated.append(phrase)
        return wanted
    return replace(wanted, phrases=_joined(wanted.phrases, (phrase,)))


def _filtered(wanted: Filter, token: dict[str, str]) -> Filter:
    name, value, minus = token["field"].lower(), token["value"], bool(token["minus"])
    known = _FIELDS.get(name)
    if known is None:
        close = [FIELDS[match] for match in get_close_matches(name, FIELDS, n=2, cutoff=0.6)]
        raise BadInput(
            f"There is no field {name}:",
            where=_shown(f"{token['field']}:{value}"),
            fix=f"Did you mean {' or '.join(close)}?" if close else f"The fields are {', '.join(FIELDS)}",
        )
    if minus and known.excluded is None:
        able = ", ".join(f"-{other.name}:" for other in _FIELDS.values() if other.excluded)
        raise BadInput(f"{name}: cannot be excluded", where=_shown(f"-{name}:{value}"), fix=f"These can: {able}")
    if known is _HAS:
        if value.lower() not in _THINGS:
            said = " and ".join(f"has:{thing}" for thing in _THINGS)
            raise BadInput(f"Only {said} are known", where=_shown(f"has:{value}"))
        return replace(wanted, **{_THINGS[value.lower()]: not minus})  # type: ignore[arg-type]
    if known is _PROBE:
        return replace(wanted, scores=_scores(wanted.scores, value))
    if known in _RANGES:
        span = _within(getattr(wanted, known.attribute), _range(name, value), where=_shown(f"{name}:{value}"))
        return replace(wanted, **{known.attribute: span})  # type: ignore[arg-type]
    attribute = known.excluded if minus and known.excluded else known.attribute
    items = (_unquote(item["quoted"]) if item["quoted"] else item[0].strip() for item in _ITEM.finditer(value))
    values = tuple(known.clean(item) for item in items if item)
    if not values:
        raise BadInput(f"{name}: has no value", where=_shown(f"{name}:{value}"), fix=f"Write it as in {known.example}")
    return replace(wanted, **{attribute: _joined(getattr(wanted, attribute), values)})  # type: ignore[arg-type]


def _joined(have: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(have + more))


def _range(name: str, value: str) -> Range:
    found = re.fullmatch(r"([<>]=?)?([0-9]{1,4})|([0-9]{1,4})?(?:\.\.|-)([0-9]{1,4})?", value)
    if not found or not any(found.groups()[1:]):
        raise BadInput(
            f"Not a range of {name}s",
            where=_shown(f"{name}:{value}"),
            fix=f"Write {FIELDS[name]}, {name}:..N, {name}:N.. or {name}:N, in whole years",
        )
    sign, single, *ends = found.groups()
    low, high = (None if end is None else int(end) for end in ends)
    if single:
        number = int(single)
        step = 0 if sign is None or "=" in sign else 1
        low = None if sign and "<" in sign else number + step
        high = None if sign and ">" in sign else number - step
    if name == "age":
        low, high = (None if end is None else min(end, _OLDEST) for end in (low, high))
    return Range(low, high)


def _within(have: Range, more: Range, *, where: str) -> Range:
    lows = [end for end in (have.low, more.low) if end is not None]
    highs = [end for end in (have.high, more.high) if end is not None]
    span = Range(max(lows, default=None), min(highs, default=None))
    if span.low is not None and span.high is not None and span.low > span.high:
        raise BadInput("The range is empty", where=where, fix="Put the lower end first")
    return span


def _scores(have: tuple[ScoreFilter, ...], value: str) -> tuple[ScoreFilter, ...]:
    found = _SCORE.fullmatch(value)
    name = "" if not found else _unquote(found["name"]) if found["name"][0] == '"' else found["name"]
    try:
        bound = float(found["value"]) if found and found["sign"] else 0.5
    except ValueError:
        bound = -1.0
    if not found or not name or not 0.0 <= bound <= 1.0:
        raise BadInput("Not a probe score", where=_shown(f"probe:{value}"), fix=f"Write {_PROBE.example}, from 0 to 1")
    sign = found["sign"] or ">"
    old = next((score for score in have if score.name == name), ScoreFilter(name))
    low = max(old.low, bound) if sign[0] in ">=" else old.low
    high = min(old.high, bound) if sign[0] in "<=" else old.high
    if low > high:
        raise BadInput("The range is empty", where=_shown(f"probe:{value}"))
    return (*(score for score in have if score.name != name), ScoreFilter(name, low, high))


def _unquote(quoted: str) -> str:
    return " ".join(quoted[1:-1].replace('""', '"').split())


def _quote(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def _plain(value: str) -> str:
    return value if re.fullmatch(r"[^\s,\"<>=]+", value) else _quote(value)


def _bounds(span: Range) -> str:
    if span.low == span.high:
        return str(span.low)
    return f"{'' if span.low is None else span.low}..{'' if span.high is None else span.high}"


def _shown(piece: str) -> str:
    return piece if len(piece) <= 60 else f"{piece[:57]}..."
