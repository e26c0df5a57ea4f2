"""Make the folder that an export is written into."""

from __future__ import annotations

from pathlib import Path

from filmroom.db.errors import BadInput


def empty_folder(folder: Path) -> None:
    """Make `folder`, or take it as it is where it is empty. Raises BadInput where it holds something or cannot be
    made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BadInput("the folder is not empty", where=folder, fix="Name a new one.")
    except OSError as fault:
        raise BadInput(f"the folder cannot be made ({fault.strerror})", where=folder) from None
