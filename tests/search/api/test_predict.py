"""A client written for the Model Garden's predictor of CXR Foundation works here."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from filmroom.search.exchange.original_pixels import original
from PIL import Image

from tests.search.api.conftest import Served


@dataclass
class Embedding:
    """What such a client makes of a prediction: names that it does not know would end it."""

    general_img_emb: Any = None
    contrastive_img_emb: Any = None
    contrastive_txt_emb: Any = None
    error: str | None = None


def predict(api: Served, instances: list[dict[str, Any]]) -> list[Embedding]:
    answer = api.send("POST", "/predict", json={"instances": instances, "parameters": {}})
    assert set(answer) == {"predictions"}
    return [Embedding(**prediction) for prediction in answer["predictions"]]


def test_films_and_texts_come_back_in_their_order(api: Served) -> None:
    film = api.house.films["=picture,1.png"]
    out = io.BytesIO()
    Image.fromarray(original(film)).save(out, "PNG")
    bytes64 = base64.b64encode(out.getvalue()).decode("utf-8")
    found = predict(
        api,
        [
            {"prompt_query": "effusion"},
            {"input_bytes": bytes64},
            {"input_bytes": base64.b64encode(b"no film").decode()},
            {},
            {"input_bytes": bytes64, "prompt_query": "edema"},
            {"gcs_uri": "gs://bucket/film.png"},
        ],
    )
    texts = api.house.door.searcher.towers.embed_texts(["effusion", "edema"])
    assert np.allclose(found[0].contrastive_txt_emb, texts[0], atol=1e-6)
    assert found[0].contrastive_img_emb is None
    assert np.allclose(found[1].contrastive_img_emb, api.house.door.vectors([film.id])[0], atol=5e-3)
    assert found[2] == Embedding(error="not an image")
    assert found[3] == found[5] == Embedding(error="an instance needs input_bytes or prompt_query")
    assert np.allclose(found[4].contrastive_txt_emb, texts[1], atol=1e-6)
    assert found[4].contrastive_img_emb == found[1].contrastive_img_emb


def test_a_batch_has_a_limit(api: Served) -> None:
    said = api.send("POST", "/predict", 400, json={"instances": [{"prompt_query": "x"}] * 65})
    assert said["what"] == "65 instances are more than 64"
