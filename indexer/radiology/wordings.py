"""Bring the many wordings of a denial or a doubt to the few that `assertion` and `negation` read.

"fails to show X", "X is not demonstrated", "unable to exclude X": the trigger lists of NegEx and ConText (Chapman et
al., 2001; Harkema et al., 2009; their extensions to radiology, Chapman et al., 2011), grouped by what each phrase
means. Every phrase is written as one that is read already, and none of those is rewritten again.
"""

from __future__ import annotations

import re

from filmroom.indexer.radiology.abbreviations import contractions_written, signs_as_words, without_stops
from filmroom.indexer.radiology.normal_structures import NOTHING_ACUTE, SAYS_NONE, normal_as_denied
from filmroom.indexer.radiology.vocabulary import names_finding

SEEN_WORDS = (
    *("seen", "present", "visible", "identified", "found", "noted", "detected", "demonstrated", "evident", "apparent"),
    *("appreciated", "observed", "discernible", "visuali[sz]ed", "recogni[sz]ed"),
)
SEEN = f"(?:{'|'.join(SEEN_WORDS)})"
"""What a finding is that is there: "not seen" and "no longer visible" deny it."""
GONE = r"(?:resolved|cleared|disappeared|gone|dissipated|subsided|evacuated)"
# "chest tube out", "line pulled"; and what has gone is gone in the interim, too.
_OUT = re.compile(
    r"(?<!\w)(?P<device>tubes?|lines?|catheters?|drains?|cannulas?|(?:et|ng|og)tt?|picc|cvc|pacemaker|icd)"
    r"(?:\s+(?:is|are|was|were|(?:has|have)\s+been))?(?:\s+(?:now|since|also))?\s+(?:out|pulled|d/?c'?d|discontinued|no\s+longer\s+in\s+"
    r"(?:situ|place))(?=\s*(?:$|[,;.]))",
    re.I,
)
_WHOLLY = re.compile(
    rf"(?:,\s+(?=(?:has\s+|have\s+)?(?:since|now|subsequently)\s+{GONE}(?!\w))|(?<!\w)(?P<gone>{GONE})\s+(?:completely|entirely|"
    r"fully|totally|in\s+the\s+(?:interim|interval|meantime))(?=\s*(?:$|[,;.)]|(?:and|but|with)\s)))",
    re.I,
)
_BEGIN = r"(?<![^\s,;(])"
_END = r"(?=\s*(?:$|[,;.)]|(?<!\S)(?:but|and|or|yet|although|though|while)(?!\S)))"
_ARTICLE = r"(?:\s+(?:an?|any|the)(?=\s))?"
_BE = r"(?:\s+(?:is|are|was|were|remains?|(?:has|have|had)\s+(?:now\s+|since\s+|also\s+)?been))?"
_FULLY = (
    r"(?:(?:completely|entirely|fully|totally|definitely|definitively|clearly|reliably|confidently|well|readily)\s+)*"
)
_NEW = r"(?:(?:interval|now|recent|recently|since|previously|subsequent|status post|s/p)\s+)*"


def _phrases(before: str, phrases: tuple[str, ...], after: str) -> re.Pattern[str]:
    return re.compile(f"{before}(?:{'|'.join(phrases)}){after}", re.I)


