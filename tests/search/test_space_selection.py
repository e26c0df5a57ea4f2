"""Several models side by side: one serves while another is embedded, both are compared, one is used, one removed; and
vectors that were computed elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from filmroom.search.searcher import Searcher

from tests.terminal import Terminal
from tests.tiny_model import make_model

Films = Callable[..., Path]


@pytest.fixture(autouse=True)
def _own_list_of_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return make_model(tmp_path / "second", name="second", seed=5)


def _model(terminal: Terminal, *more: object) -> str:
    found = terminal.json("search", "effusion", *more)
    assert isinstance(found, dict)
    return str(found["model"])


def _listed(terminal: Terminal) -> dict[str, dict[str, object]]:
    found = terminal.json("models", "list")
    assert isinstance(found, list)
    return {one["name"]: one for one in found}


def test_one_model_serves_while_another_is_embedded(terminal: Terminal, films: Films, tiny: Path, second: Path) -> None:
    folder = films(30)
    terminal("index", folder, "--model", tiny)
    command = [
        sys.executable,
        "-c",
        "from filmroom.cli import main; main()",
        "index",
        str(folder),
        "--model",
        str(second),
    ]
    env = {"FILMROOM_ARCHIVE": str(terminal.archive), "OMP_NUM_THREADS": "1"}
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, cwd=root, env=os.environ | env, stderr=subprocess.DEVNULL) as other:
        served = 0
        while other.poll() is None:
            assert _model(terminal, "--model", "tiny") == "tiny"
            served += 1
        assert other.returncode == 0
    assert served > 0
    listed = _listed(terminal)
    assert (listed["tiny"]["films"], listed["second"]["films"]) == (30, 30)


def test_a_part_of_a_space_does_not_serve_before_it_is_named(
    terminal: Terminal, films: Films, tiny: Path, second: Path
) -> None:
    folder = films(4)
    terminal("index", folder, "--model", tiny)
    terminal("index", folder / "film-000.png", "--model", second)
    assert _model(terminal) == "tiny"
    assert _model(terminal, "--model", "second") == "second"
    said = terminal("models", "use", "second")
    assert "second answers from now on. It holds 1 of 4 films so far" in said
    assert _model(terminal) == "second"
    assert _listed(terminal)["second"]["in_use"] is True
    terminal("models", "use", "tiny")
    terminal("index", folder, "--model", second)
    assert _model(terminal) == "tiny", "the one in use stays in use"


def test_both_are_compared_on_the_same_queries_and_one_is_removed(
    terminal: Terminal, films: Films, tiny: Path, second: Path, tmp_path: Path
) -> None:
    folder = films(6)
    for model in (tiny, second):
        terminal("index", folder, "--model", model)
    (tmp_path / "queries.tsv").write_text("1\teffusion\n2\tedema\n")
    (tmp_path / "qrels.txt").write_text("1 0 film-001.png 1\n1 0 film-002.png 0\n2 0 film-003.png 2\n")
    files = ("--queries", tmp_path / "queries.tsv", "--qrels", tmp_path / "qrels.txt")
    compared = terminal.json("compare", "--models", "tiny", "second", *files)
    assert isinstance(compared, dict)
    assert (compared["a"], compared["b"], compared["n"]) == ("tiny", "second", 2)
    measured = terminal.json("evaluate", *files, "--model", "tiny")
    assert isinstance(measured, dict)
    listed = _listed(terminal)["tiny"]
    assert listed["ndcg"] == pytest.approx(measured["mean"]["nDCG@5"])
    assert listed["ndcg_queries"] == "queries.tsv"
    assert _listed(terminal)["second"]["ndcg"] is None
    terminal("models", "use", "second")
    assert "Deleted: 6 vectors of second" in terminal("models", "remove", "second", "--vectors")
    assert _model(terminal) == "tiny"
    assert terminal("doctor")
    assert terminal.code == 0


def test_a_model_that_was_replaced_is_never_searched_by_its_old_vectors(
    terminal: Terminal, films: Films, tmp_path: Path
) -> None:
    """As the bundled one is by an upgrade: its name stays, its weights do not."""
    folder = films(4)
    model = make_model(tmp_path / "mine", name="mine", seed=1)
    terminal("index", folder, "--model", model)
    terminal("models", "use", "mine")
    before = terminal.json("search", "effusion")
    make_model(tmp_path / "mine", name="mine", seed=2)
    for more in ((), ("--model", "mine")):
        terminal("search", "effusion", *more)
        assert terminal.code == 1
        assert "the films are embedded with earlier weights of this model" in terminal.err
        assert "filmroom index" in terminal.err
    terminal("index", folder / "film-000.png", "--model", model)
    terminal("search", "effusion")
    assert "newer ones hold 1 of 4 so far" in terminal.err
    terminal("index", folder, "--model", model)
    after = terminal.json("search", "effusion")
    assert terminal.code == 0, terminal.err
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert [hit["score"] for hit in after["hits"]] != [hit["score"] for hit in before["hits"]]
    assert after == after | {"total": 4, "model": "mine"}


def test_of_two_spaces_of_one_name_the_one_that_is_meant_goes(terminal: Terminal, films: Films, tmp_path: Path) -> None:
    folder = films(4)
    for seed in (1, 2):
        model = make_model(tmp_path / "mine", name="mine", seed=seed)
        terminal("index", folder, "--model", model)
    old, new = sorted(terminal.json("status")["models"], key=lambda one: one["fingerprint"] != _present(terminal))[::-1]  # type: ignore[index, call-overload]
    status = " ".join(terminal("status").split())
    for one in (old, new):
        assert f"mine@{one['fingerprint'][:8]}" in status
    terminal("models", "remove", "mine", "--vectors")
    assert terminal.code == 1
    assert f"mine@{old['fingerprint'][:8]} (4 films)" in terminal.err
    assert f"mine@{new['fingerprint'][:8]} (4 films, in use)" in terminal.err
    said = terminal("models", "remove", f"mine@{old['fingerprint'][:8]}", "--vectors")
    assert said == f"Deleted: 4 vectors of mine@{old['fingerprint'][:8]}.\n"
    assert terminal.json("search", "effusion")["total"] == 4  # type: ignore[index, call-overload]
    terminal("models", "remove", "mine@", "--vectors")
    assert "no vectors of this model" in terminal.err
    assert terminal("models", "remove", "mine", "--vectors") == "Deleted: 4 vectors of mine.\n"


def _present(terminal: Terminal) -> str:
    return Searcher.open(terminal.archive).held.space.fingerprint


def test_films_a_second_are_those_of_the_runs(terminal: Terminal, films: Films, tiny: Path) -> None:
    from filmroom.db.archive import Archive
    from filmroom.db.schema import run
    from sqlalchemy import update

    terminal("index", films(3), "--model", tiny)
    with Archive.open(terminal.archive).catalog.write() as connection:
        connection.execute(update(run).values(started_at=100, ended_at=106))
    assert _listed(terminal)["tiny"]["films_a_second"] == pytest.approx(0.5)
    assert "films/s" in terminal("models")


def test_models_are_listed_with_the_place_that_they_come_from(terminal: Terminal, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "of mine", name="mine")
    terminal("models", "add", folder)
    places = {name: model["place"] for name, model in _listed(terminal).items()}
    assert (places["mine"], places["filmroom-mini"]) == (str(folder), "Filmroom")
    assert places["whyxrayclip"] == "hf-hub:yyupenn/whyxrayclip"
    printed = terminal("models", "list")
    assert "from" in printed.splitlines()[0].split()
    assert "all your archives" in printed
    terminal("models", "remove", "mine")
    assert "all your archives" not in terminal("models", "list")


def test_a_model_without_words_never_takes_over_and_says_which_ones_read_them(
    terminal: Terminal, films: Films, tiny: Path, tmp_path: Path
) -> None:
    blind = make_model(tmp_path / "blind", name="blind", seed=2, has_text=False)
    folder = films(5)
    for model in (tiny, blind):
        terminal("index", folder, "--model", model)
    assert _model(terminal) == "tiny"
    terminal("search", "effusion", "--model", "blind")
    assert terminal.code == 1
    assert "model blind has no text tower" in terminal.err
    assert "For words use --model tiny" in terminal.err
    alike = terminal.json("search", "--like", 1, "--model", "blind")
    assert isinstance(alike, dict)
    assert (alike["model"], len(alike["hits"])) == ("blind", 4)
    assert "It has no text tower" in terminal("models", "use", "blind")
    terminal("search", "effusion")
    assert terminal.code == 1
    assert "For words use --model tiny" in terminal.err


def test_a_model_without_words_serves_probes(terminal: Terminal, films: Films, tmp_path: Path) -> None:
    blind = make_model(tmp_path / "blind", name="blind", seed=2, has_text=False)
    terminal("index", films(24), "--model", blind)
    rows = [f"film-{at:03}.png,edema,{int(at % 2)}" for at in range(24)]
    (tmp_path / "labels.csv").write_text("film,label,value\n" + "\n".join(rows))
    terminal("label", tmp_path / "labels.csv")
    done = terminal.json("probe", "--label", "edema", "--model", "blind")
    assert terminal.code == 0, terminal.err
    assert isinstance(done, dict)
    assert done["probes"][0]["name"] == "edema"


def _vectors(count: int, dim: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 32, dim)).astype(np.float32)


LAYOUTS = ("by film", "stacked with names", "stacked with a table")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_published_vectors_are_searched_without_their_model(
    layout: str, terminal: Terminal, films: Films, tiny: Path, tmp_path: Path
) -> None:
    terminal("index", films(6), "--model", tiny)
    names = [f"film-{at:03}" for at in (3, 0, 5)] + ["film-999"]
    vectors, path, more = _vectors(4, 128), tmp_path / "vectors.npz", []
    if layout == "by film":
        np.savez(path, **dict(zip(names, vectors, strict=True)))
    elif layout == "stacked with names":
        np.savez_compressed(path, image_id=np.array(names), all_contrastive_img_emb=vectors)
    else:
        np.savez(path, vectors)
        (tmp_path / "films.csv").write_text("film\n" + "\n".join(names))
        more = ["--films", tmp_path / "films.csv"]
    done = terminal.json("import-vectors", path, "--model", "elixr", *more)
    assert done == {
        "model": "elixr", "vectors": 32, "dim": 128, "films": 3, "missing": ["film-999"], "ambiguous": [],
        "answers": "tiny",
    }  # fmt: skip
    assert _model(terminal) == "tiny"
    ids = {path: film for film, path in _ids(terminal).items()}
    unit = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    query = unit[0].mean(axis=0) / np.linalg.norm(unit[0].mean(axis=0))
    found = terminal.json("search", "--like", ids["film-003.png"], "--model", "elixr")
    assert isinstance(found, dict)
    wanted = {f"{names[at]}.png": float((unit[at] @ query).max()) for at in (1, 2)}
    assert {hit["path"]: hit["score"] for hit in found["hits"]} == pytest.approx(wanted, abs=2e-3)
    terminal("search", "effusion", "--model", "elixr")
    assert terminal.code == 1
    assert "this model is not on this disk" in terminal.err
    assert "filmroom models add elixr" in terminal.err
    terminal("doctor")
    assert terminal.code == 0


def test_vectors_of_all_films_do_not_take_over_the_words(
    terminal: Terminal, films: Films, tiny: Path, tmp_path: Path
) -> None:
    terminal("index", films(6), "--model", tiny)
    np.savez(tmp_path / "v.npz", **{f"film-{at:03}": one for at, one in enumerate(_vectors(6, 128))})
    said = terminal("import-vectors", tmp_path / "v.npz", "--model", "elixr")
    assert "tiny goes on answering where no model is named" in said
    assert "filmroom models use elixr" in said
    assert _model(terminal) == "tiny"
    assert _listed(terminal)["tiny"]["in_use"] is True

    terminal("models", "use", "elixr")
    terminal("search", "effusion")
    assert "let another model answer words: filmroom models use NAME" in terminal.err
    found = terminal.json("search", "--like", 1)
    assert isinstance(found, dict)
    assert found["model"] == "elixr"


def test_a_fuller_space_whose_model_is_gone_does_not_silence_the_words(
    terminal: Terminal, films: Films, tiny: Path, second: Path, tmp_path: Path
) -> None:
    folder = films(4)
    terminal("index", folder / "film-000.png", "--model", tiny)
    terminal("index", folder, "--model", second)
    second.rename(tmp_path / "elsewhere")
    assert _model(terminal) == "tiny"


def _ids(terminal: Terminal) -> dict[int, str]:
    from filmroom.db.archive import Archive
    from filmroom.db.reads import films

    return {film.id: film.path for film in films.everyone(Archive.open(terminal.archive).catalog)}


def test_general_embeddings_serve_probes_and_no_words(
    terminal: Terminal, films: Films, tiny: Path, tmp_path: Path
) -> None:
    terminal("index", films(24), "--model", tiny)
    vectors = _vectors(24, 768)
    vectors[::2] += 0.3
    np.savez(tmp_path / "v.npz", **{f"film-{at:03}.png": one for at, one in enumerate(vectors)})
    done = terminal.json("import-vectors", tmp_path / "v.npz", "--model", "elixr")
    assert isinstance(done, dict)
    assert (done["model"], done["dim"], done["films"]) == ("elixr-general", 768, 24)
    rows = [f"film-{at:03}.png,edema,{int(at % 2 == 0)}" for at in range(24)]
    (tmp_path / "labels.csv").write_text("film,label,value\n" + "\n".join(rows))
    terminal("label", tmp_path / "labels.csv")
    probed = terminal.json("probe", "--label", "edema", "--model", "elixr-general")
    assert terminal.code == 0, terminal.err
    assert isinstance(probed, dict)
    assert probed["probes"][0]["curve"][-1]["auc"]["value"] == 1.0
    terminal("search", "effusion", "--model", "elixr-general")
    assert "has no text tower" in terminal.err
    assert "--model tiny" in terminal.err


def _object_array(path: Path) -> None:
    np.savez(path, **{"film-000": np.array([{"code": 1}, None], dtype=object)})


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "there is no such file"),
    "text": (lambda path: path.write_text("film,vector"), "not an NPZ file"),
    "one array": (lambda path: np.save(path.open("wb"), _vectors(2, 128)), "not an NPZ file"),
    "empty": (lambda path: np.savez(path), "not an NPZ file"),
    "objects": (_object_array, "its arrays have the shape"),
    "another size": (lambda path: np.savez(path, **{"film-000": _vectors(1, 64)[0]}), "of elixr are 32 x 128 or 32 x"),
    "one of another size": (
        lambda path: np.savez(path, **{"film-000": _vectors(1, 128)[0], "film-001": _vectors(1, 128)[0, :5]}),
        "the vectors of film-001 are not 32 x 128 finite numbers",
    ),
    "not a number": (
        lambda path: np.savez(path, **{"film-000": _vectors(1, 128)[0], "film-001": np.full((32, 128), np.nan)}),
        "the vectors of film-001 are not 32 x 128 finite numbers",
    ),
    "no names": (lambda path: np.savez(path, _vectors(2, 128)), "does not say which film each row is"),
    "too few names": (
        lambda path: np.savez(path, ids=np.array(["film-000"]), vectors=_vectors(2, 128)),
        "there are 2 rows of vectors and 1 names",
    ),
    "other films": (lambda path: np.savez(path, x=_vectors(1, 128)[0]), "none of its 1 names is one film"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_of_vectors_is_one_line_and_nothing_is_written(
    kind: str, terminal: Terminal, films: Films, tiny: Path, tmp_path: Path
) -> None:
    make, wanted = BAD_FILES[kind]
    terminal("index", films(2), "--model", tiny)
    path = tmp_path / "v.npz"
    make(path)
    terminal("import-vectors", path, "--model", "elixr")
    assert terminal.code == 1
    assert wanted in terminal.err
    assert terminal.err.count("\n") == 1
    status = json.loads(terminal("status", "--json"))
    assert [one["model"] for one in status["models"]] == ["tiny"]


def test_vectors_of_an_unknown_model_find_similar_films(
    terminal: Terminal, films: Films, tiny: Path, tmp_path: Path
) -> None:
    terminal("index", films(2), "--model", tiny)
    np.savez(tmp_path / "v.npz", **{"film-000": np.ones(1376), "film-001": np.arange(1376)})
    terminal("import-vectors", tmp_path / "v.npz", "--model", "other")
    assert terminal.code == 0, terminal.err
    found = terminal.json("search", "--like", 1, "--model", "other")
    assert isinstance(found, dict)
    assert len(found["hits"]) == 1
    terminal("search", "effusion", "--model", "other")
    assert "has no text tower" in terminal.err


def test_a_second_import_replaces_the_first(terminal: Terminal, films: Films, tiny: Path, tmp_path: Path) -> None:
    terminal("index", films(3), "--model", tiny)
    for seed in (0, 1):
        stacked = _vectors(3, 128, seed)
        np.savez(tmp_path / "v.npz", **{f"film-{at:03}": one for at, one in enumerate(stacked)})
        terminal("import-vectors", tmp_path / "v.npz", "--model", "elixr")
        found = terminal.json("search", "--like", 1, "--model", "elixr")
        assert isinstance(found, dict)
        unit = stacked / np.linalg.norm(stacked, axis=2, keepdims=True)
        at = {path: number for number, path in enumerate(f"film-{n:03}.png" for n in range(3))}
        own = unit[at[_ids(terminal)[1]]].mean(axis=0)
        best = {hit["path"]: hit["score"] for hit in found["hits"]}
        wanted = {path: float((unit[n] @ (own / np.linalg.norm(own))).max()) for path, n in at.items()}
        assert best == pytest.approx({path: wanted[path] for path in best}, abs=2e-3)
        assert len(best) == 2
