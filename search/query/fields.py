"""Read the fields of the query language: `field:value` into a filter, and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from filmroom.db.errors import BadInput
from filmroom.db.records import Filter, Range, ReportedFinding, ScoreFilter
from filmroom.indexer.radiology.report_labeler import read_report
from filmroom.indexer.radiology.vocabulary import NORMAL
from filmroom.search.query.quoting import MARK, QUOTED, hidden, plain, quote, shown, unquote

_OLDEST = 89  # the archive keeps every higher age as 89 (privacy)
_ITEM = re.compile(rf'(?P<quoted>{QUOTED})|[^,"]+')
_SCORE = re.compile(rf'(?P<name>{QUOTED}|[^<>="]+)(?:(?P<sign>[<>]=?|=)(?P<value>.*))?')
_SEXES = {"F": "F", "FEMALE": "F", "WOMAN": "F", "M": "M", "MALE": "M", "MAN": "M", "O": "O", "OTHER": "O"}


@dataclass(frozen=True)
class _Field:
    """How one `field:` is read, written and excluded."""

    name: str
    example: str
    attribute: str
    clean: Callable[[str], Any] = str

    @property
    def excluded(self) -> str:
        return f"not_{self.attribute}"


def _upper(value: str) -> str:
    return value.upper()


def _sex(value: str) -> str:
    if value.upper() not in _SEXES:
        raise BadInput("Not a sex", where=f"sex:{value}", fix="Write sex:F, sex:M or sex:O")
    return _SEXES[value.upper()]


def _reported(value: str) -> ReportedFinding:
    statements = [statement for statement in read_report(value) if statement.idea != NORMAL]
    if len(statements) != 1 or not statements[0].present:
        raise BadInput(
            "One finding is asked for here" if statements else "Reports are not read for this",
            where=shown(value),
            fix='Write says:effusion, says:"left effusion", denies:effusion; for any words report:"exact words"',
        )
    only = statements[0]
    return ReportedFinding(value, only.idea, only.side, only.severity, tuple(sorted(only.places)))


_LISTS = (
    _Field("view", "view:AP", "views", _upper),
    _Field("sex", "sex:F", "sexes", _sex),
    _Field("label", "label:edema", "labels"),
    _Field("modality", "modality:DX", "modalities", _upper),
    _Field("body", "body:CHEST", "body_parts", _upper),
    _Field("tag", "tag:seen", "tags"),
    _Field("collection", 'collection:"my cohort"', "collections"),
    _Field("study", "study:1.2.840.1", "studies"),
    _Field("patient", "patient:3fa1", "patients"),
    _Field("path", "path:2019/ward", "paths"),
    _Field("split", "split:test", "splits"),
    _Field("report", 'report:"exact words"', "phrases"),
    _Field("says", 'says:"left effusion"', "says", _reported),
    _Field("denies", "denies:pneumothorax", "denies", _reported),
    _Field("finding", 'finding:"left effusion"', "findings"),
)
_RANGES = (_Field("age", "age:60..80", "age"), _Field("year", "year:2019..", "year"))
_HAS = _Field("has", "has:report", "has_report")
_THINGS = {"report": "has_report", "burned-in": "burned_in"}
_PROBE = _Field("probe", "probe:NAME>0.8", "scores")
_FIELDS = {known.name: known for known in (*_LISTS, *_RANGES, _HAS, _PROBE)}
_NOT_EXCLUDED = (*(known.name for known in _RANGES), _PROBE.name)
_OF_CLOSED_SETS = ("view", "sex", "label", "modality", "body", "says", "denies", "split")
FIELDS: dict[str, str] = {known.name: known.example for known in _FIELDS.values()}
"""Every field of the language with an example, for help texts and menus."""
# Word, macOS and iOS write these for a minus while one types, other programs "!"; within words they are what they are.
_MINUS = r"[-!\u2010-\u2015\u207b\u208b\u02d7\u2796\ufe58\ufe63\uff0d]"
_TOKEN = re.compile(
    rf'(?P<minus>{_MINUS}(?="|[^\W\d_]))?'
    rf'(?:(?P<field>[A-Za-z_]+):(?P<value>(?!//)(?:{QUOTED}|[^\s"])+)|(?P<quoted>{QUOTED})|'
    rf"(?P<word>(?P<bracket>\((?={_MINUS}?(?i:{'|'.join(FIELDS)}):))|\S+))"
)
_CLOSE = "Write another behind the value"
_OPEN_BRACKET = re.compile(rf"(?i:{'|'.join(FIELDS)}):\((?:[^()]*[\s,|])?$")


def tokens(text: str, unclosed: list[str] | None = None) -> Iterator[dict[str, str]]:
    """Yield the tokens of a text. Of a quote that is never closed the words are read on, and put into `unclosed`:
    none where nothing stands behind it."""
    position = 0
    while match := _TOKEN.search(text, position):
        position = match.end()
        groups = {name: value or "" for name, value in match.groupdict().items()}
        word = groups["word"]
        if word.startswith('"'):
            position = match.start("word") + 1
            following = text[position:].strip()
            if following and groups["minus"]:
                fix = f"Write -{quote(following)}, or a minus before a word alone"
                raise BadInput("The quote is not closed", where=shown(f'-"{following}'), fix=fix)
            if following and unclosed is not None and (bracket := _OPEN_BRACKET.search(text[: match.start()])):
                raise BadInput("The quote is not closed", where=shown(f'{bracket[0]}"{following}'), fix=_CLOSE)
            if unclosed is not None:
                unclosed.append(following)
            continue
        name, colon, value = word.partition(":")
        if colon and (not value or value.startswith('"')) and name.lower() in _FIELDS:
            fault = "The quote is not closed" if value else "has no value"
            raise BadInput(fault, where=shown(word), fix=f"Write it without a space, as in {FIELDS[name.lower()]}")
        if value.startswith('"') and re.fullmatch(r"[A-Za-z_]+", name):
            raise _no_field(name, value)
        yield groups


def settled(text: str, unclosed: list[str]) -> str:
    """Write a text token by token: a minus as "-", a quote within a word, which opens nothing, as `MARK`, and what is
    quoted `hidden`."""

    def written(token: dict[str, str]) -> str:
        field = f"{token['field']}:{token['value']}" if token["field"] else ""
        text = hidden(field or token["quoted"]) or token["word"].replace('"', MARK)
        return f"{'-' if token['minus'] else ''}{text}{'' if token['bracket'] else ' '}"

    return "".join(map(written, tokens(text, unclosed))).strip()


def phrase_filter(where: Filter, token: dict[str, str], negated: list[str]) -> Filter:
    phrase = unquote(token["quoted"])
    if not phrase:
        return where
    if token["minus"]:
        negated.append(phrase)
        return where
    return replace(where, phrases=_joined(where.phrases, (phrase,)))


def filtered(where: Filter, token: dict[str, str]) -> Filter:
    name, value, minus = token["field"].lower(), token["value"], bool(token["minus"])
    known = _FIELDS.get(name)
    if known is None:
        raise _no_field(token["field"], value)
    if minus and name in _NOT_EXCLUDED:
        fix = "Write probe:NAME<0.5" if known is _PROBE else f"Write {name}:..N or {name}:N.."
        raise BadInput(f"{name}: cannot be excluded", where=shown(f"-{name}:{value}"), fix=fix)
    if known is _HAS:
        if value.lower() not in _THINGS:
            known_things = " and ".join(f"has:{thing_name}" for thing_name in _THINGS)
            raise BadInput(f"Only {known_things} are known", where=shown(f"has:{value}"))
        return replace(where, **{_THINGS[value.lower()]: not minus})  # type: ignore[arg-type]
    if known is _PROBE:
        return replace(where, scores=_scores(where.scores, value))
    if known in _RANGES:
        span = _within(getattr(where, known.attribute), _range(name, value), where=shown(f"{name}:{value}"))
        return replace(where, **{known.attribute: span})  # type: ignore[arg-type]
    if known.name in _OF_CLOSED_SETS:
        value = re.sub(rf"({QUOTED})|[|;]", lambda match: match[1] or ",", value)
        if value[0] in "-!":
            fix = f"Write -{name}:{value[1:]}"
            raise BadInput("A minus stands before the field", where=shown(f"{name}:{value}"), fix=fix)
    attribute = known.excluded if minus else known.attribute
    items = (unquote(item["quoted"]) if item["quoted"] else item[0].strip() for item in _ITEM.finditer(value))
    values = tuple(known.clean(item) for item in items if item)
    if not values:
        raise BadInput("has no value", where=f"{name}:", fix=f"Write it as in {known.example}")
    return replace(where, **{attribute: _joined(getattr(where, attribute), values)})  # type: ignore[arg-type]


def filter_terms(where: Filter, *, within: bool = False) -> list[str]:
    """The terms of a filter as they are typed; within brackets a phrase of the report needs its field."""
    parts: list[str] = []
    for known in _LISTS:
        for attribute, sign in ((known.attribute, ""), (known.excluded, "-")):
            values = [
                value.text if isinstance(value, ReportedFinding) else value for value in getattr(where, attribute)
            ]
            if attribute == "phrases" and not within:
                parts += [quote(value) for value in values]
            elif values:
                parts.append(f"{sign}{known.name}:{','.join(plain(value) for value in values)}")
    for known in _RANGES:
        span: Range = getattr(where, known.attribute)
        if span != Range():
            parts.append(f"{known.name}:{_bounds(span)}")
    for word, attribute in _THINGS.items():
        if (has_it := getattr(where, attribute)) is not None:
            parts.append(f"{'' if has_it else '-'}has:{word}")
    for score in where.scores:
        name = plain(score.name)
        low = [f"probe:{name}>{score.low!r}"] if score.low > 0.0 or score.high == 1.0 else []
        parts += low + ([f"probe:{name}<{score.high!r}"] if score.high < 1.0 else [])
    for group in where.any_of:
        parts.append(f"({' OR '.join(' '.join(filter_terms(part, within=True)) for part in group)})")
    return parts


def _no_field(name: str, value: str) -> BadInput:
    close = [FIELDS[match] for match in get_close_matches(name.lower(), FIELDS, n=2, cutoff=0.6)]
    return BadInput(
        f"There is no field {name.lower()}:",
        where=shown(f"{name}:{value}"),
        fix=f"Did you mean {' or '.join(close)}?" if close else f"The fields are {', '.join(FIELDS)}",
    )


def _joined(values: tuple[Any, ...], added: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys((*values, *added)))


def _range(name: str, value: str) -> Range:
    span_text = re.sub(r"^([0-9]{1,4})\+$", r"\1..", value)
    match = re.fullmatch(r"([<>]=?)?([0-9]{1,4})|([0-9]{1,4})?(?:\.\.|[-\u2010-\u2015])([0-9]{1,4})?", span_text)
    if not match or not any(match.groups()[1:]):
        raise BadInput(
            f"Not a range of {name}s",
            where=shown(f"{name}:{value}"),
            fix=f"Write {FIELDS[name]}, {name}:..N, {name}:N.. or {name}:N, in whole years",
        )
    sign, single, *ends = match.groups()
    low, high = (None if end is None else int(end) for end in ends)
    if single:
        number = int(single)
        step = 0 if sign is None or "=" in sign else 1
        low = None if sign and "<" in sign else number + step
        high = None if sign and ">" in sign else number - step
    if name == "age":
        low, high = (None if end is None else min(end, _OLDEST) for end in (low, high))
    return Range(low, high)


def _within(before: Range, added: Range, *, where: str) -> Range:
    lows = [end for end in (before.low, added.low) if end is not None]
    highs = [end for end in (before.high, added.high) if end is not None]
    span = Range(max(lows, default=None), min(highs, default=None))
    if span.low is not None and span.high is not None and span.low > span.high:
        raise BadInput("The range is empty", where=where, fix="Put the lower end first")
    return span


def _scores(scores: tuple[ScoreFilter, ...], value: str) -> tuple[ScoreFilter, ...]:
    match = _SCORE.fullmatch(value)
    name = "" if not match else unquote(match["name"]) if match["name"][0] == '"' else match["name"]
    try:
        bound = float(match["value"]) if match and match["sign"] else 0.5
    except ValueError:
        bound = -1.0
    if not match or not name or not 0.0 <= bound <= 1.0:
        raise BadInput("Not a probe score", where=shown(f"probe:{value}"), fix=f"Write {_PROBE.example}, from 0 to 1")
    sign = match["sign"] or ">"
    old = next((score for score in scores if score.name == name), ScoreFilter(name))
    low = max(old.low, bound) if sign[0] in ">=" else old.low
    high = min(old.high, bound) if sign[0] in "<=" else old.high
    if low > high:
        raise BadInput("The range is empty", where=shown(f"probe:{value}"))
    return (*(score for score in scores if score.name != name), ScoreFilter(name, low, high))


def _bounds(span: Range) -> str:
    if span.low == span.high:
        return str(span.low)
    return f"{'' if span.low is None else span.low}..{'' if span.high is None else span.high}"
