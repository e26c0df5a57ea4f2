"""Every layout of a data set, read back by the library that it is for."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filmroom.search.export.dataset.writer import category_of
from PIL import Image

from tests.measure_helpers import as_json
from tests.search.export.conftest import House
from tests.terminal import Terminal

FILMS = 24
BOX = [0.25, 0.5, 0.75, 1.0]


def made(shell: Terminal, folder: Path, layout: str, *more: object) -> Path:
    done = as_json(shell, "export", "dataset", "--all", "--to", folder, "--as", layout, *more)
    assert (done["films"], done["failed"]) == (FILMS, 0)
    return folder


def splits(folder: Path) -> dict[str, str]:
    with (folder / "films.csv").open(newline="") as file:
        return {row["id"]: row["split"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("split", ["", "60/20/20"])
def test_datasets_loads_the_image_folder(
    split: str, shell: Terminal, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    folder = made(shell, tmp_path / "set", "imagefolder", *(["--split", split] if split else []))
    loaded = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(tmp_path / "cache"))
    wanted = {"train", "validation", "test"} if split else {"train"}
    assert set(loaded) == wanted
    assert sum(len(part) for part in loaded.values()) == FILMS
    held = splits(folder) if split else {}
    for name, part in loaded.items():
        for row in part:
            assert not split or held[str(row["id"])] == name
            grey = np.asarray(row["image"])
            wanted_pixels = house.door.film(row["id"]).pixels()
            assert np.abs(grey / 255 - wanted_pixels / 65535).max() <= 1 / 500
            labels = {label.name for label in house.door.film(row["id"]).record.labels if label.value >= 0.5}
            assert set(filter(None, row["labels"].split(";"))) == labels


def test_pycocotools_reads_boxes(shell: Terminal, house: House, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    folder = made(shell, tmp_path / "set", "coco")
    held = coco.COCO(str(folder / "annotations" / "instances.json"))
    assert len(held.getImgIds()) == FILMS
    assert [one["name"] for one in held.loadCats(held.getCatIds())] == ["effusion"]
    films = [house.films[name] for name in ("p1-0.dcm", "p3-1.dcm")]
    assert sorted(held.getImgIds(catIds=held.getCatIds())) == sorted(film.id for film in films)
    for film in films:
        (found,) = held.loadAnns(held.getAnnIds(imgIds=[film.id]))
        wide, high = film.tags.columns, film.tags.rows
        assert found["bbox"] == pytest.approx([0.25 * wide, 0.5 * high, 0.5 * wide, 0.5 * high], abs=0.01)
        assert held.annToMask(found).shape == (high, wide) if found["segmentation"] else True
        (image,) = held.loadImgs([film.id])
        assert Image.open(folder / image["file_name"]).size == (wide, high)
        assert image["labels"]["effusion"] == 1.0
    parts = made(shell, tmp_path / "parts", "coco", "--split", "60/20/20") / "annotations"
    assert sum(len(coco.COCO(str(path)).getImgIds()) for path in parts.iterdir()) == FILMS
    assert len(list(parts.iterdir())) == 3


def test_torchxrayvision_reads_the_table(shell: Terminal, house: House, tmp_path: Path) -> None:
    xrv = pytest.importorskip("torchxrayvision")
    folder = made(shell, tmp_path / "set", "xrayvision")
    held = xrv.datasets.NIH_Dataset(
        imgpath=str(folder / "images"),
        csvpath=str(folder / "films_nih.csv"),
        bbox_list_path=str(folder / "boxes_nih.csv"),
        views=["PA", "AP"],
        unique_patients=False,
    )
    assert len(held) == 20, "pictures have no view"
    effusion = held.pathologies.index("Effusion")
    for at in range(len(held)):
        film = house.door.film(int(held.csv.iloc[at]["Image Index"].split(".")[0]))
        labels = {label.name: label.value for label in film.record.labels}
        assert held.labels[at, effusion] == labels["effusion"]
        image = held[at]["img"]
        assert image.shape == (1, film.record.tags.rows, film.record.tags.columns)
        assert np.abs((image[0] / 1024 + 1) / 2 - film.pixels() / 65535).max() < 0.01
    assert held.csv["has_masks"].sum() == 2


READ_BY_FIFTYONE = """
import json, sys
import fiftyone.utils.data as read

