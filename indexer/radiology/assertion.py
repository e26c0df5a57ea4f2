"""Read phrases that look like denials and are none, that deny from behind, or that leave a finding open.

`plain_assertions` rewrites a text so that the scope rules of `negation` see the finding as it is meant: "no change in
the effusion" is an effusion, "effusion: none" is "without effusion", "effusion cannot be excluded" is an effusion in
doubt. The phrases are NegEx's pseudo-negations, post-negations and possibles (Chapman et al., 2001 and 2013) with the
colon and dash of report templates.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from filmroom.indexer.radiology.negation import WENT, last_alone
from filmroom.indexer.radiology.normal_structures import excepted
from filmroom.indexer.radiology.vocabulary import names_finding
from filmroom.indexer.radiology.wordings import GONE, SEEN, gone_at_all, usual_wording

_DEGREE = (
    r"(?:(?:significant|substantial|appreciable|apparent|obvious|definite|relevant|major|marked|clear|further|gross|"
    r"radiographic|short-term|interval|overall|notable|discernible|measurable|dramatic|important|real|acute|new|short|short-interval|suspicious|convincing|"
    r"detectable|visible|perceptible|meaningful|large|great|much|other|recent|in-?terval|demonstrable|evident)\s+)*"
)
_COURSE = (
    r"(?:change|changes|increase|decrease|improvement|resolution|progression|worsening|reduction|regression|clearing|"
    r"enlargement|growth|difference|alteration|deterioration|diminution)"
)
_NONE_OF = r"(?:no|without|w/o|nor|lack of|absence of|(?:did|does|do) not show)"
# "no change in X", "without interval improvement of X": what has not changed is there.
_UNCHANGED = re.compile(
    rf"(?<![^\s,;(])(?:there\s+(?:has\s+been|is|was)\s+)?{_NONE_OF}\s+(?:(?:evidence|signs?)\s+of\s+)?(?:an?\s+|any\s+)?{_DEGREE}{_COURSE}"
    rf"(?:\s+or\s+{_DEGREE}{_COURSE})?\s+(?:in\s+the\s+(?:size|extent|amount|appearance|degree|volume)\s+of|"
    rf"in\s+(?:size|extent|amount|appearance)\s+of|in|of|to|with|regarding)\s+(?:the\s+|this\s+|these\s+|any\s+)?"
    r"(?P<both>(?:(?!(?:and|but|no|not|without)\s)\w+\s+){1,4}or\s+(?=\w))?",
    re.I,
)
# "no pneumothorax or significant change in the effusion"
_OR_UNCHANGED = re.compile(
    rf"\s*,?\s+(?:or|nor)\s+{_DEGREE}(?:change|difference|improvement|resolution)\s+(?:in|of)\s+(?:the\s+|this\s+)?",
    re.I,
)
# "effusion without interval change"
_UNCHANGED_BEHIND = re.compile(
    rf"(?<=\w)(?<!there is)(?<!there has been),?\s+(?:with\s+no|no|without)\s+(?:any\s+|an?\s+)?{_DEGREE}"
    r"(?:change|changes|increase|decrease)(?=\s*(?:$|[,;.)]))",
    re.I,
)
# "no change hiatus hernia", as notes leave the preposition out
_NO_CHANGE = re.compile(
    rf"(?<![^\s,;(])(?:no|without)\s+{_DEGREE}change\s+(?!(?:in|of|to|with|regarding|since|from|compared|as|over|at|on|"
    r"during|but|and|or|seen|noted|identified|allowing|for|given|between|when|is|was|has)(?!\w))(?=[a-z])",
    re.I,
)
# "resolved X", "interval resolution of X", "no longer any X": it was there, and is not.
_GONE_BEFORE = re.compile(
    r"(?<![^\s,;(])(?:(?:status post|s/p)\s+)?(?:no longer\s+(?:any|has|have|shows?|with|a|an|the)|"
    r"(?:(?:completely|fully|interval|now)\s+)*(?:resolved|(?<!has )(?<!have )(?<!had )cleared)|"
    r"(?:(?:complete|full|interval)\s+)*(?:resolution|disappearance|clearance|"
    r"(?:(?<=complete )|(?<=full ))clearing)\s+of)\s+(?:the\s+|an?\s+|any\s+)?(?=[a-z])"
    r"(?!(?:since|from|but|and|or|in|on|by|with|after|following|leaving)(?!\w))",
    re.I,
)
# "effusion-free", "after chest tube removal": neither is there.
_FREE = re.compile(r"(?<![^\s,;(])(?P<what>[a-z]+(?:\s[a-z]+)?)-free(?!\w)", re.I)
_REMOVED = re.compile(
    r"(?<!\S)(?:after|following|since|status\s+post|s/p|post)\s+(?:the\s+)?(?:(?P<what>(?:(?!and\s|or\s)[a-z]+\s+){1,4}?)"
    r"(?:removal|extraction|withdrawal)(?!\s+of)(?!\w)|(?:removal|extraction|withdrawal)\s+of\s+(?:the\s+)?(?P<of>[^,;.]+))",
    re.I,
)
_SEEMS_GONE = re.compile(
    r"\s+(?:(?:appears?|seems?)\s+to\s+have\s+(?=(?:\w+ly\s+)?(?:resolved|cleared|disappeared|gone))|"
    r"(?:has|have)\s+(?=(?:\w+ly\s+|since\s+|now\s+)?gone))",
    re.I,
)
_PARTLY = re.compile(
    r"(?:partial(?:ly)?|partly|slow|gradual|ongoing|continu(?:ed|ing)|progressive|delayed|"
    r"incomplete(?:ly)?|nearly|near(?:[- ]complete)?|almost|mostly|not|no|without)\s+$",
    re.I,
)
_NO_DOUBT = re.compile(
    r"(?<![^\s,;(])(?:no|without)\s+(?:a\s+)?(?:doubt|question)\s+(?:about|of|that there is)\s+(?:the\s+|an?\s+)?", re.I
)
# "X has not resolved", "X is not changed": it is still there.
_STILL = re.compile(
    r"(?:\s+(?:has|have|had|is|are|was|were))?\s+not\s+(?:yet\s+)?(?:significantly\s+|completely\s+|fully\s+)?"
    r"(?:resolved|cleared|changed|improved|increased|decreased|progressed|worsened|enlarged)(?!\S)"
    r"(?!\s+(?:heart|cardi|hil|aort|medias))",
    re.I,
)
# "X has increased", "X is slightly smaller": however it went, it is there.
_WENT = re.compile(
    r"(?:\s+(?:(?:has|have|had)(?:\s+been)?|is|are|was|were|appears?|seems?))?"
    r"(?:\s+(?:also|now|again|slightly|mildly|minimally|moderately|markedly|significantly|substantially|considerably|somewhat|greatly|"
    r"much|interval(?:ly)?|further|partially|partly|overall|gradually|slowly|rapidly|to\s+have|to\s+be))*"
    rf"\s+(?:{WENT}|"
    r"increasing|decreasing|improving|worsening|progressing|enlarging|growing|diminishing|regressing|larger|smaller|bigger|better|worse)"
    r"(?:\s+in\s+(?:size|extent|amount|volume|degree|appearance|severity)(?:\s+and\s+(?:size|extent|degree|severity))?)?"
    r"(?:\s+(?:(?:since|from|as\s+compared\s+(?:to|with)|compared\s+(?:to|with)|in\s+comparison\s+(?:to|with)|over|than\s+on|than)\s+"
    r"(?:(?!and(?!\w)|but(?!\w))[\w/-]+\s*){1,6}?|in\s+the\s+interval|today|now))?"
    r"(?=\s*(?:$|[,;.)]|(?<!\S)(?:but|and|while|with|without|although)(?!\S)))",
    re.I,
)
# "with or without X" says nothing of X, up to the end of its clause.
_EITHER = re.compile(
    r"(?<!\S)(?:with or without|with and without|without or with|with/without|w/wo|w/ or w/o|\+/-|±)\s+"
    r"(?P<what>[^,;.]+)",
    re.I,
)
_END = r"(?=\s*(?:$|[,;.)]|(?<!\S)(?:but|and|with|leaving)(?!\S)))"
_FULLY = r"(?:(?:completely|fully|entirely|totally|now|since|all|both|also|clearly)\s+)*"
_SEEN = rf"(?:\s+{SEEN})?"
# "X: none", "X - no", "X has resolved", "X is no longer seen": the clause before is denied.
_DENIED_BEHIND = (
    re.compile(
        r"(?:\s*[:=]\s*|\s+[-\u2010-\u2015]+\s*)"
        rf"(?:none|no(?:\s+(?:convincing\s+|definite\s+|clear\s+)?(?:evidence|signs?))?|nil|negative|"
        rf"absent|not seen|not present|not identified){_SEEN}{_END}",
        re.I,
    ),
    re.compile(rf"\s+(?:none|nil){_SEEN}{_END}", re.I),
    re.compile(
        rf"\s+(?:(?:has|have|had)\s+{_FULLY}{GONE}|(?:is|are)\s+{_FULLY}(?:resolved|gone)|"
        rf"{_FULLY}(?:resolved|dissipated|evacuated)|(?:(?:has|have)\s+been\s+)?(?:completely|fully|entirely)\s+drained|drained\s+(?:completely|"
        rf"fully|entirely)|(?:(?:has|have|did|does)\s+)?not\s+(?:recur(?:red)?|re-?accumulated?)|"
        rf"(?:(?:is|are)\s+)?no longer\s+{SEEN}){_END}",
        re.I,
    ),
)
_CLAUSE_START = re.compile(
    r"[,;()]|[.:=](?=\s)|(?<!\S)(?:but|however|although|though|while|whereas|yet|with|except|besides)(?!\S)", re.I
)
_SINGULAR = re.compile(r"\s+(?:has|is|was)\s", re.I)
_AND = re.compile(r"(?<!\S)and(?!\S)", re.I)
_SURE = re.compile(r"[:=]|no longer|not\s+re|\s[-\u2010-\u2015]", re.I)
_NOT_YET = re.compile(r"\b(?:not|nearly|almost|partially|partly|mostly|incompletely|largely|never|no|without)\b", re.I)
# Doubt before and behind the finding.
_DOUBT_BEFORE = re.compile(
    r"(?<![^\s,;(])(?:(?:to\s+)?rule[- ]out|r/o|(?:the\s+)?question of|questionable|query|suspicion of|suspected|"
    r"possible|possibly|probable|probably|concern(?:ing)? for|evaluate for|assess for|"
    r"(?:we\s+)?can ?not (?:exclude|rule out)|could (?:represent|be)|may (?:represent|be)|\?)"
    r"\s*(?:of\s+)?(?:an?\s+|the\s+|any\s+)?(?=\S)",
    re.I,
)
_DOUBT_BEHIND = re.compile(
    r"(?:\s+(?:is|are))?(?:\s+can ?not be (?:completely |entirely |fully |definitely )?(?:ruled out|excluded)|"
    r"\s+(?:has|have) not been (?:ruled out|excluded)|"
    r"\s+not (?:be\s+)?(?:completely |entirely |fully )?(?:ruled out|excluded)|"
    r"\s+(?:is|are)\s+(?:possible|suspected|questionable)|\s*\?(?!\s*(?:no|none)(?!\w)))" + _END,
    re.I,
)


_NONE = re.compile(r"(?<!\S)(?:no|not|without|neither|nor|never)(?!\S)", re.I)
_CHANGE_ALONE = re.compile(
    rf"(?:there\s+(?:is|has\s+been)\s+)?(?:(?:(?:no|without|any)\s+)?{_DEGREE}{_COURSE}(?:\s+or\s+{_COURSE})?|"
    rf"{_DEGREE}(?:essentially\s+|overall\s+|largely\s+)?(?:unchanged|stable|changed|improved|worsened|worse|better|not\s+changed)"
    rf"(?:\s+(?:appearance|film|study|exam(?:ination)?|chest(?:\s+x-?ray)?))?)(?:\s+{SEEN})?"
    r"(?:\s+(?:since|from|in\s+the\s+interval|over|as\s+compared|compared|in\s+comparison)(?!\w)[^,;]*)?\s*\.?",
    re.I,
)
_AND_IT = re.compile(r"\s+and\s+(?:is|are|was|were|has|have|had|now|no)(?!\w)", re.I)
_SEVERAL_MARKS = re.compile(r"(?:\?\s*){2,}")


@dataclass(frozen=True)
class Assertions:
    """A text with its findings as they are meant; `doubted` are those that it leaves open, in its words, `either` those
    of which it says nothing, with the words that say so."""

    text: str
    doubted: tuple[str, ...] = ()
    either: tuple[str, ...] = ()


def plain_assertions(text: str, *, keep_doubt: bool = False) -> Assertions:
    """Rewrite what looks like a denial and is none, and turn denials from behind to the front.

    The texts of queries and the sentences of reports are read alike; with `keep_doubt` the words of doubt stay in the
    text, for a reader that marks each clause by them.
    """
    text = _REMOVED.sub(_without_device, _FREE.sub(_without_finding, _SEEMS_GONE.sub(" ", gone_at_all(text))))
    text = usual_wording(_SEVERAL_MARKS.sub("? ", text), keep_normal=keep_doubt)
    text = text if keep_doubt else excepted(text)
    text = _NO_DOUBT.sub("", text)
    text = _OR_UNCHANGED.sub("; ", _UNCHANGED_BEHIND.sub("", _UNCHANGED.sub(_all_of, text)))
    persists = " persists" if keep_doubt else ""
    text = _went(_STILL.sub(persists, _NO_CHANGE.sub("", text)), persists)
    text = _gone_before(text)
    either = tuple(match[0].strip() for match in _EITHER.finditer(text))
    text = " ".join(_EITHER.sub("", text).split()) if either else text
    doubted: list[str] = []
    text = _opened_before(text) if keep_doubt else _doubts(text, doubted)
    for pattern in _DENIED_BEHIND:
        text = _denied_before(text, pattern)
    return Assertions(text, tuple(dict.fromkeys(doubted)), either)


def _without_finding(match: re.Match[str]) -> str:
    return f"without {match['what']};" if names_finding(match["what"]) else match[0]


def _without_device(match: re.Match[str]) -> str:
    """Write "no pneumothorax after chest tube removal" as "no pneumothorax; without chest tube;"."""
    device = (match["what"] or match["of"]).strip()
    return f"; without {device};" if names_finding(device) else match[0]


def _all_of(match: re.Match[str]) -> str:
    """Return both of what has not changed: "no change in A or B" has A and B."""
    return re.sub(r"(?<!\S)or(?!\S)", "and", match["both"] or "", flags=re.I)


def is_change_alone(words: str) -> bool:
    """Tell whether words say how a film differs from an earlier one, and of no finding: "no interval change"."""
    return _CHANGE_ALONE.fullmatch(words.strip()) is not None


def _went(text: str, persists: str) -> str:
    """Write "X has increased" as X; of what is no finding ("aeration has improved") it says something else."""

    def stated(match: re.Match[str]) -> str:
        clause = _CLAUSE_START.split(text[max(0, match.start() - 120) : match.start()])[-1]
        if not names_finding(clause) or _NONE.search(clause) or names_finding(match[0]):
            return match[0]
        if _AND_IT.match(text, match.end()):
            return ""
        return persists or ("," if _AND.match(text, match.end() + 1) else "")

    return _WENT.sub(stated, text)


def _gone_before(text: str) -> str:
    def denied(match: re.Match[str]) -> str:
        return match[0] if _PARTLY.search(text[max(0, match.start() - 40) : match.start()]) else "without "

    return _GONE_BEFORE.sub(denied, text)


def _opened_before(text: str) -> str:
    """Write "; possible X;" for each clause X that is left open from behind, so that no denial before reaches it."""
    starts = [0, *(match.end() for match in _CLAUSE_START.finditer(text))]
    pieces: list[str] = []
    copied = 0
    for match in _DOUBT_BEHIND.finditer(text):
        start = max(copied, starts[bisect_right(starts, match.start()) - 1])
        clause = text[start : match.start()].strip()
        if not clause or re.match(r"(?:no|without|nor)(?!\w)", clause, re.I):
            pieces += [text[copied : match.start()], " not excluded"]
        else:
            pieces += [text[copied:start].rstrip(", "), "; " if start else "", f"possible {clause};"]
        copied = match.end()
    return "".join(pieces) + text[copied:] if pieces else text


def _denied_before(text: str, trigger: re.Pattern[str]) -> str:
    """Write "without X;" for each clause X that the trigger ends."""
    starts = [0, *(match.end() for match in _CLAUSE_START.finditer(text))]
    pieces: list[str] = []
    copied = 0
    for match in trigger.finditer(text):
        start = max(copied, starts[bisect_right(starts, match.start()) - 1])
        if last_alone(text[start : match.start()], singular=_SINGULAR.match(match[0]) is not None):
            start += max(match.end() for match in _AND.finditer(text[start : match.start()]))
        clause = text[start : match.start()].strip()
        if not clause or (_NOT_YET.search(text[start : match.end()]) and not _SURE.search(match[0])):
            continue
        # "without" reaches over an "and"; the semicolon ends it before the next statement.
        pieces += [text[copied:start], " " if start else "", f"without {clause};"]
        copied = match.end()
    return "".join(pieces) + text[copied:] if pieces else text


def _doubts(text: str, doubted: list[str]) -> str:
    """Take the words of doubt away, and note the clause that each belongs to."""
    while match := _DOUBT_BEHIND.search(text):
        start = max((text.rfind(mark, 0, match.start()) + 1 for mark in ",;."), default=0)
        clause = text[start : match.start()].strip()
        if not clause:
            break
        doubted.append(clause)
        text = text[: match.start()] + text[match.end() :]
    position = 0
    while match := _DOUBT_BEFORE.search(text, position):
        if re.search(r"(?<!\S)(?:no|without|not)\s+(?:clinical\s+)?$", text[: match.start()], re.I):
            position = match.end()
            continue
        rest = text[match.end() :]
        clause = re.split(r"[,;.]|(?<!\S)(?:but|with|without|and|no)(?!\S)", rest, maxsplit=1)[0].strip()
        position = match.start()
        if not clause:
            break
        doubted.append(clause)
        text = text[: match.start()] + rest
    return text
