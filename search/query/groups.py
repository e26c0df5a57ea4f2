"""Read fields joined by OR, in brackets or not."""

from __future__ import annotations

import re

from filmroom.db.errors import BadInput
from filmroom.db.records import Filter
from filmroom.search.query.fields import FIELDS, filtered, tokens
from filmroom.search.query.quoting import QUOTED, shown

# Atomic groups (?>...): a quote within quotes can be read in many ways, and none of the others is wanted.
_INSIDE = rf'(?>(?:{QUOTED}|[^()"])*)'
_OR = re.compile(r'\s+OR\s+(?=(?:[^"]*"[^"]*")*[^"]*$)')
_BRACKETED = re.compile(rf"(?<![A-Za-z_])(?P<field>[A-Za-z_]+):\((?P<values>{_INSIDE})\)")
_GROUP = re.compile(rf"(?<!\S)\((?P<inside>{_INSIDE})\)(?!\S)")
_TERM = rf'-?[A-Za-z_]+:(?>(?:{QUOTED}|[^\s"()])+)'
_LOOSE = re.compile(rf"(?<!\S)(?P<inside>{_TERM}(?:\s+OR\s+{_TERM})+)(?!\S)")
_WORD = rf'(?>(?:{QUOTED}|[^\s"])+)'
_LOOSE_OR = re.compile(rf"(?<!\S)(?P<before>{_WORD})\s+OR\s+(?P<after>{_WORD})")


def bracketed_values(text: str) -> str:
    """Return `view:(PA OR AP)` as `view:PA,AP`."""

    def joined(found: re.Match[str]) -> str:
        if found["field"].lower() not in FIELDS:
            return found[0]
        values = [value.strip() for value in _OR.split(found["values"])]
        loose = [value for value in values if not value or not re.fullmatch(rf"{QUOTED}|[^\s\"]+", value)]
        if loose:
            raise BadInput(
                "The values in brackets are not joined by OR",
                where=shown(found[0]),
                fix=f"Write {found['field']}:(A OR B); a value with a space stands in quotes",
            )
        return f"{found['field']}:{','.join(values)}"

    return _BRACKETED.sub(joined, text)


def taken_groups(text: str) -> tuple[str, tuple[tuple[Filter, ...], ...]]:
    """Take the groups of fields joined by OR, in brackets or not, out of the text; give what is left, and them.

    Raises BadInput where words stand among them.
    """
    groups: list[tuple[Filter, ...]] = []

    def taken(found: re.Match[str]) -> str:
        alternatives = _OR.split(found["inside"])
        kinds = {_kind(alternative) for alternative in alternatives}
        if kinds == {"words"}:
            return found[0]
        if kinds != {"fields"}:
            raise _mixed(found[0])
        groups.append(tuple(_only_filter(alternative) for alternative in alternatives))
        return " "

    text = _LOOSE.sub(taken, _GROUP.sub(taken, text))
    for loose in _LOOSE_OR.finditer(text):
        if "fields" in (_kind(loose["before"]), _kind(loose["after"])):
            raise _mixed(loose[0])
    return text, tuple(dict.fromkeys(groups))


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
    wanted = Filter()
    for token in tokens(text):
        wanted = filtered(wanted, token)
    return wanted
