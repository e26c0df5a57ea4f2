"""Run towers as exported graphs: neither torch nor open_clip is imported."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.errors import ModelUnavailable
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models.base import Vectors, no_patches, prepare, texts_in_batches, unit_rows
from filmroom.indexer.models.exported.openvino import Embedded, OpenVinoSession, embedded, quicker
from filmroom.indexer.models.model_folder import FACTS, IMAGE_GRAPH, TEXT_GRAPH, TOKENIZER, ModelFacts, read_facts
from numpy.typing import NDArray

_PATIENCE = 1.5
"""Seconds of embedding films after which it pays to look for a faster way for the rest: about what OpenVINO takes to
start."""

_TOGETHER = 16
"""Films that a processor embeds at once: 32 are no faster, and take a gigabyte more."""

_LEAST_WORDS = 1_000
"""Whole words that a vocabulary of words has: fewer are letters and pieces, and tell nothing of what is known."""

_SMALL_GRAPH = 32 << 20
"""Bytes of a text tower that one thread runs as fast as several: they would wait for each other."""


class OnnxTowers:
    """The model in a folder (see `filmroom.indexer.models.model_folder`) through ONNX Runtime.

    The text tower always runs on the processor: a query is one short text, and a GPU takes longer to wake. The
    image tower runs on a CUDA device where onnxruntime-gpu finds one, unless `device` is "cpu".
    """

    def __init__(self, folder: Path, *, device: str | None = None, facts: ModelFacts | None = None) -> None:
        self.folder = folder
        self.facts = facts or read_facts(folder)
        self.space = self.facts.space
        self.preprocess = self.facts.preprocess
        self._device = device
        self._spent, self._settled = 0.0, False
        self._last: Embedded | None = None
        self._quick: OpenVinoSession | None = None
        # Pages share a tower, and each film takes all processors: an infer request of OpenVINO can do one at a time.
        self._turn = threading.Lock()
        missing = [name for name in self.facts.files if not (folder / name).is_file()]
        if missing:
            raise ModelUnavailable(
                f"the model is incomplete: {', '.join(sorted(missing))} missing",
                where=folder,
                fix="Fetch or export the model again.",
            )

    def embed_prepared(self, batch: NDArray[np.float32]) -> Vectors:
        """Turn (N, C, S, S) into (N, T, D), rows of unit length; rows of films it cannot embed are not finite."""
        if not len(batch):
            return np.empty((0, self.space.vectors, self.space.dim), np.float32)
        with self._turn:
            together = _TOGETHER if self._on_processor else len(batch)
            rows = np.concatenate([self._embed(batch[at : at + together]) for at in range(0, len(batch), together)])
        shape = (len(batch), self.space.vectors, self.space.dim)
        return unit_rows(_shaped(rows, shape, self.folder / IMAGE_GRAPH))

    @property
    def quickened(self) -> bool:
        """Whether another runtime was found alike and faster, and embeds the films."""
        return self._quick is not None

    def _embed(self, films: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the rows as the graph gives them; looks once for a faster runtime, when enough time was spent."""
        if self._last is not None and self._spent > _PATIENCE:
            self._quick, self._last, self._settled = quicker(self.folder / IMAGE_GRAPH, self._last), None, True
            if self._quick is not None:
                del self._image  # as large as the model; a heat map loads it again
        result = embedded(self._quick or self._image, films)
        self._spent += result.seconds
        if not self._settled and self._on_processor:
            self._last = result
        return result.rows

    def embed_images(self, batch: Sequence[Radiograph]) -> Vectors:
        """Return (N, T, D), rows of unit length."""
        return self.embed_prepared(prepare(batch, self.preprocess))

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return (N, D), rows of unit length; texts longer than the tower's context are cut.

        Raises ModelUnavailable where the model has no text tower.
        """
        return texts_in_batches(texts, self.space, self._embed_some)

    def _embed_some(self, texts: Sequence[str]) -> NDArray[np.float32]:
        (rows,) = self._text.run(["embedding"], {"tokens": self.tokenize(texts)})
        return _shaped(rows, (len(texts), self.space.dim), self.folder / TEXT_GRAPH)

    def tokenize(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return token ids (N, L) of the texts within the model's prompt."""
        prompts = [self.facts.prompt.replace("{}", text) for text in texts]
        if self.facts.lower:
            prompts = [text.lower() for text in prompts]
        return np.array([encoding.ids for encoding in self._tokenizer.encode_batch(prompts)], np.int64)

    def known_words(self) -> frozenset[str]:
        """Return the whole words of the tokenizer's vocabulary, lower case; none where it is not one of words."""
        return self._words if TEXT_GRAPH in self.facts.files else frozenset()

    @cached_property
    def _words(self) -> frozenset[str]:
        return whole_words(self._tokenizer.get_vocab())

    def patch_vectors(self, film: Radiograph) -> Vectors:
        """Return (h, w, D), unit rows. Raises ModelUnavailable where the graph has no patches."""
        image = self._image
        if "patches" not in {output.name for output in image.get_outputs()}:
            raise no_patches(self.space.model)
        (patches,) = image.run(["patches"], {"pixels": prepare([film], self.preprocess)})
        return unit_rows(patches[0])

    @cached_property
    def _image(self) -> Any:
        return self._session(IMAGE_GRAPH, device=self._device)

    @property
    def _on_processor(self) -> bool:
        return self.quickened or bool(self._image.get_providers()[0] == "CPUExecutionProvider")

    @cached_property
    def _text(self) -> Any:
        return self._session(TEXT_GRAPH, device="cpu")

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        path = self.folder / TOKENIZER
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as fault:  # the library raises bare Exception
            raise ModelUnavailable(f"the tokenizer cannot be read ({_line(fault)})", where=path) from None
        tokenizer.enable_truncation(self.facts.context_length)
        length = None if self.facts.pad_to_longest else self.facts.context_length
        tokenizer.enable_padding(pad_id=self.facts.pad_id, length=length)
        return tokenizer

    def _session(self, name: str, *, device: str | None) -> Any:
        if read_facts(self.folder).fingerprint != self.space.fingerprint:
            raise ModelUnavailable("the model was replaced while it was in use", where=self.folder, fix="Start again.")
        # Its official builds report to their maker unless told not to before they load.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        import onnxruntime

        path = self.folder / name
        options = onnxruntime.SessionOptions()
        small = name == TEXT_GRAPH and path.stat().st_size < _SMALL_GRAPH
        options.intra_op_num_threads = 1 if small else _cores()
        if small:
            # Other forms of its nodes take longer to look for than they save.
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        # Threads that wait must not spin: the decoders and other programs need the same processors.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        if device != "cpu" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            onnxruntime.preload_dlls()
            providers.insert(0, "CUDAExecutionProvider")
        elif device == "cuda":
            raise ModelUnavailable(
                "this ONNX Runtime cannot use a GPU",
                where=self.space.model,
                fix="Install onnxruntime-gpu in its place.",
            )
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as fault:  # ONNX Runtime's errors have no common parent but Exception
            raise ModelUnavailable(
                f"the graph cannot be loaded ({_line(fault)})",
                where=path,
                fix=f"Compare it with the checksums in {FACTS}, or export it again.",
            ) from None
        inputs = {"pixels", "tokens"} & {graph_input.name for graph_input in session.get_inputs()}
        if not inputs or "embedding" not in {output.name for output in session.get_outputs()}:
            raise ModelUnavailable("the graph is not a tower of this program", where=path)
        return session


