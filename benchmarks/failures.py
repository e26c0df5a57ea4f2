"""What a model gets wrong, as a picture: for the synthetic queries it answers worst, the five films it puts first.

    python benchmarks/failures.py assets/filmroom-mini --out failures.png [--phantoms 480] [--rows 5]

The same films and queries as in the model's card. A green frame: as asked; amber: the finding, but not its side, size
or place; red: not asked for. Under each film stands what it really shows.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filmroom.indexer.models.exported.onnx import OnnxTowers
from filmroom.indexer.phantom import Phantom, describe, render, sample
from filmroom.indexer.phantom.judge import grade, read_queries
from filmroom.indexer.training.ranking import ndcg
from model_card import FIRST_PHANTOM, phantom_vectors, text_scores
from numpy.typing import NDArray
from PIL import Image, ImageDraw

_FILM, _GAP, _TEXT, _HEAD = 190, 8, 34, 30
_COLOURS = ("#d04a3c", "#d9a441", "#4caf6d")


@dataclass(frozen=True)
class Answer:
    """A query, its nDCG@5, the films put first, and the grade of every film."""

    query: str
    ndcg: float
    first: list[int]
    grades: NDArray[np.float32]


def worst(towers: OnnxTowers, phantoms: list[Phantom], rows: int) -> list[Answer]:
    """The worst answers among queries with three right films or more."""
    queries = read_queries()
    scores = text_scores(towers, phantom_vectors(towers, phantoms), [q.text for q in queries])
    found = []
    for query, row in zip(queries, scores, strict=True):
        grades = np.array([grade(p, query.want) for p in phantoms], np.float32)
        if (grades == 2).sum() >= 3:
            first = np.argsort(-row, kind="stable")[:5].tolist()
            found.append(Answer(query.text, ndcg(row, grades), first, grades))
    return sorted(found, key=lambda answer: answer.ndcg)[:rows]


def draw(found: list[Answer], phantoms: list[Phantom]) -> Image.Image:
    high = _HEAD + _FILM + _TEXT
    page = Image.new("RGB", (5 * (_FILM + _GAP) + _GAP, len(found) * high + _GAP), "#14171a")
    pen = ImageDraw.Draw(page)
    for number, answer in enumerate(found):
        top = number * high
        pen.text((_GAP, top + 8), f"{answer.query}   nDCG@5 {answer.ndcg:.2f}", fill="#e8eaed", font_size=15)
        for place, film in enumerate(answer.first):
            x, y = _GAP + place * (_FILM + _GAP), top + _HEAD
            picture = Image.fromarray(np.rint(render(phantoms[film], _FILM) * 255).astype(np.uint8))
            page.paste(picture, (x + (_FILM - picture.width) // 2, y + (_FILM - picture.height) // 2))
            pen.rectangle((x - 1, y - 1, x + _FILM, y + _FILM), outline=_COLOURS[int(answer.grades[film])], width=3)
            said = [" ".join(w for w in (d.severity, d.side, d.label) if w) for d in describe(phantoms[film])]
            for line, words in enumerate((said or ["nothing"])[:2]):
                pen.text((x, y + _FILM + 2 + 14 * line), words[:30], fill="#9aa0a6", font_size=12)
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--phantoms", type=int, default=480)
    parser.add_argument("--rows", type=int, default=5)
    given = parser.parse_args()
    phantoms = [sample(FIRST_PHANTOM + n) for n in range(given.phantoms)]
    draw(worst(OnnxTowers(given.model), phantoms, given.rows), phantoms).quantize(64).save(given.out, optimize=True)


if __name__ == "__main__":
    main()
