"""Many visitors of a served reading room at once, without browsers: the pages' own messages over websockets."""

from __future__ import annotations

import json
import math
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

PAGES = ("", "collections", "zeroshot", "evaluate", "judge", "map", "check")
QUERIES = ("effusion", "mass", "cardiomegaly", "edema", "small+left+effusion")


def join(
    url: str, headers: Mapping[str, str] | None = None, *, xsrf: str = "", patience: float = 120
) -> ClientConnection:
    """A session of its own. The cookie of somebody who has signed in counts only with the token `xsrf` and the header
    Origin beside it. Raises what `websockets` raises where it is refused."""
    address = url.replace("http://", "ws://") + "/_stcore/stream"
    return connect(
        address,
        additional_headers=headers,
        subprotocols=["streamlit", *([xsrf] if xsrf else [])],  # type: ignore[list-item]
        open_timeout=patience,
        max_size=None,
        compression=None,
        ping_interval=None,
    )


def run_page(socket: ClientConnection, page: str, query: str = "", *, patience: float = 120) -> list[Any]:
    """Run a page once, and return what it shows: the elements of its deltas. Raises AssertionError where it does not
    end as it should."""
    asked = BackMsg()
    asked.rerun_script.query_string = query
    asked.rerun_script.page_name = page
    socket.send(asked.SerializeToString())
    shown, began, end = [], False, time.monotonic() + patience
    while True:
        message = ForwardMsg()
        message.ParseFromString(socket.recv(timeout=max(0.1, end - time.monotonic())))  # type: ignore[arg-type]
        kind = message.WhichOneof("type")
        began = began or kind == "new_session"
        if kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            shown.append(message.delta.new_element)
        elif kind == "script_finished" and began:
            assert message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY, message.script_finished
            return shown


def answers_alone(url: str, headers: Mapping[str, str] | None = None) -> dict[str, list[int]]:
    """What a visitor who is alone is answered: the films of each query."""
    with join(url, headers) as socket:
        answers = {query: film_ids(run_page(socket, "", f"q={query}")) for query in QUERIES}
    assert all(answers.values())
    return answers


def faults(shown: Sequence[Any]) -> list[str]:
    """What a page says is wrong."""
    said = [one.exception.message for one in shown if one.WhichOneof("type") == "exception"]
    return said + [one.alert.body for one in shown if one.WhichOneof("type") == "alert" and one.alert.format == 1]


def film_ids(shown: Sequence[Any]) -> list[int]:
    """The films of the result grid."""
    grids = (one.bidi_component for one in shown if one.WhichOneof("type") == "bidi_component")
    found = next((json.loads(one.json) for one in grids if one.component_name == "filmroom.grid"), {"items": []})
    return [int(item["id"]) for item in found["items"]]


def crowd(
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    users: int,
    reruns: int,
    pages: Sequence[str] = PAGES,
    answers: Mapping[str, list[int]] | None = None,
) -> Counter[str]:
    """Let `users` run pages at once, `reruns` times each; counts of what was run and of every fault.

    `answers` are the films of queries: where they are given, every second run asks one of them, and is held against it.
    """
    tally: Counter[str] = Counter()
    lock = threading.Lock()
    asked = list((answers or {}).items())

    def visit(number: int) -> None:
        seen: Counter[str] = Counter()
        try:
            with join(url, headers) as socket:
                for turn in range(reruns):
                    seen["reruns"] += 1
                    if asked and turn % 2:
                        query, right = asked[(number + turn) % len(asked)]
                        shown = run_page(socket, "", f"q={query}")
                        seen["wrong answers"] += film_ids(shown) != right
                    else:
                        shown = run_page(socket, pages[(number + turn) % len(pages)])
                    seen.update(faults(shown))
        except Exception as error:
            seen[f"{type(error).__name__}: {error}"] += 1
        with lock:
            tally.update(seen)

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(users)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return +tally


@contextmanager
def health(url: str) -> Iterator[list[float]]:
    """Ask the health check again and again; the seconds of every answer, infinite where there was none."""
    seconds: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.1):
            began = time.perf_counter()
            try:
                with urllib.request.urlopen(f"{url}/_stcore/health", timeout=60) as answer:
                    seconds.append(time.perf_counter() - began if answer.status == 200 else math.inf)
            except OSError:
                seconds.append(math.inf)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        yield seconds
    finally:
        over.set()
        asker.join()
