"""Models by name: found, added, removed; and what is said when one is not there."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from filmroom.db.errors import BadInput, FilmroomError, ModelUnavailable, NotFound
from filmroom.indexer.models import registry
from filmroom.indexer.models.hub import hub_snapshot
from filmroom.indexer.models.registry import Origin

from tests.indexer.clip_folders import VIT
from tests.tiny_model import make_model


@pytest.fixture(autouse=True)
def _empty_homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def test_the_known_models_are_listed_with_licence_and_size() -> None:
    cards = {card.name: card for card in registry.list_models()}
    assert list(cards)[:3] == ["filmroom-mini", "whyxrayclip", "biomedclip"]
    assert cards["filmroom-mini"].origin is Origin.BUNDLED
    assert (cards["whyxrayclip"].licence, cards["whyxrayclip"].ready) == ("MIT", False)
    assert all("{}" in card.prompt and card.notes for card in cards.values())
    assert [name for name, card in cards.items() if card.size_mb is None] == ["elixr"], "not known without the weights"


def test_a_folder_loads_by_its_path_and_after_adding_by_its_name(tiny: Path) -> None:
    by_path = registry.load_towers(str(tiny))
    card = registry.add_model(str(tiny), name="mine", prompt="film of {}")
    assert (card.name, card.origin, card.ready) == ("mine", Origin.ADDED, True)
    by_name = registry.load_towers("mine")
    assert by_name.space == replace(by_path.space, model="mine")
    assert (by_name.embed_texts(["edema"]) == by_path.embed_texts(["film of edema"])).all()


def test_removing_forgets_the_name_and_keeps_the_files(tiny: Path) -> None:
    registry.add_model(str(tiny), name="mine")
    registry.remove_model("mine")
    assert "mine" not in {card.name for card in registry.list_models()}
    assert (tiny / "filmroom.json").is_file()
    with pytest.raises(NotFound):
        registry.remove_model("mine")
    with pytest.raises(BadInput, match="bundled, not added"):
        registry.remove_model("filmroom-mini")


def test_a_space_finds_its_model_again_and_a_changed_model_is_noticed(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", name="mine", seed=1)
    registry.add_model(str(folder))
    space = registry.load_towers("mine").space
    assert registry.load_space(space).space == space
    shutil.rmtree(folder)
    make_model(folder, name="mine", seed=2)
    with pytest.raises(ModelUnavailable, match=r"earlier weights .* index FOLDER --model mine"):
        registry.load_space(space)
    with pytest.raises(ModelUnavailable, match="not known here"):
        registry.load_space(replace(space, model="another"))


def test_an_added_folder_that_went_away_is_not_ready_and_says_so(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", name="mine")
    registry.add_model(str(folder))
    shutil.rmtree(folder)
    assert not registry.describe("mine").ready
    with pytest.raises(ModelUnavailable) as fault:
        registry.load_towers("mine")
    assert str(folder) in str(fault.value)


def test_an_unfetched_model_names_size_licence_and_the_command() -> None:
    with pytest.raises(ModelUnavailable) as fault:
        registry.load_towers("whyxrayclip")
    said = str(fault.value)
    assert said == (
        "whyxrayclip: this model is not on this disk (1710 MB, licence MIT). "
        "Download it: filmroom models add whyxrayclip"
    )


@pytest.mark.parametrize("name", ["whyxrayclip", "hf-hub:nobody/nothing"])
def test_without_a_network_it_says_how_to_carry_the_model_over(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(*_args: object, **_kwargs: object) -> list[str]:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    with pytest.raises(ModelUnavailable) as fault:
        registry.add_model(name)
    said = str(fault.value)
    assert "cannot be downloaded (OSError)" in said
    assert "hf download" in said
    assert "filmroom models add FOLDER" in said
    assert "\n" not in said


def test_a_downloaded_repository_is_found_in_the_hubs_cache(tmp_path: Path) -> None:
    held = tmp_path / "hub" / "models--nobody--model"
    snapshot = held / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (held / "refs").mkdir()
    (held / "refs" / "main").write_text("abc")
    assert hub_snapshot("nobody/model") is None  # a broken download: no weights yet
    (snapshot / "open_clip_model.safetensors").write_bytes(b"")
    assert hub_snapshot("nobody/model") == snapshot
    assert registry.describe("hf-hub:nobody/model").ready


NAMES = {
    "fimroom-mini": (NotFound, "Near: filmroom-mini"),
    "Vit-B32": (NotFound, "ViT-B-32"),
    "qqqq": (NotFound, "Known: filmroom-mini, whyxrayclip, biomedclip"),
    "ViT-B-32": (ModelUnavailable, "--weights FILE"),
    "/no/such/folder": (NotFound, "no model has this name, and no folder either"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_name_is_answered_with_what_is_near(name: str) -> None:
    kind, wanted = NAMES[name]
    with pytest.raises(kind, match=wanted.replace("(", r"\(")) as fault:
        registry.load_towers(name)
    assert "\n" not in str(fault.value)


FOLDERS: dict[str, tuple[dict[str, str], str]] = {
    "empty": ({}, "it has neither filmroom.json nor open_clip_config.json"),
    "no weights": ({"open_clip_config.json": json.dumps({"model_cfg": VIT})}, "this folder holds no weights"),
    "torn configuration": ({"open_clip_config.json": "{"}, "cannot be read as JSON"),
    "a list": ({"open_clip_config.json": "[]"}, "holds no JSON object"),
    "another program's": ({"open_clip_config.json": "{}", "model.safetensors": ""}, "describes no open_clip model"),
    "two checkpoints": (
        {"open_clip_config.json": json.dumps({"model_cfg": VIT}), "a.pt": "", "b.pt": ""},
        "holds several checkpoints",
    ),
    "remote code": (
        {
            "open_clip_config.json": json.dumps(
                {"model_cfg": VIT | {"text_cfg": {"tokenizer_kwargs": {"trust_remote_code": True}}}}
            ),
            "model.safetensors": "",
        },
        "its tokenizer wants to run code of its own, which is refused",
    ),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_that_is_no_model_is_one_clear_line(kind: str, tmp_path: Path) -> None:
    files, wanted = FOLDERS[kind]
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    with pytest.raises(FilmroomError) as fault:
        registry.load_towers(str(folder))
    assert wanted in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_taken_name_and_a_prompt_without_a_place_are_refused(tiny: Path, tmp_path: Path) -> None:
    registry.add_model(str(tiny), name="mine")
    other = make_model(tmp_path / "other", name="other", seed=3)
    with pytest.raises(BadInput, match="taken by another model"):
        registry.add_model(str(other), name="mine")
    with pytest.raises(BadInput, match="taken by another model"):
        registry.add_model(str(other), name="filmroom-mini")
    with pytest.raises(BadInput, match="a prompt needs"):
        registry.add_model(str(other), prompt="a film")
    assert [card.name for card in registry.list_models() if card.origin is Origin.ADDED] == ["mine"]


def test_a_torn_list_of_added_models_says_where_it_lies() -> None:
    path = Path(os.environ["XDG_CONFIG_HOME"], "filmroom", "models.json")
    path.parent.mkdir(parents=True)
    path.write_text("[1]")
    with pytest.raises(BadInput, match="the list of added models cannot be read") as fault:
        registry.list_models()
    assert str(path) in str(fault.value)
