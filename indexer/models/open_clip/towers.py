"""Run towers in open_clip: any of its models, at the model's own size, padded and never cropped."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import pickle
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from filmroom.db.errors import BadInput, MissingExtra, ModelUnavailable
from filmroom.db.records import Space
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models.base import Vectors, no_patches, prepare, texts_in_batches, unit_rows
from filmroom.indexer.models.hub import hub_folder
from filmroom.indexer.models.model_folder import CONFIG, fingerprint
from filmroom.indexer.models.open_clip.source import ClipSource
from filmroom.indexer.models.preprocess import Preprocess
from numpy.typing import NDArray
from open_clip.tokenizer import HFTokenizer

_ALIKE = 0.999


def usable_device(device: str | None) -> str:
    """Return the device asked for, else a GPU where torch finds one. Raises BadInput where it does not."""
    if device not in (None, "cpu", "cuda"):
        raise BadInput("not a device", where=device, fix="Give cpu or cuda, or leave it out.")
    if device == "cuda" and not torch.cuda.is_available():
        raise BadInput("torch finds no GPU here", where=device, fix="Leave the device out, or give cpu.")
    return device or ("cuda" if torch.cuda.is_available() else "cpu")


class ClipTowers:
    """An open_clip model in this process, on the GPU where torch finds one.

    The image tower computes in bfloat16 where the first batch shows that this is faster and leaves every vector
    within a cosine of 0.999 of float32; otherwise in float32.
    """

    def __init__(self, source: ClipSource, *, device: str | None = None) -> None:
        self.device = torch.device(usable_device(device))
        self.source = source
        self.preprocess = _preprocess(source)
        self.model = _load(source, self.device)
        self.tokenizer = _tokenizer(source)
        self.space = Space(
            model=source.name,
            fingerprint=fingerprint(
                source.weights_digest,
                tokenizer=source.tokenizer_digest,
                model_cfg=source.model_cfg,
                preprocess=self.preprocess,
            ),
            dim=int(source.model_cfg["embed_dim"]),
        )
        self._image: tuple[Any, torch.dtype] | None = None

    def embed_prepared(self, batch: NDArray[np.float32]) -> Vectors:
        """Turn (N, C, S, S) into (N, 1, D), rows of unit length; rows of films it cannot embed are not finite.

        A batch that does not fit into the GPU's memory is halved until it does.
        """
        if not len(batch):
            return np.empty((0, 1, self.space.dim), np.float32)
        pixels = torch.from_numpy(batch)
        if self._image is None:
            self._image = self._fastest(pixels[:2])
        tower, dtype = self._image
        return unit_rows(self._halving(lambda part: self._forward(tower, part, dtype), pixels))[:, None, :]

    def embed_exactly(self, batch: NDArray[np.float32]) -> Vectors:
        """Turn (N, C, S, S) into (N, D), rows of unit length, always in float32: what an export is checked against."""
        tower = self.model.visual
        return unit_rows(self._halving(lambda part: self._forward(tower, part, torch.float32), torch.from_numpy(batch)))

    def embed_images(self, batch: Sequence[Radiograph]) -> Vectors:
        """Return (N, 1, D), rows of unit length."""
        return self.embed_prepared(prepare(batch, self.preprocess))

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return (N, D), rows of unit length; texts longer than the tower's context are cut."""
        return texts_in_batches(texts, self.space, lambda batch: self._halving(self._encode_text, self.tokenize(batch)))

    def tokenize(self, texts: Sequence[str]) -> torch.Tensor:
        """Return token ids (N, L) int64 of the texts within the model's prompt."""
        tokens: torch.Tensor = self.tokenizer([self.source.prompt.replace("{}", text) for text in texts])
        return tokens

    def patch_vectors(self, film: Radiograph) -> Vectors:
        """Raise ModelUnavailable always: the patches of these towers do not lie in the joint space."""
        raise no_patches(self.space.model)

    @torch.inference_mode()
    def _encode_text(self, tokens: torch.Tensor) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = self.model.encode_text(tokens.to(self.device)).float().cpu().numpy()
        return rows

    @torch.inference_mode()
    def _forward(self, tower: Any, pixels: torch.Tensor, dtype: torch.dtype) -> NDArray[np.float32]:
        inputs = pixels.to(self.device, dtype, memory_format=torch.channels_last)
        output = tower(inputs)
        output = output[0] if isinstance(output, tuple) else output
        rows: NDArray[np.float32] = output.float().cpu().numpy()
        return rows

    def _halving(self, run: Callable[[torch.Tensor], NDArray[np.float32]], batch: torch.Tensor) -> NDArray[np.float32]:
        try:
            return run(batch)
        except torch.cuda.OutOfMemoryError:
            if len(batch) == 1:
                raise ModelUnavailable(
                    f"the GPU has too little free memory for model {self.space.model}",
                    fix="Free some, or run it on the processor (device cpu).",
                ) from None
        torch.cuda.empty_cache()
        half = len(batch) // 2
        return np.concatenate([self._halving(run, batch[:half]), self._halving(run, batch[half:])])

    def _fastest(self, probe: torch.Tensor) -> tuple[Any, torch.dtype]:
        """Return the image tower and the type it computes in, by one look at real films."""
        exact = self.model.visual.to(memory_format=torch.channels_last)
        if not _has_bfloat16(self.device):
            return exact, torch.float32
        brief = copy.deepcopy(exact).to(torch.bfloat16)
        try:
            exact_rows, slow = self._timed(exact, probe, torch.float32)
            brief_rows, fast = self._timed(brief, probe, torch.bfloat16)
        except RuntimeError:  # a layer that has no bfloat16, or no room on the GPU for both
            return exact, torch.float32
        alike = (unit_rows(exact_rows) * unit_rows(brief_rows)).sum(axis=-1)
        return (brief, torch.bfloat16) if fast < slow and alike.min() >= _ALIKE else (exact, torch.float32)

    def _timed(self, tower: Any, probe: torch.Tensor, dtype: torch.dtype) -> tuple[NDArray[np.float32], float]:
        self._forward(tower, probe, dtype)
        start = time.perf_counter()
        return self._forward(tower, probe, dtype), time.perf_counter() - start


