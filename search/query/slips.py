"""Tell which signs and operators of a query join, close or exclude nothing, and read it without them.

What would leave another filter is refused instead: "view:(PA OR" may have meant more than PA. The texts are `settled`:
what is quoted in them is one word and hides its brackets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from filmroom.db.errors import BadInput
from filmroom.search.query.fields import FIELDS
from filmroom.search.query.quoting import shown

_FIELD = rf"(?i:{'|'.join(FIELDS)}):"
_FIELDS_WITHIN = re.compile(rf"(?:^|(?<=[\s(]))[-!]?{_FIELD}\S")
_OR = re.compile(r"(?<!\S)(?:OR|or|\|\|?)(?!\S)")
_FILTERS = re.compile(rf'\(*(?:[-!]?(?:{_FIELD}\S|")|-[^\W\d_])')
_BRACKETED = re.compile(rf"(?:{_FIELD}|(?<!\S)(?:[-!]|(?i:not|no|without)\s*))\([^()]*\)")
_WITHIN_A_WORD = re.compile(rf"(?<!\S)(?!\([-!]?{_FIELD})[^\s\"]*[()][-!]?{_FIELD}\S+")
_LISTED = re.compile(r"(?:[a-z]|\d{1,2})\)", re.I)
_DASHES = frozenset("-!\u2010\u2011\u2012\u2013\u2014\u2015")
_APART = re.compile(r"(?<=\S)\s(?P<sign>[-!])\s(?P<following>[^\W\d_]\S*)")
_EMPTY = re.compile(r"(?<!\S)\([\s,;]*\)(?!\S)")
_JOINS = {"AND": "AND", "and": "AND", "&": "AND", "&&": "AND", "OR": "OR", "or": "OR", "|": "OR", "||": "OR"}
_SEVERAL = re.compile(r"(?:label|tag|collection):", re.I)
_EXCLUDES = frozenset(("no", "not", "without", "except", "excluding"))
_VERBS = frozenset(("is", "are", "was", "were", "has", "have", "do", "does", "did"))


def without_slips(text: str, slips: list[str]) -> str:
    """Return a settled text without what joins, closes or excludes nothing, and put a sentence for each into `slips`.
    "or" and "|" beside a field are OR.

    Raises BadInput for brackets that are open within a field, for those within others, and for what is denied twice.
    """
    if within := _WITHIN_A_WORD.search(text):
        fix = "Write (label:edema OR view:AP), beside it what else must hold, and -label:edema to exclude"
        raise BadInput("Brackets beside brackets or words are not read", where=shown(within[0]), fix=fix)
    text = _closed(_EMPTY.sub(" ", text), slips)
    words = _within(_once(text.split(), slips), slips)
    alone = _BRACKETED.sub("path:x", " ".join(words)).split()
    if any(word in ("OR", "|", "||") and not _beside_a_filter(alone, at) for at, word in enumerate(alone)):
        slips.append("OR joins fields; words are ranked by all at once.")
    words = [_operator(words, at) for at in range(len(words))]
    return " ".join(_apart(words, slips))


def told(slips: Sequence[str], unclosed: Sequence[str], ranked: str) -> tuple[str, ...]:
    """Return the sentences, each once, with those of quotes that quote nothing and of a minus among words that rank."""
    of_quotes = ["A quote that quotes nothing is passed over."] if "" in unclosed else []
    of_words = (_stands_apart(match["sign"], match["following"]) for match in _APART.finditer(ranked))
    return tuple(dict.fromkeys((*slips, *of_quotes, *of_words)))


def _closed(text: str, slips: list[str]) -> str:
    """Return the text without brackets that have no partner."""
    opened: list[int] = []
    lone: list[int] = []
    for match in re.finditer(r"[()]", text):
        if match[0] == "(":
            opened.append(match.start())
        elif opened:
            opened.pop()
        else:
            lone.append(match.start())
    passed_over = {at for at in (*lone, *opened) if not _LISTED.fullmatch(_word_before(text, at + 1))}
    _check_reach(text, [at for at in passed_over if text[at] == "("], [at for at in passed_over if text[at] == ")"])
    for at in sorted(passed_over):
        _check_value(text, at)
        fault = "is never closed" if text[at] == "(" else "closes nothing"
        slips.append(f'"{text[at]}" {fault}, and is passed over.')
    return "".join(char for at, char in enumerate(text) if at not in passed_over)


def _check_reach(text: str, opening: Sequence[int], closing: Sequence[int]) -> None:
    """Refuse a bracket without a partner that beside an OR may hold one field or several."""
    if not (opening or closing) or not _OR.search(text):
        return
    for side in (text[min(opening) :] if opening else "", text[: max(closing)] if closing else ""):
        if len(_FIELDS_WITHIN.findall(side)) > 1:
            fix = "Close it after what it holds: (label:edema OR view:AP) sex:F"
            raise BadInput("A bracket without a partner may hold one field or several", where=shown(side), fix=fix)


def _word_before(text: str, end: int) -> str:
    return text[text.rfind(" ", 0, end) + 1 : end]


def _check_value(text: str, at: int) -> None:
    """Refuse a bracket without a partner that stands in the value of a field."""
    before = _word_before(text, at).lstrip("(-!")
    if re.match(_FIELD, before):
        word = f"{before}{text[at:].split(' ')[0]}"
        name = before.partition(":")[0]
        fault = "The bracket is not closed" if text[at] == "(" else "The bracket closes nothing"
        fix = f"Write {name}:(A OR B); a value that has a bracket stands in quotes"
        raise BadInput(fault, where=shown(word), fix=fix)


def _once(words: Sequence[str], slips: list[str]) -> list[str]:
    """Return the words with operators once that are repeated."""
    once: list[str] = []
    for word in words:
        if once and once[-1].lower() == word.lower() == "not":
            raise BadInput("Denied twice", where=f"{once[-1]} {word}", fix="Write it once, or leave both out")
        if once and once[-1] == word and word in _JOINS:
            slips.append(f'"{word} {word}" is read as {word}.')
        else:
            once.append(word)
    return once


def _within(words: list[str], slips: list[str]) -> list[str]:
    """Return the words without operators at either end; an exclusion that is a small word is told, and stays."""
    while words and words[0] in _JOINS:
        slips.append(f'"{words.pop(0)}" joins nothing here, and is passed over.')
    while words and (words[-1] in _JOINS or (words[-1] == "NOT" and not _is_answered(words))):
        does = "joins" if words[-1] in _JOINS else "excludes"
        slips.append(f'"{words.pop()}" {does} nothing here, and is passed over.')
    last = words[-1].lower() if words else ""
    alone = len(words) == 1 or (words and _FILTERS.match(words[-2]))
    if last in _EXCLUDES and (alone or (last != "no" and not _is_answered(words))):
        slips.append(f'"{words[-1]}" excludes nothing here: nothing follows it.')
    return words


def _is_answered(words: Sequence[str]) -> bool:
    """Tell whether a verb stands before the last word: "effusion is not" denies it."""
    return len(words) > 1 and words[-2].lower() in _VERBS


def _beside_a_filter(words: Sequence[str], at: int) -> bool:
    return any(_FILTERS.match(word) for word in words[max(0, at - 1) : at + 2])


def _operator(words: Sequence[str], at: int) -> str:
    """Return the operator that a word is beside a field, or the word. "and" is AND between values of a field of which a
    film may have several; elsewhere fields that stand together hold together already."""
    word = words[at]
    operator = _JOINS.get(word, word)
    if operator == word or not _beside_a_filter(words, at):
        return word
    if operator == "AND":
        names = [_SEVERAL.match(beside) for beside in words[max(0, at - 1) : at + 2 : 2]]
        same = len(names) == 2 and names[0] and names[1] and names[0][0].lower() == names[1][0].lower()
        return operator if same else word
    return operator


def _apart(words: Sequence[str], slips: list[str]) -> list[str]:
    """Tell of a minus that begins the text, or stands beside a field or a quote, and is apart from what follows; one at
    the end is left out there."""
    apart: list[str] = []
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else ""
        begins = at == 0 or _FILTERS.match(words[at - 1]) is not None
        if word not in _DASHES or not (begins or _FILTERS.match(following)):
            apart.append(word)
        elif not following:
            slips.append(f'"{word}" excludes nothing here, and is passed over.')
        else:
            apart.append(word)
            if following[0].isalpha() or _FILTERS.match(following):
                slips.append(_stands_apart(word, shown(following)))
    return apart


def _stands_apart(sign: str, following: str) -> str:
    return f'"{sign} {following}": a minus that stands apart excludes nothing; -{following.lstrip("-!(")} does.'
