"""Writes docs/commands.md from what the commands say of themselves; a test holds the two equal."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAD = """# Commands

Every command takes `--archive DIR` (else `FILMROOM_ARCHIVE`, else your data folder), and `--json` for scripts.
This page is made by `make docs`.
"""


def commands_page() -> str:
    """The page as Markdown: `--help` of every command and sub-command."""
    os.environ.pop("FILMROOM_ARCHIVE", None)
    os.environ["COLUMNS"] = os.environ["TERMINAL_WIDTH"] = "100"
    import typer
    from filmroom import cli

    program = typer.main.get_command(cli.app)
    parts = [HEAD]

    def describe(command: object, name: str, parent: object) -> None:
        context = command.make_context(name, [], parent=parent, resilient_parsing=True)  # type: ignore[attr-defined]
        context.terminal_width = context.max_content_width = 100
        parts.append(f"\n## {context.command_path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")  # type: ignore[attr-defined]
        for sub in getattr(command, "commands", {}).values():
            describe(sub, sub.name, context)

    describe(program, "filmroom", None)
    return "".join(parts)


if __name__ == "__main__":
    (ROOT / "docs" / "commands.md").write_text(commands_page(), encoding="utf-8")
