"""Read that a structure is normal as the denial of what it would show: "heart size normal" is no cardiomegaly.

Embedded as they stand, such words rank at chance or the wrong way round: "sharp costophrenic angles" lies next to
effusions. Words for a normal film as a whole ("normal chest x-ray") are none of these, and stay as they are. What is
excepted of all films that are asked for ("everything except effusion") is denied, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_HEART = r"(?:heart|cardiac)(?:\s+(?:size|silhouette|shadow|contours?|borders?))?"
_CARDIOMEDIASTINAL = (
    r"(?:cardio[- ]?mediastinal|cardio[- ]?pericardial)(?:\s+(?:silhouettes?|contours?|shadow|structures?))?"
)
_VESSELS = r"vascularity|vasculature|vascular\s+(?:markings?|pattern|pedicle)|vessels"
_SIDES = r"(?:(?P<side>left|right)\s+|(?:both|bilateral|visuali[sz]ed|imaged|all)\s+(?:the\s+)?)?"
# A name that is cut short ("cardiac and mediastinal contours") stands in a list alone.
_TABLE: tuple[tuple[str, tuple[str, ...]], ...] = (
    (rf"{_HEART}|{_CARDIOMEDIASTINAL}", ("cardiomegaly",)),
    (r"mediastin(?:um|al)(?:\s+(?:silhouettes?|contours?|structures?|borders?|width))?", ("widened mediastinum",)),
    (
        r"lungs(?:\s+(?:fields?|zones?|bases|apices|parenchyma))?|lung\s+(?:fields?|zones?|bases|apices|parenchyma)|"
        r"(?:left|right)\s+lung(?:\s+field)?|pulmonary\s+parenchyma",
        ("lung opacity",),
    ),
    (r"lung\s+volumes?", ("low lung volumes",)),
    (
        r"pleura(?:l(?:\s+(?:spaces?|cavit(?:y|ies)|surfaces?|recess(?:es)?))?|s|e)?",
        ("pleural effusion", "pneumothorax"),
    ),
    (r"(?:(?:costo|cardio)[- ]?(?:ph|f)renic|cp)\s+(?:angles?|sulc(?:us|i)|recess(?:es)?)", ("pleural effusion",)),
    (r"hil(?:a|um|i)|hilar(?:\s+(?:contours?|structures?|regions?|shadows?))?", ("hilar enlargement",)),
    (rf"pulmonary(?:\s+(?:{_VESSELS}))?|{_VESSELS}", ("pulmonary vascular congestion",)),
    (r"(?:thoracic\s+)?aort(?:a|ic(?:\s+(?:arch|knob|knuckle|contours?|silhouette))?)", ("tortuous aorta",)),
    (r"trachea(?:l(?:\s+(?:position|air\s+column))?)?", ("tracheal deviation",)),
    (r"(?:hemi)?diaphragms?|hemidiaphragmatic\s+contours?", ("elevated hemidiaphragm",)),
    (
        r"bones|bony\s+(?:structures?|thorax|skeleton|cage|thoracic\s+cage)|osseous\s+(?:structures?|thorax)|ribs|rib\s?cage|"
        r"skelet(?:on|al\s+structures?)|thoracic\s+cage|clavicles",
        ("fracture",),
    ),
    (r"(?:thoracic\s+)?spine|vertebral\s+column", ("scoliosis",)),
)
LUNGS = "lung opacity"
"""A report that calls the lungs clear, and names no finding, is of a normal film."""
_NAME = "|".join(pattern for pattern, _ in _TABLE).replace("(?P<side>", "(?:")
_PIECE = rf"(?:the\s+)?{_SIDES.replace('(?P<side>', '(?:')}(?:{_NAME})(?![\w-])"
_JOIN = r"(?:\s*,\s*(?:and\s+)?|\s*[/&]\s*|\s+and\s+)"
_LIST = rf"{_PIECE}(?:{_JOIN}{_PIECE}){{0,7}}"
_PIECES = re.compile(_PIECE, re.I)
_BARE = re.compile(r"(?:the\s+)?(?:cardiac|mediastinal|hilar|pulmonary|pleural|aortic|tracheal)", re.I)
_VERBS = (
    r"(?:(?:size|calib(?:er|re)|is|are|was|were|remains?|appears?|looks?|seems?|has|have|been|be|to|returned|shows?)"
    r"\s+)*"
)
_ADVERBS = (
    r"(?:(?:again|now|also|both|all|grossly|essentially|completely|entirely|fully|well|still|basically|"
    r"within|of|in|radiographically|bilaterally|and)\s+)*"
)
_WORD = (
    r"(?:normal(?:\s+limits)?|unremarkable|clear|sharp|intact|preserved|well[- ](?:defined|preserved|aerated)|midline|"
    r"central|crisp|free|healthy|fine|wnl|nad|no\s+(?:(?:significant|gross|acute|focal)\s+)?abnormalit(?:y|ies)(?:\s+(?:is\s+)?(?:seen|detected|noted))?)"
)
_OF_WHAT = r"(?:size|width|contours?|appearance|calib(?:er|re)|configuration|position|shape|age|outline|course)"
_TAIL = (
    rf"(?:\s+(?:(?:in|for)\s+(?:overall\s+)?{_OF_WHAT}(?:(?:,\s*|\s+and\s+|,\s+and\s+){_OF_WHAT})*|"
    r"size|bilaterally|limits|on\s+both\s+sides|throughout))*"
)
_END = (
    r"(?=\s*(?:$|[,;.:)\]!]|(?<!\S)(?:and(?!/)|but(?!\s+for)|with(?!\s+the\s+exception)|without|no|while|although|though|however|"
    r"at|today|there|as|status|since|given|no|yet)(?!\w)))"
)
_NORMAL_BEHIND = re.compile(
    rf"(?<![\w-])(?P<list>{_LIST})(?:\s*[:=]\s*|\s+[-\u2013\u2014]\s+|\s+){_VERBS}(?P<no>not\s+)?{_ADVERBS}{_WORD}{_TAIL}{_END}",
    re.I,
)
_NORMAL_BEFORE = re.compile(
    r"(?<![\w-])(?P<no>not\s+(?:(?:quite|entirely|completely)\s+)?(?:an?\s+)?)?(?:grossly\s+)?"
    r"(?:normal|unremarkable|clear|sharp|intact|preserved|healthy)(?:[- ]sized?(?=\s+heart))?"
    rf"[- ](?P<list>{_LIST})(?:\s+(?:bilaterally|throughout))?"
    r"(?!\s+(?:(?:is|are)(?!\s+(?:seen|noted))|was|were|not|to|or|line|cancer)(?!\w))",
    re.I,
)
# At the edge of normal: neither normal nor enlarged for certain.
_EDGE = (
    r"(?:(?:(?:at|within|near|in)\s+)?(?:the\s+)?(?:upper|high(?:er)?|top|borderline)"
    r"(?:[- ](?:limits?|end|range)\s+of)?(?:\s+the)?[- ]normal(?:\s+(?:limits?|range))?|"
    r"normal\s+(?:to|or)\s+(?:(?:mildly|slightly|minimally|borderline|top)[- ]+)*"
    r"(?:enlarged|prominent|increased|borderline)|"
    r"borderline(?:\s+(?:enlarged|enlargement|prominent))?)"
)
_SIZED = frozenset({"cardiomegaly", "widened mediastinum"})
_EDGE_BEHIND = re.compile(
    rf"(?<![\w-])(?P<list>{_PIECE}(?:\s+and\s+{_PIECE})?)(?:\s*[:=]\s*|\s+){_VERBS}{_ADVERBS}{_EDGE}{_TAIL}(?![\w-])",
    re.I,
)
_EDGE_BEFORE = re.compile(rf"(?<![\w-])(?:(?:at|in)\s+)?{_EDGE}{_TAIL}(?:[- ]sized?)?[- ](?P<list>{_PIECE})", re.I)
_EXCEPT = (
    r"(?:except|excluding|apart\s+from|aside\s+from|other\s+than|besides|save\s+for|but\s+for|with\s+the\s+exception)"
)
_BUT = re.compile(rf"(?:\s*,?\s*and\s+(?:well\s+)?(?:{_WORD}|aerated|expanded))?\s*,?\s*{_EXCEPT}(?!\w)", re.I)
_ACUTE = r"(?:acute|active|significant|radiographic|relevant)"
NOTHING_ACUTE = re.compile(
    r"(?<![^\s,;(])(?:no\s+(?:acute|active)\s+process(?:es)?|nothing\s+(?:acute|of\s+note|significant|remarkable)|(?:no|without)\s+(?:(?:evidence|signs?|indication)\s+(?:of|for)\s+"
    rf"(?:an?\s+|any\s+)?)?(?:{_ACUTE}\s+(?:or\s+)?)+(?:cardio-?\s?pulmonary|cardio-?thoracic|intra-?thoracic|thoracic|chest|"
    r"cardiac\s+(?:or|and)\s+pulmonary)\s+(?:abnormalit(?:y|ies)|process(?:es)?|findings?|disease|patholog(?:y|ies)))"
    r"(?:\s+(?:is\s+|are\s+)?(?:seen|detected|noted|identified|present|demonstrated))?(?:\s+on\s+(?:this|the)\s+\w+)?(?![\w-])",
    re.I,
)
"""A normal film in words that the lexicon does not list; "no acute osseous abnormality" says nothing of the lungs."""
_OPENS = re.compile(
    r"(?:^|[^\w\s-]|(?<![\w-])(?:the|and|with|that|of|both|all|entire|but|shows?|showing|demonstrates?|demonstrating|reveals?|film|"
    r"chest|findings?|visuali[sz]ed|imaged|normal|clear|has|have|is|are|in|on|for|no|without))\s*$",
    re.I,
)
"""What stands before a list of structures that says nothing of its first."""
_DESCRIBED = re.compile(
    r"\s+(?!(?:and|with|but|or|without|no|on|in|for|at|as|seen|noted|while|although|though|is|are|since|today|there|again|"
    r"film|chest|contours?|compared|which|this|that|by|after|however|otherwise|where|only)(?!\w))[a-z]",
    re.I,
)
_LAST = re.compile(r"\s*(?:$|[,;.:)\]])")
_BEFORE_NOW = re.compile(r"(?<!\w)(?:previously|formerly|prior)\s+$|(?<!\w)prior\s+\w+,?\s+(?:the\s+)?$", re.I)
_PAST = re.compile(r"(?<!\w)(?:was|were|previously|formerly|had)(?!\w)", re.I)
_SINCE = re.compile(r"[^.;]*(?<!\w)(?:now|currently|is|are|has|have)(?!\w)", re.I)
_NOT_ALL = re.compile(
    r"(?<!\S)(?:no|not|without|nor|neither|if|whether|remaining|rest\s+of|remainder\s+of|otherwise|elsewhere,?|"
    r"possibl[ey]|probabl[ey]|\?)\s*(?:(?:the|an?)\s+)?$|"
    rf"^{_EXCEPT}\s[^,;.]*,\s*$",
    re.I,
)


def normal_as_denied(text: str, *, keep_normal: bool = False) -> str:
    """Write "heart size normal" as "without cardiomegaly;", and "heart size not normal" as the finding.

    With `keep_normal`, as reports need it, clear lungs are also named: "without lung opacity; clear lungs;". What is
    normal but for an exception stays as it is; what is normal at most ("upper limits of normal") is left open.
    """

    def written(match: re.Match[str]) -> str:
        return _written(match, keep_normal=keep_normal, affirmed=match["no"] is not None)

    text = _EDGE_BEFORE.sub(_left_open, _EDGE_BEHIND.sub(_left_open, text))
    return _NORMAL_BEFORE.sub(written, _NORMAL_BEHIND.sub(written, text))


def _left_open(match: re.Match[str]) -> str:
    """Write "heart size upper limits of normal" as "possible cardiomegaly;"."""
    names = [name[0] for name in _PIECES.finditer(match["list"])]
    before = match.string[: match.start()]
    if _BARE.fullmatch(names[-1]) or _NOT_ALL.search(before) or _BEFORE_NOW.search(before):
        return match[0]
    findings = dict.fromkeys(finding for name in names for finding in _findings(name))
    if not _SIZED.issuperset(findings):
        return match[0]
    doubted = ", ".join(f"possible {finding}" for finding in findings)
    return doubted if _LAST.match(match.string, match.end()) else f"{doubted},"


def _written(match: re.Match[str], *, keep_normal: bool, affirmed: bool = False) -> str:
    text = match.string
    names = [name[0] for name in _PIECES.finditer(match["list"])]
    if _BUT.match(text, match.end()) or _NOT_ALL.search(text[: match.start()]) or _BARE.fullmatch(names[-1]):
        return match[0]
    if _BEFORE_NOW.search(text[: match.start()]) or (_PAST.search(match[0]) and _SINCE.match(text, match.end())):
        return match[0]
    if match.re is _NORMAL_BEHIND and len(names) > 1 and not _OPENS.search(text[: match.start()]):
        # "enlarged heart, lungs are clear": the first of the list has a word of its own
        return f"{names[0]}, {_denied(names[1:], keep_normal=keep_normal)}"
    if match.re is _NORMAL_BEFORE and not affirmed and len(names) > 1 and _DESCRIBED.match(text, match.end()):
        # "normal heart size, lungs hazy": so has the last
        return f"{_denied(names[:-1], keep_normal=keep_normal)} {names[-1]}"
    if affirmed:
        finding = next(finding for name in names for finding in _findings(name))
        return finding if _LAST.match(text, match.end()) else f"{finding},"
    return _denied(names, keep_normal=keep_normal)


def _denied(names: list[str], *, keep_normal: bool) -> str:
    findings = dict.fromkeys(finding for name in names for finding in _findings(name))
    denied = " ".join(f"without {finding};" for finding in findings)
    return f"{denied} clear lungs;" if keep_normal and LUNGS in findings else denied


def _findings(name: str) -> Iterator[str]:
    """Yield what the structure would show, with its side where it has one."""
    side = re.search(r"\b(left|right)\b", name, re.I)
    plain = re.sub(rf"^(?:the\s+)?{_SIDES}", "", name, flags=re.I)
    for pattern, findings in _TABLE:
        if any(re.fullmatch(pattern, written, re.I) for written in (plain, re.sub(r"^the\s+", "", name, flags=re.I))):
            for finding in findings:
                yield f"{side[1].lower()} {finding}" if side else finding
            return


# "everything except X", asked of an archive, is without X; "normal except for X" has it.
_BUT_NOT = re.compile(
    r"(?:^|(?<=\s))(?:except(?:ing)?(?:\s+for)?|(?:(?<=everything\s)|(?<=anything\s)|(?<=all\s))but(?:\s+for)?|other\s+than|with\s+the\s+exception\s+of)\s+(?=\w)",
    re.I,
)
SAYS_NONE = re.compile(
    r"\b(?:no|not|none|nothing|without|w/o|normal|unremarkable|clear|negative|neg|free|neither|nor|absent|stable|unchanged|"
    r"improved|healthy|nad|wnl)\b",
    re.I,
)
_ALL = re.compile(r"^(?:everything|anything|all(?:\s+\w+)?|any(?:\s+\w+)?)$", re.I)


def excepted(text: str) -> str:
    """Write "pneumonia except effusion", as a query asks it, as "pneumonia without effusion"."""

    def denied(match: re.Match[str]) -> str:
        before = text[: match.start()]
        first = not before.strip() and "," in text[match.end() :]  # "except for X, the lungs are clear"
        return match[0] if first or SAYS_NONE.search(before) else "without "

    written = _BUT_NOT.sub(denied, text)
    before, without, rest = written.partition("without ")
    return without + rest if without and _ALL.match(before.strip()) else written
