"""The address of a server is kept beside the client, and heeded whenever it is another."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("psycopg", reason="the extra `postgresql` is not installed")

from filmroom.db.postgresql.address import FILE, folder_of


def test_another_user_or_setting_is_heeded_and_a_password_need_not_be_said_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_data_path", lambda *args, **names: tmp_path)
    first = "postgresql://writer:opensesame@db.example/filmroom"
    path = folder_of(first) / FILE
    assert path.stat().st_mode & 0o77 == 0
    for given, stored in (
        (first, first),
        ("postgresql://writer@db.example/filmroom", first),
        ("postgresql://reader@db.example/filmroom", "postgresql://reader@db.example/filmroom"),
        ("postgresql://reader@db.example/filmroom?sslmode=verify-full",) * 2,
    ):
        assert folder_of(given) / FILE == path
        assert path.read_text("utf-8") == stored