# A finding follows, and it is there: denials of a denial, and words that only look like one.
_THERE = _phrases(
    _BEGIN,
    (
        r"(?:(?:is|are|was|were)\s+)?not\s+(?:without|(?:completely\s+|entirely\s+)?(?:free|clear)\s+(?:of|from)|"
        r"negative for|lacking|devoid of)",
        r"no\s+(?:absence|lack)\s+of",
        r"no\s+(?:smaller|larger|bigger|better|worse|less)(?!\s+than(?!\w))",
        rf"(?:not\s+previously|previously\s+not)\s+{SEEN}|previously\s+un(?:seen|recognised|recognized)",
        r"not\s+(?:significantly\s+|markedly\s+|appreciably\s+|much\s+)?(?:changed|increased|decreased|improved|worsened)",
        r"(?:no|without|beyond)(?:\s+(?:an?|any))?\s+(?:reasonable\s+)?doubt(?!\s+(?:about|of|that))",
        r"no\s+(?:(?:known|clear|obvious|apparent|definite)\s+)*(?:cause|explanation|reason|etiology)\s+(?:for|of)",
    ),
    rf"{_ARTICLE}\s+(?=\w)",
)
_AGAINST = r"(?:absent|excluded|ruled\s+out|not\s+present|not\s+there|not\s+seen|missing)"
_TWICE = re.compile(
    rf"{_BEGIN}(?:no\s+(?:evidence|indication|suggestion|signs?|proof|reason\s+to\s+believe)|(?:it\s+is\s+)?not\s+(?:true|clear|"
    rf"certain|shown|proven|established))\s+that\s+(?:the\s+|an?\s+)?(?P<what>[^,;.]+?)\s+(?:is|are|was|were|(?:has|have)\s+been)"
    rf"\s+{_AGAINST}",
    re.I,
)
_NOT_NORMAL = re.compile(
    rf"{_BEGIN}not\s+(?:quite\s+)?(?:an?\s+)?(?:entirely\s+|completely\s+)?(?:normal|clear|unremarkable)"
    r"(?P<what>(?:\s+(?:film|study|chest|x-?ray|radiograph|exam(?:ination)?))*)(?=\s*(?:$|[,;:.]))",
    re.I,
)
# "Tube tip not seen", "the tip of the tube is not seen": the tube is there.
_TIP = re.compile(
    r"(?<=\w)\s+(?:distal\s+)?tips?\s+(?:(?:is|was)\s+)?not\s+(?:well\s+|clearly\s+)?"
    rf"{SEEN}|(?<!\w)tip\s+of\s+(?:the\s+)?(?P<what>[\w -]{{1,40}}?)\s+(?:is|was)\s+not\s+(?:well"
    rf"\s+|clearly\s+)?{SEEN}",
    re.I,
)
_NEITHER = re.compile(rf"{_BEGIN}neither\s+(?P<list>[^;.,]{{1,80}},[^;.]{{1,120}}?)\s+nor(?!\w)", re.I)
_IS_NOT = re.compile(r"(?<=\w)\s+(is|are|was|were)\s+not(?=\s*(?:$|[;.]))", re.I)
# Which of two is likelier: both are left open.
_LIKELIER = re.compile(
    r"(?:\s+(?:is|are|was|were|seems?|appears?))?(?:\s+(?:felt|thought|considered)(?:\s+to\s+be)?)?\s+(?:(?:much|far|slightly|somewhat)\s+)?"
    r"(?:(?:less|more)\s+(?:likely|probable)\s+than|(?:is\s+|are\s+)?favou?red\s+over)\s+(?:an?\s+|the\s+)?(?!not(?!\w))(?=\w)",
    re.I,
)
_LIKELIER_FIRST = re.compile(
    rf"{_BEGIN}(?:(?:less|more)\s+likely(?:\s+to\s+be)?\s+(?P<one>[^,;.]+?)\s+than|favou?r(?:s|ing)?\s+(?P<two>[^,;.]+?)\s+over)\s+"
    r"(?:an?\s+|the\s+)?(?=\w)",
    re.I,
)
_ONLY = re.compile(rf"{_BEGIN}not\s+(?:just|merely|solely|simply)(?=\s+\w)", re.I)
_NOT_ABSENT = re.compile(rf"{_BE}\s+not\s+(?:absent|gone|missing|removed){_END}", re.I)

