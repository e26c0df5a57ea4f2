"""What test workers do. Apart from the tests, so that a worker need not import them to find it."""

from __future__ import annotations

import ctypes
import os
import signal
import time

import numpy as np
from filmroom.indexer.decoding.rejections import Refusal

LEAKED: list[np.ndarray] = []


def act(item: str) -> str:
    """Work that goes wrong in the way the item asks for."""
    match item:
        case "hang":
            while True:
                time.sleep(60)
        case "slow":
            time.sleep(2.2)
        case "hang in C":
            ctypes.PyDLL(None).sleep(60)  # with the interpreter lock held
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "abort":
            os.abort()
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(0)
        case "memory":
            return str(len(np.ones(1 << 30)))
        case "stuffed":  # more than is left once it has happened twice, and less than is allowed
            LEAKED.append(np.ones(15 << 20))
            np.ones(40 << 20)
        case "broken by others":
            if os.environ.get("DECODER") == "broken":
                raise Refusal.TRUNCATED.error()
        case "breaks":
            os.environ["DECODER"] = "broken"
        case "leak":
            LEAKED.append(np.ones(25 << 20))
        case "bug":
            raise KeyError(item)
        case "chatty":
            os.write(1, b"CANARY\n")
            os.write(2, b"CANARY\n")
        case "big":
            return "x" * (8 << 20)
        case _ if os.path.isabs(item):
            with open(item, "x"):
                return "marked"
    return item + "!"


class EndsBeforeItStarts:
    """Work that a worker dies of on receipt."""

    def __reduce__(self) -> tuple[object, ...]:
        return (os._exit, (3,))

    def __call__(self, item: str) -> str:
        return item


def halve(pixels: np.ndarray) -> np.ndarray:
    """A `prepare` that is easy to check."""
    return (pixels[::2, ::2] * 255).astype(np.uint8)


def fail(pixels: np.ndarray) -> np.ndarray:
    raise ValueError(pixels.shape)
