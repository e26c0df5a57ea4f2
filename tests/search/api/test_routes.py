"""What the routes answer: the same as the terminal and the Python door."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from filmroom.db.errors import BadInput
from filmroom.db.reads import films
from filmroom.db.records import Counts, RunState
from filmroom.db.writes import annotations, findings, runs
from filmroom.indexer.models import registry
from filmroom.search.exchange.original_pixels import original
from PIL import Image

from tests.conftest import write_film
from tests.search.api.conftest import Served


def test_search_answers_as_the_terminal_does(api: Served) -> None:
    wanted = api.house.door.search("effusion view:PA", k=5)
    for found in (
        api.get("/search", params={"q": "effusion view:PA", "k": 5}),
        api.send("POST", "/search", json={"query": "effusion view:PA", "k": 5}),
    ):
        assert [hit["id"] for hit in found["hits"]] == [hit.id for hit in wanted.hits]
        assert [hit["score"] for hit in found["hits"]] == pytest.approx([hit.score for hit in wanted.hits], abs=1e-6)
        assert (found["total"], found["model"]) == (10, "tiny")
    second = api.get("/search", params={"q": "effusion view:PA", "k": 2, "offset": 3})
    assert [hit["rank"] for hit in second["hits"]] == [4, 5]


def test_similar_films_by_id_and_by_upload(api: Served) -> None:
    film = api.house.films["p3-1.dcm"]
    near = api.get(f"/films/{film.id}/similar", params={"k": 3})
    assert film.id not in [hit["id"] for hit in near["hits"]]
    with (Path(film.root) / film.path).open("rb") as file:
        found = api.send("POST", "/similar?k=1", files={"file": ("film.dcm", file)})
    assert found["hits"][0]["id"] == film.id
    assert found["hits"][0]["score"] == pytest.approx(1, abs=1e-3)


def test_a_film_with_its_facts_and_pictures(api: Served) -> None:
    film = api.house.films["p1-0.dcm"]
    said = api.get(f"/films/{film.id}")
    assert (said["facts"]["view"], said["facts"]["age"], said["path"]) == ("AP", 41, "p1-0.dcm")
    assert said["findings"][0]["text"] == "Small left pleural effusion."
    assert "root" not in said
    small = api.client.get(f"/api/v1/films/{film.id}/thumbnail")
    assert small.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(small.content)).format == "WEBP"
    whole = api.client.get(f"/api/v1/films/{film.id}/pixels")
    assert whole.headers["content-type"] == "image/png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(whole.content))), original(film))
    narrow = api.client.get(f"/api/v1/films/{film.id}/pixels", params={"window": "1000/500"})
    assert narrow.content != whole.content


def test_texts_and_films_are_embedded(api: Served, tmp_path: Path) -> None:
    texts = api.send("POST", "/embed/text", json={"texts": ["effusion", "edema"]})
    wanted = api.house.door.searcher.towers.embed_texts(["effusion", "edema"])
    assert np.allclose(texts["vectors"], wanted, atol=1e-6)
    assert texts["fingerprint"] == api.house.door.searcher.held.space.fingerprint
    film = api.house.films["=picture,2.png"]
    data = (Path(film.root) / film.path).read_bytes()
    stored = api.house.door.vectors([film.id])[0]
    images = [base64.b64encode(data).decode(), "no base64!", base64.b64encode(b"no film").decode()]
    found = api.send("POST", "/embed/images", json={"images": images})
    assert np.allclose(found["vectors"][0], stored, atol=2e-3)
    assert found["vectors"][1:] == [None, None]
    assert found["errors"] == [None, "not base64", "not an image"]
    files = [("files", ("a.png", data)), ("files", ("b.png", write_film(tmp_path / "b.png", 77).read_bytes()))]
    found = api.send("POST", "/embed/files", files=files)
    assert np.allclose(found["vectors"][0], stored, atol=2e-3)
    assert len(found["vectors"]) == 2


def test_scores_are_those_of_the_terminal(api: Served) -> None:
    found = api.send("POST", "/zeroshot", json={"findings": ["effusion"], "where": "view:PA", "k": 3})
    wanted = api.house.door.zeroshot("effusion", where="view:PA")
    name = wanted.findings[0].measured.finding
    assert found["findings"][0]["auc"] == wanted.to_json()["findings"][0]["auc"]
    best = found["findings"][0]["films"]
    assert len(best) == 3
    assert best[0]["score"] == pytest.approx(float(wanted.scores[name].max()), abs=1e-6)
    assert "denies a finding" in str(api.send("POST", "/zeroshot", 400, json={"findings": ["no effusion"]}))
    assert api.get("/probes") == []
    api.send("GET", "/probes/none/scores?film=1", 404)


def test_a_kept_probe_gives_its_probabilities(api: Served) -> None:
    from filmroom.search.python_api import OpenArchive

    door = OpenArchive(api.archive.folder, model=str(api.house.model))
    door.probe("effusion", save="effusion-1")
    assert [one["name"] for one in api.get("/probes")] == ["effusion-1"]
    film = api.house.films["p3-1.dcm"].id
    found = api.get("/probes/effusion-1/scores", params={"film": [film, film + 1]})
    known = {
        label.name: label.value for label in films.get(api.archive.catalog, film).labels if label.source == "probe"
    }
    assert found["scores"][0] == {"film": film, "probability": known["effusion-1"]}
    api.send("GET", "/probes/effusion-1/scores?film=4711", 404)


def test_collections_tags_labels_and_judgements(api: Served) -> None:
    one, two = (api.house.films[name].id for name in ("p6-0.dcm", "p6-1.dcm"))
    assert api.send("POST", "/collections/mine/films", json={"films": [one, two]}) == {"name": "mine", "added": 2}
    assert api.get("/collections/mine") == {"name": "mine", "total": 2, "films": [one, two]}
    api.send("POST", "/collections/other/films", json={"films": [two, one]})
    assert api.get("/collections/other")["films"] == [two, one], "in the order in which they were put there"
    assert api.send("DELETE", "/collections/other")["films"] == 2
    assert {"mine", "chosen"} <= {row["name"] for row in api.get("/collections")}
    assert api.send("DELETE", "/collections/mine/films", params={"film": [one]})["removed"] == 1
    assert api.send("DELETE", "/collections/mine")["films"] == 1
    api.send("GET", "/collections/mine", 404)
    assert api.send("PUT", f"/films/{one}/tags", json={"tags": ["Rare", "odd"]}) == ["odd", "rare"]
    assert api.get(f"/films/{one}/tags") == ["odd", "rare"]
    assert "rare" in api.get("/tags")
    label = {"film": one, "name": "Mass", "value": 1, "source": "reader"}
    assert api.send("POST", "/labels", json={"labels": [label]}) == {"added": 1}
    assert {"name": "mass", "value": 1.0, "source": "reader"} in api.get(f"/films/{one}/labels")
    assert api.send("DELETE", "/labels?source=reader") == {"removed": 1}
    assert api.send("DELETE", "/labels?source=probe", 400)["fix"] == "filmroom probe remove NAME"
    grade = {"query": "mass", "film": one, "judge": "anna", "grade": 2}
    assert api.send("PUT", "/judgements", json=grade) == grade
    assert api.get("/judgements", params={"query": "mass"})["judgements"] == [grade]
    api.send("PUT", "/judgements", json={**grade, "grade": None})
    assert api.get("/judgements", params={"query": "mass"})["total"] == 0


def test_no_more_is_read_of_collections_and_judgements_than_is_asked_for(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [film.id for film in api.house.films.values()]
    api.send("POST", "/collections/all/films", json={"films": ids})
    for film in ids:
        api.send("PUT", "/judgements", json={"query": "mass", "film": film, "judge": "anna", "grade": 2})
    read: list[int] = []
    of_films, of_judgements = annotations.collected, annotations.judgements

    def collected(*asked: Any, **more: Any) -> list[int]:
        read.append(len(some := of_films(*asked, **more)))
        return some

    def judgements(*asked: Any, **more: Any) -> list[Any]:
        read.append(len(some := of_judgements(*asked, **more)))
        return some

    monkeypatch.setattr(annotations, "collected", collected)
    monkeypatch.setattr(annotations, "judgements", judgements)
    page = {"k": 2, "offset": 1}
    assert api.get("/collections/all", params=page) == {"name": "all", "total": len(ids), "films": ids[1:3]}
    judged = api.get("/judgements", params=page)
    assert (judged["total"], [one["film"] for one in judged["judgements"]]) == (len(ids), ids[1:3])
    api.send("DELETE", "/collections/all/films", params={"film": ids[0]})
    assert api.send("DELETE", "/collections/all")["films"] == len(ids) - 1
    api.send("PUT", "/judgements", json={"query": "mass", "film": ids[0], "judge": "anna", "grade": None})
    api.send("PUT", "/judgements", 404, json={"query": "mass", "film": ids[0], "judge": "anna", "grade": None})
    assert api.get("/judgements")["total"] == len(ids) - 1
    assert read == [2, 2, len(ids) - 1]


def test_findings_by_their_words(api: Served) -> None:
    (first, _) = api.get("/findings", params={"words": "pleural effusion"})
    assert first["sentence"] == "Small left pleural effusion."
    assert first["boxes"] == [[0.25, 0.5, 0.75, 1.0]]
    assert len(api.get("/findings")) == 4
    assert api.get("/findings", params={"meaning": "fluid", "k": 1})[0]["score"] is not None


@pytest.mark.parametrize("asked", [{}, {"words": "effusion"}, {"meaning": "fluid"}])
def test_no_more_findings_are_read_than_are_asked_for(
    asked: dict[str, str], api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = api.archive.catalog
    for film in api.house.films.values():
        findings.put(catalog, [film.id], [findings.Finding("An effusion, everywhere.")], source="other")
    read: list[Any] = []
    whole = findings._kept
    monkeypatch.setattr(findings, "_kept", lambda row: read.append(row) or whole(row))
    assert len(api.get("/findings", params=asked | {"k": 3})) == 3
    assert len(read) == 3


@pytest.mark.slow
def test_an_index_run_is_started_watched_and_stopped(
    api: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    registry.add_model(str(api.house.model))
    write_film(tmp_path / "more" / "new.png", 4711)
    assert api.send("POST", "/runs", 202, json={"paths": [str(tmp_path / "more")], "model": "tiny"})["pid"] > 0
    done = wait_for(api, lambda run: run["id"] == 2 and run["state"] == "done")
    assert (done["counts"]["indexed"], done["counts"]["listed"]) == (1, 1)
    assert api.get("/runs/2") == done
    assert api.get("/search", params={"k": 1})["total"] == 25
    api.send("POST", "/runs/2/stop", 404)
    for number in range(400):
        write_film(tmp_path / "many" / f"{number}.png", 5000 + number, side=256)
    api.send("POST", "/runs", 202, json={"paths": [str(tmp_path / "many")], "model": "tiny"})
    wait_for(api, lambda run: run["id"] == 3 and run["state"] == "running" and api.archive.writer() is not None)
    api.send("POST", "/runs", 409, json={"paths": [str(tmp_path / "more")]})
    assert api.send("POST", "/runs/3/stop", 202) == {"id": 3, "stopping": True}
    assert wait_for(api, lambda run: run["id"] == 3 and run["state"] != "running")["state"] in ("stopped", "done")


def wait_for(api: Served, right: Callable[[Any], bool]) -> Any:
    """The newest run, once it is as it should be."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        for run in api.get("/runs"):
            if right(run):
                return run
        time.sleep(0.1)
    raise AssertionError(f"{api.get('/runs')[:1]} {(api.archive.folder / 'index.log').read_text()}")


