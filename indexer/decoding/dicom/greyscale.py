"""Apply the greyscale pipeline of DICOM: stored values to what a person sees on the screen (PS3.4 N.2).

Modality LUT, then VOI (LUT before window, the first of several), then inversion for MONOCHROME1 exactly once,
then [0, 1]. All of it depends on the stored value alone, so it is computed once for each value that occurs,
at most 65,536 of them, and looked up for the millions of pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from filmroom.indexer.decoding.dicom.headers import altered
from filmroom.indexer.decoding.dicom.lookup_tables import numbers, plain_table, white_of
from filmroom.indexer.decoding.radiograph import Window
from filmroom.indexer.decoding.rejections import Refusal
from filmroom.indexer.decoding.spread import spread_of_counts
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi, apply_windowing

READ_FOR_GREYSCALE = (
    "PhotometricInterpretation", "PresentationLUTShape", "ModalityLUTSequence", "RescaleSlope",
    "RescaleIntercept", "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "PixelPaddingValue", "PixelPaddingRangeLimit",
)  # fmt: skip
FRAME_FACTS = {
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
}
WINDOW_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_TABLE = 1 << 17
_WHITE = 65535.0


def present(
    stored: NDArray[Any], header: Dataset, *, frame: int = 0, window: Window | None = None
) -> NDArray[np.float32]:
    """Turn stored values (H, W), integers or floats into float32 (H, W), 0 black to 1 white; by `window` in place of
    the header's where one is given.

    Raises Rejected where the header makes no finite grey of them.
    """
    facts = _facts(header, frame)
    inverted = facts.get("PhotometricInterpretation") == "MONOCHROME1"
    inverted = inverted or str(facts.get("PresentationLUTShape", "")).strip().upper() == "INVERSE"
    if stored.dtype.kind not in "iu" or int(stored.max()) - int(stored.min()) >= _TABLE:
        if not np.isfinite(stored).all():
            raise Refusal.NO_GREY_SCALE.error()
        values, places = np.unique(stored, return_inverse=True)
        return _shades(values, places, facts, inverted=inverted, window=window)[places].reshape(stored.shape)
    low, high = int(stored.min()), int(stored.max())
    # Modular, as the difference of two signed values need not fit their type; in the machine's byte order.
    places = (stored - stored.dtype.type(low)).view(f"u{stored.itemsize}")
    shades = _shades(np.arange(low, high + 1), places, facts, inverted=inverted, window=window)
    pixels: NDArray[np.float32] = shades.take(places)
    return pixels


def _shades(
    values: NDArray[Any], places: NDArray[Any], facts: Dataset, *, inverted: bool, window: Window | None
) -> NDArray[np.float32]:
    """Return the grey of each of `values` (n,), ascending stored values that pixels refer to by `places`."""
    modality = _modality(values, facts)
    if not np.isfinite(modality).all():
        raise Refusal.NO_GREY_SCALE.error()
    padding = _padding(values, facts)
    if window is not None:
        grey = _by_window(modality, np.bincount(places.ravel(), minlength=len(values)) > 0, padding, window)
    else:
        for grey in _by_voi(modality, facts):
            # A window beside all of the data would show nothing: then it is not a window for this film.
            if np.isfinite(grey).all() and (grey.min() < grey.max() or len(values) == 1):
                break
        else:
            counts = np.bincount(places.ravel(), minlength=len(values))
            grey = _by_spread(modality, np.where(padding, 0, counts))
    grey = np.clip(grey, 0.0, 1.0)
    shades = 1.0 - grey if inverted else grey
    return np.where(padding, 0.0, shades).astype(np.float32)


def _modality(values: NDArray[Any], facts: Dataset) -> NDArray[Any]:
    """Return what the detector measured, by the modality LUT or else by slope and intercept (PS3.3 C.11.1)."""
    if facts.get("ModalityLUTSequence"):
        table = Dataset()
        table.ModalityLUTSequence = [plain_table(facts.ModalityLUTSequence[0], facts)]
        return apply_modality_lut(values, table)
    if "RescaleSlope" not in facts or "RescaleIntercept" not in facts:
        return values
    # Elements that are there and empty change nothing.
    slope, intercept = _first(facts, "RescaleSlope", 1.0), _first(facts, "RescaleIntercept", 0.0)
    if slope is None or intercept is None:
        raise Refusal.NO_GREY_SCALE.error()
    return values.astype(np.float64) * slope + intercept if slope else values


def _first(facts: Dataset, keyword: str, missing: float) -> float | None:
    """Return the first number of an element that should hold one."""
    return next(iter(numbers(facts, keyword)), missing)


def _padding(values: NDArray[Any], facts: Dataset) -> NDArray[np.bool_]:
    """Say which stored values are no picture (PS3.3 C.7.5.1.1.2): shown black, and no part of the film's spread."""
    first = facts.get("PixelPaddingValue")
    if not isinstance(first, int):
        return np.zeros(len(values), np.bool_)
    last = facts.get("PixelPaddingRangeLimit")
    low, high = sorted((first, last if isinstance(last, int) else first))
    padding: NDArray[np.bool_] = (values >= low) & (values <= high)
    return padding if not padding.all() else ~padding


