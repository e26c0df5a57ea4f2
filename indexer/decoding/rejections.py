"""Why a file is turned away: a small, fixed vocabulary, so that reasons can be counted and name nobody."""

from __future__ import annotations

from enum import Enum

from filmroom.db.errors import Rejected, Stage


class Refusal(Enum):
    """(reason, stage, remedy). Nothing of the file is ever put into these words."""

    UNREADABLE = ("cannot be read", Stage.OPEN, "Check its permissions and the disk, then index again")
    NOT_A_FILE = ("not a regular file", Stage.OPEN, "Pipes, sockets and devices are passed over")
    LINK_OUT = ("a link that leads out of the folder", Stage.OPEN, "Index the folder it leads to by its name")
    LINK_BROKEN = ("a link that leads nowhere", Stage.OPEN, "Mend or remove the link")
    EMPTY = ("empty file", Stage.OPEN, "Copy it again from where it came")
    TOO_LARGE = (
        "file larger than the limit",
        Stage.OPEN,
        "If it is real, index with a higher --max-megabytes",
    )
    UNKNOWN = ("not an image", Stage.OPEN, "DICOM, PNG, JPEG, TIFF, BMP and WebP are read")
    DAMAGED = ("damaged or incomplete header", Stage.OPEN, "Copy it again from where it came")
    NO_PIXELS = ("a DICOM object without an image", Stage.OPEN, "Reports, plans and the like need no indexing")
    DICOMDIR = ("a DICOM directory file", Stage.OPEN, "The films that it lists are indexed by themselves")
    NOT_RADIOGRAPH = (
        "not a projection radiograph",
        Stage.OPEN,
        "Index again with --any-modality if it should be searched all the same",
    )
    FORGOTTEN = (
        "forgotten on request",
        Stage.OPEN,
        "Nothing needs to be done: it stays out. To search it again, index with --bring-back",
    )
    TOO_MANY_PIXELS = (
        "more pixels than the limit",
        Stage.OPEN,
        "If it is real, index with a higher --max-megapixels",
    )
    TOO_MANY_FRAMES = ("more frames than the limit", Stage.OPEN, "Runs of fluoroscopy are not indexed as films")
    TRUNCATED = ("truncated or damaged pixels", Stage.DECODE, "Copy it again from where it came")
    TWELVE_BIT_JPEG = (
        "no decoder for its 12-bit JPEG",
        Stage.DECODE,
        "pip install pylibjpeg-libjpeg (GPLv3), or convert it to another transfer syntax",
    )
    NO_DECODER = (
        "no decoder for its compression",
        Stage.DECODE,
        "Convert it to another transfer syntax, such as Explicit VR Little Endian or JPEG 2000",
    )
    VIDEO = ("video", Stage.DECODE, "Runs of fluoroscopy and other video are not indexed as films")
    TOO_SLOW = (
        "took longer than the limit",
        Stage.DECODE,
        "If it is real, index with a higher --max-seconds",
    )
    TOO_MUCH_MEMORY = (
        "needs more memory than the limit",
        Stage.DECODE,
        "If it is real, index with a higher --max-memory",
    )
    CRASHED = ("crashed its decoder", Stage.DECODE, "The file is likely damaged; the run went on without it")
    NO_GREY_SCALE = ("pixel values that cannot be shown", Stage.WINDOW, "Check its rescale and window values")
    NOT_PREPARED = ("could not be made ready for the model", Stage.EMBED, "Report this film's size and kind")

    def error(self) -> Rejected:
        """The error to raise."""
        reason, stage, remedy = self.value
        return Rejected(reason, stage=stage, remedy=remedy)