def _preprocess(source: ClipSource) -> Preprocess:
    if source.facts is not None:
        return source.facts.preprocess
    settings = source.preprocess_cfg
    if settings is None:
        # All published weights of an architecture as a rule want one preprocessing; a local checkpoint is of its kind.
        tags = open_clip.list_pretrained_tags_by_model(source.architecture)
        known = [open_clip.get_pretrained_cfg(source.architecture, tag) for tag in tags]
        same = {json.dumps([cfg.get(key) for key in ("mean", "std", "interpolation")]) for cfg in known}
        settings = known[0] if len(same) == 1 else {}
    return Preprocess.from_open_clip(source.model_cfg, settings)


def _load(source: ClipSource, device: torch.device) -> Any:
    """Return the model with its weights, in evaluation mode. Raises ModelUnavailable with one line for every known
    fault."""
    with _quiet():
        model = _empty(source)
        try:
            open_clip.load_checkpoint(model, str(source.weights), strict=True, weights_only=True)
        except pickle.UnpicklingError:
            raise ModelUnavailable(
                "this checkpoint holds more than weights (pickled code or a TorchScript program); it was not run",
                where=source.weights,
                fix="Save its state dict as safetensors.",
            ) from None
        except (RuntimeError, KeyError, StopIteration, AttributeError, TypeError, ValueError) as fault:
            raise ModelUnavailable(
                f"this checkpoint does not fit {source.architecture} ({_mismatch(fault)})",
                where=source.weights,
                fix="Name the architecture it was trained with.",
            ) from None
        except Exception as fault:  # safetensors, zip and the disk each have their own errors
            raise ModelUnavailable(
                f"this checkpoint is damaged or no checkpoint ({type(fault).__name__})",
                where=source.weights,
                fix="Fetch it again.",
            ) from None
    return model.eval().requires_grad_(False).to(device)


def _empty(source: ClipSource) -> Any:
    """Return the architecture without its weights; nothing is asked of the network."""
    config = copy.deepcopy(dict(source.model_cfg))
    body = config["text_cfg"].get("hf_model_name")
    if body:
        config["text_cfg"]["hf_model_name"] = str(_text_config(source, body))
    settings = {"model_cfg": config, "preprocess_cfg": dict(source.preprocess_cfg or {})}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, CONFIG).write_text(json.dumps(settings), encoding="utf-8")
        try:
            return open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
        except Exception as fault:  # whatever a wrong configuration makes of a constructor
            raise ModelUnavailable(
                f"its architecture cannot be built ({type(fault).__name__}: {_first_line(fault)})",
                where=source.architecture,
            ) from None


def _text_config(source: ClipSource, name: str) -> Path:
    """Return the folder of the Hugging Face configuration of the text tower, from this disk."""
    if source.folder is not None and (source.folder / "config.json").is_file():
        return source.folder
    tokenizer = Path(name) if Path(name).is_dir() else hub_folder(name)
    if tokenizer is None or not (tokenizer / "config.json").is_file():
        raise ModelUnavailable(
            f"its text tower is described in another repository ({name}), which is not on this disk",
            where=source.architecture,
            fix=f"Put that repository's config.json and tokenizer files into {source.folder or 'its folder'}.",
        )
    return tokenizer


def _tokenizer(source: ClipSource) -> Any:
    """Return the model's own tokenizer, from this disk."""
    text_cfg = source.model_cfg["text_cfg"]
    context = int(text_cfg.get("context_length") or 77)
    kwargs = dict(text_cfg.get("tokenizer_kwargs") or {})
    name = text_cfg.get("hf_tokenizer_name")
    if not name:
        if source.folder is None:
            return open_clip.get_tokenizer(source.architecture)
        return open_clip.SimpleTokenizer(context_length=context, **kwargs)
    place = str(source.tokenizer_folder or name)
    try:
        return HFTokenizer(
            place,
            context_length=context,
            tokenizer_mode=text_cfg.get("tokenizer_mode"),
            local_files_only=True,
            **kwargs,
        )
    except ModuleNotFoundError:
        raise MissingExtra("the text tower of this model", extra="transformers") from None
    except Exception as fault:  # transformers raises what its many loaders raise
        raise ModelUnavailable(
            f"its tokenizer ({name}) is not on this disk or cannot be read ({type(fault).__name__})",
            where=source.folder or source.architecture,
            fix="Put its tokenizer files (tokenizer.json, tokenizer_config.json) into the model's folder.",
        ) from None


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    can = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(can.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))


def _mismatch(fault: Exception) -> str:
    """Say how far a state dict is from the model, from torch's long message."""
    message = str(fault)
    if "Missing key" not in message and "Unexpected key" not in message and "size mismatch" not in message:
        return _first_line(fault)
    counts = {
        "missing": message.partition("Missing key(s) in state_dict:")[2].partition("\n")[0].count('"') // 2,
        "unexpected": message.partition("Unexpected key(s) in state_dict:")[2].partition("\n")[0].count('"') // 2,
        "of another shape": message.count("size mismatch for"),
    }
    return "weights " + ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)


def _first_line(fault: Exception) -> str:
    lines = str(fault).strip().splitlines()
    return lines[0][:160] if lines else type(fault).__name__


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence open_clip, which reports each step of loading to the root logger; a person needs only our errors."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
