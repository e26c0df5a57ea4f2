"""Say what a radiologist would of a phantom: structured findings and a short report."""

from __future__ import annotations

from dataclasses import dataclass

from filmroom.indexer.phantom.spec import Finding, Kind, Phantom, Place, Severity, Side, View

SYNTHETIC = "SYNTHETIC PHANTOM - not a patient"
_NAMES = {
    Kind.EFFUSION: "pleural effusion",
    Kind.EDEMA: "pulmonary edema",
    Kind.NODULE: "pulmonary nodule",
    Kind.MASS: "lung mass",
    Kind.HERNIA: "hiatal hernia",
    Kind.VIRAL: "peripheral ground-glass opacities, pattern of viral pneumonia",
}
_GRADED_BY_SIZE = {Kind.EFFUSION, Kind.PNEUMOTHORAX, Kind.NODULE, Kind.MASS, Kind.HERNIA}
_LOBAR = {Kind.CONSOLIDATION, Kind.NODULE, Kind.MASS}
_VIEWS = {
    View.PA: "Chest, upright PA view.",
    View.AP: "Chest, portable AP view.",
    View.AP_SUPINE: "Chest, portable AP view, patient supine.",
    View.LATERAL: "Chest, lateral view.",
}


@dataclass(frozen=True)
class Described:
    """A finding in plain data and in words. `label` is the name in `labels.csv`."""

    label: str
    side: str
    severity: str
    place: str
    phrase: str


def describe(phantom: Phantom) -> tuple[Described, ...]:
    """Return the findings of a film, as data and as phrases ("small left pleural effusion")."""
    return tuple(
        Described(f.kind.value, f.side.value, f.severity.value if f.severity else "", f.place.value, phrase(f))
        for f in phantom.findings
    )


def name(kind: Kind) -> str:
    """Return the usual term for a kind of finding."""
    return _NAMES.get(kind, kind.value)


def degree(finding: Finding) -> str:
    """Return small, moderate, large for what has a size; mild, moderate, severe for the rest; nothing for devices."""
    if finding.severity is None:
        return ""
    if finding.kind in _GRADED_BY_SIZE or finding.severity is Severity.MODERATE:
        return finding.severity.value
    return "mild" if finding.severity is Severity.SMALL else "severe"


def phrase(finding: Finding) -> str:
    """Return one noun phrase with everything that is known about a finding."""
    kind, side = finding.kind, "" if finding.side is Side.MIDLINE else finding.side.value
    size = degree(finding)
    if kind.device:
        return _device(finding)
    if kind is Kind.RIB_FRACTURE:
        number = {Severity.SMALL: "single", Severity.LARGE: "multiple"}.get(finding.severity or Severity.SMALL, "two")
        return f"{number} displaced {side} rib fracture" + ("s" if number != "single" else "")
    if kind is Kind.ATELECTASIS:
        if finding.severity is Severity.SMALL:
            return f"{side} {finding.place.value} plate-like atelectasis"
        if finding.severity is Severity.LARGE:
            return f"{side} {finding.place.value} collapse, severe atelectasis with volume loss"
        return f"moderate {side} {finding.place.value} atelectasis"
    if kind in _LOBAR:
        return f"{size} {name(kind)} in the {side} {finding.place.value}"
    if kind is Kind.PLEURAL_THICKENING:
        return f"{size} {side} {finding.place.value} pleural thickening"
    if kind in (Kind.EMPHYSEMA, Kind.CARDIOMEGALY):
        return f"{size} {kind.value}"
    return " ".join(word for word in (size, side, name(kind)) if word)


def report(phantom: Phantom) -> str:
    """Return FINDINGS and IMPRESSION in a radiologist's words, with what is absent; it says that the film is
    synthetic."""
    lines = [f"{SYNTHETIC}.", "", _VIEWS[phantom.view], "", "FINDINGS:"]
    lines += [f"{_sentence(phrase(f))}" for f in phantom.findings]
    lines += _absent(phantom)
    disease = [f for f in phantom.findings if not f.kind.device]
    lines += ["", "IMPRESSION:"]
    lines += [f"{i}. {_sentence(phrase(f))}" for i, f in enumerate(disease, 1)] or [
        "No acute cardiopulmonary abnormality."
    ]
    alarms = [f for f in phantom.findings if f.place is Place.RIGHT_MAIN_BRONCHUS]
    lines += ["The endotracheal tube should be withdrawn." for _ in alarms]
    return "\n".join(lines) + "\n"


def _device(finding: Finding) -> str:
    side, tip = finding.side.value, finding.place.value
    match finding.kind:
        case Kind.ENDOTRACHEAL_TUBE if finding.place is Place.RIGHT_MAIN_BRONCHUS:
            return "malpositioned endotracheal tube with its tip in the right main bronchus"
        case Kind.ENDOTRACHEAL_TUBE:
            return "endotracheal tube with its tip in the mid trachea above the carina"
        case Kind.NASOGASTRIC_TUBE if finding.place is Place.OESOPHAGUS:
            return "malpositioned nasogastric tube with its tip in the esophagus"
        case Kind.NASOGASTRIC_TUBE:
            return "nasogastric tube with its tip in the stomach"
        case Kind.CENTRAL_LINE:
            return f"{side} central venous line with its tip in the {tip}"
        case Kind.CHEST_TUBE:
            return f"{side} chest tube, {tip}"
        case Kind.PACEMAKER:
            return f"{side} chest wall pacemaker with leads in the right atrium and right ventricle"
        case _:
            return "median sternotomy wires"


def _absent(phantom: Phantom) -> list[str]:
    kinds = {f.kind for f in phantom.findings}
    lungs = {Kind.CONSOLIDATION, Kind.EDEMA, Kind.VIRAL, Kind.ATELECTASIS, Kind.NODULE, Kind.MASS}
    out = []
    if not kinds & lungs:
        out.append("The lungs are clear.")
    elif Kind.CONSOLIDATION not in kinds:
        out.append("No consolidation.")
    pleura = [k for k in (Kind.EFFUSION, Kind.PNEUMOTHORAX) if k not in kinds]
    if pleura:
        out.append(_sentence("no " + " or ".join(name(k) for k in pleura)))
    if Kind.CARDIOMEGALY not in kinds:
        out.append("The heart is of normal size.")
    if Kind.RIB_FRACTURE not in kinds:
        out.append("No displaced rib fracture.")
    if not any(f.kind.device for f in phantom.findings):
        out.append("No tubes or lines.")
    return out


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
