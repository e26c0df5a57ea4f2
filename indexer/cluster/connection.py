"""Reach a Ray cluster, or start one on this machine for one run."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from filmroom.db.errors import BadInput, FilmroomError, MissingExtra
from filmroom.indexer.decoding.workers import usable_cpus
from filmroom.indexer.native_output import hushed

HERE = "here"
"""In place of an address: the cluster that RAY_ADDRESS names, else a cluster of this machine alone, for this run."""

_SETTINGS = {
    # Ray reports to its makers from a cluster that it starts.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    # Its native part writes warnings into our terminal, that arguments of ours lie in the memory of this process.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
_HOST_PORT = re.compile(r"(?P<host>[^/\s]+):(?P<port>\d+)")
_SECONDS = 10.0
_QUIET = ("ray", "ray.data")


def check_address(address: str) -> None:
    """Raise MissingExtra where Ray is not installed, BadInput for an address that cannot be used."""
    if find_spec("ray") is None or find_spec("pyarrow") is None:
        raise MissingExtra("indexing over a cluster", extra="ray")
    if address.startswith("ray://"):
        raise BadInput(
            "Ray's client is not used",
            where=address,
            fix="Run the command on a machine of the cluster, and name its head: --ray HOST:6379",
        )


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Give the module `ray`, connected to a cluster until the end of the block. A program that has connected already
    keeps its connection. Raises MissingExtra, BadInput, and FilmroomError where no cluster answers."""
    check_address(address)
    known = os.environ.get("RAY_ADDRESS") if address == HERE else address
    with _set(_SETTINGS | ({} if known else _private())):
        import ray
        import ray.data  # configures the loggers

        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.ERROR)
        if ray.is_initialized():
            yield ray
            return
        with contextlib.nullcontext("") if known else _private_folder() as folder:
            _connect(ray, known, folder)
            try:
                yield ray
            finally:
                with contextlib.suppress(Exception):
                    ray.shutdown()


def _connect(ray: Any, known: str | None, folder: str) -> None:
    settings = {"address": known} if known else _of_this_machine(folder)
    try:
        if known and (parts := _HOST_PORT.fullmatch(known)):
            # Ray itself would try for more than a minute.
            socket.create_connection((parts["host"].strip("[]"), int(parts["port"])), _SECONDS).close()
        # Ray puts the current folder on the path of its workers, before everything else: a module that lies beside
        # the films would run on every machine.
        with contextlib.chdir(os.path.abspath(os.sep)), hushed(), _own_sigterm():
            ray.init(**settings, log_to_driver=False, logging_level="error")
    except (RuntimeError, ValueError, OSError, OverflowError, SystemExit) as error:
        raise FilmroomError(
            f"no Ray cluster can be {'reached' if known else 'started'} ({type(error).__name__})",
            where=known,
            fix="Start it with `ray start --head`, of the same version of Ray and Python, and name it: --ray HOST:6379"
            if known
            else "Is there memory, and room for temporary files?",
        ) from None


def _private_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="filmroom-ray-", ignore_cleanup_errors=True)


def _of_this_machine(folder: str) -> dict[str, Any]:
    """Return the settings of a cluster of this machine. What it spills and logs goes into a folder of this user's own;
    by default everybody may read it."""
    return {
        "address": "local",
        "num_cpus": usable_cpus(),
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
        "_temp_dir": folder,
    }


def _private() -> dict[str, str]:
    """Return the settings by which a cluster of this machine works for this process alone: without a token, whoever
    reaches its ports can run programs as this user."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep what this program does when it is told to end; Ray has something else in mind."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    """Set those variables of the environment that are not set, until the end of the block."""
    new = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)