@pytest.mark.parametrize(
    ("path", "status"), [("relative", 400), ("/nowhere/at/all", 404), ("a\0b", 400), ("/a\0b", 400)]
)
def test_a_run_needs_whole_paths_that_are_there(path: str, status: int, api: Served) -> None:
    api.send("POST", "/runs", status, json={"paths": [path]})
    api.send("GET", "/runs/999", 404)


def test_no_run_is_counted_in_a_state_that_it_has_left(api: Served) -> None:
    run = runs.start(api.archive.catalog, ["/films"], "tiny")
    assert 'filmroom_index_runs{state="running"} 1.0' in api.client.get("/metrics").text
    runs.end(api.archive.catalog, run, RunState.STOPPED, Counts())
    counted = api.client.get("/metrics").text
    assert 'filmroom_index_runs{state="running"} 0.0' in counted
    assert 'filmroom_index_runs{state="stopped"} 1.0' in counted


def test_status_models_health_and_metrics(api: Served) -> None:
    assert api.get("/status")["films"] == 24
    assert "tiny" in {one["model"] for one in api.get("/status")["models"]}
    assert api.get("/models")
    assert api.client.get("/health").json() == {"status": "ok"}
    api.get("/search", params={"q": "effusion"})
    api.send("GET", "/films/4711", 404)
    for place in ("/metrics", "/api/v1/metrics"):
        answer = api.client.get(place)
        assert answer.headers["content-type"].startswith("text/plain")
        lines = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
        assert lines["filmroom_queries_total"] == "1.0"
        assert lines["filmroom_films"] == "24.0"
        assert lines["filmroom_errors_total"] == "0.0"
        assert any(name.startswith("filmroom_request_seconds_bucket") for name in lines)
        assert "effusion" not in answer.text, "what people look for is no label"


