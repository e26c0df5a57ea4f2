"""Find negations in a query's words: "edema without effusion" is edema, and not effusion.

Raw negated prompts rank at chance, so what is negated must be found here and scored as a pair
(filmroom.search.query.concept_vector). Statements of a normal film ("no acute findings") describe it, and stay as
they are.
"""

from __future__ import annotations

import re

from filmroom.indexer.radiology.wordings import SEEN, SEEN_WORDS

_PREPOSITIONS = (
    r"without|w/o|(?:in the )?absence of|free of|free from|clear of|negative for|neg\.? for|lack of|lacking|excluding"
)
_NO = rf"no(?! longer\b)|neither|nor|not(?! (?:only|excluded|ruled|be|{SEEN})\b)"
_TRIGGER = re.compile(rf"(?<![^\s,;(])(?:(?P<wide>{_PREPOSITIONS})|(?P<narrow>{_NO}))(?![^\s,;.)])", re.I)
_AFTER = re.compile(
    r"(?<!\S)(?:(?:is|are) )?(?<!\bnot )(?<!\bbe )"
    rf"(?:absent|not {SEEN}|ruled out|excluded)"
    r"(?=\s*(?:$|[,;.]|but\b))",
    re.I,
)
_REACH = 400  # characters that one negation can govern
_STOP = re.compile(
    r"(?<!\S)(?:but|however|with|although|though|yet|except(?: for)?|apart from|aside from|other than|besides|"
    r"save for|despite|in spite of|while|whereas|secondary to|due to|because of|"
    r"in (?:a |the )?(?:patients?|women|woman|men|man) with)(?!\S)|[;()]|\.(?!\S)",
    re.I,
)
_ENDED = "|".join(rf"(?<=\s{word})" for word in SEEN_WORDS)
_ANEW = re.compile(
    r"(?:,|(?<!\S)and)\s+(?:and\s+)?(?:the|there|heart|lungs|only|just)(?!\S)|"
    r",\s+(?=[^,;.]+\s(?:is|are)?\s*present\s*(?:$|[,;.]))|"
    rf"(?:{_ENDED}),\s+(?!(?:and|or|nor|no)(?!\S))",
    re.I,
)
_CLAUSE = re.compile(r"[,;.()]|(?<!\S)(?:but|with|and|or|showing)(?!\S)", re.I)
_OR = r"(?<!\S)(?:and/or|or|nor)(?!\S)"
_AND = r"(?<!\S)(?:and/or|or|nor|and)(?!\S)"
_FILLER = re.compile(
    r"^(?:(?:any|the|an?|definite|obvious|visible|convincing|radiographic)\s+)*"
    r"(?:(?:evidence|signs?|suggestion|indication)\s+(?:of|for)\s+)?(?:(?:any|the|an?|definite|obvious|visible)\s+)*",
    re.I,
)
_MODIFIERS = frozenset(
    (
        *(
            "acute",
            "active",
            "chronic",
            "old",
            "new",
            "significant",
            "relevant",
            "definite",
            "gross",
            "discrete",
        ),
        *("left", "right", "bilateral", "upper", "lower", "middle", "focal", "diffuse", "large", "small"),
        *("mild", "moderate", "severe", "cardiac", "heart", "lung", "lungs", "pulmonary", "cardiopulmonary", "chest"),
        *("thoracic", "intrathoracic", "radiographic", "radiological", "other", "further", "of", "in", "the"),
    )
)
_SEEN_BEHIND = re.compile(rf"(?<=\S)(?:\s+(?:is|are|was|were|(?:has|have)\s+been))?\s+{SEEN}$", re.I)
_GENERIC = frozenset(
    (
        *("finding", "findings", "abnormality", "abnormalities", "abnormal", "disease"),
        *("process", "processes", "pathology", "change", "changes"),
    )
)
_EDGE = re.compile(
    r"^(?:[\s,;.]|(?:and|but|or|with|however|despite|in spite of|while|whereas|other than|except(?: for)?|apart from|"
    r"aside from|besides|save for)(?=\s|$))+"
    r"|(?:[\s,;:]|(?<=\s)(?:and|but|or|with|showing|has|there is|there are)$|^(?:with|there is|there are)$)+$",
    re.I,
)


