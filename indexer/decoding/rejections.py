"""Say why a file is turned away: a small, fixed vocabulary, so that reasons can be counted and name nobody.

The catalog holds the names of these members; their words are looked up here when they are shown, so that a better word
needs no migration and nothing is decided by comparing words.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from filmroom.db.errors import Rejected, Stage
from filmroom.db.records import DuplicateReason, SourceFile


class Refusal(Enum):
    """(reason, stage, remedy). Nothing of the file is ever put into these words.

    In the words of a remedy, {option} is the option of `filmroom index` that is named behind it.
    """

    UNREADABLE = ("cannot be read", Stage.OPEN, "Check its permissions and the disk, then index again")
    NOT_FETCHED = ("the server did not send it", Stage.OPEN, "Index again: it is asked for anew")
    NOT_ON_SERVER = ("listed by the server, which does not have it", Stage.OPEN, "Check the server's store")
    ANOTHER_FILM = ("the server sent another film", Stage.OPEN, "Check the server: nothing of it was taken")
    NOT_A_FILE = ("not a regular file", Stage.OPEN, "Pipes, sockets and devices are passed over")
    LINK_OUT = ("a link that leads out of the folder", Stage.OPEN, "Index the folder it leads to by its name")
    LINK_BROKEN = ("a link that leads nowhere", Stage.OPEN, "Mend or remove the link")
    EMPTY = ("empty file", Stage.OPEN, "Copy it again from where it came")
    TOO_LARGE = (
        "file larger than the limit",
        Stage.OPEN,
        "If it is real, index with a higher {option}",
        "--max-megabytes",
    )
    UNKNOWN = ("not an image", Stage.OPEN, "DICOM, PNG, JPEG, TIFF, BMP and WebP are read")
    DAMAGED = ("damaged or incomplete header", Stage.OPEN, "Copy it again from where it came")
    NO_PIXELS = ("a DICOM object without an image", Stage.OPEN, "Reports, plans and the like need no indexing")
    DICOMDIR = ("a DICOM directory file", Stage.OPEN, "The films that it lists are indexed by themselves")
    NOT_RADIOGRAPH = (
        "not a projection radiograph",
        Stage.OPEN,
        "Index again with {option} if it should be searched all the same",
        "--any-modality",
    )
    FORGOTTEN = (
        "forgotten on request",
        Stage.OPEN,
        "Nothing needs to be done: it stays out. To search it again, index with {option}",
        "--bring-back",
    )
    TOO_MANY_PIXELS = (
        "more pixels than the limit",
        Stage.OPEN,
        "If it is real, index with a higher {option}",
        "--max-megapixels",
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
        "If it is real, index with a higher {option}",
        "--max-seconds",
    )
    TOO_MUCH_MEMORY = (
        "needs more memory than the limit",
        Stage.DECODE,
        "If it is real, index with a higher {option}",
        "--max-memory",
    )
    CRASHED = ("crashed its decoder", Stage.DECODE, "The file is likely damaged; the run went on without it")
    NO_GREY_SCALE = ("pixel values that cannot be shown", Stage.WINDOW, "Check its rescale and window values")
    NOT_PREPARED = ("could not be made ready for the model", Stage.EMBED, "Report this film's size and kind")

    def __init__(self, reason: str, stage: Stage, remedy: str, option: str = "") -> None:
        self.reason = reason
        self.stage = stage
        self.remedy = remedy.format(option=option)
        self.option = option

    @property
    def code(self) -> str:
        """What the catalog holds."""
        return self.name

    def error(self) -> Rejected:
        """Return the error to raise."""
        return Rejected(self.code, self.reason, stage=self.stage, remedy=self.remedy)


@dataclass(frozen=True)
class Failure:
    """A file that could not be decoded, and why."""

    listed: SourceFile
    error: Rejected


_DUPLICATES = {
    DuplicateReason.SAME_CONTENT: "same content",
    DuplicateReason.SAME_PICTURE: "same instance UID and picture, other header",
    DuplicateReason.SAME_UID: "same instance UID, other picture",
}


def reason_of(code: str) -> str:
    """Return the words for a code of the catalog, of a rejected file or a duplicate. What an earlier version kept in
    words that are not known is shown as it stands."""
    if code in Refusal.__members__:
        return Refusal[code].reason
    return _DUPLICATES[DuplicateReason(code)] if code in DuplicateReason.__members__ else code


def remedy_of(code: str, stored: str | None = None) -> str:
    """Return what to do about a rejected file; `stored` is what an earlier version kept beside a reason that is not
    known."""
    return Refusal[code].remedy if code in Refusal.__members__ else stored or ""


def option_of(code: str) -> str:
    """Return the option of `filmroom index` that takes such a file all the same; empty where there is none."""
    return Refusal[code].option if code in Refusal.__members__ else ""
