"""Read fields joined by OR, in brackets or not, in a text that is `settled`: what is quoted there is one word."""

from __future__ import annotations

import re

from filmroom.db.errors import BadInput
from filmroom.db.records import Filter
from filmroom.search.query.fields import FIELDS, filtered, tokens
from filmroom.search.query.quoting import MARK, hidden, quote, restored, shown

_OR = re.compile(r"\s+OR\s+")
_BAR = re.compile(r"\s*\|\s*|\s+or\s+")
_BRACKETED = re.compile(rf"(?<![A-Za-z_])(?P<field>[A-Za-z_]+):\((?P<values>[^()]*)\)(?!{MARK})")
_GROUP = re.compile(r"(?<!\S)\((?P<inside>[^()]*)\)(?!\S)")
_TERM = r"-?[A-Za-z_]+:[^\s()]+"
_LOOSE = re.compile(rf"(?<!\S)(?P<inside>{_TERM}(?:\s+OR\s+{_TERM})+)(?!\S)")
_UNIT = rf"(?:\([^()]*\)|{_TERM})"
_UNITS = re.compile(rf"(?<!\S){_UNIT}(?:\s+OR\s+{_UNIT})+(?!\S)")
_EACH = re.compile(rf"(?<!\S)(?P<inside>{_TERM}(?:\s+AND\s+{_TERM})+)(?!\S)")
_NOT = re.compile(
    r"(?<!\S)(?<![:=-]\s)(?:(?:but\s+)?not|no|without|except(?:\s+for)?|excluding)\s+"
    r"(?=(?P<field>[A-Za-z_]+):[^\s:/]|\"[^\"]*\"(?:\s*$|\s*[,;&|]|\s+(?:and|or|but|-?[A-Za-z_]+:\S)))",
    re.I,
)
_NOT_BRACKET = re.compile(
    r"(?<!\S)(?:(?P<word>(?:but\s+)?not|no|without|except(?:\s+for)?|excluding)\s*|[-!])\((?P<inside>[^()]*\w[^()]*)\)",
    re.I,
)
_ALL_OF = re.compile(r"[,;&]|(?<!\S)(?:and|not|no|without)(?!\S)", re.I)
_AND = re.compile(r"(?<!\S)AND(?!\S)")
_LOOSE_OR = re.compile(r"(?<!\S)(?P<before>\S+)\s+OR\s+(?P<after>\S+)")


def plain_operators(text: str) -> str:
    """Write what other programs write in ours: "NOT label:edema" with a minus, "NOT (edema OR mass)" with one before
    each, "label:a AND label:b" so that both must hold. AND between words is only a word.

    Raises BadInput for brackets that are excluded with fields, or with several things at once.
    """

    def excluded(match: re.Match[str]) -> str:
        return "-" if match["field"] is None or match["field"].lower() in FIELDS else match[0]

    def each(match: re.Match[str]) -> str:
        terms = re.split(r"\s+AND\s+", match["inside"])
        if any(_kind(term) != "fields" for term in terms):
            return match[0]
        return " ".join(term if term.startswith("-") or _is_one(term) else f"({term})" for term in terms)

    return _AND.sub("and", _EACH.sub(each, _NOT.sub(excluded, _NOT_BRACKET.sub(_each_excluded, text))))


def _each_excluded(match: re.Match[str]) -> str:
    """Write "-(a OR b)" as -a and -b. In "no (new) effusion" the brackets are those of a sentence."""
    inside = match["inside"].strip()
    if _kind(inside) != "words":
        raise BadInput("Brackets are not excluded", where=shown(match[0]), fix="Write -label:edema for each of them")
    if _ALL_OF.search(inside):
        raise BadInput("Brackets are not excluded", where=shown(match[0]), fix="Write -edema for each of them")
    if match["word"] and not match["word"].isupper():
        return f"{match['word']} {inside}"
    alternatives = (part.strip() for piece in _OR.split(inside) for part in _BAR.split(piece))
    return " ".join(f"-{part}" if part.startswith('"') else f"-{hidden(quote(part))}" for part in alternatives if part)


def _is_one(term: str) -> bool:
    """Tell whether the field is one of those of which a film has a single value, so that a bound narrows it."""
    return term.partition(":")[0].lower() in {"age", "year", "probe", "has"}


def bracketed_values(text: str) -> str:
    """Return `view:(PA OR AP)` as `view:PA,AP`."""

    def joined(match: re.Match[str]) -> str:
        if match["field"].lower() not in FIELDS:
            return match[0]
        values = [value.strip() for part in _OR.split(match["values"]) for value in _BAR.split(part)]
        if any(not value or re.search(rf"[\s{MARK}]", value) for value in values):
            raise BadInput(
                "The values in brackets are not joined by OR",
                where=shown(match[0]),
                fix=f"Write {match['field']}:(A OR B); a value with a space stands in quotes",
            )
        return f"{match['field']}:{','.join(values)}"

    return _BRACKETED.sub(joined, text)


def taken_groups(text: str) -> tuple[str, tuple[tuple[Filter, ...], ...]]:
    """Take the groups of fields joined by OR, in brackets or not, out of the text; give what is left, and them.

    Raises BadInput where words stand among them.
    """
    groups: list[tuple[Filter, ...]] = []

    def taken_out(match: re.Match[str]) -> str:
        alternatives = _OR.split(match["inside"])
        kinds = {_kind(alternative) for alternative in alternatives}
        if kinds == {"words"}:
            return match[0]
        if kinds != {"fields"}:
            raise _mixed(match[0])
        groups.append(tuple(_only_filter(alternative) for alternative in alternatives))
        return " "

    text = _LOOSE.sub(taken_out, _GROUP.sub(taken_out, _UNITS.sub(_one_group, text)))
    for loose in _LOOSE_OR.finditer(text):
        if "fields" in (_kind(loose["before"]), _kind(loose["after"])):
            raise _mixed(loose[0])
        if any(re.match(r'-?"|-[^\W\d_]', side) for side in (loose["before"], loose["after"])):
            fix = 'Write (report:"left base" OR report:"right base") of reports; words are ranked by all at once'
            raise BadInput("OR joins fields, not words", where=shown(loose[0]), fix=fix)
    return text, tuple(dict.fromkeys(groups))


def _one_group(match: re.Match[str]) -> str:
    """Write "(a) OR (b)" as "(a OR b)"."""
    units = re.findall(_UNIT, match[0])
    return f"({' OR '.join(unit[1:-1] if unit.startswith('(') else unit for unit in units)})"


def _mixed(text: str) -> BadInput:
    return BadInput(
        "OR joins fields, not words",
        where=shown(text.strip()),
        fix="Write (label:edema OR label:effusion); words are ranked by all at once",
    )


def _kind(text: str) -> str:
    fields = [bool(token["field"]) and token["field"].lower() in FIELDS for token in tokens(text)]
    return "fields" if fields and all(fields) else "both" if any(fields) else "words"


def _only_filter(text: str) -> Filter:
    where = Filter()
    for token in tokens(restored(text)):
        where = filtered(where, token)
    return where
