"""Limit what one file may ask for."""

from __future__ import annotations

from dataclasses import dataclass

from filmroom.indexer.decoding.rejections import Refusal

_MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What a single file may cost; what asks for more is rejected, and the limit can be raised.

    `max_pixels` counts all frames of a file together (a full-spine film has about 30 million, a digitised one 60);
    `max_bytes` is the size of the file, and of what a deflated one unpacks to; `seconds` is time for reading, decoding
    and preparing it, by the clock and without what its process waited for a CPU; `memory_bytes` is what
    a worker's heap may reach.
    """

    max_pixels: int = 100_000_000
    max_frames: int = 64
    max_bytes: int = 512 * _MIB
    seconds: float = 5.0
    memory_bytes: int = 2048 * _MIB

    def raised(self) -> list[str]:
        """Return the codes of the reasons whose limit is higher here than by default: what was rejected for them may
        pass now."""
        usual = Limits()
        higher = {
            Refusal.TOO_LARGE: self.max_bytes > usual.max_bytes,
            Refusal.TOO_MANY_PIXELS: self.max_pixels > usual.max_pixels,
            Refusal.TOO_MANY_FRAMES: self.max_frames > usual.max_frames,
            Refusal.TOO_SLOW: self.seconds > usual.seconds,
            Refusal.TOO_MUCH_MEMORY: self.memory_bytes > usual.memory_bytes,
        }
        return [refusal.code for refusal, is_higher in higher.items() if is_higher]

    def check_pixels(self, rows: int, columns: int, *, frames: int = 1) -> None:
        """Raise Rejected where a header promises more than the limits, or nothing at all."""
        if rows < 1 or columns < 1 or frames < 1:
            raise Refusal.DAMAGED.error()
        if frames > self.max_frames:
            raise Refusal.TOO_MANY_FRAMES.error()
        if rows * columns * frames > self.max_pixels:
            raise Refusal.TOO_MANY_PIXELS.error()
