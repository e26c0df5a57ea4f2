"""Turn presentation pixels into a tower's input: pad to a square, resize, normalise. No torch, no crop.

A film is padded with black and never cropped: the usual centre crop of a CLIP model cuts a sixth of the
height of a chest film, and with it the costophrenic angles. The work is split in two: `shrink` runs beside
the decoder and leaves one small grey square to send on; `normalise` makes the float32 batch of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
from filmroom.db.errors import ModelUnavailable
from numpy.typing import NDArray

_WHITE = 65535
# To change what `shrink` or `normalise` computes makes other vectors: raise this, and every space is new.
_VERSION = 1


class Preparing(Protocol):
    """What a tower does to films before it sees them, in two halves that may run in two processes."""

    def shrink(self, pixels: NDArray[np.float32]) -> NDArray[np.generic]:
        """Turn one film (H, W) in [0, 1] into what is sent on to the tower's process. Picklable, and needs no torch."""
        ...

    def batch(self, shrunk: Sequence[NDArray[np.generic]]) -> Any:
        """Return what `embed_prepared` takes, of what `shrink` made."""
        ...


class Resize(StrEnum):
    """How a square of another size is resampled. All are antialiased (the kernel widens when shrinking) but
    SAMPLED: bilinear between the four nearest pixels whatever the size, as `tf.image.resize` does by default."""

    BICUBIC = "bicubic"
    BILINEAR = "bilinear"
    LANCZOS = "lanczos"
    BOX = "box"
    SAMPLED = "sampled"