# A finding follows, and is left open.
_OPEN = _phrases(
    _BEGIN,
    (
        rf"(?:(?:can|could|does|do|did|would|may|might)\s+not|(?:un|not\s+)able\s+to|(?:difficult|hard|impossible|fails?|"
        rf"failed)\s+to|cannot|without)\s+{_FULLY}(?:exclude|excluding|rule\s+out|ruling\s+out)",
        r"(?:cannot|(?:can|could|do|did)\s+not)\s+(?:say|state|conclude|confirm|be\s+(?:sure|certain))\s+(?:that\s+)?"
        r"(?:there\s+(?:is|are|was)\s+)?(?:no(?=\s)|without)",
        r"(?:not\s+(?:certain|clear|sure)|un(?:certain|clear|sure))\s+(?:if|whether|about)(?:\s+there\s+(?:is|are))?",
        r"(?:suspicious|worrisome|equivocal|suggestion|suspicion)\s+(?:for|of)",
        r"(?:equivocal|questioned|suspect|presumed|presumably|potential|potentially|conceivably|perhaps|maybe|doubtful|doubt(?:\s+about)?)",
        r"(?:(?:most|very|more|less)\s+)?likely(?:\s+(?:to\s+be|to\s+represent|represent(?:s|ing)|reflect(?:s|ing)))?",
        r"(?:eval|evaluation|assessment|assess|check|screen|look|looking)\s+for",
        r"(?:may|might|could|can)\s+(?:well\s+)?(?:represent|reflect|indicate|be\s+due\s+to)",
        r"question(?!\s+of)|might\s+be|consider(?!\s*:)|(?<!nothing\s)(?<!not\s)(?<!to\s)(?:suggests?|suggesting)|suggestive\s+of",
        r"not\s+necessarily|not\s+excluding|not\s+possible\s+to\s+(?:exclude|rule\s+out)",
        r"no\s+(?:\w+\s+)?(?:evidence|reason|way)\s+to\s+(?:exclude|rule\s+out)",
        r"(?:please\s+)?(?:to\s+|(?<=^)|(?<=\?\s))exclude",
        r"low\s+(?:probability|likelihood|suspicion)\s+(?:of|for)",
        rf"(?:no|without)\s+{_NEW}(?:(?:significantly|clearly)\s+)?(?:worsening|increasing|enlarging|progressive|growing)"
        r"(?!\s+(?:of|in|since|from|or|and)(?!\w))",
    ),
    rf"{_ARTICLE}\s+(?=\w)",
)
_NOT_OPEN = re.compile(r"(?<!\S)(?:no|without|not|low)\s+(?:\w+\s+)?$", re.I)

# The clause before is left open.
_OPEN_BEHIND = _phrases(
    r"\s+",
    (
        rf"(?:could|would|may|might|should|must)\s+(?:also\s+)?(?:not\s+)?be\s+{_FULLY}(?:difficult|hard)\s+to\s+"
        r"(?:exclude|rule\s+out)",
        rf"(?:could|would|may|might|should|must|need\s+not)\s+not\s+(?:necessarily\s+)?be\s+{_FULLY}(?:excluded|ruled\s+out)",
        r"(?:can|could|should|may|might|must)\s+(?:also\s+)?be\s+(?:considered|suspected|questioned|present|seen|there)",
        rf"(?:(?:is|are|remains?|was|were)\s+)?{_FULLY}(?:difficult|hard|impossible)\s+to\s+(?:exclude|rule\s+out)",
        r"(?:(?:is|are|remains?|was|were)\s+)?(?:a\s+(?:possibility|consideration|concern)|in\s+question|in\s+the\s+"
        r"differential|uncertain|equivocal|(?:also\s+)?(?:possible|questionable|suspected|probable|doubtful)|"
        r"(?:less\s+|more\s+|most\s+)?(?<!not\s)likely|not\s+(?:certain|clear|sure))",
        r"to\s+be\s+(?:excluded|ruled\s+out)",
        r"(?:was|were)\s+not\s+(?:completely\s+|entirely\s+)?(?:excluded|ruled\s+out)",
    ),
    _END,
)

# What every film has is not as it would be in a finding: "heart not enlarged".
_PART_NOT = re.compile(
    rf"{_BEGIN}(?:the\s+)?(?P<part>(?:(?:left|right|thoracic|superior)\s+)?(?:heart|cardiac\s+(?:silhouette|shadow)|mediastinum|aorta|"
    r"hil(?:um|a)|trachea|(?:hemi)?diaphragms?|(?:costophrenic\s+)?angles?|lungs?|ribs?|clavicles?))(?:\s+size)?(?:\s+(?:is|are|was|"
    rf"were|appears?))?\s+(?:not|no\s+longer)\s+{_FULLY}(?:(?:significantly|grossly)\s+)?(?P<how>enlarged|widened|dilated|elevated|flattened|blunted|deviated|displaced|collapsed|"
    rf"hyperinflated|fractured|tortuous|unfolded|calcified){_END}(?!\s*,?\s*(?:or|nor)(?!\w))",
    re.I,
)

