"""Find negations in a query's words: "edema without effusion" is edema, and not effusion.

Raw negated prompts rank at chance, so what is negated must be found here and scored as a pair
(filmroom.search.query.concept_vector). Statements of a normal film ("no acute findings") describe it, and stay as
they are.
"""

from __future__ import annotations

import re

from filmroom.indexer.radiology.abbreviations import spell_out
from filmroom.indexer.radiology.normal_structures import NOTHING_ACUTE, normal_as_denied
from filmroom.indexer.radiology.vocabulary import NORMAL, finding_of, names_finding
from filmroom.indexer.radiology.wordings import SEEN, SEEN_WORDS

_PREPOSITIONS = (
    r"without|w/o|(?:in the )?absence of|free of|free from|clear of|negative for|neg\.? for|lack of|lacking|excluding"
)
_NO = rf"no(?! longer\b)|neither|nor|(?<!\bif )not(?! (?:only|excluded|ruled|be|{SEEN})\b)"
_TRIGGER = re.compile(rf"(?<![^\s,;(\[])(?:(?P<wide>{_PREPOSITIONS})|(?P<narrow>{_NO}))(?![^\s,;.)])", re.I)
_AFTER = re.compile(
    r"(?<!\S)(?:(?P<one>is|was) |(?:are|were) )?(?<!\bnot )(?<!\bbe )"
    rf"(?:absent|not {SEEN}|ruled out|excluded)"
    r"(?=\s*(?:$|[,;.]|(?:but|and)\b))",
    re.I,
)
_STATED = re.compile(
    rf"(?<!\S)(?:is|are|was|were|has|have|there|persists?|remains?|in place|{SEEN})(?!\S).*\sand(?!\S)", re.I
)
"""What is said to be there before the last "and", and is no part of what a word after it denies."""
_PLACED = re.compile(
    r"(?<=\S)\s+(?:on|in|at|of|along|behind|throughout)\s+(?:the|both)\s+(?:\w+\s+){1,3}and\s+"
    r"(?!(?:[^,;.]*\s)?(?:on|in|at|of|along|behind|throughout)\s)[^,;.]*s\s*$",
    re.I,
)
"""A finding with its place behind it stands for itself, where several of another follow: the verb may be theirs."""
WENT = (
    r"(?:increased|decreased|improved|worsened|progressed|enlarged|grown|diminished|regressed|reduced|lessened|"
    r"deteriorated)"
)
"""How a finding went that is there."""
_REACH = 400  # characters that one negation can govern
_STOP = re.compile(
    r"(?<!\S)(?:but|however|with|although|though|yet|except(?: for)?|apart from|aside from|other than|besides|"
    r"save for|despite|in spite of|while|whereas|secondary to|due to|because of|"
    r"in (?:a |the )?(?:patients?|women|woman|men|man) with|only|after|following|status post|s/p|so|"
    r"[-\u2013\u2014])(?!\S)|[;()\[\]]|\.(?!\S)",
    re.I,
)
_ENDED = "|".join(rf"(?<=\s{word})" for word in SEEN_WORDS)
_ANEW = re.compile(
    r"(?:,|(?<!\S)and)\s+(?:and\s+)?(?:the|there|heart|lungs|only|just)(?!\S)|"
    r",\s+(?=[^,;.]+\s(?:is|are)?\s*present\s*(?:$|[,;.]))|"
    rf"(?:{_ENDED}),\s+(?!(?:and|or|nor|no)(?!\S))",
    re.I,
)
_CLAUSE = re.compile(r"[,;.()\[\]]|(?<!\S)(?:but|with|showing)(?!\S)", re.I)
_LAST = re.compile(rf"{_CLAUSE.pattern}|(?<!\S)(?:and|or)(?!\S)", re.I)
_OR = r"(?<!\S)(?:and/or|or|nor)(?!\S)"
_AND = r"(?<!\S)(?:and/or|or|nor|and)(?!\S)"
_FILLER = re.compile(
    r"^(?:(?:any|the|an?|definite|obvious|visible|convincing|radiographic)\s+)*"
    r"(?:(?:evidence|signs?|suggestion|indication|(?:(?:known|prior|previous|past|reported|documented)\s+)*(?:medical\s+)?history)\s+"
    r"(?:of|for)\s+)?(?:(?:any|the|an?|definite|obvious|visible)\s+)*",
    re.I,
)
# Whom or what is spoken of: beside what is denied it ranks nothing.
_OF_WHOM = re.compile(
    r"(?:(?:on|in)\s+)?(?:(?:an?|the|this|these|that|all|any)\s+)?(?:patients?|cases?|films?|stud(?:y|ies)|images?|exams?|examinations?)"
    r"(?:\s+(?:has|have|had|with|shows?|is|are|who\s+(?:has|have)))?",
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
            "interval",
        ),
        *("left", "right", "bilateral", "upper", "lower", "middle", "focal", "diffuse", "large", "small"),
        *("mild", "moderate", "severe", "cardiac", "heart", "lung", "lungs", "pulmonary", "cardiopulmonary", "chest"),
        *("thoracic", "intrathoracic", "radiographic", "radiological", "other", "further", "of", "in", "the"),
        *("on", "this", "film", "study", "exam", "examination", "radiograph"),
    )
)
_SEEN_BEHIND = re.compile(rf"(?<=\S)(?:\s+(?:is|are|was|were|(?:has|have)\s+been))?\s+{SEEN}$", re.I)
_GENERIC = frozenset(
    (
        *("finding", "findings", "abnormality", "abnormalities", "abnormal", "disease"),
        *("process", "processes", "pathology", "change", "changes"),
        *("improvement", "progression", "deterioration", "worsening"),
    )
)
_COMMA = re.compile(r",\s+(?:and\s+)?(?!(?:no|nor|or)(?!\w))", re.I)
_THERE = re.compile(
    r"(?:(?:stable|unchanged|persistent|residual|known|chronic|new|small|mild|minimal|tiny|trace|moderate|improved|improving|"
    r"increased|increasing|decreased|decreasing|worsening|resolving|positive|possible|possibly|probable|probably|questionable|"
    r"suspected|old|healed|status\s+post|s/p|post|prior|previous|again)(?!\w)|cannot(?!\w)|\?)|"
    r"[^,;.]*\s(?:(?:remains?\s+)?in\s+(?:place|situ|(?:\w+\s+)?position)|unchanged|stable|persists?|again\s+(?:seen|noted)|"
    rf"(?:is|are)\s+(?:again\s+)?{SEEN}|not\s+excluded)\s*(?:$|[,;.])|"
    rf"[^,;.]*\s(?:has|have)\s+(?:\w+ly\s+|also\s+|now\s+|been\s+)*{WENT}(?!\w)",
    re.I,
)
_EDGE = re.compile(
    r"^(?:[\s,;.]|(?:[-\u2010-\u2015\N{MINUS SIGN}]|and|but|or|with|however|despite|in spite of|while|whereas|"
    r"other than|except(?: for)?|apart from|aside from|besides|save for)(?=\s|$))+"
    r"|(?:[\s,;:]|(?<=\s)(?:and|but|or|with|showing|has|there is|there are|"
    r"[-\u2010-\u2015\N{MINUS SIGN}])$|^(?:with|there is|there are)$)+$",
    re.I,
)