def split_negations(text: str, *, lists: bool = False) -> tuple[str, tuple[str, ...]]:
    """Return the positive rest of `text`, and what it negates in words, in order.

    "no A or B" and "neither A nor B" negate both; so does "without A and B", but "no A and B" only A. A comma
    ends a negation unless an "or" follows it ("no A, B or C"). With `lists`, as reports write, "no A, B, C" and
    "no A and B" deny everything up to the next statement.
    """
    spans = _after_spans(text)
    taken: list[tuple[int, int, tuple[str, ...]]] = list(spans)
    position = 0
    while match := _TRIGGER.search(text, position):
        start, scope = match.start(), match.end()
        position = scope
        wide = lists or match["wide"] is not None
        if any(begin <= start < end for begin, end, _ in spans):
            continue
        end = _scope_end(text, scope, wide=wide, lists=lists)
        items = _items(text[scope:end], wide=wide)
        if items and not all(_is_generic(item) for item in items):
            taken.append((start, end, items))
        position = max(scope, end)
    if not taken:
        return text, ()
    return _rest(text, sorted(taken))


def _rest(text: str, taken: list[tuple[int, int, tuple[str, ...]]]) -> tuple[str, tuple[str, ...]]:
    kept, negated, position = [], [], 0
    for start, end, items in taken:
        kept.append(text[position:start])
        kept.extend(f"no {item}" for item in items if _is_generic(item))
        negated += [item for item in items if not _is_generic(item)]
        position = max(position, end)
    kept.append(text[position:])
    pieces = (_trim(piece) for piece in kept)
    return ", ".join(piece for piece in pieces if piece), tuple(negated)


def _trim(piece: str) -> str:
    while (shorter := _EDGE.sub("", piece).strip()) != piece:
        piece = shorter
    return piece


def _after_spans(text: str) -> list[tuple[int, int, tuple[str, ...]]]:
    """Find spans as in "pneumothorax is absent": the clause before the word is negated."""
    spans: list[tuple[int, int, tuple[str, ...]]] = []
    for match in _AFTER.finditer(text):
        start = max((stop.end() for stop in _CLAUSE.finditer(text, 0, match.start())), default=0)
        clause = _FILLER.sub("", text[start : match.start()].strip())
        if clause and not _TRIGGER.search(clause):
            spans.append((start, match.end(), (clause,)))
    return spans


def _scope_end(text: str, start: int, *, wide: bool, lists: bool) -> int:
    reach = min(len(text), start + _REACH)
    patterns = (_STOP, _TRIGGER, _ANEW) if lists else (_STOP, _TRIGGER)
    stops = (pattern.search(text, start, reach) for pattern in patterns)
    end = min((found.start() for found in stops if found), default=reach)
    if lists:
        return end
    if not wide:
        for match in re.finditer(r"(?<!\S)and(?!\S)", text[start:end], re.I):
            if not _only_modifiers(text[start : start + match.start()]):
                end = start + match.start()
                break
    comma = text.find(",", start, end)
    if comma < 0:
        return end
    joined = re.search(_AND if wide else _OR, text[comma:end], re.I)
    if not joined:
        return comma
    after = text.find(",", comma + joined.end(), end)
    return end if after < 0 else after


def _items(scope: str, *, wide: bool) -> tuple[str, ...]:
    items: list[str] = []
    pending = ""
    for part in re.split(rf"(,|{_AND if wide else _OR})", scope, flags=re.I):
        if pending and part.strip().lower() in {"or", "and", "nor", "and/or"} and _only_modifiers(pending):
            pending += f" {part.strip()} "
            continue
        if part == "," or re.fullmatch(_AND, part, re.I):
            items.append(pending)
            pending = ""
            continue
        pending += part
    items.append(pending)
    cleaned = (_SEEN_BEHIND.sub("", _FILLER.sub("", " ".join(item.split())).strip(" .")) for item in items)
    return tuple(item for item in cleaned if item)


def _only_modifiers(text: str) -> bool:
    words = text.lower().split()
    return bool(words) and all(word in _MODIFIERS or word in {"or", "and"} for word in words)


def _is_generic(item: str) -> bool:
    """Tell whether a film of which this is denied is a normal film: "acute cardiopulmonary abnormality"."""
    words = [word for word in item.lower().split() if word not in _MODIFIERS and word not in {"or", "and"}]
    words = [word for word in words if not re.fullmatch(SEEN, word)]
    return bool(words) and all(word in _GENERIC for word in words)
