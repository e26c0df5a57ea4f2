"""Define options that several commands share, and what every command does with them. Imports nothing heavy."""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from filmroom.search.cli.printing import json_line, say
from typer.core import TyperCommand

if TYPE_CHECKING:
    from filmroom.db.archive import Archive


def _archive_named(text: str) -> Path:
    """Read `--archive`. An address is looked at here, as a path keeps but one of its slashes."""
    from filmroom.db.archive import folder_of

    return folder_of(text)


def in_a_folder(path: Path | None) -> Path | None:
    """Refuse, before anything is worked out, a file to write whose folder is not there."""
    from filmroom.search.exchange.tables import check_folder_of

    if path is not None:
        check_folder_of(path)
    return path


ArchiveOption = Annotated[
    Path | None,
    typer.Option(
        "--archive",
        envvar="FILMROOM_ARCHIVE",
        metavar="DIR|ADDRESS",
        parser=_archive_named,
        help="The archive: a folder or postgresql://HOST/DATABASE; default: your data folder.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="A model's name or folder, or an open_clip architecture."),
]
WeightsOption = Annotated[
    Path | None, typer.Option("--weights", metavar="FILE", help="The checkpoint of an open_clip architecture.")
]
SourceOption = Annotated[
    str | None, typer.Option("--source", metavar="NAME", help="Where they come from; default: the file's name.")
]
LikeOption = Annotated[list[str] | None, typer.Option("--like", metavar="ID|FILE", help="Films like this one.")]
UnlikeOption = Annotated[list[int] | None, typer.Option("--unlike", metavar="ID", help="And unlike this one.")]
StudiesOption = Annotated[bool, typer.Option("--per-study", help="The best film of each study.")]
HybridOption = Annotated[bool, typer.Option("--hybrid", help="Fuse with the ranking by report words.")]
JudgedOption = Annotated[
    bool, typer.Option("--judged", help="Learn from films judged, voted on or labelled for these words.")
]
OrderOption = Annotated[str, typer.Option("--sort", help="match, newest, oldest or age.")]
LeastOption = Annotated[
    str | None, typer.Option("--least", metavar="SCORE|N%", help="Only films of this score or percentile, or more.")
]
_OF_A_SERVER = "Of servers"
ModalityOption = Annotated[
    str | None,
    typer.Option("--modality", metavar="CR,DX", help="Only these modalities.", rich_help_panel=_OF_A_SERVER),
]
BodyOption = Annotated[
    str | None,
    typer.Option(
        "--body", metavar="CHEST", help="Only this body part, where it is told.", rich_help_panel=_OF_A_SERVER
    ),
]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="DATE", help="Only studies from then on.", rich_help_panel=_OF_A_SERVER)
]
StudyOption = Annotated[
    str | None, typer.Option("--study", metavar="UID", help="Only this study.", rich_help_panel=_OF_A_SERVER)
]
LimitOption = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="At most so many films; of buckets, too.", rich_help_panel=_OF_A_SERVER),
]
RateOption = Annotated[
    float | None,
    typer.Option("--requests-per-second", min=0.1, help="Spare the server.", rich_help_panel=_OF_A_SERVER),
]
CredentialsOption = Annotated[
    Path | None,
    typer.Option(
        "--credentials",
        metavar="FILE",
        help="TOML of mode 0600: user, password, token, certificate, key, ca.",
        rich_help_panel=_OF_A_SERVER,
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="[ADDRESS]",
        help="Decode and embed on a Ray cluster: HOST:PORT of its head, or the one at hand.",
    ),
]
_CLUSTER = re.compile(r"ray://.+|[^/\s]+:\d+", re.I)
_AT_HAND = "here"


