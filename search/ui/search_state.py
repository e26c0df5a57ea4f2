"""What a session asks, as the address of the page says it: a link restores it, and no session sees another's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

PAGE = 24
MOST_SHOWN = 480


@dataclass(frozen=True)
class Asked:
    """A search: its words and filters (`query`), examples for and against it, and how it is shown."""

    query: str = ""
    like: tuple[int, ...] = ()
    unlike: tuple[int, ...] = ()
    per_study: bool = False
    hybrid: bool = False
    sort: str = "match"
    shown: int = PAGE

    @property
    def votes(self) -> dict[int, int]:
        return dict.fromkeys(self.like, 1) | dict.fromkeys(self.unlike, -1)

    def parameters(self) -> dict[str, str]:
        """What stands in the address; what is as usual is left out."""
        said = {
            "q": self.query,
            "like": ",".join(map(str, self.like)),
            "unlike": ",".join(map(str, self.unlike)),
            "study": "true" if self.per_study else "",
            "hybrid": "true" if self.hybrid else "",
            "sort": "" if self.sort == "match" else self.sort,
            "n": "" if self.shown == PAGE else str(self.shown),
        }
        return {name: value for name, value in said.items() if value}


def read(parameters: Mapping[str, str]) -> Asked:
    """The search of an address; what cannot be understood in it is as usual."""
    shown = parameters.get("n", "")
    return Asked(
        query=parameters.get("q", ""),
        like=_ids(parameters.get("like", "")),
        unlike=_ids(parameters.get("unlike", "")),
        per_study=parameters.get("study") == "true",
        hybrid=parameters.get("hybrid") == "true",
        sort=parameters.get("sort", "match"),
        shown=min(MOST_SHOWN, max(PAGE, int(shown))) if shown.isdecimal() and len(shown) < 6 else PAGE,
    )


def film_address(film_id: int, asked: Asked | None = None) -> str:
    """The address of a film's page, relative to the application's, with the search that led to it."""
    return "film?" + urlencode({"film": str(film_id), **(asked.parameters() if asked else {})})


def voted(asked: Asked, film_id: int, vote: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(like, unlike) after a vote of +1 or -1; the same vote again takes it back."""
    old = asked.votes.get(film_id, 0)
    like = tuple(one for one in asked.like if one != film_id)
    unlike = tuple(one for one in asked.unlike if one != film_id)
    if vote == old:
        return like, unlike
    return ((*like, film_id), unlike) if vote > 0 else (like, (*unlike, film_id))


def _ids(text: str) -> tuple[int, ...]:
    parts = [part for part in text.split(",") if part.isdecimal() and len(part) < 18]
    return tuple(dict.fromkeys(int(part) for part in parts))[:50]
