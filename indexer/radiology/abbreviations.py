"""Spell out the abbreviations of chest radiology.

Only those that mean one thing on a chest film: "PE" (embolism or effusion), "RA" (atrium or arthritis) and their like
stay as they are. Those of `_CAPITALS` are words or parts of words in small letters, and are read in capitals alone.

The table was written for this project and copies no list. `CONFIRMED` are the entries that were found, with the same
meaning, in published ones; of these lists only parts could be read, so the others are not contradicted, but unchecked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from filmroom.indexer.radiology.lexicon import TERMS
from filmroom.indexer.radiology.qualifiers import PLACE_TAILS, PLACES, SEVERITIES, SIDE_TAILS, SIDES

ABBREVIATIONS = {
    # findings and diseases
    "chf": "congestive heart failure",
    "pna": "pneumonia",
    "ptx": "pneumothorax",
    "pleff": "pleural effusion",
    "pl eff": "pleural effusion",
    "copd": "chronic obstructive pulmonary disease",
    "ards": "acute respiratory distress syndrome",
    "ild": "interstitial lung disease",
    "ipf": "idiopathic pulmonary fibrosis",
    "ggo": "ground-glass opacity",
    "spn": "solitary pulmonary nodule",
    "pcp": "pneumocystis pneumonia",
    "cap": "community-acquired pneumonia",
    "pnx": "pneumothorax",
    "ccf": "congestive cardiac failure",
    "lvf": "left ventricular failure",
    "cmg": "cardiomegaly",
    "eff": "effusion",
    "effs": "effusions",
    "pjp": "pneumocystis pneumonia",
    "lrti": "lower respiratory tract infection",
    "uip": "usual interstitial pneumonia",
    "bhl": "bilateral hilar lymphadenopathy",
    "pah": "pulmonary arterial hypertension",
    "ntm": "nontuberculous mycobacteria",
    "taa": "thoracic aortic aneurysm",
    "ttn": "transient tachypnea of the newborn",
    "bpd": "bronchopulmonary dysplasia",
    "mets": "metastases",
    "fx": "fracture",
    "consol": "consolidation",
    "tb": "tuberculosis",
    "hf": "heart failure",
    "ctr": "cardiothoracic ratio",
    "cxr": "chest x-ray",
    "nad": "no abnormality detected",
    "wnl": "within normal limits",
    # devices
    "aicd": "implantable cardioverter defibrillator",
    "icd": "implantable cardioverter defibrillator",
    "ppm": "permanent pacemaker",
    "ett": "endotracheal tube",
    "ngt": "nasogastric tube",
    "ogt": "orogastric tube",
    "cvc": "central venous catheter",
    "cvl": "central venous line",
    "picc": "peripherally inserted central catheter",
    "dht": "Dobbhoff tube",
    "sgc": "Swan-Ganz catheter",
    "uvc": "umbilical venous catheter",
    "uac": "umbilical arterial catheter",
    "vps": "ventriculoperitoneal shunt",
    "ecmo": "extracorporeal membrane oxygenation cannula",
    "tavr": "transcatheter aortic valve",
    "tavi": "transcatheter aortic valve",
    "avr": "aortic valve replacement",
    "mvr": "mitral valve replacement",
    "iabp": "intra-aortic balloon pump",
    "lvad": "left ventricular assist device",
    "cabg": "coronary artery bypass graft with sternotomy wires",
    # places
    "rul": "right upper lobe",
    "rml": "right middle lobe",
    "rll": "right lower lobe",
    "lul": "left upper lobe",
    "lll": "left lower lobe",
    "ruz": "right upper zone",
    "rmz": "right mid zone",
    "rlz": "right lower zone",
    "luz": "left upper zone",
    "lmz": "left mid zone",
    "llz": "left lower zone",
    "svc": "superior vena cava",
    "ij": "internal jugular",
    "cp angle": "costophrenic angle",
    "bilat": "bilateral",
    "rt": "right",
    "lt": "left",
    "b/l": "bilateral",
    "s/p": "status post",
}
CONFIRMED = {
    "Undergraduate Diagnostic Imaging Fundamentals: Commonly Used Abbreviations (Pressbooks)": ("copd", "ctr", "cxr"),
    "Jargon Buster for volunteers (Liverpool Heart and Chest Hospital)": ("cabg", "copd"),
    "Terms and abbreviations used in neonatal units, in Essentials of Child Nursing (SAGE)": ("ttn",),
    "Radiographic & Hospital Terms (shaderware.com)": ("cabg", "chf", "cxr"),
}
"""Title and publisher of a list, with the entries that it has."""

_CAPITALS = frozenset(("cap", "icd", "hf", "tb", "ctr", "pcp", "spn", "svc"))
_SHORT = re.compile(
    r"(?<![\w-])(?<!\b\w/)(?:"
    + "|".join(re.escape(short).replace(r"\ ", r"\s+") for short in sorted(ABBREVIATIONS, key=len, reverse=True))
    + r")(?:s\b)?(?![\w-]|/\w(?!\w))",
    re.I,
)
# Only words that are cut short bear a full stop: "no PTX. Edema" are two sentences.
_BEFORE_A_NAME = re.compile(r"(?<![\w-])(?:lt|rt|pl|bilat|b/l)\.(?=\s+\w)", re.I)
_CUT_SHORT = re.compile(r"(?<![\w-])(?:pl\s+eff|pleff|effs?|consol|mets|fx)\.(?=\s+[a-z])", re.I)
_IN_CAPITALS = re.compile(r"(?<![\w/-])[A-Z]{2,5}s?(?![\w/-])")

_PAIRS = (
    (re.compile(r"(?<![^\s(])([a-z]{3,}:)(?=(?:none|no|nil|absent|negative|neg|yes)(?:[\s,;.)]|$))", re.I), r"\1 "),
    (re.compile(r"(?<!\S)\([-\N{MINUS SIGN}]\)\s+(?=\w)"), "no "),
    (re.compile(r"(?<!\S)[-\N{MINUS SIGN}]\s?ve(?=[\s,.;:)]|$)", re.I), "neg"),
    (re.compile(r"(?<![\w/])e/o(?!\w)", re.I), "evidence of"),
    (re.compile(r"\s*\(((?:n?or|and)\s[^()]*)\)", re.I), r" \1"),
    (re.compile(r"(?<![\w/])c/w(?!\w)", re.I), "consistent with"),
    (re.compile(r"(?<![\w/])w/out(?!\w)", re.I), "without"),
    (re.compile(r"(?<=[a-z]{2})\s*(?:[:=]\s*)?\++(?=\s*(?:$|[,;.]))", re.I), ""),
    (re.compile(r"(?<=\w)(?:\s*[:=]\s*|\s+)[-\u2010-\u2015\N{MINUS SIGN}](?=\s*(?:$|[,;.]))"), " absent"),
    (re.compile(r"(?<!\S)w/(?=\s+(?!or(?!\w))\w)", re.I), "with"),
)

_CONTRACTED = re.compile(
    r"(?<!\w)(is|are|was|were|does|do|did|has|have|had|could|would|should|ca)n['\u2019`]?t(?!\w)", re.I
)
_VERSUS = re.compile(r"(?<=\w\s)(?:vs\.?|v\.)(?=\s+\w)", re.I)


@dataclass(frozen=True)
class SpelledOut:
    """A text with its abbreviations written out; `read` are the pairs as they stood, `unknown` what has no entry."""

    text: str
    read: tuple[tuple[str, str], ...] = ()
    unknown: tuple[str, ...] = ()


def without_stops(text: str) -> str:
    """Drop the full stop of an abbreviation within a sentence: "no lt. effusion" denies the effusion."""

    def adjective(match: re.Match[str]) -> str:
        following = text[match.end() :].split(maxsplit=1)[0]
        ends = following[0].isupper() and not (shouted or (len(following) > 1 and following.isupper()))
        return match[0] if ends else match[0][:-1]

    def noun(match: re.Match[str]) -> str:
        return match[0] if match.string[match.end() :].lstrip()[0].isupper() else match[0][:-1]

    shouted = not any(char.islower() for char in text)
    return _CUT_SHORT.sub(noun, _BEFORE_A_NAME.sub(adjective, _VERSUS.sub("versus", text)))


def signs_as_words(text: str) -> str:
    """Write "(-) X" and "-ve for X" in words, before a minus is looked for."""
    for sign, word in _PAIRS:
        text = sign.sub(word, text)
    return text


def contractions_written(text: str) -> str:
    """Write "isn't" as "is not"."""
    return _CONTRACTED.sub(_written_out, text)


def _written_out(match: re.Match[str]) -> str:
    return "cannot" if match[1].lower() == "ca" else f"{match[1]} not"


def spell_out(text: str) -> SpelledOut:
    """Write the abbreviations of `text` out, and tell which words in capitals are not known.

    A text that is all in capitals ("PLEURAL EFFUSION") has no abbreviations that its capitals tell.
    """
    text = without_stops(text)
    read: dict[str, str] = {}
    shouted = not any(char.islower() for char in text) and len(text.split()) > 1

    def long_form(match: re.Match[str]) -> str:
        short = match[0]
        key = " ".join(short.lower().split())
        key = key if key in ABBREVIATIONS else key.removesuffix("s")
        if key in _CAPITALS and not short.removesuffix("s").isupper():
            return short
        read[short] = ABBREVIATIONS[key]
        return ABBREVIATIONS[key]

    written = _SHORT.sub(long_form, text)
    words = () if shouted else _in_capitals(_SHORT.sub(" ", text))
    return SpelledOut(written, tuple(read.items()), tuple(dict.fromkeys(words)))


def _in_capitals(text: str) -> Iterable[str]:
    return (match[0] for match in _IN_CAPITALS.finditer(text) if match[0].lower() not in lexicon_words())


@cache
def lexicon_words() -> frozenset[str]:
    """Return the words, lower case, that the lexicon and the qualifiers are written in."""
    phrases = [phrase for term in TERMS.values() for phrase in (*term.names, *term.signs)]
    for table in (SIDES, SEVERITIES, PLACES, SIDE_TAILS, PLACE_TAILS):
        values = table.values() if isinstance(table, dict) else table
        phrases += [phrase for value in values for phrase in ((value,) if isinstance(value, str) else value)]
    views = ("ap", "pa", "ll", "lat", "no", "not", "and", "or", "of", "in", "with", "iv", "mm", "cm", "ct", "mri")
    return frozenset((*views, *(word for phrase in phrases for word in re.findall(r"\w+", phrase.lower()))))
