"""State everything that makes an answer in one frozen object.

The page, the film page's Previous and Next, Collect, Export, saved searches and the terminal all hand this object to
`Searcher.answer`, so that what is exported is what was seen.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.errors import BadInput
from filmroom.search.query.parser import parse
from numpy.typing import NDArray

PAGE = 24
MOST_SHOWN = 480
MOST_EXAMPLES = 200


class Order(StrEnum):
    """How the films that pass are sorted. Films without the fact come last; equal ones by film id."""

    MATCH = "match"
    NEWEST = "newest"
    OLDEST = "oldest"
    AGE = "age"


@dataclass(frozen=True)
class UploadedFilm:
    """A film from outside the archive, as its unit vector (D,) float32 in one space. The pixels are not kept."""

    space: str
    vector: bytes
    thumbnail: bytes = field(default=b"", compare=False)
    """WebP, to show what was uploaded; it is in no address and in no saved search."""

    @property
    def id(self) -> str:
        """Ten hexadecimal digits of the vector's hash, for addresses."""
        return hashlib.sha256(self.space.encode() + self.vector).hexdigest()[:10]

    def array(self) -> NDArray[np.float32]:
        return np.frombuffer(self.vector, "<f4")

    @classmethod
    def of(cls, space: str, vector: NDArray[np.float32], thumbnail: bytes = b"") -> UploadedFilm:
        return cls(space, np.ascontiguousarray(vector, "<f4").tobytes(), thumbnail)


@dataclass(frozen=True)
class SearchRequest:
    """A search: words and filters (`query`), films for and against it, and which part of the answer in what order.

    `like` and `unlike` are film ids, `uploads` films from outside. The films named are left out of the answer; with
    `liked_first` those of `like` that pass the filter stand in it, before the others. `per_study` keeps the best film
    of each study; `hybrid` fuses the ranking with that of the report words; `judged` lets films that were judged, voted
    on or labelled for the words bend the ranking. Films below `least_percentile` of the archive (0 to 100), or below
    `least_score`, do not pass; words or examples are needed for either. The answer has `k` films after the first
    `offset`.
    """

    query: str = ""
    like: tuple[int, ...] = ()
    unlike: tuple[int, ...] = ()
    uploads: tuple[UploadedFilm, ...] = ()
    per_study: bool = False
    hybrid: bool = False
    judged: bool = False
    order: Order = Order.MATCH
    k: int = PAGE
    offset: int = 0
    least_percentile: float | None = None
    least_score: float | None = None
    liked_first: bool = False

    @property
    def votes(self) -> dict[int, int]:
        return dict.fromkeys(self.like, 1) | dict.fromkeys(self.unlike, -1)

    @property
    def empty(self) -> bool:
        """True where nothing is asked: the answer is the archive."""
        return not (self.query or self.like or self.unlike or self.uploads)

    @property
    def has_cut(self) -> bool:
        return self.least_percentile is not None or self.least_score is not None

    def parameters(self) -> dict[str, str]:
        """Give the parameters of the page's address; usual values are left out, uploaded films are named by id."""
        values = {
            "q": self.query,
            "like": ",".join(map(str, self.like)),
            "unlike": ",".join(map(str, self.unlike)),
            "upload": ",".join(upload.id for upload in self.uploads),
            "study": "true" if self.per_study else "",
            "hybrid": "true" if self.hybrid else "",
            "judged": "true" if self.judged else "",
            "sort": "" if self.order is Order.MATCH else self.order.value,
            "least": _least(self),
            "n": "" if self.k == PAGE else str(self.k),
        }
        return {name: value for name, value in values.items() if value}

    def to_json(self) -> str:
        """Write the request as JSON; `from_json` reads it back equal."""
        plain = asdict(self) | {
            "uploads": [
                {"space": upload.space, "vector": base64.b64encode(upload.vector).decode()} for upload in self.uploads
            ]
        }
        return json.dumps(plain)

    @classmethod
    def from_json(cls, text: str) -> SearchRequest:
        """Read what `to_json` wrote. Raises BadInput where it is something else."""
        try:
            plain: dict[str, Any] = json.loads(text)
            uploads = tuple(
                UploadedFilm(str(upload["space"]), base64.b64decode(upload["vector"], validate=True))
                for upload in plain.pop("uploads", [])
            )
            like, unlike = (tuple(map(int, plain.pop(name, ()))) for name in ("like", "unlike"))
            order = Order(plain.pop("order", Order.MATCH))
            return cls(like=like, unlike=unlike, uploads=uploads, order=order, **plain)
        except (AttributeError, KeyError, TypeError, ValueError) as fault:
            raise BadInput(
                f"this is no search request ({type(fault).__name__})", fix="Save the search again."
            ) from None


