"""Say which version of decoding first showed a film as it is shown now, by its header alone.

To be widened with any change of pixels, so that films of an earlier version are embedded again only where they changed.
"""

from __future__ import annotations

import numpy as np
from filmroom.db.records import Tags
from filmroom.indexer.decoding.dicom import high_bit
from filmroom.indexer.decoding.dicom.greyscale import FRAME_FACTS, WINDOW_FUNCTIONS, window_function
from filmroom.indexer.decoding.dicom.lookup_tables import TABLES, plain_table, white_of
from filmroom.indexer.decoding.dicom.stream import Stream, has_other_components
from filmroom.indexer.decoding.orientation import is_set_right
from pydicom.dataset import Dataset

_PER_FRAME = "PerFrameFunctionalGroupsSequence"


def pixels_since(header: Dataset, stream: Stream | None, tags: Tags) -> int:
    """Return the version (`filmroom.db.records.DECODING`). `header` may lack the pixels; `stream` is of the first
    frame, `tags` are those that are kept now."""
    if _has_dim_table(header):
        return 4
    changed = (
        high_bit.shift(header, stream)
        or has_other_components(header, stream)
        or _has_shallow_table(header)
        or _has_unknown_function(header)
        or _frames_differ(header)
        or is_set_right(tags.orientation)
    )
    return 2 if changed else 1


def _has_shallow_table(header: Dataset) -> bool:
    """Tell whether a lookup table has a depth at which pydicom takes each byte for an entry, or takes none."""
    items = [item for keyword in TABLES for item in (header.get(keyword) or [])[:1]]
    return any(item.LUTDescriptor[2] not in range(10, 17) for item in items if "LUTDescriptor" in item)


def _has_dim_table(header: Dataset) -> bool:
    """Tell whether the entries of the VOI LUT do not reach from 0 to the highest number of their bits: they did."""
    for item in (header.get("VOILUTSequence") or [])[:1]:
        try:
            table = plain_table(item, header)
            return int(np.min(table.LUTData)) > 0 or int(np.max(table.LUTData)) < white_of(item, table)
        except (AttributeError, LookupError, TypeError, ValueError):
            return False
    return False


def _has_unknown_function(header: Dataset) -> bool:
    groups = [*(header.get("SharedFunctionalGroupsSequence") or []), *(header.get(_PER_FRAME) or [])]
    items = [item for group in groups for item in group.get("FrameVOILUTSequence") or []]
    return any(window_function(level) not in WINDOW_FUNCTIONS for level in (header, *items))


def _frames_differ(header: Dataset) -> bool:
    """Tell whether some frames have a window or rescale values of their own and others none: what one had, the next
    got."""
    groups = header.get(_PER_FRAME) or []
    counts = {macro: sum(macro in group for group in groups) for macro in FRAME_FACTS}
    return any(0 < count < len(groups) for count in counts.values())