def test_the_page_of_the_interface_needs_no_other_host(api: Served) -> None:
    page = api.client.get("/api/docs").text
    document = api.client.get("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.")
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    for path in document["paths"]:
        assert path in page


def test_a_model_that_the_archive_lacks_is_not_looked_for(api: Served) -> None:
    said = api.send("GET", "/search?q=x&model=hf-hub:someone/model", 404)
    assert "tiny" in said["fix"]


@pytest.mark.parametrize("name", ["a/b", "..", "../b", "a?b#c%", "films", "x/films", "a/films/films", "a" * 80])
def test_a_collection_is_reached_whatever_its_name(name: str, api: Served) -> None:
    film = api.house.films["p1-0.dcm"]
    address = f"/collections/{quote(name, safe='').replace('.', '%2E')}"
    assert api.send("POST", f"{address}/films", json={"films": [film.id]}) == {"name": name, "added": 1}
    assert api.get(address)["films"] == [film.id]
    assert api.send("DELETE", f"{address}/films?film={film.id}")["removed"] == 1
    assert api.send("DELETE", address)["name"] == name


@pytest.mark.parametrize("name", ["a\nb", "a\0b", "a\x1bb", "a\u2028b", "a" * 300])
def test_a_new_name_stands_on_one_line(name: str, api: Served) -> None:
    film = api.house.films["p1-0.dcm"]
    before = api.get("/collections")
    answer = api.client.post(f"/api/v1/collections/{quote(name, safe='')}/films", json={"films": [film.id]})
    assert answer.status_code in (400, 404, 422)  # a route of its own has no line break
    with pytest.raises(BadInput):
        annotations.collect(api.archive.catalog, name, [film.id])
    assert api.get("/collections") == before


