"""Receive films: they are on the disk when they are acknowledged, and searchable within seconds."""

from __future__ import annotations

import time
from pathlib import Path

from filmroom.db.archive import Archive
from filmroom.db.catalog import get_meta
from filmroom.db.errors import BadInput
from filmroom.indexer.live.receiver import Receiver, Service
from filmroom.indexer.live.rounds import WHOLE_EVERY, Listener, Rounds
from filmroom.indexer.live.spool import Spool
from filmroom.indexer.sources.changed import Changed

_LOOK_EVERY = 0.5


def check(archive: Archive) -> None:
    """Raise BadInput for an archive that may not keep UIDs: received films are known by them."""
    if get_meta(archive.catalog, "hash_uids") == "yes":
        raise BadInput(
            "received films are kept by their UIDs, of which this archive keeps hashes",
            where=archive.folder,
            fix="Name another --archive.",
        )


def receive(rounds: Rounds, service: Service, folder: Path, listener: Listener) -> None:
    """Answer senders and index what they send, until an interrupt (KeyboardInterrupt). Raises BadInput where the port
    or the folder cannot be had.

    What came before, and a killed process had not indexed any more, is indexed first.
    """
    try:
        spool = Spool.open(rounds.archive, folder)
    except OSError as fault:
        raise BadInput(f"received films cannot be kept here ({fault.strerror})", where=folder) from None
    receiver = Receiver(service, spool)
    with receiver.listening():
        listener.note(f"Receiving as {service}. Stop with Ctrl-C.")
        waiting: dict[Path, None] = {}
        due = 0.0
        while True:
            waiting |= dict.fromkeys(receiver.films())
            for line in receiver.refused():
                listener.note(line)
            if not rounds.may_try:
                time.sleep(_LOOK_EVERY)
            elif time.monotonic() >= due:
                if rounds.take([spool.folder]):
                    # A killed process may have kept what was sent again. What came during the run, the next one sees.
                    files = spool.kept()
                    waiting |= dict.fromkeys(receiver.films())
                    spool.drop_forgotten(rounds.archive, [path for path in files if path not in waiting])
                    due = time.monotonic() + WHOLE_EVERY
            elif waiting and rounds.take([Changed(spool.folder, tuple(waiting))]):
                spool.drop_forgotten(rounds.archive, list(waiting))
                waiting.clear()
            else:
                time.sleep(_LOOK_EVERY)
