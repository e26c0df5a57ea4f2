"""Files that a hospital's disk, or somebody who means harm, may hold. Each is made here, and is small on the disk."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image, PngImagePlugin
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit

from tests.indexer.dicom_files import LOSSLESS, dicom, header, ramp, write

SIDE = 65_500
NOISE = np.random.default_rng(0).integers(0, 256, (256, 256)).astype(np.uint8)
TRUNCATED, UNKNOWN, DAMAGED = "truncated or damaged pixels", "not an image", "damaged or incomplete header"
PIXELS, LARGE = "more pixels than the limit", "file larger than the limit"
NO_PIXELS, SLICE = "a DICOM object without an image", "not a projection radiograph"
SLOW, MEMORY, CRASHED = "took longer than the limit", "needs more memory than the limit", "crashed its decoder"
INDEXED = "indexed"
ODD_HEADER = (INDEXED, DAMAGED, NO_PIXELS)
# What a stream ends in that lies about its size is for its decoder to choose, and for us to survive.
ANY_FAULT = (TRUNCATED, SLOW, MEMORY, CRASHED, PIXELS, DAMAGED)

Hostile = tuple[Callable[[Path], bytes | None], tuple[str, ...]]


def saved(pixels: np.ndarray, form: str, mode: str | None = None, **how: object) -> bytes:
    picture = Image.fromarray(pixels)
    out = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(out, form, **how)
    return out.getvalue()


def jpeg(rows: int, columns: int) -> bytes:
    """A small JPEG that says it is of another size."""
    data = bytearray(saved(NOISE, "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", rows, columns)
    return bytes(data)


def many_scans(count: int) -> bytes:
    """A small progressive JPEG whose last scan is there `count` times: each is decoded over the whole picture."""
    data = saved(np.full((4000, 4000), 128, np.uint8), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + scan * count + b"\xff\xd9"


def png(width: int, height: int, *, bits: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def zeros(size: int) -> bytes:
    """`size` bytes of nothing, as a raw deflate stream that is a thousandth of it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    mebibyte = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return mebibyte * (size >> 20) + packer.flush(zlib.Z_FINISH)


def deflated_bomb() -> bytes:
    film = dicom(ramp(8, 8), syntax=DeflatedExplicitVRLittleEndian)
    start = 144 + int.from_bytes(film[140:144], "little")
    unpacked = zlib.decompress(film[start:], -zlib.MAX_WBITS)
    element = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 1500 << 20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    begin = packer.compress(unpacked[: unpacked.index(b"\xe0\x7f\x10\x00")] + element)
    return film[:start] + begin + packer.flush(zlib.Z_FULL_FLUSH) + zeros(1500 << 20)


def lying_stream(name: str, folder: Path) -> bytes:
    """A film of 32 x 48 whose compressed stream says 65,500 x 65,500."""
    if name == "JPEG":
        film = pydicom.dcmread(io.BytesIO(dicom(np.zeros((32, 48), np.uint8))))
        film.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        stream = bytearray(jpeg(SIDE, SIDE))
    else:
        film = pydicom.dcmread(io.BytesIO(write(ramp(), folder, syntax=LOSSLESS[name])))
        stream = bytearray(next(generate_frames(film.PixelData, number_of_frames=1)))
    if name == "JPEG 2000":
        size = stream.index(b"\xff\x51")  # SIZ: the grid at 6, the tile at 22 (ISO/IEC 15444-1 A.5.1)
        stream[size + 6 : size + 14] = stream[size + 22 : size + 30] = struct.pack(">II", SIDE, SIDE)
    elif name != "JPEG":
        frame = stream.index({"JPEG-LS": b"\xff\xf7", "JPEG lossless": b"\xff\xc3"}[name])
        stream[frame + 5 : frame + 9] = struct.pack(">HH", SIDE, SIDE)
    film.PixelData = encapsulate([bytes(stream)])
    film["PixelData"].VR = "OB"
    return changed(film)


def honest_bomb(name: str, folder: Path) -> bytes:
    """As `lying_stream`, and the header says the same."""
    film = pydicom.dcmread(io.BytesIO(lying_stream(name, folder)))
    film.Rows = film.Columns = SIDE
    return changed(film)


def changed(film: pydicom.Dataset) -> bytes:
    out = io.BytesIO()
    film.save_as(out)
    return out.getvalue()


