"""What is too large is refused with a status, and cut off at twice the limit, as the docs say."""

from __future__ import annotations

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
