"""Downloads: what is fetched, what is said first, what is checked, and who is let in."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filmroom.db.errors import ModelUnavailable
from filmroom.indexer.models import hub
from filmroom.indexer.models.hub import Offer, fetch

CLIP = ("open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json", "README.md", "pytorch_model.bin")
SIGLIP = ("config.json", "model.safetensors", "spiece.model", "preprocessor_config.json", "tf_model.h5")
ELIXR = (
    "elixr-c-v2-pooled/saved_model.pb",
    "pax-elixr-b-text/saved_model.pb",
    "pax-elixr-b-text/variables/variables.index",
)


class Hub:
    """A hub of one repository, with these files of ten bytes; `served` differs where a file was spoilt on its way."""

    def __init__(self, folder: Path, names: tuple[str, ...], *, spoilt: str = "") -> None:
        self.folder = folder
        self.names = names
        self.spoilt = spoilt
        self.asked: list[tuple[str, tuple[str, ...]]] = []

    def model_info(self, repository: str, *, files_metadata: bool) -> Any:
        assert files_metadata
        big = ("safetensors", "bin", "pb")
        files = [
            SimpleNamespace(
                rfilename=name,
                size=1_000_000,
                lfs=SimpleNamespace(sha256=hashlib.sha256(name.encode()).hexdigest()) if name.endswith(big) else None,
            )
            for name in self.names
        ]
        return SimpleNamespace(siblings=files, card_data={"license": "other", "license_name": "of-its-own"})

    def snapshot_download(self, repository: str, *, allow_patterns: list[str]) -> str:
        from fnmatch import fnmatch

        self.asked.append((repository, tuple(allow_patterns)))
        for name in self.names:
            if any(fnmatch(name, pattern) for pattern in allow_patterns):
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(
                    b"{}" if name.endswith(".json") else b"spoilt" if name == self.spoilt else name.encode()
                )
        return str(self.folder)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def start(names: tuple[str, ...], **more: str) -> Hub:
        one = Hub(tmp_path / "snapshot", names, **more)
        monkeypatch.setattr(
            "huggingface_hub.HfApi.model_info", lambda self, *args, **kwargs: one.model_info(*args, **kwargs)
        )
        monkeypatch.setattr("huggingface_hub.snapshot_download", one.snapshot_download)
        return one

    return start


@pytest.mark.parametrize(("names", "wanted"), [(CLIP, {*CLIP[:3]}), (SIGLIP, {*SIGLIP[:4]}), (ELIXR, {*ELIXR})])
def test_only_what_a_tower_needs_is_fetched_and_its_size_is_said_first(
    names: tuple[str, ...], wanted: set[str], serve: Any
) -> None:
    one = serve(names)
    offers: list[Offer] = []
    folder = fetch("nobody/model", on_offer=offers.append)
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == wanted
    assert offers == [Offer("nobody/model", len(wanted), "of-its-own")]
    others = [repository for repository, _ in one.asked[1:]]
    assert others == ([hub.BERT] if names is ELIXR else [])


def test_a_file_that_is_not_the_published_one_is_removed(serve: Any) -> None:
    one = serve(CLIP, spoilt="open_clip_model.safetensors")
    with pytest.raises(ModelUnavailable, match="its checksum differs"):
        fetch("nobody/model")
    assert not (one.folder / "open_clip_model.safetensors").exists()


def test_a_repository_without_a_model_is_told_before_anything_is_fetched(serve: Any) -> None:
    one = serve(("README.md", "data.csv"))
    with pytest.raises(ModelUnavailable, match="holds no model that can be used here"):
        fetch("nobody/data")
    assert one.asked == []


def test_a_gated_model_says_how_to_be_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import GatedRepoError

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise GatedRepoError.__new__(GatedRepoError)

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", refuse)
    with pytest.raises(ModelUnavailable, match="accepted their terms") as fault:
        fetch("google/medsiglip-448")
    assert "https://huggingface.co/google/medsiglip-448" in str(fault.value)
    assert "hf auth login" in str(fault.value)
