"""What a tower sees of a film: all of it, padded with black, with its 16 bits."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from filmroom.db.errors import ModelUnavailable
from filmroom.indexer.models.preprocess import Preprocess, Resize
from hypothesis import given, settings
from hypothesis import strategies as st

PLAIN = Preprocess(32, (0.5,), (0.25,))


def test_a_wide_film_gets_black_bars_above_and_below_and_loses_nothing() -> None:
    grey = PLAIN.shrink(np.ones((64, 128), np.float32))
    assert (grey.shape, grey.dtype) == ((32, 32), np.uint16)
    assert (grey[:6] == 0).all()
    assert (grey[-6:] == 0).all()
    assert (grey[10:22] == 65535).all()  # from the left edge to the right one: no crop


def test_a_tall_film_gets_black_bars_left_and_right() -> None:
    grey = PLAIN.shrink(np.ones((96, 32), np.float32))
    assert (grey[:, :9] == 0).all()
    assert (grey[:, 13:19] == 65535).all()


def test_golden_pixels() -> None:
    """A ramp from black to white, 48 rows by 64 columns; the values were computed by hand from the ramp."""
    ramp = np.broadcast_to(np.linspace(0, 1, 64, dtype=np.float32), (48, 64))
    grey = Preprocess(16, (0.5,), (0.5,), Resize.BOX).shrink(ramp)
    assert grey[0].tolist() == [0] * 16  # the bar: 8 rows of 64 make 2 of 16
    assert grey[1].tolist() == [0] * 16
    # Each output pixel is the mean of four columns: (4 i + 1.5) / 63.
    assert grey[8].tolist() == [round((4 * i + 1.5) / 63 * 65535) for i in range(16)]


def test_sixteen_bits_survive() -> None:
    film = np.full((32, 32), 1000 / 65535, np.float32)
    film[:, 16:] = 1001 / 65535
    assert sorted(set(PLAIN.shrink(film).ravel().tolist())) == [1000, 1001]


def test_normalise_repeats_the_grey_and_uses_each_channels_mean_and_deviation() -> None:
    batch = Preprocess(4, (0.0, 0.5, 1.0), (1.0, 0.5, 0.25)).normalise(np.full((2, 4, 4), 65535, np.uint16))
    assert (batch.shape, batch.dtype) == ((2, 3, 4, 4), np.float32)
    assert batch[0, :, 0, 0].tolist() == [1.0, 1.0, 0.0]


def test_apply_is_both_halves() -> None:
    film = np.random.default_rng(0).random((50, 40), dtype=np.float32)
    assert np.array_equal(PLAIN.apply(film), PLAIN.normalise(PLAIN.shrink(film)[None])[0])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.sampled_from(list(Resize)))
def test_any_film_keeps_its_brightness_and_its_place(height: int, width: int, resize: Resize) -> None:
    """The white area keeps its share of the square, and stays centred, whatever the sizes."""
    grey = Preprocess(24, (0.5,), (0.5,), resize).shrink(np.ones((height, width), np.float32)) / 65535
    share = height * width / max(height, width) ** 2
    assert grey.mean() == pytest.approx(share, abs=0.06)
    # A single row is never quite white between two black ones.
    assert grey.max() == pytest.approx(1.0, abs=0.05) or share < 0.1 or min(height, width) == 1
    # Enlarging by whole boxes breaks ties to one side; above 96 columns the film is averaged in blocks first.
    if (height - width) % 2 == 0 and max(height, width) < 96 and resize is not Resize.BOX:
        assert np.allclose(grey, grey[::-1, ::-1], atol=0.02)


@pytest.mark.parametrize("side", [449, 897, 1000, 2991])
def test_a_large_white_film_is_white_to_its_last_row(side: int) -> None:
    assert PLAIN.shrink(np.ones((side, side), np.float32)).min() == 65535


def test_it_travels_to_a_worker_and_no_torch_with_it() -> None:
    assert pickle.loads(pickle.dumps(PLAIN)) == PLAIN
    assert hash(PLAIN) == hash(Preprocess(32, (0.5,), (0.25,)))


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        ({"vision_cfg": {"image_size": 448}}, (448, 3, Resize.BICUBIC)),
        ({"vision_cfg": {"image_size": [224, 224]}}, (224, 3, Resize.BICUBIC)),
        ({"vision_cfg": {}}, (224, 3, Resize.BICUBIC)),
    ],
)
def test_an_open_clip_configuration(config: dict[str, object], wanted: tuple[int, int, Resize]) -> None:
    made = Preprocess.from_open_clip(config, {"resize_mode": "shortest"})
    assert (made.size, made.channels, made.resize) == wanted
    assert made.mean == (0.48145466, 0.4578275, 0.40821073)


def test_nonsense_is_one_clear_line() -> None:
    with pytest.raises(ModelUnavailable, match="makes no sense"):
        Preprocess(224, (0.5,), (0.0,))
    with pytest.raises(ModelUnavailable, match="224 x 336 pixels"):
        Preprocess.from_open_clip({"vision_cfg": {"image_size": [224, 336]}}, {})
    with pytest.raises(ModelUnavailable, match="nearest-exact"):
        Preprocess.from_open_clip({"vision_cfg": {}}, {"interpolation": "nearest-exact"})


def test_two_percentiles_of_the_film_become_black_and_white_and_the_padding_stays_black() -> None:
    film = np.random.default_rng(0).uniform(0.4, 0.6, (64, 128)).astype(np.float32)
    standard = Preprocess(128, (0.5,), (0.5,), percentiles=(2.0, 98.0))
    grey = standard.shrink(film)
    assert (grey[:32] == 0).all()
    assert (grey[96:] == 0).all()
    shown = grey[32:96]
    assert 0.015 < (shown == 0).mean() < 0.025
    assert 0.015 < (shown == 65535).mean() < 0.025
    brighter = standard.shrink(film * 0.5 + 0.3)  # how a machine sets its greys tells nothing
    assert np.abs(brighter.astype(int) - grey.astype(int)).max() <= 8


def test_a_film_of_one_grey_is_no_division_by_nothing() -> None:
    grey = Preprocess(32, (0.5,), (0.5,), percentiles=(2.0, 98.0)).shrink(np.full((40, 40), 0.3, np.float32))
    assert (grey == 0).all()


@pytest.mark.parametrize("given", [(98.0, 2.0), (-1.0, 50.0), (50.0, 101.0)])
def test_percentiles_that_make_no_sense_are_named(given: tuple[float, float]) -> None:
    with pytest.raises(ModelUnavailable, match="percentiles"):
        Preprocess(32, (0.5,), (0.5,), percentiles=given)


def test_percentiles_are_part_of_the_fingerprint_only_where_they_are_used() -> None:
    assert "percentiles" not in PLAIN.facts()
    assert Preprocess(32, (0.5,), (0.5,), percentiles=(2.0, 98.0)).facts()["percentiles"] == [2.0, 98.0]
