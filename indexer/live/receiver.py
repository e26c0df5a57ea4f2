"""Answer C-STORE and C-ECHO (DICOM PS3.4 annexes B and A): what a PACS or a modality sends is spooled, then indexed."""

from __future__ import annotations

import logging
import ssl
import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from filmroom.db.errors import BadInput
from filmroom.indexer.live.spool import Mismatch, NotUnderstood, Spool

if TYPE_CHECKING:
    from pynetdicom.events import Event
    from pynetdicom.transport import ThreadedAssociationServer

LOOPBACK = ("127.0.0.1", "localhost", "::1")

SUCCESS, OUT_OF_RESOURCES, MISMATCH, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xA900, 0xC000

_RADIOGRAPHS = (
    "ComputedRadiographyImageStorage",
    "DigitalXRayImageStorageForPresentation",
    "DigitalXRayImageStorageForProcessing",
    "DigitalMammographyXRayImageStorageForPresentation",
    "DigitalMammographyXRayImageStorageForProcessing",
    "DigitalIntraOralXRayImageStorageForPresentation",
    "DigitalIntraOralXRayImageStorageForProcessing",
    "XRayAngiographicImageStorage",
    "XRayRadiofluoroscopicImageStorage",
    "SecondaryCaptureImageStorage",
    "MultiFrameGrayscaleByteSecondaryCaptureImageStorage",
    "MultiFrameGrayscaleWordSecondaryCaptureImageStorage",
)
_SYNTAXES = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.203",
    "1.2.840.10008.1.2.5",
)
"""What is decoded here; a sender that proposes several is answered with the first of these."""

_PDU_BYTES = 1 << 20
"""What a sender is told that it may send at once. Twice as much is read: some count their headers in other ways."""

_REFUSED = {
    "size": "it is larger than --max-megabytes",
    "disk": "the disk is nearly full",
    "written": "it could not be written",
    "understood": "it is no DICOM object with UIDs",
    "other": "it is not what was announced",
    "pdu": "it sends more at once than was agreed",
}


@dataclass(frozen=True)
class Tls:
    """The receiver's certificate and key (PEM); with `ca`, senders must show a certificate that it has signed."""

    certificate: Path
    key: Path
    ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Make the context. Raises BadInput for files that are no certificates."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key)
            if self.ca:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(self.ca)
        except OSError:  # ssl.SSLError is one
            raise BadInput(
                "the certificate, its key or the CA cannot be used",
                where=self.certificate,
                fix="Name PEM files: --tls-cert CERT --tls-key KEY [--tls-ca CA].",
            ) from None
        return context


@dataclass(frozen=True)
class Service:
    """How the receiver is reached, by whom, and what one film and all of them may take."""

    aet: str
    port: int
    host: str = "127.0.0.1"
    peers: tuple[str, ...] = ()
    max_bytes: int = 512 << 20
    max_associations: int = 10
    free_bytes: int = 2 << 30
    tls: Tls | None = None

    def check(self) -> None:
        """Raise BadInput where anybody on the network could send, and for a title that is none."""
        if self.host not in LOOPBACK and not self.peers:
            raise BadInput(
                "who may send is not named", where=f"--host {self.host}", fix="Name their AE titles: --from PACS,CR1"
            )
        for title in (self.aet, *self.peers):
            if not 0 < len(title.strip()) <= 16 or not title.isascii() or not title.isprintable() or "\\" in title:
                raise BadInput("this is no AE title", where=title, fix="One has 1 to 16 letters and digits.")

    def __str__(self) -> str:
        return f"{self.aet} on {self.host}:{self.port}"


