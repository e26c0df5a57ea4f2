"""Run towers in transformers, from a local folder: SigLIP (MedSigLIP), and DINOv2 (RAD-DINO) without texts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.errors import MissingExtra, ModelUnavailable
from filmroom.db.records import Space
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models.base import Vectors, no_patches, prepare, texts_in_batches, unit_rows
from filmroom.indexer.models.checksums import digest_of
from filmroom.indexer.models.detect import TRANSFORMERS_CONFIG as CONFIG
from filmroom.indexer.models.detect import TRANSFORMERS_TYPES
from filmroom.indexer.models.model_folder import fingerprint, read_json, sha256
from filmroom.indexer.models.preprocess import Preprocess, Resize
from numpy.typing import NDArray

PROCESSOR = "preprocessor_config.json"
SIGLIP, DINOV2 = TRANSFORMERS_TYPES
TEXT_TOKENS = 64
_SPIECE, _TOKENIZER = "spiece.model", "tokenizer.json"
_WEIGHTS, _SHARDS = "model.safetensors", "model.safetensors.index.json"
_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
_KERNELS = {1: Resize.LANCZOS, 2: Resize.BILINEAR, 3: Resize.BICUBIC, 4: Resize.BOX}


class HfTowers:
    """A checkpoint of transformers' SigLIP or DINOv2 classes. torch and transformers load with the first tower.

    Films are padded, never cropped. SigLIP's are then sampled as MedSigLIP was trained and as its makers
    recommend: bilinear, without antialias; DINOv2's by the kernel of its preprocessor_config.json. A film's vector is
    SigLIP's pooled one, and DINOv2's class token.
    """

    def __init__(self, folder: Path, *, name: str, prompt: str = "{}", device: str | None = None) -> None:
        self.folder = folder
        self.prompt = prompt
        self._asked = device
        self._config = read_json(folder / CONFIG)
        self._kind = str(self._config.get("model_type"))
        self.preprocess = _preprocess(folder, self._config, self._kind)
        digest = fingerprint(
            digest_of(folder, weight_files(folder)),
            tokenizer=self._tokenizer_digest(),
            model_cfg=self._config,
            preprocess=self.preprocess,
        )
        self.space = Space(name, digest, _dim(folder, self._config, self._kind), has_text=self._kind == SIGLIP)

    def embed_prepared(self, batch: NDArray[np.float32]) -> Vectors:
        """Turn (N, 3, S, S) into (N, 1, D), rows of unit length."""
        if not len(batch):
            return np.empty((0, 1, self.space.dim), np.float32)
        import torch

        with torch.inference_mode():
            pixels = torch.from_numpy(batch).to(self._device)
            output = (self._model.vision_model if self._kind == SIGLIP else self._model)(pixel_values=pixels)
            rows = output.pooler_output if self._kind == SIGLIP else output.last_hidden_state[:, 0]
        return unit_rows(rows.float().cpu().numpy())[:, None, :]

    def embed_images(self, batch: Sequence[Radiograph]) -> Vectors:
        """Return (N, 1, D), rows of unit length."""
        return self.embed_prepared(prepare(batch, self.preprocess))

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return (N, D), rows of unit length; what is longer than 64 tokens is cut.

        Raises ModelUnavailable where the model has no text tower.
        """
        return texts_in_batches(texts, self.space, self._embed_some)

    def _embed_some(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            output = self._model.text_model(input_ids=torch.from_numpy(self.tokenize(texts)).to(self._device))
            vectors: NDArray[np.float32] = output.pooler_output.float().cpu().numpy()
        return vectors

    def tokenize(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return token ids (N, 64) of the texts within the model's prompt; the model was trained with its padding in
        sight."""
        prompts = [self.prompt.replace("{}", text) for text in texts]
        encoded = self._tokenizer(
            prompts, padding="max_length", max_length=TEXT_TOKENS, truncation=True, return_tensors="np"
        )
        return np.asarray(encoded["input_ids"], np.int64)

    def patch_vectors(self, film: Radiograph) -> Vectors:
        """Raise ModelUnavailable always: the patches of these towers do not lie in the joint space."""
        raise no_patches(self.space.model)

    @cached_property
    def _device(self) -> Any:
        import torch
        from filmroom.indexer.models.open_clip.towers import usable_device

        return torch.device(usable_device(self._asked))

    @cached_property
    def _model(self) -> Any:
        transformers = _transformers()
        kind = transformers.SiglipModel if self._kind == SIGLIP else transformers.Dinov2Model
        weights = weight_files(self.folder)
        try:
            with _quietly(transformers):
                model, loading = kind.from_pretrained(
                    str(self.folder), local_files_only=True, use_safetensors=True, output_loading_info=True
                )
        except RuntimeError as fault:
            raise self._misfit(str(fault)) from None
        except Exception as fault:  # safetensors, the configuration and the disk each have their own errors
            raise ModelUnavailable(
                f"this checkpoint is damaged or no checkpoint ({type(fault).__name__})",
                where=weights[0],
                fix="Fetch it again.",
            ) from None
        if loading["missing_keys"] or loading.get("mismatched_keys"):
            raise self._misfit(f"{len(loading['missing_keys'])} weights missing")
        return model.eval().requires_grad_(False).to(self._device)

    def _misfit(self, message: str) -> ModelUnavailable:
        first = message.strip().splitlines()[0][:120] if message.strip() else "wrong shapes"
        return ModelUnavailable(
            f"this checkpoint is of another architecture than {CONFIG} says ({first})",
            where=weight_files(self.folder)[0],
            fix="Fetch configuration and weights of one model.",
        )

    @cached_property
    def _tokenizer(self) -> Any:
        transformers = _transformers()
        try:
            if (self.folder / _SPIECE).is_file():
                import sentencepiece  # noqa: F401

                return transformers.SiglipTokenizer.from_pretrained(str(self.folder), local_files_only=True)
            return transformers.AutoTokenizer.from_pretrained(str(self.folder), local_files_only=True)
        except ImportError:
            raise MissingExtra("The text tower of this model", extra="transformers") from None
        except Exception as fault:  # transformers raises what its many loaders raise
            raise ModelUnavailable(
                f"its tokenizer cannot be read ({type(fault).__name__})",
                where=self.folder,
                fix=f"Put {_SPIECE} or {_TOKENIZER}, and tokenizer_config.json, into the model's folder.",
            ) from None

    def _tokenizer_digest(self) -> str | None:
        if self._kind != SIGLIP:
            return None
        for name in (_SPIECE, _TOKENIZER):
            if (self.folder / name).is_file():
                return sha256(self.folder / name)
        raise ModelUnavailable(
            f"the model's tokenizer is missing ({_SPIECE} or {_TOKENIZER})",
            where=self.folder,
            fix="Fetch the model again.",
        )


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors of a checkpoint, all its parts. Raises ModelUnavailable, also for pickled weights
    alone."""
    if (folder / _WEIGHTS).is_file():
        return [folder / _WEIGHTS]
    if (folder / _SHARDS).is_file():
        names = sorted(set(dict(read_json(folder / _SHARDS).get("weight_map", {})).values()))
        for name in names:
            if Path(name).name != name or not (folder / name).is_file():
                raise ModelUnavailable(f"a part of the weights is missing ({name})", where=folder, fix="Fetch it.")
        return [folder / name for name in names]
    pickled = [name for name in _PICKLED if (folder / name).is_file()]
    raise ModelUnavailable(
        f"its weights are pickled ({pickled[0]}), which is code and is not loaded" if pickled else "it has no weights",
        where=folder,
        fix=f"Fetch {_WEIGHTS} of the same model.",
    )


def _preprocess(folder: Path, config: dict[str, Any], kind: str) -> Preprocess:
    settings = read_json(folder / PROCESSOR) if (folder / PROCESSOR).is_file() else {}
    vision = config.get("vision_config", {}) if kind == SIGLIP else config
    size = vision.get("image_size", 224)
    size_setting = settings.get("crop_size") or settings.get("size") or {}
    sides = {side for key in ("height", "width", "shortest_edge") if (side := dict(size_setting).get(key))}
    if kind == SIGLIP and sides and sides != {size}:
        raise ModelUnavailable(
            f"{PROCESSOR} makes films of {max(sides)} pixels, and the image tower takes {size}",
            where=folder,
            fix="Fetch configuration and weights of one model.",
        )
    if kind == DINOV2 and len(sides) == 1:
        (size,) = sides  # DINOv2 takes any multiple of its patches
    mean, std = settings.get("image_mean"), settings.get("image_std")
    half = (0.5, 0.5, 0.5)
    if kind == DINOV2 and (mean is None or std is None):
        raise ModelUnavailable(f"the model's mean and deviation are missing ({PROCESSOR})", where=folder)
    kernel = Resize.SAMPLED if kind == SIGLIP else _KERNELS.get(int(settings.get("resample", 3)), Resize.BICUBIC)
    return Preprocess(int(size), tuple(mean or half), tuple(std or half), kernel)


def _dim(folder: Path, config: dict[str, Any], kind: str) -> int:
    """Return D: for SigLIP the width of the vision tower, as its pooling head keeps it."""
    vision = config.get("vision_config", {}) if kind == SIGLIP else config
    text = config.get("text_config", {}) if kind == SIGLIP else {}
    # transformers leaves out of the file what is as its class has it by default.
    width = int(vision.get("hidden_size", 768))
    if kind == SIGLIP and int(text.get("projection_size") or text.get("hidden_size", width)) != width:
        raise ModelUnavailable("its towers give vectors of two sizes: they share no space", where=folder / CONFIG)
    return width


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise MissingExtra("A model of transformers", extra="transformers") from None
    return transformers


@contextlib.contextmanager
def _quietly(transformers: Any) -> Iterator[None]:
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
