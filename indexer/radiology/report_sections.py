"""Find what a report says was seen: lines set together where they were only wrapped, without the sections of what was
asked, compared or done.

"INDICATION: pneumonia" is no finding, and "there is no" at the end of a line denies what begins the next.
"""

from __future__ import annotations

import re

_TAG = re.compile(r"</?(?:br|p|div|b|i|u|li|ul|ol|span|table|tr|td)\b[^<>]*>", re.I)
_NOT_SEEN = (
    r"(?:clinical|relevant|brief|past|medical|patient)?\s*(?:history|indications?|information|details|data|question|background|"
    r"statement)(?:\s*/\s*\w+)?|reason\s+for\s+(?:the\s+|this\s+)?(?:exam(?:ination)?|study|request|referral|visit)|"
    r"comparisons?(?:\s+(?:stud(?:y|ies)|exams?|films?))?|techniques?|procedures?|exam(?:ination)?(?:\s+(?:type|name|date))?|"
    r"exposure|contrast|protocol|referr(?:al|ing\s+\w+)|signs?\s+and\s+symptoms?|symptoms?|chief\s+complaint|hx"
)
_HEADING = r"[A-Z][A-Za-z]*(?:[ /&-]+[A-Za-z()]+){0,4}"
# A heading begins a line or a sentence.
_SECTION = re.compile(rf"(?:^|(?<=[.;!?]\s)|(?<=[.;!?]\s\s))\s*(?P<name>{_HEADING}|{_HEADING.lower()})\s*:(?=\s|$)")
_SKIPPED = re.compile(rf"\s*(?:{_NOT_SEEN})\s*", re.I)
_BRIEF = re.compile(r"\s*(?:comparison|technique|procedure|exam|exposure|contrast|protocol).*", re.I)
"""Sections of one sentence: what follows without a heading is seen."""
_SENTENCE_END = re.compile(r"[.;]\s+(?=[A-Z])")
_SEEN = re.compile(
    r"\s*(?:findings?|impressions?|conclusions?|report|interpretation|opinion|summary|results?|assessment|diagnosis|"
    r"(?:\w+\s+){0,5}(?:chest|lungs?|heart|thorax|views?|films?))\s*",
    re.I,
)
_WRAPPED_AT = 45
"""Lines shorter than this are not wrapped: they are lines of a list or a template."""
_GOES_ON = re.compile(
    r"(?:,|(?<![\w-])(?:no|not|nor|or|and|of|the|a|an|is|are|was|were|has|have|been|be|with|without|for|in|on|at|to|by|from|"
    r"any|there|evidence|this|that|which|but|than|as|cannot|may|possible|likely|represent|excluded?\s+an?))$",
    re.I,
)
_LISTED = re.compile(r"\s*(?:[-*\u2022\u25cf\u2013\u2014]\s+|\(?\d{1,2}[.)]\s+)")
_ENDED = (".", ":", ";", "!", "?")


def seen(text: str) -> str:
    """Return the lines of a report that say what was seen, each whole."""
    lines = _whole_lines(_TAG.sub("\n", text).replace("\r", "\n"))
    seen_lines: list[str] = []
    skipping = False
    for line in lines:
        if not line:
            continue
        sections = list(_SECTION.finditer(line))
        if skipping and (not sections or sections[0].start() > 0):
            skipping = False  # the section was the heading's next line alone
            line = line[sections[0].start() :] if sections else ""
            sections = list(_SECTION.finditer(line))
        seen_lines.append(_without_sections(line, sections))
        skipping = bool(sections) and _is_skipped(sections[-1]) and not line[sections[-1].end() :].strip()
    return "\n".join(line for line in seen_lines if line.strip())


def _whole_lines(text: str) -> list[str]:
    """Return the lines of a text, those that were wrapped set together; an empty one for a blank line."""
    lines: list[str] = []
    goes_on = False  # the paragraph was wrapped before, however short its lines
    for line in map(str.strip, text.split("\n")):
        at = len(lines) - 1
        while at > 0 and not lines[at] and line:  # "There is no", a blank line, "pneumothorax"
            at -= 1
        before = lines[at] if at >= 0 else ""
        apart = at < len(lines) - 1
        if line and before and _is_wrapped(before, line, apart=apart, goes_on=goes_on and not apart):
            lines[at:] = [f"{before} {line}"]
            goes_on = True
        else:
            lines.append(line)
            goes_on = False
    return lines


def _is_wrapped(before: str, line: str, *, apart: bool, goes_on: bool) -> bool:
    if before.endswith(_ENDED) or _LISTED.match(line) or _SECTION.match(line):
        return False
    if _GOES_ON.search(before):
        return not apart or not before.endswith(",")
    return not apart and (goes_on or len(before) >= _WRAPPED_AT) and line[:1].islower()


def _without_sections(line: str, sections: list[re.Match[str]]) -> str:
    """Return the line without what its sections do not say was seen. A section ends where one of what was seen begins;
    an unknown heading ends none, as clinical notes have their own ("Dx: pneumonia")."""
    parts, position, skipped = [], 0, False
    for section in sections:
        if _is_skipped(section):
            if not skipped:
                parts.append(line[position : section.start()])
            end = _SENTENCE_END.search(line, section.end()) if _BRIEF.fullmatch(section["name"]) else None
            skipped, position = end is None, end.end() if end else 0
        elif skipped and (_SEEN.fullmatch(section["name"]) or section["name"].isupper()):
            skipped, position = False, section.start()
    return " ".join([*parts, "" if skipped else line[position:]]).strip()


def _is_skipped(section: re.Match[str]) -> bool:
    return bool(_SKIPPED.fullmatch(section["name"]))