def nested(depth: int) -> bytes:
    """A film with a private sequence in a sequence in a sequence, all of undefined length."""
    begin = struct.pack("<HH2sHI", 0x0009, 0x1010, b"SQ", 0, 0xFFFFFFFF) + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0" + bytes(4) + b"\xfe\xff\xdd\xe0" + bytes(4)
    return _before_the_body_part(begin * depth + end * depth)


def nested_by_length(depth: int) -> bytes:
    """As `nested`, each with its length."""
    sequence = b""
    for _ in range(depth):
        item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(sequence)) + sequence
        sequence = struct.pack("<HH2sHI", 0x0009, 0x1010, b"SQ", 0, len(item)) + item
    return _before_the_body_part(sequence)


def _before_the_body_part(element: bytes) -> bytes:
    film = dicom(ramp())
    at = film.index(b"\x18\x00\x15\x00")
    return film[:at] + element + film[at:]


def never_ending(tag: tuple[int, int], vr: bytes) -> bytes:
    """A film in which an element of undefined length never ends."""
    return _before_the_body_part(struct.pack("<HH2sHI", *tag, vr, 0, 0xFFFFFFFF))


def relabelled(syntax: str, real: str, folder: Path) -> bytes:
    """A film that says it is of another transfer syntax than it is."""
    data = write(ramp(), folder, syntax=LOSSLESS[real])
    old, new = LOSSLESS[real].encode(), LOSSLESS[syntax].encode()
    at = data.index(b"\x02\x00\x10\x00UI")
    length = int.from_bytes(data[at + 6 : at + 8], "little")
    value = new + b"\0" * (len(new) % 2)
    group = int.from_bytes(data[140:144], "little") + len(value) - length
    assert old in data[at : at + 8 + length]
    meta = data[:140] + struct.pack("<I", group) + data[144:at]
    return meta + b"\x02\x00\x10\x00UI" + struct.pack("<H", len(value)) + value + data[at + 8 + length :]


def without_pixels(sop_class: str, modality: str, **elements: object) -> bytes:
    film = header(ramp(), SOPClassUID=sop_class, Modality=modality, **elements)
    for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(film, keyword)
    film.file_meta = pydicom.dataset.FileMetaDataset()
    film.file_meta.TransferSyntaxUID = LOSSLESS["explicit"]
    film.file_meta.MediaStorageSOPClassUID, film.file_meta.MediaStorageSOPInstanceUID = sop_class, "1.2.3.4.5"
    out = io.BytesIO()
    pydicom.dcmwrite(out, film, enforce_file_format=True)
    return out.getvalue()


def endless_tiff() -> bytes:
    """A TIFF whose last directory points to the first."""
    data = bytearray(saved(NOISE, "TIFF"))
    first = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[first : first + 2], "little")
    data[first + 2 + 12 * entries : first + 6 + 12 * entries] = struct.pack("<I", first)
    return bytes(data)


