"""Define the commands that give films what tables and public sets say of them: label, facts, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from filmroom.db.errors import BadInput
from filmroom.search.cli.findings import describe_films
from filmroom.search.cli.options import ArchiveOption, JsonOption, SourceOption, open_archive

CXRREPORTGEN = "cxrreportgen"
SETS = "nih, chexpert, mimic, vindr, padchest, open-i"
_SetOption = Annotated[
    str | None, typer.Option("--from", metavar="SET", help=f"A public set as published: {SETS}, folders.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (label, facts, report):
        app.command()(command)


def label(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="CSV or TSV: film,label[,value], or film and a column a finding; or the files of a set.",
            show_default=False,
        ),
    ],
    archive: ArchiveOption = None,
    reader: _SetOption = None,
    source: SourceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give films labels from tables, from the files of a public set, or from the folders that they lie in."""
    from filmroom.search.cli import output
    from filmroom.search.exchange.import_labels import import_labels, merged
    from filmroom.search.public_sets.import_sets import import_set_labels

    opened = open_archive(archive)
    if reader is None:
        key = opened.patient_key()
        done = merged([import_labels(opened.catalog, file, source=source, key=key) for file in files])
    else:
        done = import_set_labels(opened, reader, files, source=source)
    output.print_imported(done, "label", as_json=as_json)


def facts(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="CSV, TSV or JSON lines: film, and any of patient, study, view, sex, age, year and split.",
            show_default=False,
        ),
    ],
    archive: ArchiveOption = None,
    public_set: _SetOption = None,
    source: SourceOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Also what a film's own header says.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give films what a header would say of them: patient, study, view, sex, age, year and split."""
    from filmroom.search.cli import output
    from filmroom.search.exchange.import_facts import import_facts

    done = import_facts(open_archive(archive), files, public_set=public_set, source=source, overwrite=overwrite)
    output.print_facts(done, as_json=as_json)


def report(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="CSV or JSON lines: film (or study), and report; a folder of .txt files; or the files of a set.",
            show_default=False,
        ),
    ] = None,
    archive: ArchiveOption = None,
    source: SourceOption = None,
    writer: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="SET|MODEL", help="A public set: mimic, padchest, open-i. Or have cxrreportgen write."
        ),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="The endpoint of cxrreportgen; films are sent there.")
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The endpoint's key; default: FILMROOM_CXRREPORTGEN_KEY."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many calls.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send the films without asking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give films or studies their reports from tables or text files, or have a model write findings with boxes."""
    if writer == CXRREPORTGEN:
        if files or source is not None:
            table = files[0] if files else source
            raise BadInput("it writes findings about the archive's films, and reads no table", where=table)
        if endpoint is None:
            raise BadInput("its endpoint is not named", where=writer, fix="Add --endpoint URL.")
        describe_films(archive, endpoint, key_file, limit=limit, yes=yes, as_json=as_json)
        return
    if not files:
        raise BadInput("there is no table of reports", fix="Name one, or --from cxrreportgen --endpoint URL.")
    if endpoint or key_file or limit or yes:
        raise BadInput("a table is not sent anywhere", where=files[0], fix="Add --from cxrreportgen, or leave it out.")
    _read_reports(archive, files, writer, source, as_json=as_json)


def _read_reports(
    archive: Path | None, files: list[Path], reader: str | None, source: str | None, *, as_json: bool
) -> None:
    from filmroom.search.cli import output
    from filmroom.search.exchange.import_labels import import_reports, merged
    from filmroom.search.public_sets.import_sets import import_set_reports

    opened = open_archive(archive)
    if reader is not None:
        done = import_set_reports(opened, reader, files, source=source)
    else:
        done = merged(
            [
                import_set_reports(opened, None, [file], source=source)
                if file.is_dir()
                else import_reports(opened.catalog, file, source=source, key=opened.patient_key())
                for file in files
            ]
        )
    output.print_imported(done, "report", as_json=as_json)
