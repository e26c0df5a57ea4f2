"""Define what a phantom is: a body, a way of taking the film, and findings. All of it frozen and small."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class View(StrEnum):
    """View positions, in the words of the DICOM tag where it has them."""

    PA = "PA"
    AP = "AP"
    AP_SUPINE = "AP SUPINE"
    LATERAL = "LATERAL"

    @property
    def frontal(self) -> bool:
        return self is not View.LATERAL


class Sex(StrEnum):
    FEMALE = "F"
    MALE = "M"


class Side(StrEnum):
    """The patient's side. On frontal films the patient's right is on the image's left."""

    LEFT = "left"
    RIGHT = "right"
    BILATERAL = "bilateral"
    MIDLINE = "midline"

    @property
    def lungs(self) -> tuple[Side, ...]:
        """The single sides meant: none for midline things."""
        if self is Side.BILATERAL:
            return (Side.RIGHT, Side.LEFT)
        return () if self is Side.MIDLINE else (self,)

    @property
    def sign(self) -> int:
        """+1 for left, -1 for right (body x grows to the patient's left), 0 otherwise."""
        return {Side.LEFT: 1, Side.RIGHT: -1}.get(self, 0)


class Severity(StrEnum):
    SMALL = "small"
    MODERATE = "moderate"
    LARGE = "large"

    @property
    def level(self) -> float:
        """0, 0.5 or 1."""
        return {Severity.SMALL: 0.0, Severity.MODERATE: 0.5, Severity.LARGE: 1.0}[self]


class Place(StrEnum):
    """Where in the chest; for a tube or line, where its tip lies."""

    UPPER = "upper lobe"
    MIDDLE = "middle lobe"
    LOWER = "lower lobe"
    APICAL = "apical"
    BASAL = "basal"
    PERIHILAR = "perihilar"
    PERIPHERAL = "peripheral"
    RETROCARDIAC = "retrocardiac"
    DIFFUSE = "diffuse"
    TRACHEA = "trachea"
    RIGHT_MAIN_BRONCHUS = "right main bronchus"
    STOMACH = "stomach"
    OESOPHAGUS = "esophagus"
    SVC = "superior vena cava"
    RIGHT_ATRIUM = "right atrium"
    PLEURA = "pleural space"
    CHEST_WALL = "chest wall"
    MEDIASTINUM = "mediastinum"


class Kind(StrEnum):
    """The findings. The values are the label names in `labels.csv` (NIH ChestX-ray14's where it has one)."""

    EFFUSION = "effusion"
    PNEUMOTHORAX = "pneumothorax"
    CARDIOMEGALY = "cardiomegaly"
    CONSOLIDATION = "consolidation"
    EDEMA = "edema"
    ATELECTASIS = "atelectasis"
    NODULE = "nodule"
    MASS = "mass"
    RIB_FRACTURE = "rib fracture"
    HERNIA = "hernia"
    EMPHYSEMA = "emphysema"
    VIRAL = "viral pneumonia"
    PLEURAL_THICKENING = "pleural thickening"
    ENDOTRACHEAL_TUBE = "endotracheal tube"
    NASOGASTRIC_TUBE = "nasogastric tube"
    CENTRAL_LINE = "central venous line"
    CHEST_TUBE = "chest tube"
    PACEMAKER = "pacemaker"
    STERNOTOMY = "sternotomy wires"

    @property
    def device(self) -> bool:
        return self in DEVICES


DEVICES = frozenset(
    {
        Kind.ENDOTRACHEAL_TUBE,
        Kind.NASOGASTRIC_TUBE,
        Kind.CENTRAL_LINE,
        Kind.CHEST_TUBE,
        Kind.PACEMAKER,
        Kind.STERNOTOMY,
    }
)


@dataclass(frozen=True)
class Finding:
    """One thing to be seen. Devices have no severity."""

    kind: Kind
    side: Side = Side.MIDLINE
    severity: Severity | None = None
    place: Place = Place.DIFFUSE


@dataclass(frozen=True)
class Body:
    """One synthetic person; `seed` fixes every detail that is not named here (vessels, rib shapes, stomach gas)."""

    seed: int
    sex: Sex = Sex.MALE
    age: int = 50
    width: float = 1.0
    height: float = 1.0
    depth: float = 1.0
    fat: float = 0.4
    heart: float = 1.0
    heart_axis: float = 0.0
    aorta: float = 0.3
    bone: float = 1.0


@dataclass(frozen=True)
class Technique:
    """How the film was taken: angles in degrees, the field in millimetres at the body's middle."""

    yaw: float = 0.0
    pitch: float = 0.0
    inspiration: float = 0.7
    field_width: float = 400.0
    field_height: float = 400.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    exposure: float = 0.0
    contrast: float = 1.0
    noise: float = 1.0
    scatter: float = 0.5
    sharpness: float = 0.5
    collimation: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    marker: Side = Side.LEFT
    marker_at: tuple[float, float] = (0.93, 0.08)
    facing_left: bool = True
    leads: bool = False


@dataclass(frozen=True)
class Phantom:
    """A film to be: everything that `render` needs. `seed` fixes the noise and the details of the findings."""

    seed: int
    body: Body
    view: View = View.PA
    technique: Technique = field(default_factory=Technique)
    findings: tuple[Finding, ...] = ()

    def of(self, kind: Kind) -> tuple[Finding, ...]:
        return tuple(f for f in self.findings if f.kind is kind)