def _by_voi(values: NDArray[Any], facts: Dataset) -> Iterator[NDArray[np.float64]]:
    """Yield what the header offers in order: its VOI LUT, then its windows. Unusable ones are passed over."""
    if facts.get("VOILUTSequence"):
        stored = np.clip(np.rint(values), -(2**31), 2**31 - 1).astype(np.int64)
        try:
            offered = facts.VOILUTSequence[0]
            table = Dataset()
            table.VOILUTSequence = [plain_table(offered, facts)]
            yield apply_voi(stored, table).astype(np.float64) / white_of(offered, table.VOILUTSequence[0])
        except (ArithmeticError, AttributeError, LookupError, NotImplementedError, TypeError, ValueError):
            pass
    for center, width in zip(numbers(facts, "WindowCenter"), numbers(facts, "WindowWidth"), strict=False):
        if center is None or width is None:
            continue
        declared = window_function(facts)
        function = declared if declared in WINDOW_FUNCTIONS else "LINEAR"  # as dcmtk takes LOG and the like
        if function == "LINEAR" and 0 < width < 1:
            function = "LINEAR_EXACT"  # what LINEAR cannot say of float values
        window = Dataset()
        window.PhotometricInterpretation = "MONOCHROME2"
        window.BitsStored, window.PixelRepresentation = 16, 0  # so that the answer is from 0 to 65535
        window.WindowCenter, window.WindowWidth, window.VOILUTFunction = center, width, function
        try:
            yield apply_windowing(values, window) / _WHITE
        except (ArithmeticError, ValueError):
            continue


def _by_window(
    values: NDArray[Any], occurs: NDArray[np.bool_], padding: NDArray[np.bool_], window: Window
) -> NDArray[np.float64]:
    """Apply a window that a person chose, which holds even where it shows nothing of a film."""
    if window.width is None:
        seen = values[occurs & ~padding]
        low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 0.0)
    else:
        low, high = window.center - window.width / 2, window.center + window.width / 2
    if high <= low:
        return np.zeros(len(values))
    grey: NDArray[np.float64] = (values.astype(np.float64) - low) / (high - low)
    return grey


def window_function(facts: Dataset) -> str:
    """Say how the window turns values into greys, as the header says it."""
    return str(facts.get("VOILUTFunction") or "LINEAR").strip().upper()


def _by_spread(values: NDArray[Any], counts: NDArray[np.intp]) -> NDArray[np.float64]:
    """Scale between percentiles of the pixels; a negative slope turns the order of the values round."""
    low, high = (float(value) for value in spread_of_counts(values, counts))
    if high <= low:
        return np.zeros(len(values))
    scaled: NDArray[np.float64] = (values.astype(np.float64) - low) / (high - low)
    return scaled


def _facts(header: Dataset, frame: int) -> Dataset:
    """Return the header with what holds for this frame alone, or for all, in an enhanced multi-frame object."""
    facts = header
    for sequence, index in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", frame)):
        groups = header.get(sequence)
        if not groups or index >= len(groups):
            continue
        for macro, keywords in FRAME_FACTS.items():
            for item in (groups[index].get(macro) or [])[:1]:
                facts = altered(facts, **{keyword: item[keyword].value for keyword in keywords if keyword in item})
    return facts
