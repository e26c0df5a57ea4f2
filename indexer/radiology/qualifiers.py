"""List how radiologists qualify a finding: its side, size and place, that it is there, or that it is not. Plain data,
written for this project. `{}` stands for the finding."""

from __future__ import annotations

SIDES: dict[str, tuple[str, ...]] = {
    "left": ("left", "left-sided", "left sided"),
    "right": ("right", "right-sided", "right sided"),
    "bilateral": ("bilateral", "both-sided", "two-sided"),
}
SIDE_TAILS: dict[str, tuple[str, ...]] = {
    "left": ("on the left", "on the left side", "in the left lung", "of the left hemithorax"),
    "right": ("on the right", "on the right side", "in the right lung", "of the right hemithorax"),
    "bilateral": ("on both sides", "bilaterally", "in both lungs", "left and right"),
}
SEVERITIES: dict[str, tuple[str, ...]] = {
    "small": ("small", "mild", "slight", "minimal", "tiny", "trace", "minor", "subtle"),
    "moderate": ("moderate", "medium-sized", "moderate-sized", "moderately sized"),
    "large": ("large", "severe", "massive", "extensive", "marked", "big", "gross", "very large"),
}
PLACES: dict[str, tuple[str, ...]] = {
    "upper": ("upper lobe", "upper zone", "apical", "upper lung"),
    "middle": ("middle lobe", "mid zone", "midlung", "mid lung"),
    "lower": ("lower lobe", "basal", "basilar", "lower zone", "bibasilar"),
    "perihilar": ("perihilar", "central", "parahilar", "hilar region"),
    "peripheral": ("peripheral", "subpleural", "peripherally distributed"),
    "retrocardiac": ("retrocardiac", "behind the heart"),
    "diffuse": ("diffuse", "widespread", "multifocal", "generalized"),
    "focal": ("focal", "localized", "circumscribed"),
}
PLACE_TAILS: dict[str, tuple[str, ...]] = {
    "upper": ("in the upper lobe", "at the apex", "in the upper lung zone", "at the lung apices"),
    "middle": ("in the middle lobe", "in the mid zone", "in the mid lung"),
    "lower": ("in the lower lobe", "at the base", "at the lung bases", "in the lower zone"),
    "perihilar": ("around the hilum", "in the perihilar region", "near the hila"),
    "peripheral": ("at the periphery", "along the chest wall", "in the outer lung"),
    "retrocardiac": ("behind the heart", "in the retrocardiac region"),
    "diffuse": ("throughout the lungs", "throughout both lungs", "all over the lungs"),
    "focal": ("in one spot", "in a single area"),
}
ABSENT: tuple[str, ...] = (
    "no {}", "without {}", "no evidence of {}", "absence of {}", "negative for {}", "{} is not seen",
    "free of {}", "no sign of {}",
    "there is no {}", "no radiographic evidence of {}", "{} absent", "{} has been ruled out", "not {}",
)  # fmt: skip
CARRIERS: tuple[str, ...] = (
    "chest x-ray showing {}", "chest radiograph with {}", "there is {}", "evidence of {}",
    "findings consistent with {}", "x-ray with {}",
    "film demonstrating {}", "patient with {}", "{} is present", "{} seen on chest x-ray", "a case of {}",
    "findings of {}", "features suggesting {}",
    "signs of {}", "{} on chest film", "image of {}", "suspected {}", "radiographic appearance of {}",
)  # fmt: skip