def request_of(
    query: str = "",
    *,
    like: Sequence[int | Path | UploadedFilm] = (),
    unlike: Sequence[int] = (),
    upload: Callable[[Path], UploadedFilm] | None = None,
    per_study: bool = False,
    hybrid: bool = False,
    judged: bool = False,
    order: str = Order.MATCH,
    least: str | float | None = None,
    k: int = PAGE,
    offset: int = 0,
) -> SearchRequest:
    """Make a request of the words of the doors: the terminal, Python and REST.

    `like` are film ids, or films from outside; `upload` embeds those that are files. `least` is where the answer is cut
    off: a score such as 0.31, or "90%" for a percentile. Raises BadInput for what cannot be meant.
    """
    if order not in tuple(Order):
        raise BadInput("not an order", where=order, fix=f"Use {', '.join(Order)}.")
    if k < 1 or offset < 0:
        raise BadInput("no part of an answer", where=f"k={k}, offset={offset}", fix="Ask for one film or more.")
    _check_examples(like, unlike)
    percentile, score = (None, None) if least is None else _read_least(str(least).strip())
    if not (like or unlike):
        check_words(query)
    if least is not None and not (like or unlike or parse(query).concepts):
        raise BadInput("without words or examples there are no scores", where=f"least {least}", fix="Leave it out.")
    if (files := [example for example in like if isinstance(example, Path)]) and upload is None:
        raise BadInput("films from outside are no examples here", where=files[0], fix="Index it, and name its id.")
    examples = [upload(example) if isinstance(example, Path) and upload else example for example in like]
    return SearchRequest(
        query.strip(),
        like=tuple(dict.fromkeys(int(example) for example in examples if not isinstance(example, Path | UploadedFilm))),
        unlike=tuple(dict.fromkeys(unlike)),
        uploads=tuple(example for example in examples if isinstance(example, UploadedFilm)),
        per_study=per_study,
        hybrid=hybrid,
        judged=judged,
        order=Order(order),
        k=k,
        offset=offset,
        least_percentile=percentile,
        least_score=score,
    )


def check_words(query: str) -> None:
    """Raise BadInput for a query of signs alone, which would be answered with the whole archive."""
    if query.strip() and not (parse(query) or parse(query).either):
        raise BadInput("nothing is asked here", where=query.strip(), fix="Write what the films show, or a field.")


def _check_examples(like: Sequence[object], unlike: Sequence[int]) -> None:
    if len(like) > MOST_EXAMPLES or len(unlike) > MOST_EXAMPLES:
        raise BadInput(f"more than {MOST_EXAMPLES} films as examples", fix="Name fewer.")
    for film_id in unlike:
        if film_id in like:
            raise BadInput("this film is an example for and against", where=film_id, fix="Leave out one of them.")


def _read_least(text: str) -> tuple[float | None, float | None]:
    """Read where a door's answer is cut off. Raises BadInput where a part of it is no percentile and no score."""
    percentile, score = _cut(text)
    if (percentile is not None) + (score is not None) != len(text.split(",")):
        fix = "Use 90% for a percentile, or a score from -1 to 1."
        raise BadInput("no score to cut off at", where=text or None, fix=fix)
    return percentile, score


def from_parameters(parameters: Mapping[str, str], uploads: Mapping[str, UploadedFilm] | None = None) -> SearchRequest:
    """Read the request of an address. What cannot be understood in it is as usual; an uploaded film that `uploads`
    does not know by its id is left out (see `missing_uploads`)."""
    count = parameters.get("n", "")
    sort = parameters.get("sort", "")
    percentile, score = _cut(parameters.get("least", ""))
    known = uploads or {}
    return SearchRequest(
        query=parameters.get("q", ""),
        like=_ids(parameters.get("like", "")),
        unlike=_ids(parameters.get("unlike", "")),
        uploads=tuple(known[name] for name in _names(parameters) if name in known),
        per_study=parameters.get("study") == "true",
        hybrid=parameters.get("hybrid") == "true",
        judged=parameters.get("judged") == "true",
        order=Order(sort) if sort in tuple(Order) else Order.MATCH,
        k=min(MOST_SHOWN, max(PAGE, int(count))) if count.isdecimal() and len(count) < 6 else PAGE,
        least_percentile=percentile,
        least_score=score,
        liked_first=bool(_ids(parameters.get("like", ""))),  # a page: what a reader points at stays in sight
    )


def _least(request: SearchRequest) -> str:
    """Write the cut-off: `90%`, a score such as `0.31`, or both with a comma between."""
    percentile = [] if request.least_percentile is None else [f"{request.least_percentile!r}%"]
    return ",".join([*percentile, *([] if request.least_score is None else [repr(request.least_score)])])


def _cut(text: str) -> tuple[float | None, float | None]:
    """Read what `_least` wrote; what is no number, or can be no cut-off, is left out."""
    percentile = score = None
    for part in text.split(",")[:2]:
        try:
            value = float(part.removesuffix("%"))
        except ValueError:
            continue
        if part.endswith("%") and 0 <= value <= 100:
            percentile = value
        elif not part.endswith("%") and -1 <= value <= 1:
            score = value
    return percentile, score


def missing_uploads(parameters: Mapping[str, str], uploads: Mapping[str, UploadedFilm]) -> list[str]:
    """Name the uploaded films of an address that are not known here any more."""
    return [name for name in _names(parameters) if name not in uploads]


def _names(parameters: Mapping[str, str]) -> list[str]:
    return [name for name in dict.fromkeys(parameters.get("upload", "").split(",")) if name][:MOST_EXAMPLES]


def _ids(text: str) -> tuple[int, ...]:
    parts = [part for part in text.split(",") if part.isdecimal() and len(part) < 18]
    return tuple(dict.fromkeys(int(part) for part in parts))[:MOST_EXAMPLES]
