"""Label training: unknown is unknown, boxes follow the film, and words rank films as the labels' answers do."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.errors import BadInput
from filmroom.indexer.models.preprocess import Preprocess
from filmroom.indexer.radiology.captions import Claim, Facts
from filmroom.indexer.training.data.films import TrainingFilm
from filmroom.indexer.training.data.open_collections import collection
from filmroom.indexer.training.labels import label_table
from filmroom.indexer.training.word_alignment import AlignOptions, Answers, align, text_directions
from numpy.typing import NDArray
from PIL import Image

_COLUMNS = (
    "image_id", "split", "source", "patient_id", "sex", "age", "view", "labels", "boxes", "report", "width", "height"
)  # fmt: skip


def _folder(where: Path, rows: list[dict[str, str]]) -> Path:
    (where / "images" / "train").mkdir(parents=True)
    with (where / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS, restval="")
        writer.writeheader()
        for row in rows:
            writer.writerow({"split": "train", "width": "200", "height": "100", **row})
            Image.new("L", (200, 100), 90).save(where / "images" / "train" / f"{row['image_id']}.jpg")
    return where


def test_what_a_collection_did_not_look_for_is_unknown(tmp_path: Path) -> None:
    box = json.dumps([{"label": "mass", "x": 0, "y": 0, "w": 100, "h": 50}])
    data = _folder(tmp_path / "set", [
        {"image_id": "a", "source": "nih", "labels": "mass|effusion", "view": "AP", "sex": "F", "age": "75",
         "boxes": box},
        {"image_id": "b", "source": "kermany", "labels": "viral pneumonia", "view": "AP"},
        {"image_id": "c", "source": "wingspan", "labels": "", "report": "cardiothoracic ratio 0.44"},
        {"image_id": "d", "source": "wingspan", "labels": "", "report": "cardiothoracic ratio 0.52"},
        {"image_id": "e", "source": "other", "labels": "mass"},
        {"image_id": "f", "source": "nih", "labels": "mass", "split": "dev"},
    ])  # fmt: skip
    films, boxes = collection(data)
    nih, child, slim, between = films
    assert [film.group for film in films] == ["set-nih", "set-kermany", "set-wingspan", "set-wingspan"]
    assert {claim.idea for claim in nih.facts.present} == {"mass", "effusion", "view AP", "female", "elderly"}
    assert {"nodule", "no finding", "view PA", "male"} <= nih.facts.absent
    assert {claim.idea for claim in child.facts.present} == {"pneumonia", "viral pneumonia"}
    assert child.facts.absent == {"bacterial pneumonia", "no finding"}
    assert slim.facts == Facts(absent=frozenset({"cardiomegaly"}))
    assert between.facts == Facts()
    assert boxes[0] == (("mass", 0.0, 0.25, 0.5, 0.5),)  # in shares of the padded square
    assert nih.read().shape == (100, 200)


def _film(number: int, group: str, facts: Facts) -> TrainingFilm:
    return TrainingFilm(str(number), str(number), lambda: np.zeros((4, 4), np.uint8), facts, group=group)


def test_a_collection_with_one_answer_alone_teaches_nothing() -> None:
    sick, well = Facts((Claim("mass"),)), Facts(absent=frozenset({"mass"}))
    films = [_film(n, "mixed", sick if n < 10 else well) for n in range(50)]
    films += [_film(n, "sick", sick) for n in range(20)]
    table = label_table(films)
    column = table.claims.index(Claim("mass"))
    weights = table.weights[:, column]
    assert (weights[50:] == 0).all()
    assert weights[0] == pytest.approx(2.0)  # four times as rare
    assert (weights[10:50] == 1).all()


def test_words_rank_films_as_the_answers_do() -> None:
    rng = np.random.default_rng(0)
    claims = (Claim("effusion"), Claim("mass"), Claim("nodule"), Claim("no finding"))
    codes = rng.standard_normal((40, 64)).astype(np.float32)

    def embed(texts: object) -> NDArray[np.float32]:
        rows = np.stack([codes[_number(str(text))] for text in list(texts)])  # type: ignore[call-overload]
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    def _number(text: str) -> int:
        return next((n for n, word in enumerate(("pleural", "effusion", "mass", "nodul")) if word in text.lower()), 9)

    weight, features = (
        rng.standard_normal((4, 32)).astype(np.float32),
        rng.standard_normal((300, 32)).astype(np.float32),
    )
    answers = Answers(claims, weight, np.zeros(4, np.float32))
    none = np.empty((0, 32), np.float32)
    asked = frozenset(claim.idea for claim in claims)
    mapped, constant = align(answers, embed, features, features, none, asked, AlignOptions(ridge=1e-3, constant=3.0))
    films = features @ mapped.T + constant
    films /= np.linalg.norm(films, axis=1, keepdims=True)
    said = films @ text_directions(claims, embed, AlignOptions()).T
    for n in range(4):
        assert np.corrcoef(said[:, n], answers.of(features)[:, n])[0, 1] > 0.95
    assert np.linalg.norm(constant) == pytest.approx(1.0, abs=1e-5)


def _preprocess(size: int) -> Preprocess:
    return Preprocess(size, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_boxes_turn_with_the_film() -> None:
    torch = pytest.importorskip("torch")
    from filmroom.indexer.training.data.film_batches import changed_batch

    square = np.zeros((64, 352, 352), np.uint8)
    square[:, 40:140, 200:320] = 255
    box = (("mass", 200 / 352, 40 / 352, 320 / 352, 140 / 352),)
    pixels, places = changed_batch(square, [box] * 64, _preprocess(320), 10, np.random.default_rng(0))
    assert pixels.shape == (64, 3, 320, 320)
    assert len(places) == 64
    small = torch.nn.functional.adaptive_avg_pool2d(pixels[:, :1], 10).flatten(1)
    bright = torch.stack([small[n][inside].mean() - small[n][~inside].mean() for n, _, inside in places])
    assert float(bright.min()) > 0.3


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    timm = pytest.importorskip("timm")
    from filmroom.indexer.training.label_training import LabelledTower, LabelOptions, pooled, train_on_labels

    squares = np.random.default_rng(0).integers(20, 60, (16, 70, 70)).astype(np.uint8)
    squares[::2, 16:32, 32:48] = 240
    box = (("mass", 32 / 70, 16 / 70, 48 / 70, 32 / 70),)
    mass, clear = Facts((Claim("mass"),)), Facts(absent=frozenset({"mass"}))
    table = label_table([_film(n, "set", clear if n % 2 else mass) for n in range(16)])
    epochs: list[int] = []
    options = LabelOptions(_preprocess(64), epochs=3, batch=8, rate=2e-3, dropout=0.0, average=0.5, frozen=0)

    class Killed(BaseException):
        pass

    def kill(done: int, total: int, loss: float) -> None:
        epochs.append(done)
        if epochs == [1]:
            raise Killed

    def run() -> tuple[LabelledTower, list[float]]:
        trunk = timm.create_model("tf_efficientnet_lite0", num_classes=0)
        return train_on_labels(trunk, squares, [box, ()] * 8, table, work=tmp_path, options=options, progress=kill)

    with pytest.raises(Killed):
        run()
    taught, losses = run()
    assert epochs == [1, 2, 3]
    assert len(losses) == 3
    assert pooled(taught, squares, options).shape == (16, 1280)
    assert float(taught.answers.weight.abs().max()) > 0
    table = label_table([_film(n, "set", clear if n % 2 else mass) for n in range(18)])
    with pytest.raises(BadInput, match="other films"):
        run()
