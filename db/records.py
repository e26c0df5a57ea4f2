"""Define the records that travel between the rooms. Frozen, and free of any library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from filmroom.db.errors import Rejected

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DECODING = 4
"""The version of decoding. To be raised with any change of the pixels that a film of before is shown with, or of its
tags; `filmroom.indexer.decoding.dicom.changes` says which films' pixels changed, so that no other is embedded again."""

IMPORTED = "imported:"
"""How the fingerprint of a space begins whose vectors came from outside: nobody knows which weights made them."""


UNCERTAIN_ORIENTATION = "uncertain"
"""What is kept of a film that may lie or be mirrored in its file, and is left as it is."""


class State(StrEnum):
    """What became of a film. `gone`: its file is no longer listed. `replaced`: its file now holds another picture.
    Both keep judgements and tags, and are left out of every search."""

    PRESENT = "present"
    GONE = "gone"
    REPLACED = "replaced"


class DuplicateReason(StrEnum):
    """Why a file is a duplicate. The last is for a person to look at: two pictures claim to be one."""

    SAME_CONTENT = "SAME_CONTENT"
    SAME_PICTURE = "SAME_PICTURE"
    SAME_UID = "SAME_UID"


@dataclass(frozen=True)
class Scope:
    """What one run looks at: a root, and the part of it below `prefix` ('' is all of it). `root` is the path of a
    folder or the address of a server."""

    root_id: int
    root: str
    prefix: str = ""


def is_remote(root: str) -> bool:
    """Tell whether a root is the address of a server: its films are fetched, not opened."""
    return "://" in root


@dataclass(frozen=True)
class SourceFile:
    """A file on its way into an archive: the one record of it from the listing to the catalog.

    `root` is the path of a folder or the address of a server, `path` is relative to it, with "/" between its parts;
    bytes of a name that are not UTF-8 are kept as lone surrogates (`os.fsdecode`), so that the file can be opened
    again. `size` is in bytes, `mtime_ns` in nanoseconds since 1970.

    `stored_as` is what the catalog holds in place of a path that must not be there (a forgotten film's). `decoding` is
    the version of decoding that made the films known of an unchanged file: it is decoded only if they differ now.
    `fetched` is where the copy of a server's film lies while it is worked on. `rejected` says why the file ends here,
    and `is_folder` that it is a folder which could not be listed, so that its content is unknown.
    """

    root: str
    path: str
    size: int
    mtime_ns: int
    stored_as: str | None = None
    decoding: int | None = None
    fetched: str | None = None
    rejected: Rejected | None = None
    is_folder: bool = False

    @property
    def location(self) -> Path:
        """Where to open it."""
        return Path(self.fetched) if self.fetched else Path(self.root, self.path)

    @property
    def key(self) -> str:
        """What the catalog knows it by within its root."""
        return self.stored_as or self.path


@dataclass(frozen=True)
class Tags:
    """The only facts of a film that are kept (an allow-list; see docs/privacy.md).

    `age` is in whole years, at most 89; `year` is the study's year. No name, no exact date, no free text. `rows` and
    `columns` are of the film as it is shown; `orientation` says what was done to its file's picture for that
    (`filmroom.indexer.decoding.orientation`). `maker` is a code for the machine's manufacturer, OTHER for one that is
    not listed.
    """

    modality: str | None = None
    view: str | None = None
    body_part: str | None = None
    laterality: str | None = None
    sex: str | None = None
    age: int | None = None
    year: int | None = None
    rows: int = 0
    columns: int = 0
    photometric: str | None = None
    study_uid: str | None = None
    series_uid: str | None = None
    instance_uid: str | None = None
    patient_key: str | None = None
    burned_in: bool | None = None
    orientation: str | None = None
    maker: str | None = None


@dataclass(frozen=True)
class Space:
    """Where a vector belongs. Vectors of two spaces are never compared.

    `fingerprint` is a SHA-256 over the weights, the tokenizer and the preprocessing; `vectors` is T, the vectors
    per film (ELIXR has 32); the score of a film is its best vector's.
    """

    model: str
    fingerprint: str
    dim: int
    vectors: int = 1
    has_text: bool = True


@dataclass(frozen=True)
class StoredSpace:
    """A space with its id in this catalog, how many of the present films it holds, and the id of the archive."""

    id: int
    space: Space
    films: int
    archive: str = ""


@dataclass(frozen=True)
class Label:
    """A named finding of a film. `value` is 1.0 for present, 0.0 for absent; sources such as a probe give between."""

    name: str
    value: float = 1.0
    source: str = "csv"


