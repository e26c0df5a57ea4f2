"""Define the command that receives films by DICOM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from filmroom.db.errors import BadInput
from filmroom.search.cli.live import loop
from filmroom.search.cli.options import ArchiveOption, JsonOption, ModelOption, WeightsOption, open_archive


def register(app: typer.Typer) -> None:
    app.command()(receive)


def receive(
    archive: ArchiveOption = None,
    aet: Annotated[str, typer.Option("--aet", help="The AE title of this receiver; others are not answered.")] = (
        "FILMROOM"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 11112,
    host: Annotated[str, typer.Option(help="Address to listen on; another needs --from.")] = "127.0.0.1",
    peers: Annotated[
        str | None, typer.Option("--from", metavar="AET,...", help="AE titles that may send; default: any, from here.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the films are kept; default: in the archive.")
    ] = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Decoding processes; default: one a CPU.")] = None,
    max_megabytes: Annotated[float, typer.Option(min=0.01, max=1e5, help="Size of a film.")] = 512,
    max_associations: Annotated[int, typer.Option(min=1, max=1000, help="Senders at once.")] = 10,
    min_free_gb: Annotated[
        float, typer.Option("--min-free-gb", min=0, help="Refuse films when less of the disk is free.")
    ] = 2,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Speak TLS, with this certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="The certificate's key.")] = None,
    tls_ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Only senders with a certificate that this CA signed.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Receive films by DICOM (C-STORE) from a PACS or modality and index them, until Ctrl-C.

    A film is on the disk before it is acknowledged: nothing that was acknowledged is lost, whatever ends the process.
    """
    from filmroom.db.files.standing import RECEIVING
    from filmroom.indexer.live.receive import check
    from filmroom.indexer.live.receive import receive as run
    from filmroom.indexer.live.receiver import Service, Tls

    if (tls_cert is None) != (tls_key is None) or (tls_ca and not tls_cert):
        raise BadInput("TLS needs a certificate and its key", fix="Name both: --tls-cert FILE --tls-key FILE")
    service = Service(
        aet,
        port,
        host,
        tuple(peer.strip() for peer in (peers or "").split(",") if peer.strip()),
        int(max_megabytes * 2**20),
        max_associations,
        int(min_free_gb * 2**30),
        Tls(tls_cert, tls_key, tls_ca) if tls_cert and tls_key else None,
    )
    service.check()
    opened = open_archive(archive, create=True)
    check(opened)
    listener = loop.lines(as_json=as_json)
    rounds = loop.rounds_of(opened, listener, model=model, weights=weights, workers=workers, any_modality=False)
    with loop.until_stopped(opened, RECEIVING, str(service)):
        run(rounds, service, folder or opened.folder / "received", listener)
