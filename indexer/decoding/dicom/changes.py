"""Which version of decoding first showed a film as it is shown now, by its header alone.

To be widened with any change of pixels, so that films of an earlier version are embedded again only where they changed.
"""

from __future__ import annotations

from filmroom.indexer.decoding.dicom import high_bit
from filmroom.indexer.decoding.dicom.greyscale import FRAME_FACTS
from filmroom.indexer.decoding.dicom.stream import Stream, has_other_components
from pydicom.dataset import Dataset


def pixels_since(header: Dataset, stream: Stream | None) -> int:
    """The version (`filmroom.db.records.DECODING`). `header` may lack the pixels; `stream` is of the first frame."""
    changed = high_bit.shift(header, stream) or has_other_components(header, stream) or _frames_differ(header)
    return 2 if changed else 1


def _frames_differ(header: Dataset) -> bool:
    """Whether some frames have a window or rescale values of their own and others none: what one had, the next got."""
    groups = header.get("PerFrameFunctionalGroupsSequence") or []
    counts = {macro: sum(macro in group for group in groups) for macro in FRAME_FACTS}
    return any(0 < count < len(groups) for count in counts.values())
