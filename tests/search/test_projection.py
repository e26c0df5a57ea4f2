from __future__ import annotations

import os
import signal
from importlib.util import find_spec

import numpy as np
import pytest
from filmroom.db.errors import BadInput
from filmroom.search.projection import MOST, Method, Projection, _Steps, outlier_scores, project, sample


def clusters(each: int = 20) -> np.ndarray:
    random = np.random.default_rng(0)
    middle = np.repeat(np.eye(16, dtype=np.float32)[:3], each, axis=0)
    found = middle + 0.05 * random.normal(size=middle.shape).astype(np.float32)
    return (found / np.linalg.norm(found, axis=1, keepdims=True))[:, None, :]


@pytest.mark.parametrize("method", [Method.PCA, pytest.param(Method.UMAP, marks=pytest.mark.slow)])
def test_groups_stay_groups(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # half a minute of compiling is for more films than these
    each = 8 if method is Method.UMAP else 20  # not compiled, UMAP takes a seventh of a second a film
    drawn = Projection(clusters(each), method)
    flat = drawn.places()
    assert flat.shape == (3 * each, 2)
    assert np.abs(flat).max() == pytest.approx(1)
    groups = flat.reshape(3, each, 2)
    within = np.linalg.norm(groups - groups.mean(axis=1, keepdims=True), axis=2).max()
    between = min(np.linalg.norm(a - b) for i, a in enumerate(groups.mean(axis=1)) for b in groups.mean(axis=1)[:i])
    assert within < between
    if method is Method.UMAP:
        assert drawn.done
        assert drawn.share == pytest.approx(1, abs=0.1)
    if method is Method.PCA:
        assert np.array_equal(flat, project(clusters(), method))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_films_are_a_map_too(count: int) -> None:
    assert np.isfinite(project(clusters()[:count])).all()


def ended(pooled: np.ndarray) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(find_spec("umap") is None, reason="umap-learn is not installed: pip install 'filmroom[map]'")
def test_a_map_that_the_system_ends_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filmroom.search.projection._umap", ended)
    with pytest.raises(BadInput, match="Choose PCA"):
        project(clusters(), Method.UMAP)


def test_a_large_archive_is_thinned_evenly() -> None:
    ids = sample(np.arange(3 * MOST))
    assert len(ids) == MOST
    assert (ids[0], ids[-1]) == (0, 3 * MOST - 1)
    assert len(sample(np.arange(5))) == 5


def test_the_share_that_is_done_is_read_from_a_progress_bar() -> None:
    said: list[float] = []
    bar = _Steps(said.append)
    for text in ("\rEpochs completed:  12%| 60/500 [00:01]", "nothing", "\r 500/500"):
        assert bar.write(text) == len(text)
    assert said == [0.12, 1.0]


def test_the_film_that_is_like_no_other_has_the_greatest_outlier_score() -> None:
    odd = np.zeros((1, 1, 16), np.float32)
    odd[0, 0, 9] = 1
    scores = outlier_scores(np.concatenate([clusters(), odd]))
    assert scores.shape == (61,)
    assert scores.argmax() == 60
    assert scores[60] > 0.8 > 0.2 > scores[:60].max()
    assert outlier_scores(clusters()[:1]).tolist() == [0]


def test_a_film_is_no_neighbour_of_itself_however_many_there_are() -> None:
    many = np.repeat(clusters(), 50, axis=0)
    alone = np.zeros((1, 1, 16), np.float32)
    alone[0, 0, 9] = 1
    assert outlier_scores(np.concatenate([alone, many])).argmax() == 0
