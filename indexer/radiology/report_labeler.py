"""Read what a text says of a film: findings with side, severity and place; present, denied, or only suspected.

The words are the lexicon's (`lexicon`, `qualifiers`). A label that it lacks is an idea of its own name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from filmroom.indexer.radiology.abbreviations import spell_out
from filmroom.indexer.radiology.assertion import plain_assertions
from filmroom.indexer.radiology.lexicon import term_of
from filmroom.indexer.radiology.negation import split_negations
from filmroom.indexer.radiology.qualifiers import PLACE_TAILS, PLACES, SEVERITIES, SIDE_TAILS, SIDES
from filmroom.indexer.radiology.report_sections import seen
from filmroom.indexer.radiology.vocabulary import NORMAL, PARENTS, finding_of, findings_pattern, is_view, phrases

READER = 9
"""To be raised when reports are read otherwise than before: what an archive keeps of them is then read again."""
_HEDGED = re.compile(
    r"\b(?:possibl[ey]|probabl[ey]|may|might|could|suspected|suspicious|suggest\w*|questionable|cannot|not excluded|"
    r"likely|versus|vs|consider|or|rule[- ]out|r/o|question of|query|not been (?:ruled out|excluded)|not ruled out|"
    r"can ?not|concern\w* for|evaluate for|assess for)\b|\?",
    re.I,
)
_HEART_ENLARGED = re.compile(
    r"(?P<comma>,\s*)?\b(?:heart|cardiac silhouette|(?:cardio ?)?mediastinal silhouette|(?:heart|cardiac) size)"
    r"(?:\s*:\s*|\s+)(?:(?:is|are|was|appears|remains|again)\s+)*(?P<how>[a-z]+\s+)?(?:heart\s+)?enlarged\b",
    re.I,
)
# "Bones: no abnormality" says nothing of the lungs.
_ONE_PART = re.compile(
    r"^\W*(?:the\s+)?(?:bon(?:es?|y)|osseous|skeletal|skeleton|ribs?|spine|soft\s+tissues?|(?:upper\s+)?abdomen|heart|pleura\w*|"
    r"mediastin\w*|diaphragm\w*|devices?|lines?|tubes?)(?:\s+(?!and(?!\w))\w+)?\s*[:=]",
    re.I,
)
_ASKED = re.compile(r"(?<!\S)\?\s*(?=\w)")  # "? effusion" is no end of a sentence
_ANSWERED = re.compile(r"(?<=\w)\s*\?\s*(?=(?:no|none|absent|negative|nil|yes)\s*(?:$|[,;.\n]))", re.I)
_NEGATIVE = re.compile(r"(?<!\w)neg\.\s+for(?!\w)", re.I)  # nor is this one
_SENTENCE = re.compile(r"(?<=[.;!?])\s+|\n+|\d+\.\s")
_CLAUSE = re.compile(r"[,;]|(?<!\S)(?:and|with|but)(?!\S)", re.I)
_LEFT_AND_RIGHT = re.compile(r"\b(?:both|bibasilar|bibasal|biapical|bilaterally)\b", re.I)


@dataclass(frozen=True)
class Statement:
    """One finding of one film. `votes` counts the readers who said so, 0 where nobody counted."""

    idea: str
    present: bool = True
    side: str = ""
    severity: str = ""
    places: frozenset[str] = frozenset()
    certain: bool = True
    votes: int = 0


def spoken(idea: str) -> str:
    """Return what a radiologist would type for an idea: "effusion" -> "pleural effusion"."""
    return term_of(idea).names[0]


def with_parents(statement: Statement) -> tuple[Statement, ...]:
    """Add to a statement what follows from it: covid-19 is a viral pneumonia and a pneumonia."""
    if not statement.present:
        return (statement,)
    return (statement, *(replace(statement, idea=parent) for parent in PARENTS.get(statement.idea, ())))


def qualified(idea: str, text: str, *, present: bool = True) -> Statement:
    """Return `idea` with the side, severity and places that `text` names beside its findings ("central" in "central
    line" is no place); left and right together are bilateral."""
    certain = not _HEDGED.search(text)
    text = findings_pattern().sub(" ", text.lower())
    sides = _named(text, "side")
    side = "bilateral" if len(sides) > 1 or _LEFT_AND_RIGHT.search(text) else next(iter(sides), "")
    severity = next(iter(sorted(_named(text, "severity"))), "")
    return Statement(idea, present, side, severity, frozenset(_named(text, "place")), certain)


def qualifies(word: str) -> bool:
    """Tell whether `word` is a side, a severity or a place and nothing more."""
    return any(pattern.fullmatch(word) for pattern, _ in _qualifiers().values())


def read_report(text: str, *, known: Iterable[str] = ()) -> tuple[Statement, ...]:
    """Read the statements of a report. `known` are ideas beyond the lexicon to look for.

    What a sentence denies is absent; a bare list after "no" is denied whole, as reports write it. Qualifiers
    belong to a finding when they stand in its clause. Sections of what was asked, compared or done say nothing, and
    lines that were only wrapped are one. A film is normal where the report says so and names no finding.
    """
    ideas = frozenset(known)
    text = spell_out(_NEGATIVE.sub("negative for", _ASKED.sub("possible ", _ANSWERED.sub(": ", seen(text))))).text
    statements: dict[Statement, None] = {}
    for sentence in _SENTENCE.split(" ".join(text.replace("\n", ". ").split())):
        statements.update(dict.fromkeys(_read_sentence(sentence, ideas)))
    abnormal = any(
        statement.present and statement.idea != NORMAL and not is_view(statement.idea) for statement in statements
    )
    return tuple(
        statement for statement in statements if statement.idea != NORMAL or (not abnormal and statement.certain)
    )


def says_normal(words: str) -> bool:
    """Tell whether words, as a label or a report has them, say that a film is normal, and nothing else: clear lungs
    are without opacity, too."""
    statements = read_report(words)
    return finding_of(words) == NORMAL or NORMAL in {statement.idea for statement in statements if statement.present}


@lru_cache(maxsize=20_000)  # reports are made of the same sentences
def _read_sentence(sentence: str, ideas: frozenset[str]) -> tuple[Statement, ...]:
    statements: list[Statement] = []
    plain = plain_assertions(sentence, keep_doubt=True).text
    plain = _HEART_ENLARGED.sub(_cardiomegaly, plain)
    rest, denied = split_negations(plain, lists=True)
    for clause in denied:
        lacking = (idea for idea in mentions(clause, ideas) if idea != NORMAL)
        statements += [replace(qualified(idea, clause, present=False), certain=True) for idea in lacking]
    for clause in _CLAUSE.split(rest):
        statements += [qualified(idea, clause) for idea in mentions(clause, ideas)]
    if NORMAL in mentions(rest, ideas):  # its phrases run over commas
        statements.append(Statement(NORMAL))
    return tuple(statement for statement in statements if statement.idea != NORMAL or not _ONE_PART.match(sentence))


def _cardiomegaly(heart: re.Match[str]) -> str:
    """Write "heart mildly enlarged" as the finding; after a comma it is a statement of its own."""
    return f"{'; ' if heart['comma'] else ''}{heart['how'] or ''}cardiomegaly"


def mentions(text: str, known: frozenset[str]) -> list[str]:
    """Return ideas that the text names, in order, the longest name first where names overlap."""
    names = phrases()
    plain = " ".join(text.lower().replace("_", " ").split())
    spans = [(*match.span(), names[_singular(match[0], names)]) for match in findings_pattern().finditer(plain)]
    for idea in known:
        if idea in plain:
            spans += [(*match.span(), idea) for match in re.finditer(rf"(?<!\w){re.escape(idea)}s?(?!\w)", plain)]
    apart: list[tuple[int, int, str]] = []
    for start, end, idea in sorted(spans, key=lambda span: (span[0] - span[1], span)):
        if all(end <= other or start >= until for other, until, _ in apart):
            apart.append((start, end, idea))
    return list(dict.fromkeys(idea for _, _, idea in sorted(apart)))


def _named(text: str, kind: str) -> set[str]:
    return {_qualifiers()[kind][1][match[0].lower()] for match in _qualifiers()[kind][0].finditer(text)}


def _singular(word: str, names: dict[str, str]) -> str:
    return word if word in names else word[:-1]


@cache
def _qualifiers() -> dict[str, tuple[re.Pattern[str], dict[str, str]]]:
    places = {name: (*PLACES[name], *PLACE_TAILS.get(name, ())) for name in PLACES}
    places["upper"] += ("apex", "apices", "biapical", "upper lobes")
    places["lower"] += ("base", "bases", "basis", "bibasal", "lower lobes", "costophrenic angle")
    places["middle"] += ("lingula",)
    sides = {name: (*SIDES[name], *SIDE_TAILS.get(name, ())) for name in SIDES}
    severities = {**SEVERITIES, "small": (*SEVERITIES["small"], "borderline")}
    qualifiers = {}
    for kind, groups in (("side", sides), ("severity", severities), ("place", places)):
        words = {word.lower(): name for name, group in groups.items() for word in group}
        longest = sorted(words, key=len, reverse=True)
        qualifiers[kind] = (re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)", re.I), words)
    return qualifiers