# A finding follows, and it is denied.
_DENIED = _phrases(
    _BEGIN,
    (
        r"(?:does|do|did)\s+not\s+(?:show|have|demonstrate|reveal|exhibit|display|contain|suggest|indicate|see)",
        r"(?:fails?|failed)\s+to\s+(?:show|reveal|demonstrate|identify)",
        r"(?:there\s+)?(?:is|are|was|were)\s+not(?=\s+(?:an?|any)(?!\w))(?!\s+a\s+feature)",
        r"has\s+never\s+had|never(?:\s+(?:had|showed|developed|shows|has))?(?!\s+(?:resolved|cleared|been|went|improved)(?!\w))",
        r"lack(?:s|ed)|exclude|not\s+with(?=\s)|(?:argu(?:es?|ing)|speaks?)\s+against",
        r"(?:cannot|(?:can|could)\s+not|(?:un|not\s+)able\s+to)\s+(?:see|find|identify|detect|appreciate)"
        r"(?!\s+(?:past|behind|through|beyond|whether|if|the)(?!\w))",
        r"(?:denies|denied|denying)(?!\s*:)",
        r"(?:rules|ruling)\s+out|(?:excludes|disproves|devoid\s+of|sans|minus|nil)",
        r"nothing\s+(?:suggests?|suggested|indicates?)",
        r"(?:nothing|(?:no|without)\s+(?:(?:\w+\s+)?(?:findings?|features?|signs?|evidence)))\s+"
        r"(?:to\s+(?:suggest|indicate|support)|suggest(?:ing|ive\s+of)|indicat(?:ing|ive\s+of)|(?:compatible|consistent)\s+with)",
        r"not\s+(?:consistent|compatible)\s+with|not\s+(?:suggestive|indicative|suspicious)\s+(?:of|for)|inconsistent\s+with",
        r"unlikely(?:\s+(?:to\s+be|to\s+represent|to\s+have))?",
        r"(?:rather\s+than|instead\s+of|as\s+opposed\s+to)",
        rf"{_NEW}(?:non-?visuali[sz]ation|removal|extraction|withdrawal)\s+of",
        rf"no\s+longer(?!\s+(?:{SEEN}|any|has|have|shows?|with|an?|the)(?!\w))",
    ),
    rf"{_ARTICLE}\s+(?=\w)",
)
_CLAUSE_BEGIN = r"(?:^|(?<=[,;.(]\s)|(?<=(?<!\w)and\s)|(?<=(?<!\w)with\s)|(?<=(?<!\w)but\s))"
_DENIED_FIRST = _phrases(  # these mean it only at the beginning of a clause
    _CLAUSE_BEGIN,
    (
        r"ruled\s+out",
        rf"{_NEW}removed",
        rf"no\s+longer\s+{SEEN}(?!\s+(?:in|on|at|by|as|with|and|or|but|since|now|today)(?!\w))",
        r"neg(?:ative)?(?!\s+for)",
        r"absent(?!\s+(?:breath|from|in|on|at|or|and|but|sounds?|of)(?!\w))",
    ),
    rf"{_ARTICLE}\s+(?=[a-z])",
)
_NO_HYPHEN = re.compile(rf"{_BEGIN}no-(?=[a-z]{{4}})", re.I)

# The clause before is denied.
_ABSENT = _phrases(
    _BE,
    (
        rf"\s+not\s+{_FULLY}(?:{SEEN}|there|suspected|suggested|a\s+feature|in\s+evidence)",
        r"\s+(?:(?:felt|thought|considered)\s+(?:to\s+be\s+)?)?(?:very\s+|highly\s+|extremely\s+)?(?:unlikely|not\s+likely|"
        r"improbable)",
        rf"\s+{_NEW}(?:removed|withdrawn|explanted|extracted|taken\s+out)",
        r"\s+removal",
        r"\s+(?:ruled\s+out|excluded|absent|negative|neg|gone)",
        r"\s*\((?:-|\N{MINUS SIGN}|none|no|absent|negative|neg|nil)\)",
        r"\s*,\s*(?:absent|none)",
        r"\s*\?\s*(?:no|none|absent|negative)",
        r"\s*[:=]\s*(?:0|n|false)",
        rf"(?:\s+(?:has|have|had))?\s+{_FULLY}(?:cleared|vanished)",
        r"\s+no",
    ),
    r"(?:\s+(?:now|today|currently|again|anymore|any\s+more))?" + _END,
)
_NOT_GONE = re.compile(
    r"\b(?:not|nearly|almost|partially|partly|mostly|incompletely|largely|never|no|without|neither|cannot|"
    rf"(?:can|could|would|should|may|might|must)(?:\s+not)?)(?:\s+(?:be|been))?\s*{_FULLY}$",
    re.I,
)
_YES = re.compile(rf"(?:(?:\s*[:=]\s*|\s+)(?:yes|(?-i:Y)|\(\+\)))+{_END}", re.I)