@dataclass(frozen=True)
class Preprocess:
    """What one model does to a film before its image tower. Picklable, and part of the space's fingerprint.

    `size` is the side S of the tower's input; `mean` and `std` have one entry for each of its C channels (all
    channels carry the same grey picture), in units of 0 black to 1 white. `percentiles`: these two of a film's grey
    values become 0 and 1 before it is padded, so that how a machine or a collection sets its greys tells a tower
    nothing; None leaves the values alone.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: Resize = Resize.BICUBIC
    percentiles: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        low, high = self.percentiles or (0.0, 100.0)
        if not 0 <= low < high <= 100:
            raise ModelUnavailable(
                f"the model's preprocessing names percentiles that make no sense ({low:g}, {high:g})",
                fix="The first must be below the second, both from 0 to 100.",
            )
        if self.size < 1 or not self.mean or len(self.mean) != len(self.std) or min(self.std) <= 0:
            raise ModelUnavailable(
                "the model's preprocessing makes no sense",
                fix="It needs an image size of at least 1 and as many standard deviations above 0 as means.",
            )

    @property
    def channels(self) -> int:
        """C, the channels of the tower's input."""
        return len(self.mean)

    def shrink(self, pixels: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Turn (H, W) in [0, 1] into (S, S), 0 black to 65535 white: padded with black all round, then resized.

        16 bits keep what a 12-bit detector saw, in half the bytes of float32. Bicubic overshoot is clipped.
        """
        height, width = pixels.shape
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        # Pillow alone takes 100 ms for a 7.5 megapixel film; averaged in blocks first, 27 ms.
        block = 1 if self.resize is Resize.SAMPLED else max(1, side // (2 * self.size))
        blocks = -(-side // block)
        square = np.zeros((blocks * block, blocks * block), np.float32)
        square[top : top + height, left : left + width] = pixels
        if block > 1:
            widths = np.full(blocks, block, np.float32)
            widths[-1] = side - (blocks - 1) * block  # the last block may reach beyond the film
            rows = square.reshape(blocks, block, -1).sum(axis=1)
            square = rows.reshape(blocks, blocks, block).sum(axis=2) / np.outer(widths, widths)
        if self.resize is Resize.SAMPLED:
            square = _sampled(square, self.size)
        elif side != self.size:
            from PIL import Image  # a query needs none of it

            kernel, edge = Image.Resampling[self.resize.name], side / block
            picture = Image.fromarray(square).resize((self.size, self.size), kernel, (0, 0, edge, edge))
            square = np.asarray(picture)
        if self.percentiles:
            square = self._standardised(square, height, width)
        grey: NDArray[np.uint16] = np.rint(np.clip(square, 0.0, 1.0) * np.float32(_WHITE)).astype(np.uint16)
        return grey

    def _standardised(self, square: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
        """Turn (S, S) into the same with the percentiles of the film, `height` x `width` before padding, at 0 and 1."""
        longest = max(height, width)
        tall, wide = (max(1, round(self.size * side / longest)) for side in (height, width))
        top, left = (self.size - tall) // 2, (self.size - wide) // 2
        film = (slice(top, top + tall), slice(left, left + wide))
        low, high = np.percentile(square[film], self.percentiles or (0.0, 100.0))
        padded = np.zeros_like(square)
        padded[film] = np.clip((square[film] - low) / max(high - low, 1e-3), 0.0, 1.0)
        return padded

    def normalise(self, grey: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Turn (N, S, S) from `shrink` into the tower's input (N, C, S, S) float32: (value - mean) / std."""
        mean = np.array(self.mean, np.float32)[:, None, None]
        std = np.array(self.std, np.float32)[:, None, None]
        value = grey.astype(np.float32)[:, None] / np.float32(_WHITE)
        batch: NDArray[np.float32] = (value - mean) / std
        return batch

    def batch(self, shrunk: Sequence[NDArray[np.generic]]) -> NDArray[np.float32]:
        """Turn squares from `shrink` into the tower's input (N, C, S, S) float32."""
        grey = np.empty((len(shrunk), self.size, self.size), np.uint16)
        for row, square in enumerate(shrunk):
            grey[row] = square
        return self.normalise(grey)

    def apply(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn (H, W) in [0, 1] into (C, S, S) float32, both halves at once."""
        batch = self.normalise(self.shrink(pixels)[None])
        return batch.reshape(self.channels, self.size, self.size)

    def facts(self) -> dict[str, Any]:
        """Return what of it goes into a fingerprint, as plain JSON values."""
        return {
            "image_size": self.size,
            "mean": list(self.mean),
            "std": list(self.std),
            "channels": self.channels,
            "resize": self.resize.value,
            "pad": "black",
            "version": _VERSION,
            **({"percentiles": list(self.percentiles)} if self.percentiles else {}),
        }

    @staticmethod
    def from_open_clip(model_cfg: Mapping[str, Any], preprocess_cfg: Mapping[str, Any]) -> Preprocess:
        """Return the preprocessing of an open_clip model by its two configurations: size, mean, std and kernel.

        Its resize mode (shortest side and centre crop, or squash) is not followed: films are padded.
        Where the configuration is silent, open_clip's defaults hold (CLIP's mean and std, bicubic).
        """
        size = model_cfg["vision_cfg"].get("image_size") or preprocess_cfg.get("size") or 224
        if not isinstance(size, int):
            if len(set(size)) != 1:
                raise ModelUnavailable(
                    f"its image tower takes pictures of {size[0]} x {size[1]} pixels",
                    fix="Only towers with a square input can be used.",
                )
            size = int(size[0])
        kernel = preprocess_cfg.get("interpolation") or Resize.BICUBIC.value
        if kernel not in set(Resize):
            raise ModelUnavailable(
                f"the model's preprocessing resamples by a method that is not known here ({kernel})",
                fix=f"Known are {', '.join(Resize)}.",
            )
        low_high = preprocess_cfg.get("percentiles")  # filmroom's own; open_clip does not know it
        return Preprocess(
            size=size,
            mean=tuple(float(m) for m in preprocess_cfg.get("mean") or _CLIP_MEAN),
            std=tuple(float(s) for s in preprocess_cfg.get("std") or _CLIP_STD),
            resize=Resize(kernel),
            percentiles=(float(low_high[0]), float(low_high[1])) if low_high else None,
        )


def _sampled(square: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Turn (E, E) into (size, size), bilinear with half-pixel centres and no antialias."""
    edge = len(square)
    at = ((np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(edge / size) - np.float32(0.5)).clip(0)
    low = np.floor(at).astype(np.intp)
    high = np.minimum(low + 1, edge - 1)
    share = at - low.astype(np.float32)
    rows = square[low] * (1 - share)[:, None] + square[high] * share[:, None]
    sampled: NDArray[np.float32] = rows[:, low] * (1 - share) + rows[:, high] * share
    return sampled


_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
