"""Bring what headers call views and body parts to the closed set of values that is kept."""

from __future__ import annotations

import re
import unicodedata

_VIEWS = frozenset({
    "PA", "AP", "LL", "RL", "LLD", "RLD", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "CC", "MLO", "ML", "LM", "LMO",
    "XCCL", "LATERAL", "OBLIQUE",
})  # fmt: skip
_VIEW_WORDS = {
    "LAT": "LATERAL",
    "LLAT": "LL",
    "RLAT": "RL",
    "POSTEROANTERIOR": "PA",
    "ANTEROPOSTERIOR": "AP",
    "LATEROLATERAL": "LATERAL",
    "OBL": "OBLIQUE",
    "DECUB": "DECUBITUS",
    **{f"{side}{view}": view for side in "LR" for view in ("CC", "MLO")},
}
_SIDES = {"LEFT": "L", "RIGHT": "R", "L": "L", "R": "R", "LT": "L", "RT": "R"}
# What is said of how a film was made, and changes nothing of its view: AP AXIAL, XTABLE LATERAL, PA ERECT.
_MANNERS = frozenset({
    "AXIAL", "BEDSIDE", "CROSS", "CROSSTABLE", "ERECT", "EXP", "EXPIRATION", "INSP", "INSPIRATION", "LORDOTIC",
    "MOBILE", "PORT", "PORTABLE", "PRONE", "ROUTINE", "SEMI", "SEMIERECT", "SITTING", "STANDING", "STRETCHER", "SUPINE",
    "TABLE", "UPRIGHT", "VIEW", "VIEWS", "WHEELCHAIR", "X", "XTABLE",
})  # fmt: skip
# What stands beside a body part and names none: CHEST 2 VIEWS, XR CHEST, ADULT CHEST.
_BESIDE_PARTS = frozenset({
    "ADULT", "AND", "CHILD", "FRONTAL", "PED", "PEDIATRIC", "PEDS", "RAY", "SINGLE", "TWO", "XR", "XRAY",
})  # fmt: skip
_COUNT = re.compile(r"\d{1,2}V?W?S?")
# PS3.16 CID 4010 and 4014, by their SNOMED CT codes and the SRT codes of older files.
_VIEW_CODES = {
    "272479007": "PA", "R-40888": "PA", "399348003": "AP", "R-10206": "AP", "399173006": "LL", "R-10236": "LL",
    "399198007": "RL", "R-10232": "RL", "399067008": "LATERAL", "R-102CD": "LATERAL", "399135007": "LAO",
    "R-10220": "LAO", "399356000": "RAO", "R-40985": "RAO", "399006002": "LPO", "R-10212": "LPO",
    "399038007": "RPO", "R-10210": "RPO", "399162004": "CC", "R-10242": "CC", "399368009": "MLO",
    "R-10226": "MLO", "399260004": "ML", "R-10224": "ML", "399352003": "LM", "R-10228": "LM",
}  # fmt: skip
_BODY_PARTS = frozenset({
    "ABDOMEN", "ABDOMENPELVIS", "ANKLE", "ARM", "BREAST", "CALCANEUS", "CHEST", "CHESTABDOMEN",
    "CLAVICLE", "COCCYX", "CSPINE", "CTSPINE", "DENTAL", "ELBOW", "EXTREMITY", "FACE", "FEMUR",
    "FIBULA", "FINGER", "FOOT", "FOREARM", "HAND", "HEAD", "HEEL", "HIP", "HUMERUS", "JAW", "KNEE",
    "LEG", "LSPINE", "LSSPINE", "MANDIBLE", "MAXILLA", "NASAL", "NECK", "ORBIT", "PATELLA",
    "PELVIS", "RADIUS", "RIB", "SACRUM", "SCAPULA", "SHOULDER", "SI", "SINUS", "SKULL", "SPINE",
    "SSPINE", "STERNUM", "TEETH", "THIGH", "THUMB", "TIBIA", "TMJ", "TOE", "TSPINE", "TLSPINE",
    "ULNA", "WHOLEBODY", "WHOLESPINE", "WRIST",
})  # fmt: skip
# Plurals, and what films of Spanish, Portuguese, Italian, French and German speaking hospitals say.
_BODY_PART_WORDS = {
    "THORAX": "CHEST", "LUNG": "CHEST", "LUNGS": "CHEST", "CXR": "CHEST", "TORAX": "CHEST", "PECHO": "CHEST",
    "TORACE": "CHEST", "RIBS": "RIB", "HIPS": "HIP", "KNEES": "KNEE", "HANDS": "HAND", "ADDOME": "ABDOMEN",
    "RODILLA": "KNEE", "CADERA": "HIP", "TOBILLO": "ANKLE", "HOMBRO": "SHOULDER", "CODO": "ELBOW", "CRANEO": "SKULL",
    "POUMON": "CHEST", "POUMONS": "CHEST", "BRUSTKORB": "CHEST", "ABD": "ABDOMEN", "KUB": "ABDOMEN",
    "CERVICALSPINE": "CSPINE", "THORACICSPINE": "TSPINE", "DORSALSPINE": "TSPINE", "LUMBARSPINE": "LSPINE",
}  # fmt: skip
# PS3.16 Annex L, by the same two kinds of codes.
_REGION_CODES = {
    "51185008": "CHEST", "T-D3000": "CHEST", "816094009": "CHEST", "39607008": "CHEST", "T-28000": "CHEST",
    "113345001": "ABDOMEN", "818983003": "ABDOMEN", "T-D4000": "ABDOMEN", "818982008": "ABDOMENPELVIS",
    "69536005": "HEAD", "T-D1100": "HEAD", "45048000": "NECK", "T-D1600": "NECK", "89546000": "SKULL",
    "T-11100": "SKULL", "12921003": "PELVIS", "T-D6000": "PELVIS", "24136001": "HIP", "T-15710": "HIP",
    "72696002": "KNEE", "T-D9200": "KNEE", "70258002": "ANKLE", "T-15750": "ANKLE", "56459004": "FOOT",
    "T-D9700": "FOOT", "85562004": "HAND", "T-D8700": "HAND", "74670003": "WRIST", "T-15460": "WRIST",
    "16953009": "ELBOW", "T-15430": "ELBOW", "16982005": "SHOULDER", "T-D2220": "SHOULDER", "76752008": "BREAST",
    "T-04000": "BREAST", "122494005": "CSPINE", "T-11501": "CSPINE", "122495006": "TSPINE", "T-11502": "TSPINE",
    "122496007": "LSPINE", "T-11503": "LSPINE", "68367000": "THIGH", "T-D9100": "THIGH", "71341001": "FEMUR",
    "T-12710": "FEMUR", "40983000": "ARM", "T-D8200": "ARM", "14975008": "FOREARM", "T-D8500": "FOREARM",
    "85050009": "HUMERUS", "T-12410": "HUMERUS", "30021000": "LEG", "T-D9400": "LEG", "51299004": "CLAVICLE",
    "T-12310": "CLAVICLE", "113197003": "RIB", "T-11300": "RIB", "91609006": "MANDIBLE", "T-11180": "MANDIBLE",
    "38266002": "WHOLEBODY",
}  # fmt: skip
_IN_TABLES = {"L": "LATERAL", "AP_HORIZONTAL": "AP"}
"""Names that public sets give to views; in a DICOM header L is a side."""


