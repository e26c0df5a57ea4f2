"""Tokenize texts as ELIXR's Q-former reads them: BERT's uncased word pieces from a local vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.errors import ModelUnavailable
from filmroom.indexer.models.hub import BERT, VOCABULARY
from numpy.typing import NDArray

LENGTH = 128
_SPECIAL = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102}


def read_vocabulary(path: Path) -> Any:
    """Return the tokenizer of BERT's uncased vocabulary. Raises ModelUnavailable for a file that is not it."""
    from tokenizers import BertWordPieceTokenizer

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ModelUnavailable("the vocabulary cannot be read", where=path, fix=_fix()) from None
    places = {word: at for at, word in enumerate(lines)}
    if any(places.get(word) != at for word, at in _SPECIAL.items()):
        raise ModelUnavailable("this is not the vocabulary of BERT uncased", where=path, fix=_fix())
    tokenizer = BertWordPieceTokenizer(str(path), lowercase=True)
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(pad_id=0, length=LENGTH)
    return tokenizer


def encode(tokenizer: Any, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return token ids (N, 1, 128) int32, and paddings (N, 1, 128) float32, 1 where there is no token.

    The end of the sentence ([SEP], 102) counts as padding: the model was trained without it.
    """
    encodings = tokenizer.encode_batch([text.lower() for text in texts])
    ids = np.array([encoding.ids for encoding in encodings], np.int32).reshape(len(texts), 1, LENGTH)
    paddings = 1.0 - np.array([encoding.attention_mask for encoding in encodings], np.float32).reshape(
        len(texts), 1, LENGTH
    )
    ends = ids == _SPECIAL["[SEP]"]
    ids[ends], paddings[ends] = 0, 1.0
    return ids, paddings


def _fix() -> str:
    return f"Put {VOCABULARY} of {BERT} (30,522 lines) into the model's folder."
