"""Coverage-guided fuzzing of the decoder: `make fuzz`, or

    python tests/fuzz_decoder.py CORPUS -max_total_time=300

An input is a bug where the decoder raises anything but Rejected, gives pixels that are no film, or takes longer than
libFuzzer's -timeout. Decoders written in C may crash on it: the pool survives that (tests/indexer/test_workers.py), so
such an input is tried again there before it is called a bug.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris

os.environ["RUST_BACKTRACE"] = "0"  # as in a worker
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["indexer", "pydicom", "PIL"]):
    import filmroom.indexer.decoding.dicom.read  # (imported late otherwise, and not followed)
    import filmroom.indexer.decoding.raster  # noqa: F401
    import numpy as np
    from filmroom.db.errors import Rejected
    from filmroom.indexer.decoding.burned_in_text import looks_written
    from filmroom.indexer.decoding.decode import decode_bytes
    from filmroom.indexer.decoding.limits import Limits

LIMITS = Limits(max_pixels=1_000_000, max_frames=8, max_bytes=1 << 20)


def check(data: bytes) -> None:
    """What holds for any bytes at all."""
    try:
        films = decode_bytes(data, LIMITS, key=b"k" * 32, any_modality=True)
    except Rejected:
        return
    assert films
    for film in films:
        assert film.pixels.dtype == np.float32
        assert film.pixels.ndim == 2
        assert film.pixels.shape == (film.tags.rows, film.tags.columns) or film.tags.modality is None
        assert np.isfinite(film.pixels).all()
        assert film.pixels.min() >= 0
        assert film.pixels.max() <= 1
        looks_written(film.pixels)


def seeds(folder: Path) -> None:
    """One sound file of every kind to begin with."""
    from tests.indexer.dicom_files import LOSSLESS, dicom, ramp, voi_lut
    from tests.indexer.hostile_files import DICOM, PICTURES, make

    folder.mkdir(parents=True, exist_ok=True)
    for name, syntax in LOSSLESS.items():
        if name != "JPEG lossless":
            window = {"WindowCenter": 2000, "WindowWidth": 1000, "PatientAge": "045Y", "StudyDate": "20190823"}
            (folder / name).write_bytes(dicom(ramp(), syntax=syntax, **window))
    (folder / "table").write_bytes(dicom(ramp(), VOILUTSequence=[voi_lut(np.arange(4096))]))
    small = {name: one for name, one in (DICOM | PICTURES).items() if "deep" not in name}
    make(folder / "made" / "here", small)
    for path in (folder / "made" / "here").iterdir():
        if path.stat().st_size < 100_000:
            path.rename(folder / path.name.replace(" ", "-"))
        else:
            path.unlink()


if __name__ == "__main__":
    corpus = next((Path(given) for given in sys.argv[1:] if not given.startswith("-")), None)
    if corpus and not corpus.exists():
        seeds(corpus)
    atheris.Setup(sys.argv, lambda data: check(data))
    atheris.Fuzz()
