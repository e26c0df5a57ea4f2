"""What is too large is refused with a status, and cut off at twice the limit, as the docs say."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.indexer.live.receiver import OUT_OF_RESOURCES, SUCCESS, Receiver, Service
from filmroom.indexer.live.spool import Spool
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from tests.indexer import dicom_files
from tests.indexer.live.running import free_port


@pytest.mark.parametrize(("rows", "status"), [(400, SUCCESS), (800, OUT_OF_RESOURCES), (4000, None)])
def test_a_film_over_the_limit_is_refused_and_cut_off_at_twice(tmp_path: Path, rows: int, status: int | None) -> None:
    from pynetdicom import AE

    spool = Spool.open(Archive.create(tmp_path / "archive"), tmp_path / "received")
    service = Service("FILMROOM", free_port(), max_bytes=1 << 20, free_bytes=0)  # of 2 KiB a row
    receiver = Receiver(service, spool)
    uids = {"StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", "SOPInstanceUID": "1.2.3.4.5"}
    dataset = dcmread(DicomBytesIO(dicom_files.dicom(np.zeros((rows, 1024), np.uint16), **uids)))
    entity = AE("ANY")
    entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    with receiver.listening():
        association = entity.associate("127.0.0.1", service.port, ae_title="FILMROOM")
        assert association.is_established
        answer = association.send_c_store(dataset)
        association.abort()
    assert answer.get("Status") == status
    assert len(receiver.films()) == (status == SUCCESS)
    assert bool(receiver.refused()) == (status != SUCCESS)


@pytest.mark.parametrize("associated", [False, True])
def test_a_pdu_longer_than_was_agreed_is_not_read(tmp_path: Path, associated: bool) -> None:
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    service = Service("FILMROOM", free_port(), free_bytes=0)
    receiver = Receiver(service, Spool.open(Archive.create(tmp_path / "archive"), tmp_path / "received"))
    with receiver.listening():
        association = None
        if associated:
            entity = AE("ANY")
            entity.add_requested_context(Verification)
            association = entity.associate("127.0.0.1", service.port, ae_title="FILMROOM")
            assert association.is_established
            assert association.dul.socket is not None
            wire = association.dul.socket.socket
            kind = 4
        else:
            wire = socket.create_connection(("127.0.0.1", service.port))
            kind = 1
        assert wire is not None
        sent = 0
        try:
            wire.sendall(struct.pack(">BBL", kind, 0, 1 << 30))
            for _ in range(1 << 10):  # 64 MiB, of which some lie in the buffers of sockets
                sent += wire.send(bytes(1 << 16))
        except OSError:
            pass
        finally:
            association.abort() if association else wire.close()
        assert sent < 32 << 20
        assert [line for line in receiver.refused() if "more at once than was agreed" in line]
