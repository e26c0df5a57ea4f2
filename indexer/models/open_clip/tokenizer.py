"""Keep a model's tokenizer as one file of the `tokenizers` library, which needs neither torch nor transformers."""

from __future__ import annotations

from typing import Any

import open_clip
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

# CLIP's own way to cut words: contractions, runs of letters, single digits, runs of anything else.
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def as_tokenizers(tokenizer: Any) -> tuple[Tokenizer, int] | None:
    """Turn an open_clip tokenizer into the same in `tokenizers`, and its padding id; None for a kind that has no such
    form.

    The caller compares the two on real texts: repairs of broken Unicode and HTML entities are left out.
    """
    if isinstance(tokenizer, open_clip.SimpleTokenizer):
        return _simple(tokenizer), 0
    outer = getattr(tokenizer, "tokenizer", None)
    inner: Any = getattr(outer, "backend_tokenizer", None)
    if inner is None or getattr(tokenizer, "tokenizer_mode", None):
        return None
    built = Tokenizer.from_str(inner.to_str())
    spaces: list[Any] = [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    built.normalizer = normalizers.Sequence([*spaces, *([built.normalizer] if built.normalizer else [])])
    return built, int(tokenizer.tokenizer.pad_token_id or 0)


def _simple(tokenizer: Any) -> Tokenizer:
    start, end = "<start_of_text>", "<end_of_text>"
    merges = sorted(tokenizer.bpe_ranks, key=tokenizer.bpe_ranks.__getitem__)
    built = Tokenizer(
        models.BPE(
            vocab=dict(tokenizer.encoder),
            merges=[(left, right) for left, right in merges],
            continuing_subword_prefix="",
            end_of_word_suffix="</w>",
            fuse_unk=False,
        )
    )
    built.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip(), normalizers.Lowercase()]
    )
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    built.decoder = decoders.ByteLevel()
    ids = [(start, tokenizer.sot_token_id), (end, tokenizer.eot_token_id)]
    built.post_processor = processors.TemplateProcessing(single=f"{start} $A {end}", special_tokens=ids)
    return built