_PARTS = re.compile(
    r"\s*(?:[,;:]|\.(?=\s|$)|(?<!\S)(?:but|except(?:ing)?(?:\s+for)?|apart\s+from|aside\s+from|other\s+than|besides|save\s+for|"
    r"with\s+the\s+exception\s+of|with|and|however)(?!\S))\s*",
    re.I,
)
_FILM = r"(?:chest|films?|study|studies|x-?rays?|radiographs?|exam(?:ination)?|cxrs?|thorax|and|the)"
_NORMAL_FILM = re.compile(
    rf"(?:(?:an?|the|is|are|everything|all|else|{_FILM})\s+)*(?:(?:otherwise|essentially|grossly|completely|entirely|almost|nearly)\s+)*"
    rf"(?:normal|unremarkable|healthy|negative|clear|within\s+normal\s+limits)(?:\s+(?:{_FILM}|otherwise))*",
    re.I,
)
_NONE_OTHER = re.compile(
    r"(?:there\s+(?:is|are)\s+)?(?:no|without)\s+(?:other\s+)?(?:evidence\s+of\s+)?(?P<what>.+)", re.I
)


def split_negations(text: str, *, lists: bool = False) -> tuple[str, tuple[str, ...]]:
    """Return the positive rest of `text`, and what it negates in words, in order.

    "no A or B" and "neither A nor B" negate both; so does "without A and B", but "no A and B" only A. A comma
    ends a negation unless an "or" follows it ("no A, B or C"). With `lists`, as reports write, "no A, B, C" and
    "no A and B" deny everything up to the next statement.
    """
    spans = _after_spans(text)
    denials: list[tuple[int, int, tuple[str, ...]]] = list(spans)
    position = 0
    while match := _TRIGGER.search(text, position):
        start, scope = match.start(), match.end()
        position = scope
        wide = lists or match["wide"] is not None
        if any(begin <= start < end for begin, end, _ in spans):
            continue
        end = _scope_end(text, scope, wide=wide, lists=lists)
        items = _items(text[scope:end], wide=wide)
        if items and not all(is_generic(item) for item in items):
            denials.append((start, end, items))
        position = max(scope, end)
    if not denials:
        return text, ()
    return _rest(text, sorted(denials))