@dataclass(frozen=True)
class Range:
    """Inclusive at both ends; None leaves an end open."""

    low: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class ScoreFilter:
    """`probe:NAME>0.8`: films whose stored label NAME from source `probe` has a value in [low, high]."""

    name: str
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class Assertion:
    """One finding of a report. `side`, `severity` and `places` are empty where the report does not tell them."""

    finding: str
    assertion: Literal["present", "absent", "uncertain"]
    side: str = ""
    severity: str = ""
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReportedFinding:
    """`says:"left effusion"`: what a report says or denies. `text` is how it was written and takes no part in the SQL;
    an empty side, severity or place stands for any."""

    text: str
    finding: str
    side: str = ""
    severity: str = ""
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Filter:
    """Which films may answer. Empty fields do not filter; the values of one field are alternatives (or);
    the fields are conditions (and), and so are several phrases; `not_...` excludes. Of each group of `any_of` at least
    one filter must let a film pass."""

    views: tuple[str, ...] = ()
    not_views: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    not_modalities: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    not_body_parts: tuple[str, ...] = ()
    sexes: tuple[str, ...] = ()
    not_sexes: tuple[str, ...] = ()
    age: Range = field(default_factory=Range)
    year: Range = field(default_factory=Range)
    labels: tuple[str, ...] = ()
    not_labels: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    not_tags: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()
    not_collections: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()
    not_studies: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    not_patients: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    not_splits: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    not_phrases: tuple[str, ...] = ()
    says: tuple[ReportedFinding, ...] = ()
    not_says: tuple[ReportedFinding, ...] = ()
    denies: tuple[ReportedFinding, ...] = ()
    not_denies: tuple[ReportedFinding, ...] = ()
    findings: tuple[str, ...] = ()
    not_findings: tuple[str, ...] = ()
    has_report: bool | None = None
    burned_in: bool | None = None
    scores: tuple[ScoreFilter, ...] = ()
    any_of: tuple[tuple[Filter, ...], ...] = ()

    def __bool__(self) -> bool:
        return self != Filter()

    @property
    def asks_reports(self) -> bool:
        """Whether what reports say or deny is asked for anywhere in it."""
        fields = self.says or self.not_says or self.denies or self.not_denies
        return bool(fields) or any(alternative.asks_reports for group in self.any_of for alternative in group)

    @property
    def asks_annotations(self) -> bool:
        """Whether what readers put on films, tags or collections, is asked for anywhere in it."""
        fields = self.tags or self.not_tags or self.collections or self.not_collections
        return bool(fields) or any(part.asks_annotations for group in self.any_of for part in group)


@dataclass(frozen=True)
class Film:
    """One image and frame of the catalog. `path` is relative to `root`, `sha256` (hex) of the file that was indexed."""

    id: int
    root: str
    path: str
    frame: int
    state: State
    size: int
    tags: Tags
    labels: tuple[Label, ...] = ()
    has_report: bool = False
    sha256: str | None = None

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels that it has, each once, those of probes left out."""
        return tuple(
            dict.fromkeys(label.name for label in self.labels if label.value >= 0.5 and label.source != "probe")
        )


SAME_CONTENT = "same content"
SAME_PICTURE = "same instance UID and picture, other header"
SAME_UID = DuplicateReason.SAME_UID.value
"""Why a file is a duplicate. The last is for a person to look at: two pictures claim to be one."""


class Outcome(StrEnum):
    """The one place where a file ends."""

    INDEXED = "indexed"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


class RunState(StrEnum):
    """`running` with a process that is no longer there reads as `broken`: killed, and safe to run again."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    BROKEN = "broken"


@dataclass(frozen=True)
class Counts:
    """Every listed file is in exactly one of indexed, unchanged, duplicate and rejected."""

    listed: int = 0
    indexed: int = 0
    unchanged: int = 0
    duplicate: int = 0
    rejected: int = 0
    gone: int = 0

    @property
    def done(self) -> int:
        return self.indexed + self.unchanged + self.duplicate + self.rejected


@dataclass(frozen=True)
class Run:
    id: int
    paths: tuple[str, ...]
    model: str
    pid: int
    state: RunState
    started_at: int
    ended_at: int | None
    counts: Counts
    message: str | None


@dataclass(frozen=True)
class FileCounts:
    """Files of the archive by outcome, listed ones only; `gone` are no longer listed."""

    indexed: int
    duplicate: int
    rejected: int
    gone: int


@dataclass(frozen=True)
class Facet:
    """A value to filter by, and how many present films have it."""

    value: str
    count: int


def same_uid_note(paths: Sequence[str]) -> str:
    """Say which files bear the instance UID of another picture, and how to index them."""
    rest = len(paths) - 3
    names = ", ".join(paths[:3]) + (f" and {rest:,} more" if rest > 0 else "")
    subject = "1 file bears" if len(paths) == 1 else f"{len(paths):,} files bear"
    verb = "is" if len(paths) == 1 else "are"
    return (
        f"{subject} the instance UID of another picture and so {verb} not indexed: {names}. "
        "Where they are films of their own (some anonymisers give all one UID), index them with --keep-apart"
    )


@dataclass(frozen=True)
class NewFilm:
    """One image ready to be kept: `vectors` is float32 (T, D), unit rows; `thumbnail` is WebP; `since` is the version
    of decoding that first made its pixels as they are."""

    identity: str
    frame: int
    tags: Tags
    thumbnail: bytes
    vectors: NDArray[np.float32]
    since: int = 1


@dataclass(frozen=True)
class Settled:
    """What a file of known content is, and the version of decoding that its films are as."""

    outcome: Outcome
    decoding: int


@dataclass(frozen=True)
class FileResult:
    """What became of one file: its films, or why there are none (`source.rejected`)."""

    source: SourceFile
    sha256: str | None
    films: Sequence[NewFilm] = ()