def view_of(position: str, code: str) -> str | None:
    """Give the view that the words of View Position say, or else a view code. None where it is not certain."""
    return _view_of_words(_words(position)) or _VIEW_CODES.get(code)


def body_part_of(examined: str, code: str) -> str | None:
    """Give the part that Body Part Examined says, or else an anatomic region code. None where it is not certain."""
    return _part_of_words(_words(examined)) or _REGION_CODES.get(code)


def view_in_table(name: str) -> str | None:
    """Give the view that a table means, of the catalog's closed set; None for frontal, which may be PA or AP, and for
    words that are not known."""
    word = name.strip().upper()
    return _IN_TABLES.get(word) or view_of(word, "")


def _words(text: str) -> list[str]:
    """Return words in capitals, without accents."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text.upper()) if not unicodedata.combining(c))
    joined = " ".join(re.split(r"[\W_]+", bare)).strip()
    joined = re.sub(r"\b(P A|A P)\b", lambda match: match[0].replace(" ", ""), joined)  # P.A.
    return re.sub(r"\b(POSTERO|ANTERO|LATERO) (?=ANTERIOR|POSTERIOR|LATERAL)", r"\1", joined).split()


def _view_of_words(words: list[str]) -> str | None:
    terms = {_VIEW_WORDS.get(word, word) for word in words} - _MANNERS
    sides = {_SIDES[word] for word in terms if word in _SIDES}
    view_terms = {word for word in terms - _SIDES.keys() if _BODY_PART_WORDS.get(word, word) not in _BODY_PARTS}
    side = sides.pop() if len(sides) == 1 else ""
    if "DECUBITUS" in view_terms or view_terms & {"LLD", "RLD"}:
        # A patient who lies on a side is no lateral view, and this is what such a film is looked for by.
        if not view_terms <= {"DECUBITUS", "LATERAL", "LAT", "LLD", "RLD", "AP", "PA"}:
            return None
        lying = view_terms & {"LLD", "RLD"} or ({f"{side}LD"} if side else view_terms & {"AP", "PA"})
        return lying.pop() if len(lying) == 1 else None
    if len(view_terms) != 1:
        return None
    (view,) = view_terms
    if view == "LATERAL" and side:
        return f"{side}L"
    return view if view in _VIEWS and not sides else None


def _part_of_words(words: list[str]) -> str | None:
    phrase = "".join(words)
    if (part := _BODY_PART_WORDS.get(phrase, phrase)) in _BODY_PARTS:
        return part
    how = _MANNERS | _BESIDE_PARTS | _SIDES.keys() | _VIEWS | _VIEW_WORDS.keys()
    parts = {_BODY_PART_WORDS.get(word, word) for word in words if word not in how and not _COUNT.fullmatch(word)}
    return parts.pop() if len(parts) == 1 and parts <= _BODY_PARTS else None