def _rest(text: str, denials: list[tuple[int, int, tuple[str, ...]]]) -> tuple[str, tuple[str, ...]]:
    parts, negated, position = [], [], 0
    for start, end, items in denials:
        parts.append(text[position:start])
        parts.extend(f"no {item}" for item in items if is_generic(item))
        negated += [item for item in items if not is_generic(item)]
        position = max(position, end)
    parts.append(text[position:])
    pieces = (_trim(piece) for piece in parts)
    return ", ".join(piece for piece in pieces if piece), tuple(negated)


def _trim(piece: str) -> str:
    while (shorter := _EDGE.sub("", piece).strip()) != piece:
        piece = shorter
    return "" if _OF_WHOM.fullmatch(piece) else piece


def _after_spans(text: str) -> list[tuple[int, int, tuple[str, ...]]]:
    """Find spans as in "pneumothorax is absent": the clause before the word is negated."""
    spans: list[tuple[int, int, tuple[str, ...]]] = []
    for match in _AFTER.finditer(text):
        start = _clause_start(_CLAUSE, text, match.start())
        if last_alone(text[start : match.start()], singular=match["one"] is not None):
            start = _clause_start(_LAST, text, match.start())
        clause = text[start : match.start()].strip()
        if clause and not _TRIGGER.search(_FILLER.sub("", clause)) and (items := _items(clause, wide=True)):
            spans.append((start, match.end(), items))
    return spans


def last_alone(clause: str, *, singular: bool) -> bool:
    """Tell whether what stands behind a clause denies the last of it alone: "X and Y is absent" with a `singular` verb,
    "X is present and Ys are absent", "X on the left and Ys are absent"."""
    clause = f"{clause.rstrip()} "
    joined = singular and re.search(r"(?<!\S)and\s+\S", clause, re.I) is not None
    return joined or _STATED.search(clause) is not None or _PLACED.search(clause) is not None


def _clause_start(clause: re.Pattern[str], text: str, end: int) -> int:
    return max((stop.end() for stop in clause.finditer(text, 0, end)), default=0)


def _scope_end(text: str, start: int, *, wide: bool, lists: bool) -> int:
    reach = min(len(text), start + _REACH)
    patterns = (_STOP, _TRIGGER, _ANEW) if lists else (_STOP, _TRIGGER)
    stops = (pattern.search(text, start, reach) for pattern in patterns)
    end = min((stop.start() for stop in stops if stop), default=reach)
    if lists:
        return min(_stated_anew(text, start, end), end)
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


def _stated_anew(text: str, start: int, end: int) -> int:
    """Return where a list without "or" turns to what is there: "no effusion, stable nodule", "no disease, mass"."""
    for comma in _COMMA.finditer(text, start, end):
        if re.search(_OR, text[comma.start() : end], re.I):
            break
        denied = text[start : comma.start()].strip()
        is_stated = _THERE.match(text, comma.end(), end) and names_finding(
            denied
        )  # "no acute, displaced fracture is seen"
        if is_stated or is_generic(denied):
            return comma.start()
    return end


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


def is_generic(item: str) -> bool:
    """Tell whether a film of which this is denied is a normal film: "acute cardiopulmonary abnormality"."""
    words = [word for word in item.lower().split() if word not in _MODIFIERS and word not in {"or", "and"}]
    words = [word for word in words if not re.fullmatch(SEEN, word)]
    return bool(words) and all(word in _GENERIC for word in words)


def normal_film_apart(text: str) -> tuple[str, ...]:
    """Return the parts of the words to rank by: what is asked for, and the statement of a normal film beside it. Words
    that have only one of them are returned as they are.

    Embedded as one text, the normal film drowns the finding, and "normal except effusion" ranks effusions last. As two
    concepts, each counts its similarity.
    """
    parts = [part for part in _PARTS.split(text) if part]
    kinds = [says_normal_film(part) for part in parts]
    if all(kinds) or not any(kinds):
        return (text,) if text else ()
    rest = ", ".join(part for part, normal in zip(parts, kinds, strict=True) if not normal)
    if not names_finding(rest):
        return (text,)
    # Of lungs that are clear but for a finding the finding alone is asked.
    stated = [part for part, normal in zip(parts, kinds, strict=True) if normal and normal_as_denied(part) == part]
    return (rest, ", ".join(stated)) if stated else (rest,)


def says_normal_film(part: str) -> bool:
    """Tell whether a part of a query, in whatever words, says that a film or a structure is normal."""
    words = spell_out(part).text
    denied = _NONE_OTHER.fullmatch(words)
    return (
        finding_of(words) == NORMAL
        or normal_as_denied(part) != part
        or _NORMAL_FILM.fullmatch(words) is not None
        or NOTHING_ACUTE.fullmatch(words) is not None
        or (denied is not None and is_generic(denied["what"]))
    )