_THAN = (
    (re.compile(r"(?<!\S)more\s+likely\s+than\s+not(?!\S)", re.I), "likely"),
    (re.compile(r"(?<!\S)other\s+(?P<what>[a-z]+(?:\s+[a-z]+)?)\s+than(?!\S)", re.I), r"\g<what> other than"),
    (
        re.compile(r"(?<!\S)(?:with\s+the\s+exception\s+of|(?:(?<=abnormality )|(?<=findings ))beyond)(?!\S)", re.I),
        "other than",
    ),
)
# Since when, compared with what: it says nothing of the finding.
_COMPARED = re.compile(
    r"(?:\s+(?:when|as))?\s+(?:compared\s+(?:to|with)|since|from)\s+(?:the\s+)?(?:most\s+recent\s+)?(?:prior|previous|last|"
    r"earlier|preceding)(?:\s+(?:study|exam|examination|film|films|radiograph|radiographs|x-ray|day|comparison))?(?!\w)",
    re.I,
)
# "effusion 0", "effusion: NAD"; of what is no finding ("day 0", "chest: NAD") they say something else.
_NAUGHT = re.compile(
    rf"(?<=[^\s,;.:=()])(?:\s*[:=]\s*|\s+)(?:0|(?-i:N)|nad|(?:no|nothing)\s+abnormal(?:ity)?(?:\s+{SEEN})?){_END}", re.I
)


def gone_at_all(text: str) -> str:
    """Write "line pulled" as removed, and "has cleared completely" and ", since resolved" as what has gone."""
    return _WHOLLY.sub(lambda match: match["gone"] or " ", _OUT.sub(r"\g<device> removed", text))


def usual_wording(text: str, *, keep_normal: bool = False) -> str:
    """Write every phrase that denies, doubts or only seems to in one of the forms that are read."""
    text = contractions_written(without_stops(signs_as_words(text)))
    text = normal_as_denied(text, keep_normal=keep_normal)
    text = _NOT_NORMAL.sub(r"abnormal\g<what>", _NAUGHT.sub(_naught, text))
    text = NOTHING_ACUTE.sub("no acute findings", text) if keep_normal else text
    text = _NEITHER.sub(r"no \g<list> or", _TIP.sub(lambda match: match["what"] or "", text))
    text = _IS_NOT.sub(r" \1 absent", text)
    text = _LIKELIER_FIRST.sub(lambda match: f"possible {match['one'] or match['two']}, possible ", text)
    text = _LIKELIER.sub(" cannot be excluded, possible ", text)
    text = _PART_NOT.sub(r"without \g<how> \g<part>;", text)
    text = _TWICE.sub(lambda match: f"possible {match['what']}", text)
    for pattern, usual in _THAN:
        text = pattern.sub(usual, text)
    text = _COMPARED.sub("", text) if "no " in text.lower() or "without" in text.lower() else text
    text = _NOT_ABSENT.sub("", _THERE.sub("", text))
    text = _ONLY.sub("not only", _YES.sub("", text))
    text = _OPEN.sub(_opened, text)
    text = _OPEN_BEHIND.sub(" cannot be excluded", text)
    text = _DENIED_FIRST.sub("without ", _DENIED.sub("without ", _NO_HYPHEN.sub("no ", text)))
    return _ABSENT.sub(_absent, text)


def _opened(match: re.Match[str]) -> str:
    before = match.string[: match.start()]
    return match[0] if _NOT_OPEN.search(before) else "possible "


def _naught(match: re.Match[str]) -> str:
    clause = re.split(r"[,;.:=()]", match.string[max(0, match.start() - 80) : match.start()])[-1]
    return " absent" if names_finding(clause) and not SAYS_NONE.search(clause) else match[0]


def _absent(match: re.Match[str]) -> str:
    """Write "absent" with the verb, whose number tells whether "X and Y are absent" denies both."""
    before = match.string[: match.start()]
    if not before.strip() or _NOT_GONE.search(f"{before} "):
        return match[0]
    verb = match[0].split()[0].lower()
    return f" {verb} absent" if verb in ("is", "are", "was", "were") else " absent"