def whole_words(vocabulary: Iterable[str]) -> frozenset[str]:
    """Return the whole words of a vocabulary of word pieces (##), of CLIP's pairs (</w>) or of sentence pieces
    (\u2581), lower case; none where it is of another kind or has too few."""
    tokens = list(vocabulary)
    if any(token.startswith("##") for token in tokens):
        words = {token for token in tokens if not token.startswith("##")}
    elif any(token.endswith("</w>") for token in tokens):
        words = {token.removesuffix("</w>") for token in tokens if token.endswith("</w>")}
    else:
        words = {token[1:] for token in tokens if token.startswith("\u2581")}
    whole_words_known = frozenset(word.lower() for word in words if len(word) > 2 and word.isalpha())
    return whole_words_known if len(whole_words_known) >= _LEAST_WORDS else frozenset()


def _shaped(rows: NDArray[np.float32], shape: tuple[int, ...], graph: Path) -> NDArray[np.float32]:
    if rows.size != np.prod(shape):
        raise ModelUnavailable(
            f"the graph answers {rows.shape} where {FACTS} promises {shape}",
            where=graph,
            fix="Fetch or export the model again.",
        )
    return rows.reshape(shape)


def _cores() -> int:
    """Count the processors this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _line(fault: Exception) -> str:
    lines = str(fault).strip().splitlines()
    return lines[0][:160] if lines else type(fault).__name__
