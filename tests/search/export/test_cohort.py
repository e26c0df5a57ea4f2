from __future__ import annotations

import json
from pathlib import Path

import pytest
from filmroom.db.records import Label
from filmroom.db.writes import annotations
from filmroom.search.export import cohort

from tests.conftest import write_film
from tests.measure_helpers import as_json, said
from tests.search.export.conftest import House
from tests.terminal import Terminal


def test_a_manifest_says_what_was_asked_and_what_answered(shell: Terminal, house: House, tmp_path: Path) -> None:
    as_json(shell, "export", "cohort", "effusion view:PA", "--to", tmp_path / "a.json", "--model", house.model)
    held = json.loads((tmp_path / "a.json").read_text("utf-8"))
    found = as_json(shell, "search", "effusion view:PA", "-k", 100, "--model", house.model)
    assert held["chosen"]["request"]["query"] == "effusion view:PA"
    assert held["model"] == "tiny"
    assert held["fingerprint"] == house.door.searcher.held.space.fingerprint
    assert [film[0] for film in held["films"]] == [hit["id"] for hit in found["hits"]]
    assert held["counts"]["films"] == 10
    assert held["counts"]["patients"] == 10
    assert held["counts"]["labels"] == {"effusion": 5, "nodule": 2}
    assert held["counts"]["views"] == {"PA": 10}
    assert "1.2.826" not in (tmp_path / "a.json").read_text("utf-8"), "no UID"


def test_a_query_by_uid_or_file_name_is_written_without_them(shell: Terminal, house: House, tmp_path: Path) -> None:
    query = 'effusion (study:1.2.826.0.1 OR path:"Doe, Jane" OR view:PA) -study:1.2.826.0.2 sex:F'
    as_json(shell, "export", "cohort", query, "--to", tmp_path / "a.json", "--model", house.model)
    text = (tmp_path / "a.json").read_text("utf-8")
    assert "1.2.826" not in text
    assert "Jane" not in text
    shown = json.loads(text)["chosen"]["request"]["query"]
    assert sorted(shown.split()) == sorted(
        ["effusion", "(study:...", "OR", "path:...", "OR", "view:PA)", "-study:...", "sex:F"]
    )


def test_the_same_question_gives_the_same_hash(shell: Terminal, house: House, tmp_path: Path) -> None:
    hashes = []
    for name, query in (("a", "effusion"), ("b", "effusion"), ("c", "edema")):
        as_json(shell, "export", "cohort", query, "--to", tmp_path / f"{name}.json", "--model", house.model)
        hashes.append(json.loads((tmp_path / f"{name}.json").read_text("utf-8"))["hash"])
    assert hashes[0] == hashes[1] != hashes[2]
    same = as_json(shell, "diff", tmp_path / "a.json", tmp_path / "b.json")
    assert (same["same"], same["came"], same["went"], same["moved"], same["changed"]) == (True, 0, 0, 0, [])
    assert as_json(shell, "diff", tmp_path / "a.json", tmp_path / "c.json")["changed"] == ["chosen"]
    assert "The cohorts are the same." in shell("diff", tmp_path / "a.json", tmp_path / "b.json")


def test_what_came_and_went_in_a_year_is_said(terminal: Terminal, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    for number in range(8):
        write_film(folder / f"{number}.png", number)
    terminal("index", folder, "--model", tiny)
    as_json(terminal, "export", "cohort", "effusion", "--to", tmp_path / "a.json", "--model", tiny)
    (folder / "3.png").unlink()
    write_film(folder / "new.png", 99)
    terminal("index", folder, "--model", tiny)
    as_json(terminal, "export", "cohort", "effusion", "--to", tmp_path / "b.json", "--model", tiny)
    found = as_json(terminal, "diff", tmp_path / "a.json", tmp_path / "b.json")
    assert (found["before"], found["after"], found["came"], found["went"], found["stayed"]) == (8, 8, 1, 1, 7)
    (came,) = found["films_came"]
    assert came["id"] == 9
    assert came["rank_before"] is None
    shown = terminal("diff", tmp_path / "a.json", tmp_path / "b.json")
    assert "8 films before, 8 after: 1 came, 1 went" in shown


def rows(*keys: str) -> dict[str, object]:
    films = [[at, key, at, None, None] for at, key in enumerate(keys, start=1)]
    return {"columns": ["id", "key", "rank", "score", "split"], "films": films, "chosen": {}}


def test_a_film_moves_among_those_that_stayed() -> None:
    """That others came before it moves no film."""
    found = cohort.diff(rows("a", "b", "c", "d"), rows("new", "a", "d", "b", "c"))
    assert (found.came, found.went, found.stayed) == (1, 0, 4)
    assert [(one.rank_before, one.rank_after) for one in found.films_moved] == [(4, 3), (2, 4), (3, 5)]


def test_the_manifest_of_a_data_set_is_compared_too(shell: Terminal, house: House, tmp_path: Path) -> None:
    as_json(shell, "export", "dataset", "view:PA", "--to", tmp_path / "set", "--split", "80/20")
    as_json(shell, "export", "cohort", "view:PA", "--to", tmp_path / "a.json")
    found = as_json(shell, "diff", tmp_path / "set", tmp_path / "a.json")
    assert (found["came"], found["went"], found["changed"], found["other_split"]) == (0, 0, ["split"], 10)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"kind": "filmroom cohort"}', '{"kind": 3, "films": []}'])
def test_what_is_no_manifest_is_one_line(text: str, shell: Terminal, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    assert "is no cohort manifest" in said(shell, "diff", tmp_path / "a.json", tmp_path / "a.json")
    assert "no such file" in said(shell, "diff", tmp_path / "none.json", tmp_path / "a.json")


def test_labels_that_came_since_are_counted(house: House, tmp_path: Path) -> None:
    annotations.put_labels(house.archive.catalog, [(house.films["p4-0.dcm"].id, Label("mass", 1.0, "later"))])
    try:
        house.door.export("cohort", collection="chosen", to=tmp_path / "a.json")
    finally:
        annotations.remove_labels(house.archive.catalog, source="later")
    assert json.loads((tmp_path / "a.json").read_text())["counts"]["labels"]["mass"] == 1