@pytest.mark.parametrize("name", ["a\nb", "a\0b", "a\x1bb", "a\u2028b"])
def test_tags_labels_and_judges_stand_on_one_line(name: str, api: Served) -> None:
    film = api.house.films["p1-0.dcm"].id
    said = [
        api.send("PUT", f"/films/{film}/tags", 400, json={"tags": ["rare", name]}),
        api.send("POST", "/labels", 400, json={"labels": [{"film": film, "name": name}]}),
        api.send("POST", "/labels", 400, json={"labels": [{"film": film, "name": "mass", "source": name}]}),
        api.send("PUT", "/judgements", 400, json={"query": "mass", "film": film, "judge": name, "grade": 2}),
        api.send("PUT", "/judgements", 400, json={"query": name, "film": film, "judge": "anna", "grade": 2}),
    ]
    api.send("PUT", "/judgements", 422, json={"query": "  ", "film": film, "judge": "anna", "grade": 2})
    assert {one["what"].partition(" holds ")[2] for one in said} == {"a character that cannot be seen"}
    assert (api.get(f"/films/{film}/tags"), api.get("/judgements")["total"]) == ([], 0)
    with pytest.raises(BadInput):
        annotations.add_tags(api.archive.catalog, [film], [name])


def test_what_was_named_before_can_stay_beside_a_new_name(api: Served) -> None:
    film = api.house.films["p1-0.dcm"].id
    annotations.put_tags(api.archive.catalog, [(film, "a\tb")])
    assert api.send("PUT", f"/films/{film}/tags", json={"tags": ["a\tb", "new"]}) == ["a\tb", "new"]


def test_the_times_of_every_route_are_counted(api: Served) -> None:
    api.get("/search", params={"q": "effusion"})
    counted = api.client.get("/metrics").text
    assert 'filmroom_requests_total{method="GET",route="/search",status="200"} 1.0' in counted
    assert 'filmroom_request_seconds_count{route="/search"} 1.0' in counted
