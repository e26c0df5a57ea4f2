"""Hold the statements as vectors, and ask the held-out films for them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from filmroom.indexer.training.data.films import Statement, TrainingFilm, sentences, truths
from filmroom.indexer.training.data.maps import Maps
from filmroom.indexer.training.ranking import mean_ndcg
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

F32 = NDArray[np.float32]
Tokenize = Callable[[Sequence[str]], torch.Tensor]
_ASKED_SENTENCES = 64
"""Sentences of held-out reports that are asked, beside all claims."""


class StatementVectors:
    """The statements as vectors: embedded once where the text tower stays, anew each step where it is trained."""

    def __init__(
        self, model: Any, tokenize: Tokenize, statements: Sequence[Statement], *, device: str, train_text: bool
    ) -> None:
        self.model, self.statements = model, statements
        self.device, self.train_text = device, train_text
        flat = [text for statement in statements for text in statement.texts]
        self.tokens = tokenize(flat)
        self.starts = np.cumsum([0, *(len(s.texts) for s in statements)])
        self.claims = next((n for n, s in enumerate(statements) if s.claim is None), len(statements))
        self.embed_again()
        sentence_vectors = self.vectors[self.starts[self.claims] :]
        self.likeness: F32 | None = None
        if len(sentence_vectors):
            self.likeness = (sentence_vectors @ sentence_vectors.T).cpu().numpy()

    def embed_again(self) -> None:
        """Embed all wordings with the text tower as it stands."""
        with torch.inference_mode():
            parts = [self._embed(self.tokens[n : n + 256]) for n in range(0, len(self.tokens), 256)]
        self.vectors = torch.cat(parts).clone()

    def _embed(self, tokens: torch.Tensor) -> torch.Tensor:
        vectors = self.model.encode_text(tokens.to(self.device))
        return functional.normalize(vectors.float(), dim=-1)

    def middles(self, columns: Sequence[int]) -> torch.Tensor:
        """Return (len(columns), D) unit rows: each statement's wordings together."""
        rows = [self.vectors[self.starts[c] : self.starts[c + 1]].mean(0) for c in columns]
        return functional.normalize(torch.stack(rows), dim=-1)

    def draw(self, rng: random.Random, rows: Sequence[int]) -> tuple[list[int], torch.Tensor]:
        """Return statements and one wording of each as a vector: all claims (at most 192), up to 64 report
        sentences."""
        claims = list(range(self.claims))
        if len(claims) > 192:
            claims = sorted(rng.sample(claims, 192))
        rest = range(self.claims, len(self.statements))
        columns = claims + sorted(rng.sample(rest, min(64, len(rest))))
        picked = [rng.randrange(self.starts[c], self.starts[c + 1]) for c in columns]
        if self.train_text:
            return columns, self._embed(self.tokens[picked])
        return columns, self.vectors[picked]


class Validation:
    """Questions to the held-out films: the claims that are trained on, and sentences of the films' own reports, which
    need not occur in any other."""

    def __init__(
        self, model: Any, tokenize: Tokenize, films: Sequence[TrainingFilm], rows: Sequence[int],
        statements: Sequence[Statement], *, device: str, train_text: bool, seed: int,
    ) -> None:  # fmt: skip
        self.rows, self.train_text = rows, train_text
        mine = [films[n] for n in rows]
        validated = [*(statement for statement in statements if statement.claim), *sentences(mine)]
        self.texts: StatementVectors | None = None
        self.columns: list[int] = []
        if validated:
            self.texts = StatementVectors(model, tokenize, validated, device=device, train_text=train_text)
            self.table = truths(mine, validated, self.texts.likeness)
            rest = range(self.texts.claims, len(validated))
            drawn = random.Random(seed).sample(rest, min(_ASKED_SENTENCES, len(rest)))
            self.columns = [*range(self.texts.claims), *sorted(drawn)]

    @torch.inference_mode()
    def ndcg(self, upper: nn.Module, maps: Maps) -> float:
        """Return nDCG@5, the mean over the questions, with the weights as they stand."""
        if self.texts is None:
            return 0.0
        parts = [
            functional.normalize(upper(maps.batch(part, [0] * len(part))).float(), dim=-1)
            for part in (self.rows[n : n + 32] for n in range(0, len(self.rows), 32))
        ]
        if self.train_text:
            self.texts.embed_again()
        queries = self.texts.middles(self.columns).cpu().numpy()
        return mean_ndcg(torch.cat(parts).cpu().numpy() @ queries.T, self.table[:, self.columns])