class Receiver:
    """A server in threads of its own. `films` are the paths that were written since they were last asked for."""

    def __init__(self, service: Service, spool: Spool) -> None:
        self._service = service
        self._spool = spool
        self._films: deque[Path] = deque()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._coming: dict[int, int] = {}
        self._lock = threading.Lock()

    def films(self) -> list[Path]:
        """Take what was written, each file once."""
        films: dict[Path, None] = {}
        while self._films:
            films[self._films.popleft()] = None
        return list(films)

    def refused(self) -> list[str]:
        """Take in words what was not."""
        with self._lock:
            refused, self._refused = self._refused, Counter()
        return [
            f"Refused from {title}, {count} times: {_REFUSED[reason]}." for (title, reason), count in refused.items()
        ]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Answer while the block runs. Raises BadInput where the port cannot be had."""
        service = self._service
        context = service.tls.context() if service.tls else None
        try:
            server = self._start(context)
        except OSError as fault:
            raise BadInput(
                f"this port cannot be listened on ({fault.strerror})",
                where=f"{service.host}:{service.port}",
                fix="Name another with --port.",
            ) from None
        try:
            yield
        finally:
            server.shutdown()

    def _start(self, context: ssl.SSLContext | None) -> ThreadedAssociationServer:
        from pynetdicom import AE, evt, sop_class

        # Its own log would hold what was sent.
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
        service = self._service
        entity = AE(ae_title=service.aet)
        entity.require_called_aet = True
        entity.require_calling_aet = list(service.peers)
        entity.maximum_associations = service.max_associations
        entity.maximum_pdu_size = _PDU_BYTES
        entity.add_supported_context(sop_class.Verification)  # type: ignore[attr-defined]
        for name in _RADIOGRAPHS:
            entity.add_supported_context(getattr(sop_class, name), list(_SYNTAXES))
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_CONN_OPEN, self._bound),
            (evt.EVT_DATA_RECV, self._count),
            (evt.EVT_CONN_CLOSE, lambda event: self._coming.pop(id(event.assoc), None)),
        ]
        start = partial(entity.start_server, (service.host, service.port), block=False, evt_handlers=handlers)
        return cast("ThreadedAssociationServer", start(ssl_context=context))  # None comes only from one that blocks

    def _store(self, event: Event) -> int:
        """Answer one C-STORE with its status; what it raised would be shown to the sender."""
        self._coming.pop(id(event.assoc), None)
        sender = str(event.assoc.requestor.ae_title).strip()
        data = event.request.DataSet  # type: ignore[union-attr]
        size = 0 if data is None else data.getbuffer().nbytes
        try:
            if size > self._service.max_bytes:
                return self._refuse(sender, "size", OUT_OF_RESOURCES)
            if not self._spool.has_room(size, self._service.free_bytes):
                return self._refuse(sender, "disk", OUT_OF_RESOURCES)
            if data is None:
                raise NotUnderstood
            self._films.append(self._spool.keep(event.file_meta, data.getbuffer()))
            return SUCCESS
        except NotUnderstood:
            return self._refuse(sender, "understood", CANNOT_UNDERSTAND)
        except Mismatch:
            return self._refuse(sender, "other", MISMATCH)
        except OSError:
            return self._refuse(sender, "written", OUT_OF_RESOURCES)

    def _bound(self, event: Event) -> None:
        """Let no PDU be read that is announced as longer than was agreed: pynetdicom reads it whole, however long it
        is, before any other event."""
        socket = event.assoc.dul.socket
        if socket is None:
            return
        read = socket.recv

        def recv(size: int) -> bytearray:
            if size > 2 * _PDU_BYTES:
                self._refuse(str(event.assoc.requestor.ae_title).strip() or "an unknown sender", "pdu")
                raise ConnectionAbortedError  # as which pynetdicom closes the connection
            return read(size)

        socket.recv = recv  # type: ignore[assignment, method-assign]

    def _count(self, event: Event) -> None:
        """Cut off a sender whose film goes on for ever: it would fill the memory. Up to twice the limit it may come to
        its end, to be refused with a status: a sender that is cut off does not send its other films either."""
        name = id(event.assoc)
        coming = self._coming[name] = self._coming.get(name, 0) + len(event.data)
        if coming > 2 * self._service.max_bytes and coming - len(event.data) <= 2 * self._service.max_bytes:
            self._refuse(str(event.assoc.requestor.ae_title).strip(), "size")
            threading.Thread(target=event.assoc.abort, daemon=True).start()

    def _refuse(self, sender: str, reason: str, status: int = OUT_OF_RESOURCES) -> int:
        with self._lock:
            self._refused[sender, reason] += 1
        return status