class IndexCommand(TyperCommand):
    """--ray may stand alone: what comes after it is its address only where it looks like HOST:PORT."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        options_end = args.index("--") if "--" in args else len(args)
        for at in [at for at, argument in enumerate(args[:options_end]) if argument == "--ray"]:
            if at + 1 >= options_end or not _CLUSTER.fullmatch(args[at + 1]):
                args[at] = f"--ray={_AT_HAND}"
        return super().parse_args(ctx, args)


class WordsCommand(TyperCommand):
    """A query of several words needs no quotes where they can only be its words: they are joined, and that is said."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self.joined(ctx, args))

    def joined(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the arguments with the words of the query as one. Fails with the line to type where an option stands
        among them, or where one was quoted apart: the shell has taken its quotes."""
        places = self.positions(args)
        first = sum(param.param_type_name == "argument" for param in self.params) - 1
        words = [args[at] for at in places[first:]]
        if len(words) < 2 or _minus_words(args) or self._has_unknown_option(ctx, args):
            return args
        query = " ".join(map(_requoted, words))
        if places[-1] - places[first] >= len(words) or query != " ".join(words):
            before = "".join(f"{args[at]} " for at in places[:first])
            ctx.fail(f"Put all of the query in quotes: filmroom {ctx.info_name} {before}{shlex.quote(query)}")
        say(f"Read as one query: {query}", err=True)
        return [*args[: places[first]], query, *args[places[-1] + 1 :]]

    def _has_unknown_option(self, ctx: Any, args: list[str]) -> bool:
        """Tell whether an option is none of the command's, which the parser says best."""
        known = {name for param in self.get_params(ctx) for name in (*param.opts, *param.secondary_opts)}
        typed = args[: args.index("--")] if "--" in args else args
        long = any(word.startswith("--") and word.partition("=")[0] not in known for word in typed)
        return long or any(re.fullmatch("-[a-zA-Z]", word) and word not in known for word in typed)

    def positions(self, args: Sequence[str]) -> list[int]:
        """Return the places of the arguments that are no options, and no values of one."""
        end = args.index("--") if "--" in args else len(args)
        options = (param for param in self.params if param.param_type_name == "option")
        valued = {name for option in options if not getattr(option, "is_flag", False) for name in option.opts}
        plain = [at for at, word in enumerate(args[:end]) if word == "-" or word[:1] != "-"]
        return [at for at in plain if at == 0 or args[at - 1] not in valued] + list(range(end + 1, len(args)))


class QueryCommand(WordsCommand):
    """A query may begin with a minus, as options do."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        typed = list(args)  # the parser takes from the list
        message = ""
        # The parser reads -kyphosis as -k.
        if not any(argument[:2] == "-k" and argument[2:3].isalpha() for argument in typed):
            try:
                return super().parse_args(ctx, args)
            except Exception as error:
                # The parser's errors are of another class in every version of typer; all have a message.
                message = getattr(error, "message", None) or ""
                if not message or not _minus_words(typed):
                    raise
        excluded = _minus_words(typed)
        if not excluded:
            return super().parse_args(ctx, args)
        if words := [typed[at] for at in self.positions(typed)]:
            query = shlex.quote(" ".join([*words, *excluded]))
            fix = f"If {' '.join(excluded)} is a part of the query, put all of it in quotes: filmroom search {query}"
            ctx.fail(f"{message}\n{fix}".strip())
        options = [argument for argument in typed if argument not in excluded]
        return super().parse_args(ctx, [*options, "--", " ".join(excluded)])


def _requoted(word: str) -> str:
    """Return an argument with the quotes that the shell has taken, where it has a space."""
    if not re.search(r"\s", word):
        return word
    field = re.match(r"-?\w+:(?=\S)|-?", word)
    begin = field[0] if field else ""
    return f'{begin}"{word.removeprefix(begin)}"'


def _minus_words(args: Sequence[str]) -> list[str]:
    """Return the arguments that begin with one minus and a word or quote, which no option here does; none behind
    "--"."""
    if "--" in args:
        return []
    minus_words = [word for word in args if word[:1] == "-" and (word[1:2].isalpha() or word[1:2] == '"')]
    return [word for word in minus_words if len(word) > 2 or not word.isascii()]


def examples(like: Sequence[str] | None) -> list[int | Path]:
    """Read --like: the id of a film, or the path of a file."""
    return [int(example) if example.isdecimal() else Path(example) for example in like or []]


def archive_folder(archive: Path | None) -> Path:
    """Return the folder named, else the default one. Raises BadInput for an address."""
    from filmroom.db.archive import default_folder, folder_of

    return folder_of(archive) if archive is not None else default_folder()


def open_archive(archive: Path | None, *, create: bool = False) -> Archive:
    """Raise NotFound where there is none, unless it may be made."""
    from filmroom.db.archive import Archive

    folder = archive_folder(archive)
    return Archive.create(folder) if create else Archive.open(folder)


def typed(command: str, archive: Path | str) -> str:
    """Return `filmroom COMMAND` as it is to be typed for an archive (its folder or its place), which is named unless
    it is the usual one."""
    from filmroom.db.archive import place_of

    usual = archive_folder(None)
    place = archive if isinstance(archive, str) else place_of(archive)
    is_usual = place == place_of(usual) or os.path.abspath(usual) == os.path.abspath(archive)
    return f"filmroom {command}" + ("" if is_usual else f" --archive {shlex.quote(place)}")


def print_json(value: object) -> None:
    """Print one line; what is not a number is null, and what JSON does not know is printed as text."""
    say(json_line(_plain(value)))


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
