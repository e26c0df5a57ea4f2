"""Name findings and views: tell what a label, a column or a view position of any source means.

Training, evaluation, zero-shot scores and grounding all ask here, so that what one of them knows the others know.
"""

from __future__ import annotations

import re
from functools import cache

from filmroom.db.reads.filters import LATERALS
from filmroom.indexer.radiology.abbreviations import spell_out
from filmroom.indexer.radiology.lexicon import TERMS
from filmroom.indexer.radiology.views_and_body_parts import view_in_table, view_of

NORMAL = "no finding"
LATERAL = "view LATERAL"
FRONTAL = "frontal"

ALIASES = {
    "no abnormality detected": NORMAL,
    "nothing abnormal detected": NORMAL,
    "no significant abnormality": NORMAL,
    "no acute disease": NORMAL,
    "no pathology": NORMAL,
    "nothing abnormal": NORMAL,
    "infiltrates": "infiltration",
    "masses": "mass",
    "oedema": "edema",
    "pneumothoraces": "pneumothorax",
    "pulmonary atelectasis": "atelectasis",
    "pleural effusions": "effusion",
    "fluid in the pleural space": "effusion",
    "hernia, hiatal": "hernia",
    "fractures, bone": "fracture",
    "pulmonary emphysema": "emphysema",
    "pulmonary fibrosis": "fibrosis",
    "catheters, indwelling": "line",
    "central venous line": "line",
    "airspace disease": "opacity",
    "airspace opacity": "opacity",
    "lung opacity": "opacity",
    "calcified granuloma": "granuloma",
    "nodule/mass": "nodule or mass",
    "enlarged heart": "cardiomegaly",
    "borderline heart size": "cardiomegaly",
    "levoscoliosis": "scoliosis",
    "dextroscoliosis": "scoliosis",
    "scoliotic curvature": "scoliosis",
    "scoliotic curve": "scoliosis",
    "granulomata": "granuloma",
    "prominent hila": "hilar",
    "hilar prominence": "hilar",
    "granulomatous disease": "granuloma",
    "ild": "interstitial",
    "interstitial pattern": "interstitial",
    "ground glass pattern": "ground-glass",
    "lung cavity": "cavity",
    "nsg tube": "nasogastric",
    "dobhoff tube": "nasogastric",
    "tracheostomy tube": "tube",
    "pa chest film": "view PA",
    "ap chest film": "view AP",
    "lateral chest film": LATERAL,
}
"""What the lexicon's own names lack: spellings of public label sets, and of the queries that ship."""

PARENTS = {
    "covid-19": ("viral pneumonia", "pneumonia"),
    "sars": ("viral pneumonia", "pneumonia"),
    "influenza pneumonia": ("viral pneumonia", "pneumonia"),
    "varicella pneumonia": ("viral pneumonia", "pneumonia"),
    "viral pneumonia": ("pneumonia",),
    "streptococcus pneumonia": ("bacterial pneumonia", "pneumonia"),
    "klebsiella pneumonia": ("bacterial pneumonia", "pneumonia"),
    "legionella pneumonia": ("bacterial pneumonia", "pneumonia"),
    "e. coli pneumonia": ("bacterial pneumonia", "pneumonia"),
    "mycoplasma pneumonia": ("bacterial pneumonia", "pneumonia"),
    "chlamydophila pneumonia": ("bacterial pneumonia", "pneumonia"),
    "bacterial pneumonia": ("pneumonia",),
    "pneumocystis pneumonia": ("pneumonia",),
    "lipoid pneumonia": ("pneumonia",),
    "view AP SUPINE": ("view AP", FRONTAL),
    "view AP ERECT": ("view AP", FRONTAL),
    "view AP": (FRONTAL,),
    "view PA": (FRONTAL,),
}
VIEWS = ("view PA", "view AP", "view AP SUPINE", "view AP ERECT", LATERAL, FRONTAL)
_NO_DISEASE = frozenset({NORMAL, "device", "male", "female", "child", "elderly", "rotated", "low volume", "scoliosis"})
_LYING = frozenset({"SUPINE", "HORIZONTAL"})
_UPRIGHT = frozenset({"ERECT", "UPRIGHT", "SITTING", "STANDING", "SEMIERECT"})


def finding_of(label: str) -> str:
    """Turn the lexicon's name for a label: "Pleural_Effusion" into "effusion"; unknown ones in plain lower case.

    Case, underscores, runs of spaces and a plural's last letter do not count; "" where nothing is written.
    """
    plain = re.sub(r"\s*/\s*", "/", " ".join(label.lower().replace("_", " ").split()))
    if plain == "normal":  # no phrase to look for in a text: "normal heart size" says nothing of the lungs
        return NORMAL
    known = phrases()
    return known.get(plain) or known.get(plain.removesuffix("s")) or plain


def view_finding(view: str | None) -> str | None:
    """Return what a view position says: "AP SUPINE" -> "view AP SUPINE", "LL" -> "view LATERAL"; None for one not
    known."""
    words = re.split(r"[\W_]+", (view or "").upper().strip())
    if words == ["FRONTAL"]:
        return FRONTAL
    name = view_of(" ".join(word for word in words if word not in _LYING), "")
    if name == "AP" and not _LYING.isdisjoint(words):
        return "view AP SUPINE"
    if name == "AP" and not _UPRIGHT.isdisjoint(words):
        return "view AP ERECT"
    if (name or view_in_table(" ".join(words))) in LATERALS["LATERAL"]:
        return LATERAL
    return f"view {name}" if f"view {name}" in TERMS else None


def is_frontal(view: str | None) -> bool:
    """Tell whether a finding of `view_finding` is a view from the front or the back."""
    return view is not None and FRONTAL in (view, *PARENTS.get(view, ()))


def is_view(finding: str) -> bool:
    """Tell whether this is how a film was taken, and not what it shows."""
    return finding in VIEWS


def denied_by_normal(finding: str) -> bool:
    """Tell whether a normal film lacks it: a device, a scar of surgery, a view or the patient's sex it may have."""
    term = TERMS.get(finding)
    return term is not None and finding not in _NO_DISEASE and not is_view(finding) and "device" not in term.meaning


@cache
def findings_pattern() -> re.Pattern[str]:
    """Return the pattern of every phrase that names a finding, the longest first, with a plural's last letter."""
    longest = sorted(phrases(), key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?<!non-)(?:{'|'.join(map(re.escape, longest))})s?(?!\w)")


def names_finding(words: str) -> bool:
    """Tell whether words, abbreviations among them, name what a film shows: neither a view nor a normal film."""
    matches = findings_pattern().finditer(" ".join(spell_out(words).text.lower().replace("_", " ").split()))
    ideas = {phrases().get(match[0]) or phrases()[match[0][:-1]] for match in matches}
    return any(idea != NORMAL and not is_view(idea) for idea in ideas)


@cache
def phrases() -> dict[str, str]:
    """Return every phrase that names a finding, in lower case, with the finding."""
    findings = dict(ALIASES)
    for finding in TERMS:
        findings[finding.lower()] = finding
    for part in ("names", "signs"):
        for finding, term in TERMS.items():
            for phrase in getattr(term, part):
                findings.setdefault(" ".join(phrase.lower().split()), finding)
    return findings
