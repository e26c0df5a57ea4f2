from __future__ import annotations

import numpy as np
from filmroom.search.heatmap import SIDE, over_film


def test_the_map_lies_over_the_film_and_not_over_its_padding() -> None:
    similarity = np.zeros((8, 8), np.float32)
    similarity[:, 0] = 9.0  # the padding left of a tall film
    similarity[2, 5] = 1.0
    heat = over_film(similarity, height=800, width=400)
    assert heat.shape == (SIDE, SIDE // 2)
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    # Patch (2, 5) of the square: 5/16 from the top; (5.5/8 - 1/4) * 2 = 7/8 across the film.
    assert abs(row / SIDE - 2.5 / 8) < 0.05
    assert abs(column / (SIDE // 2) - 0.875) < 0.08
    assert heat.max() > 0.9


def test_a_flat_map_shows_nothing() -> None:
    assert over_film(np.full((6, 6), 0.3, np.float32), 100, 120).max() == 0
