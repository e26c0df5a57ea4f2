"""Draw phantoms by seed: who, how taken, and with what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from filmroom.indexer.phantom.spec import Body, Finding, Kind, Phantom, Place, Severity, Sex, Side, Technique, View

_VIEWS = ((View.PA, 0.46), (View.AP, 0.22), (View.AP_SUPINE, 0.20), (View.LATERAL, 0.12))
_ONE_SIDE = (Side.LEFT, Side.RIGHT)
_SEVERITIES = tuple(Severity)
_LOBES = (Place.UPPER, Place.LOWER)
# How often each finding is drawn when a film has findings at all.
_WEIGHTS = {
    Kind.EFFUSION: 3.0, Kind.PNEUMOTHORAX: 2.0, Kind.CARDIOMEGALY: 2.5, Kind.CONSOLIDATION: 3.0, Kind.EDEMA: 2.0,
    Kind.ATELECTASIS: 2.0, Kind.NODULE: 2.0, Kind.MASS: 1.5, Kind.RIB_FRACTURE: 1.0, Kind.HERNIA: 1.0,
    Kind.EMPHYSEMA: 1.2, Kind.VIRAL: 2.0, Kind.PLEURAL_THICKENING: 1.2, Kind.ENDOTRACHEAL_TUBE: 1.3,
    Kind.NASOGASTRIC_TUBE: 1.0, Kind.CENTRAL_LINE: 1.3, Kind.CHEST_TUBE: 0.8, Kind.PACEMAKER: 1.2, Kind.STERNOTOMY: 0.9,
}  # fmt: skip


def sample(
    seed: int, *, view: View | None = None, findings: tuple[Finding, ...] | None = None, body: Body | None = None
) -> Phantom:
    """Return a random film. What is given is kept; the rest is drawn, always the same for the same arguments."""
    rng = np.random.default_rng([seed, 1])
    person = body or sample_body(int(rng.integers(0, 1 << 20)))
    position = view or _VIEWS[_draw(rng, [w for _, w in _VIEWS])][0]
    drawn = sample_findings(seed, view=position) if findings is None else findings
    return Phantom(seed, person, position, sample_technique(seed, person, position), drawn)


def sample_body(seed: int, *, sex: Sex | None = None, age: int | None = None) -> Body:
    """Return a random person."""
    rng = np.random.default_rng([seed, 2])
    drawn_sex = Sex.MALE if rng.random() < 0.55 else Sex.FEMALE
    drawn_age = int(np.clip(rng.normal(56, 17), 19, 89))
    sex, age = sex or drawn_sex, drawn_age if age is None else age
    small = 0.925 if sex is Sex.FEMALE else 1.0
    old = np.clip((age - 40) / 45, 0, 1)
    return Body(
        seed=seed,
        sex=sex,
        age=age,
        width=float(small * np.clip(rng.normal(1.0, 0.045), 0.88, 1.12)),
        height=float(small * np.clip(rng.normal(1.0, 0.05), 0.88, 1.12)),
        depth=float(small * np.clip(rng.normal(1.0 + 0.04 * old, 0.05), 0.88, 1.15)),
        fat=float(np.clip(rng.beta(2.0, 3.0), 0.05, 0.95)),
        heart=float(np.clip(rng.normal(1.0 + 0.03 * old, 0.035), 0.92, 1.08)),
        heart_axis=float(np.clip(rng.normal(0.0, 0.3), -0.6, 0.7)),
        aorta=float(np.clip(old + rng.normal(0, 0.15), 0, 1)),
        bone=float(np.clip(rng.normal(1.05 - 0.25 * old, 0.08), 0.65, 1.25)),
    )


def sample_technique(seed: int, body: Body, view: View) -> Technique:
    """Return a random way of taking the film, as careful as the view usually allows."""
    rng = np.random.default_rng([seed, 3])
    bedside = view in (View.AP, View.AP_SUPINE)
    yaw = rng.normal(0, 4.5 if bedside else 2.0)
    breath = rng.normal(0.42 if bedside else 0.78, 0.18)
    portrait = rng.random() < (0.25 if bedside else 0.45)
    scale = rng.uniform(0.97, 1.10) * (0.3 + 0.7 * body.width)
    width, height = (360.0, 420.0) if portrait else ((410.0, 350.0) if rng.random() < 0.4 else (378.0, 372.0))
    if view is View.LATERAL:
        width, height = 320.0, 390.0
    width, height = width * scale, height * scale
    # The collar of the lungs stands about an eighth below the upper edge.
    above = rng.uniform(0.10, 0.17) * height
    edges = [float(rng.uniform(0.005, 0.04)) if rng.random() < 0.3 else 0.0 for _ in range(4)]
    left = rng.random() < 0.8
    facing_left = bool(rng.random() < 0.75)
    x = rng.uniform(0.90, 0.95)
    return Technique(
        yaw=float(np.clip(yaw, -10, 10)),
        pitch=float(np.clip(rng.normal(3.0 if bedside else 0.0, 2.5), -5, 9)),
        inspiration=float(np.clip(breath, 0.05, 1.0)),
        field_width=width,
        field_height=height,
        shift_x=float(
            rng.normal(0, 6) + (16 if view is View.LATERAL and facing_left else -16 if view is View.LATERAL else 0)
        ),
        shift_y=float(height / 2 - above - 120 * body.height),
        exposure=float(np.clip(rng.normal(0, 0.45), -1, 1)),
        contrast=float(np.clip(rng.normal(0.95 if bedside else 1.05, 0.12), 0.7, 1.35)),
        noise=float(rng.uniform(0.7, 2.0 if bedside else 1.4)),
        scatter=float(np.clip(rng.normal(0.7 if bedside else 0.3, 0.15) + 0.3 * body.fat, 0, 1)),
        sharpness=float(rng.uniform(0.2, 1.0)),
        collimation=(edges[0], edges[1], edges[2], edges[3]),
        marker=Side.LEFT if left or view is View.LATERAL else Side.RIGHT,
        marker_at=(float(x if left or view is View.LATERAL else 1 - x), float(rng.uniform(0.06, 0.16))),
        facing_left=facing_left,
        leads=bool(bedside and rng.random() < 0.45),
    )


def sample_findings(seed: int, *, view: View) -> tuple[Finding, ...]:
    """Draw none in a quarter of the films, else one to three, those of the intensive care unit more often at the
    bedside."""
    rng = np.random.default_rng([seed, 4])
    if rng.random() < 0.25:
        return ()
    bedside = view in (View.AP, View.AP_SUPINE)
    kinds = list(_WEIGHTS)
    weights = np.array([w * (2.5 if bedside and k.device else 0.5 if k.device else 1.0) for k, w in _WEIGHTS.items()])
    out: list[Finding] = []
    for _ in range(int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))):
        kind = kinds[_draw(rng, list(weights))]
        if compatible(kind, out):
            out.append(sample_finding(kind, rng))
    return tuple(out)


def compatible(kind: Kind, present: list[Finding]) -> bool:
    """Refuse findings that would hide or contradict each other in one film."""
    kinds = {f.kind for f in present}
    if kind in kinds:
        return False
    lung_wide = {Kind.EDEMA, Kind.VIRAL, Kind.EMPHYSEMA}
    if kind in lung_wide and kinds & (lung_wide | {Kind.PNEUMOTHORAX}):
        return False
    if kind is Kind.PNEUMOTHORAX and kinds & (lung_wide | {Kind.EFFUSION, Kind.PLEURAL_THICKENING}):
        return False
    if kind in (Kind.EFFUSION, Kind.PLEURAL_THICKENING) and kinds & {
        Kind.PNEUMOTHORAX,
        Kind.EFFUSION,
        Kind.PLEURAL_THICKENING,
    }:
        return False
    if (kind is Kind.EMPHYSEMA and Kind.CARDIOMEGALY in kinds) or (
        kind is Kind.CARDIOMEGALY and Kind.EMPHYSEMA in kinds
    ):
        return False
    return not (kind in (Kind.NODULE, Kind.MASS) and kinds & {Kind.NODULE, Kind.MASS})


def sample_finding(
    kind: Kind, rng: np.random.Generator, *, side: Side | None = None, severity: Severity | None = None,
    place: Place | None = None,
) -> Finding:  # fmt: skip
    """Return one finding of a kind, with what is not given drawn from what that kind can have."""
    drawn = _finding(kind, rng)
    if place is not None:
        drawn = replace(drawn, place=place)
    if severity is not None:
        drawn = replace(drawn, severity=severity)
    return drawn if side is None else replace(drawn, side=side)


def _finding(kind: Kind, rng: np.random.Generator) -> Finding:
    side = _ONE_SIDE[int(rng.integers(2))]
    severity = _SEVERITIES[int(rng.integers(3))]
    bilateral = Side.BILATERAL
    match kind:
        case Kind.EFFUSION:
            return Finding(kind, bilateral if rng.random() < 0.2 else side, severity, Place.BASAL)
        case Kind.PNEUMOTHORAX:
            return Finding(kind, side, severity, Place.APICAL)
        case Kind.CARDIOMEGALY:
            return Finding(kind, Side.MIDLINE, severity, Place.MEDIASTINUM)
        case Kind.CONSOLIDATION | Kind.NODULE | Kind.MASS:
            lobes = (*_LOBES, Place.MIDDLE) if side is Side.RIGHT else _LOBES
            return Finding(kind, side, severity, lobes[int(rng.integers(len(lobes)))])
        case Kind.EDEMA:
            return Finding(kind, bilateral, severity, Place.PERIHILAR)
        case Kind.VIRAL:
            return Finding(kind, bilateral, severity, Place.PERIPHERAL)
        case Kind.EMPHYSEMA:
            return Finding(kind, bilateral, severity, Place.UPPER)
        case Kind.ATELECTASIS:
            place = Place.BASAL if severity is not Severity.LARGE else _LOBES[int(rng.integers(2))]
            return Finding(kind, side, severity, place)
        case Kind.RIB_FRACTURE:
            return Finding(kind, side, severity, Place.CHEST_WALL)
        case Kind.HERNIA:
            return Finding(kind, Side.MIDLINE, severity, Place.RETROCARDIAC)
        case Kind.PLEURAL_THICKENING:
            return Finding(kind, side, severity, Place.APICAL if rng.random() < 0.5 else Place.PERIPHERAL)
        case Kind.ENDOTRACHEAL_TUBE:
            return Finding(kind, place=Place.TRACHEA if rng.random() < 0.65 else Place.RIGHT_MAIN_BRONCHUS)
        case Kind.NASOGASTRIC_TUBE:
            return Finding(kind, place=Place.STOMACH if rng.random() < 0.75 else Place.OESOPHAGUS)
        case Kind.CENTRAL_LINE:
            far = Place.SVC if rng.random() < 0.75 else Place.RIGHT_ATRIUM
            return Finding(kind, Side.RIGHT if rng.random() < 0.65 else Side.LEFT, None, far)
        case Kind.CHEST_TUBE:
            return Finding(kind, side, None, Place.APICAL if rng.random() < 0.6 else Place.BASAL)
        case Kind.PACEMAKER:
            return Finding(kind, Side.LEFT if rng.random() < 0.8 else Side.RIGHT, None, Place.CHEST_WALL)
        case Kind.STERNOTOMY:
            return Finding(kind, place=Place.MEDIASTINUM)


def _draw(rng: np.random.Generator, weights: list[float]) -> int:
    share = np.asarray(weights, float)
    return int(rng.choice(len(share), p=share / share.sum()))