found = {}
for name, importer in (
    ("labels", read.FiftyOneImageClassificationDatasetImporter),
    ("detections", read.FiftyOneImageDetectionDatasetImporter),
):
    with importer(dataset_dir=sys.argv[1], labels_path=f"{sys.argv[1]}/{name}.json") as importer:
        found[name] = {
            path: [one.to_mongo().to_dict() for one in (said[said._LABEL_LIST_FIELD] if said else [])]
            for path, _, said in importer
        }
print(json.dumps(found, default=str))
"""


def test_the_importers_of_fiftyone_read_the_data_set(shell: Terminal, house: House, tmp_path: Path) -> None:
    """Its importers need no MongoDB, which its data sets are kept in. FILMROOM_FIFTYONE may be a Python that has it: it
    wants other versions of what is installed here."""
    python = os.environ.get("FILMROOM_FIFTYONE") or sys.executable
    there = subprocess.run([python, "-c", "import fiftyone.utils.data"], capture_output=True)
    if there.returncode:
        pytest.skip("pip install fiftyone, or name a Python that has it in FILMROOM_FIFTYONE")
    folder = made(shell, tmp_path / "set", "fiftyone")
    command = [python, "-c", READ_BY_FIFTYONE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found["labels"]) == FILMS
    for path, said in found["labels"].items():
        assert Image.open(path).format == "PNG"
        film = house.door.film(int(Path(path).stem)).record
        assert {one["label"] for one in said} == {one.name for one in film.labels if one.value >= 0.5}
    boxes = {Path(path).stem: said for path, said in found["detections"].items() if said}
    assert set(boxes) == {f"{house.films[name].id:07d}" for name in ("p1-0.dcm", "p3-1.dcm")}
    for (only,) in boxes.values():
        assert only["label"] == "effusion"
        assert only["bounding_box"] == [BOX[0], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1]]


def test_fiftyone_layout_is_as_documented(shell: Terminal, house: House, tmp_path: Path) -> None:
    """By its documentation (FiftyOneImageClassificationDataset, FiftyOneImageDetectionDataset)."""
    folder = made(shell, tmp_path / "set", "fiftyone")
    labels = json.loads((folder / "labels.json").read_text("utf-8"))
    boxes = json.loads((folder / "detections.json").read_text("utf-8"))
    assert set(labels) == set(boxes) == {"classes", "labels"}
    assert {path.stem for path in (folder / "data").iterdir()} == set(labels["labels"]) == set(boxes["labels"])
    key = f"{house.films['p5-0.dcm'].id:07d}"
    assert labels["labels"][key] == [{"label": name, "confidence": 1.0} for name in ("effusion", "nodule")]
    assert set(labels["classes"]) >= {"effusion", "nodule"}
    (found,) = boxes["labels"][f"{house.films['p1-0.dcm'].id:07d}"]
    assert found["bounding_box"] == [BOX[0], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1]]
    assert (found["label"], boxes["classes"]) == ("effusion", ["effusion"])


def test_tensorflow_reads_the_examples(shell: Terminal, house: House, tmp_path: Path) -> None:
    pytest.importorskip("google_crc32c")
    folder = made(shell, tmp_path / "set", "tfrecord", "--bits", "16", "--split", "80/20")
    assert sorted(path.name for path in folder.glob("*.tfrecord")) == ["test-00000.tfrecord", "train-00000.tfrecord"]
    assert not list(folder.rglob("*.png")), "the pictures are in the records"
    tensorflow = pytest.importorskip("tensorflow")
    seen = set()
    for raw in tensorflow.data.TFRecordDataset([str(path) for path in folder.glob("*.tfrecord")]):
        example = tensorflow.train.Example.FromString(raw.numpy())
        features = example.features.feature
        assert features["image/format"].bytes_list.value[0] == b"png"
        film = int(features["image/id"].bytes_list.value[0])
        seen.add(film)
        picture = tensorflow.io.decode_png(features["image/encoded"].bytes_list.value[0], dtype=tensorflow.uint16)
        assert np.array_equal(picture.numpy()[..., 0], house.door.film(film).pixels())
        present = {one.decode() for one in features["image/class/text"].bytes_list.value}
        known = house.door.film(film).record
        assert present == set(known.label_names)
        assert not known.tags.year or features["film/year"].int64_list.value[0] == known.tags.year
    assert len(seen) == FILMS


@pytest.mark.parametrize("layout", ["imagefolder", "coco", "fiftyone", "xrayvision"])
def test_mlcroissant_reads_the_description(layout: str, shell: Terminal, house: House, tmp_path: Path) -> None:
    croissant = pytest.importorskip("mlcroissant")
    folder = made(shell, tmp_path / "set", layout, "--licence", "https://creativecommons.org/licenses/by/4.0/")
    held = croissant.Dataset(jsonld=str(folder / "croissant.json"))
    assert held.metadata.issues.errors == set()
    assert "24 X-ray films" in held.metadata.description
    assert held.metadata.license == ["https://creativecommons.org/licenses/by/4.0/"]
    rows = list(held.records("films"))
    assert len(rows) == FILMS
    by_id = {row["films/id"]: row for row in rows}
    film = house.films["p5-1.dcm"]
    assert by_id[film.id]["films/label_effusion"] == 1.0
    for row in rows:
        data = (folder / row["films/file"].decode()).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["films/sha256"].decode()
    said = json.loads((folder / "croissant.json").read_text("utf-8"))
    named = {one["@id"]: one.get("sha256") for one in said["distribution"]}
    assert named["cohort.json"] == hashlib.sha256((folder / "cohort.json").read_bytes()).hexdigest()


@pytest.mark.parametrize("layout", ["coco", "xrayvision"])
def test_boxes_and_widths_are_those_of_a_smaller_picture(
    layout: str, shell: Terminal, house: House, tmp_path: Path
) -> None:
    folder = made(shell, tmp_path / "set", layout, "--size", 32)
    film = house.films["p3-1.dcm"]
    held = Image.open(folder / "images" / f"{film.id:07d}.png")
    assert held.size == (32, round(film.tags.rows / 2))
    wide, high = held.size
    wanted = [0.25 * wide, 0.5 * high, 0.5 * wide, 0.5 * high]
    if layout == "coco":
        said = json.loads((folder / "annotations" / "instances.json").read_text("utf-8"))
        (image,) = [one for one in said["images"] if one["id"] == film.id]
        (box,) = [one["bbox"] for one in said["annotations"] if one["image_id"] == film.id]
        assert (image["width"], image["height"]) == held.size
    else:
        with (folder / "boxes_nih.csv").open(newline="") as file:
            (row,) = [one for one in csv.reader(file) if one[0] == f"{film.id:07d}.png"]
        box = [float(side) for side in row[2:6]]
    assert box == pytest.approx(wanted, abs=0.01)


@pytest.mark.parametrize("layout", ["imagefolder", "coco", "fiftyone", "xrayvision", "tfrecord"])
def test_a_data_set_names_nobody(layout: str, shell: Terminal, tmp_path: Path) -> None:
    folder = made(shell, tmp_path / "set", layout)
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for trace in (b"MUSTERFRAU", b"ID-1", b"1.2.826.0.7", b"picture,", str(tmp_path).encode()):
                assert trace not in data, path


def test_a_box_has_the_finding_that_its_sentence_says() -> None:
    assert category_of("Small left pleural effusion.") == "effusion"
    assert category_of("No pneumothorax is seen.") == "finding"
    assert category_of("Something odd.") == "finding"
