"""What a worker of a cluster does with a block, without a cluster."""

from __future__ import annotations

import functools
import pickle
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filmroom.db.records import Space
from filmroom.indexer.cluster import stages
from filmroom.indexer.decoding.rejections import Failure
from filmroom.indexer.decoding.workers import Processed, process
from filmroom.indexer.models.preprocess import Preprocess
from filmroom.indexer.sources.bucket import Bucket
from filmroom.indexer.sources.dicomweb import Selection

from tests.conftest import write_film

pa = pytest.importorskip("pyarrow")


def test_the_films_of_a_server_are_fetched_by_the_decoder_and_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine that decodes need not see the folder of the one that commits."""
    for number in range(3):
        write_film(tmp_path / "served" / f"film-{number}.png", number)
    (tmp_path / "served" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spool))
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        bucket = Bucket(f"http://127.0.0.1:{server.server_address[1]}/")
        listed = list(bucket.open().listed(Selection()))
        decode = partial(process, prepare=Preprocess(32, (0.5,), (0.25,)).shrink)
        task = stages.Task(Space("any", "0" * 64, 4), decode, bucket, 1 << 20)
        block = pa.table({stages.COLUMN: stages.pack(list(enumerate(listed)))})
        answers = stages.unpack(stages.DecodeFiles(pickle.loads(pickle.dumps(task)))(block))
    finally:
        server.shutdown()
        server.server_close()
    assert sorted(number for number, _ in answers) == [0, 1, 2, 3]
    by_name = {listed[number].path: answer for number, answer in answers}
    assert {name for name, answer in by_name.items() if isinstance(answer, Failure)} == {"cut.png"}
    films = [answer for answer in by_name.values() if isinstance(answer, Processed)]
    assert [film.films[0].prepared.shape for film in films] == [(32, 32)] * 3
    assert list(spool.glob("filmroom-*")) == [], "a film stays on the machine that decoded it"