def texts(size: int) -> bytes:
    """A PNG with a text that unpacks to `size` bytes."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "x" * size, zip=True)
    return saved(NOISE, "PNG", pnginfo=info)


def _sparse(size: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with path.open("wb") as out:
            out.truncate(size)

    return make


def _of(data: Callable[..., bytes], *given: object, folder: bool = False, **how: object) -> Callable[[Path], bytes]:
    return lambda path: data(*given, path.parent.parent, **how) if folder else data(*given, **how)


def _colour(photometric: str, **elements: object) -> Callable[[Path], bytes]:
    pixels = np.stack([NOISE[:64, :64]] * 3, axis=-1)[None]
    return lambda path: dicom(pixels, PhotometricInterpretation=photometric, Modality="OT", BitsStored=8, **elements)


_SOP = "1.2.840.10008.5.1.4.1.1."
BOMBS: dict[str, Hostile] = {
    "JPEG of 65,500 px": (_of(jpeg, SIDE, SIDE), (PIXELS,)),
    **{f"{name} of 65,500 px": (_of(honest_bomb, name, folder=True), (PIXELS,))
       for name in ("JPEG", "JPEG-LS", "JPEG lossless", "JPEG 2000")},
    **{f"{name} stream of 65,500 px": (_of(lying_stream, name, folder=True), ANY_FAULT)
       for name in ("JPEG", "JPEG-LS", "JPEG lossless", "JPEG 2000")},
    "deflated 1.5 GB": (_of(deflated_bomb), (LARGE, SLOW)),
    "JPEG of 6,000 scans": (_of(many_scans, 6000), (SLOW, TRUNCATED, INDEXED)),
    "1-bit PNG of 13,000 px": (_of(png, 13_000, 13_000, bits=1, rows=zlib.compress(bytes(1626 * 13_000))), (PIXELS,)),
    "1-bit PNG of 9,900 px": (_of(png, 9_900, 9_900, bits=1, rows=zlib.compress(bytes(1239 * 9_900))),
                              (INDEXED, SLOW)),
    "PNG that unpacks to 1.5 GB": (_of(png, 64, 64, bits=8, rows=b"\x78\x9c" + zeros(1500 << 20)),
                                   (TRUNCATED, INDEXED, SLOW)),
    "PNG with a text of 100 MB": (_of(texts, 100 << 20), (INDEXED, TRUNCATED, DAMAGED, SLOW)),
    "sparse file of 1 TB": (_sparse(1 << 40), (LARGE,)),
    "sparse file of 500 MB": (_sparse(500 << 20), (UNKNOWN, SLOW)),
    "TIFF that never ends": (_of(endless_tiff), (INDEXED, DAMAGED, "more frames than the limit")),
}  # fmt: skip
DICOM: dict[str, Hostile] = {
    "1,000 sequences deep": (_of(nested_by_length, 1000), (INDEXED, DAMAGED)),
    "1,000 sequences deep, undefined": (_of(nested, 1000), (INDEXED, DAMAGED)),
    "50,000 sequences deep, undefined": (_of(nested, 50_000), (INDEXED, DAMAGED)),
    "sequence that never ends": (_of(never_ending, (0x0009, 0x1010), b"SQ"), (DAMAGED, NO_PIXELS, TRUNCATED)),
    "unknown that never ends": (_of(never_ending, (0x0009, 0x1010), b"UN"), (DAMAGED, NO_PIXELS, TRUNCATED)),
    "pixels that never end": (_of(never_ending, (0x7FE0, 0x0010), b"OW"), (DAMAGED, NO_PIXELS, TRUNCATED)),
    "raw said to be JPEG 2000": (_of(relabelled, "JPEG 2000", "explicit", folder=True), (TRUNCATED,)),
    "raw said to be JPEG-LS": (_of(relabelled, "JPEG-LS", "explicit", folder=True), (TRUNCATED,)),
    "raw said to be RLE": (_of(relabelled, "RLE", "explicit", folder=True), (TRUNCATED,)),
    "RLE said to be raw": (_of(relabelled, "explicit", "RLE", folder=True), (TRUNCATED, INDEXED)),
    "JPEG-LS said to be JPEG 2000": (_of(relabelled, "JPEG 2000", "JPEG-LS", folder=True), (TRUNCATED,)),
    "explicit said to be implicit": (_of(relabelled, "implicit", "explicit", folder=True), ODD_HEADER),
    "implicit said to be explicit": (_of(relabelled, "explicit", "implicit", folder=True), ODD_HEADER),
    "raw said to be deflated": (_of(relabelled, "deflated", "explicit", folder=True), (DAMAGED, NO_PIXELS)),
    "little endian said to be big": (_of(relabelled, "big endian", "explicit", folder=True), (DAMAGED, NO_PIXELS)),
    "big endian": (_of(dicom, ramp(), syntax=LOSSLESS["big endian"]), (INDEXED,)),
    "signed": (_of(dicom, ramp().astype(np.int16) - 2000), (INDEXED,)),
    "12 bits in 16": (_of(dicom, ramp(), BitsStored=12), (INDEXED,)),
    "more bits stored than allocated": (_of(dicom, ramp(), BitsStored=24), (TRUNCATED, DAMAGED)),
    "more bits than there are": (_of(dicom, ramp(), BitsAllocated=64), (TRUNCATED, DAMAGED)),
    "three frames": (_of(dicom, np.stack([ramp()] * 3), Modality="XA"), (INDEXED,)),
    "a thousand frames promised": (_of(dicom, ramp(), NumberOfFrames=1000), ("more frames than the limit",)),
    "palette without tables": (_of(dicom, NOISE, PhotometricInterpretation="PALETTE COLOR", BitsStored=8),
                               (TRUNCATED, DAMAGED)),
    "YBR": (_colour("YBR_FULL"), (SLICE,)),
    "RGB": (_colour("RGB"), (SLICE,)),
    "CT slice": (_of(dicom, ramp(), Modality="CT", SOPClassUID=_SOP + "2"), (SLICE,)),
    "MR slice": (_of(dicom, ramp(), Modality="MR", SOPClassUID=_SOP + "4"), (SLICE,)),
    "segmentation": (_of(dicom, ramp(), Modality="SEG", SOPClassUID=_SOP + "66.4"), (SLICE,)),
    "RT image": (_of(dicom, ramp(), Modality="RTIMAGE", SOPClassUID=_SOP + "481.1"), (SLICE,)),
    "RT dose": (_of(dicom, ramp(), Modality="RTDOSE", SOPClassUID=_SOP + "481.2"), (SLICE,)),
    "structured report": (_of(without_pixels, _SOP + "88.11", "SR"), (NO_PIXELS,)),
    "presentation state": (_of(without_pixels, _SOP + "11.1", "PR"), (NO_PIXELS,)),
    "key object selection": (_of(without_pixels, _SOP + "88.59", "KO"), (NO_PIXELS,)),
    "encapsulated PDF": (_of(without_pixels, _SOP + "104.1", "DOC", EncapsulatedDocument=b"%PDF-1.7 "), (NO_PIXELS,)),
    "RT structure set": (_of(without_pixels, _SOP + "481.3", "RTSTRUCT"), (NO_PIXELS,)),
    "RT plan": (_of(without_pixels, _SOP + "481.5", "RTPLAN"), (NO_PIXELS,)),
    "DICOM directory": (_of(without_pixels, "1.2.840.10008.1.3.10", ""), ("a DICOM directory file",)),
}  # fmt: skip
PICTURES: dict[str, Hostile] = {
    **{f"{form}": (_of(saved, NOISE, form), (INDEXED,)) for form in ("PNG", "JPEG", "TIFF", "BMP", "WEBP")},
    **{f"{form}": (_of(saved, NOISE, form), (UNKNOWN,)) for form in
       ("GIF", "PPM", "TGA", "PCX", "SGI", "ICNS", "ICO", "JPEG2000", "PDF", "EPS", "DDS", "SPIDER")},
    "JPEG, progressive": (_of(saved, NOISE, "JPEG", progressive=True), (INDEXED,)),
    "JPEG, four colours": (_of(saved, NOISE, "JPEG", "CMYK"), (INDEXED,)),
    **{f"{form}, several": (_of(saved, NOISE, form, save_all=True, append_images=[Image.fromarray(255 - NOISE)]),
                            (INDEXED,)) for form in ("PNG", "WEBP", "MPO", "TIFF")},
    "TIFF, one bit": (_of(saved, NOISE > 99, "TIFF", compression="group4"), (INDEXED,)),
    "TIFF, JPEG inside": (_of(saved, NOISE, "TIFF", compression="jpeg"), (INDEXED,)),
    "TIFF, big endian": (_of(saved, NOISE.astype(">u2"), "TIFF"), (INDEXED,)),
    "JPEG with a damaged EXIF": (_of(saved, NOISE, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), (INDEXED,)),
    "JPEG with a damaged profile": (_of(saved, NOISE, "JPEG", icc_profile=b"\xff" * 400), (INDEXED,)),
    "PNG of no width": (_of(png, 0, 64, bits=8, rows=zlib.compress(b"")), (DAMAGED,)),
    "BMP upside down": (lambda path: _flipped_bmp(), (INDEXED,)),
}  # fmt: skip


def _flipped_bmp() -> bytes:
    data = bytearray(saved(NOISE, "BMP"))
    data[22:26] = struct.pack("<i", -256)
    return bytes(data)


def make(folder: Path, files: dict[str, Hostile]) -> None:
    """Writes them, each under its name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (maker, _) in files.items():
        data = maker(folder / name)
        if data is not None:
            (folder / name).write_bytes(data)


def make_odd(folder: Path, film: bytes) -> int:
    """Names, links and things that are no files, around one film; gives how many a listing must account for."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [
        "line\nbreak",
        "quotes '\"",
        "emoji \U0001fa7b",
        "n" * 255,
        " ",
        "-rf",
        "%s%n",
        "$(touch pwned)",
        "<b>&amp;",
    ]
    for name in [*map(os.fsencode, names), b"no utf-8 \xff\xfe"]:
        with open(os.path.join(os.fsencode(folder), name), "wb") as out:
            out.write(film)
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "up").symlink_to("..")
    (folder / "broken").symlink_to("nothing")
    return len(names) + 1 + 4
