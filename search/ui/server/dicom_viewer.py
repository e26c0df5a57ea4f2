"""Link to the DICOM viewer of the house, by the UIDs of film and study."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from filmroom.db.records import Film

if TYPE_CHECKING:
    from filmroom.db.catalog import Catalog

SETTING = "FILMROOM_VIEWER_URL"
"""The address of a DICOM viewer, with {study_uid}, {series_uid} and {instance_uid} where the UIDs go."""

SCHEMES = ("http://", "https://", "weasis://")

LABEL = "Open in the DICOM viewer"


def template(catalog: Catalog) -> str:
    """Return the viewer's address with its places for UIDs; empty where there is none, or where the archive keeps
    hashes of the UIDs, which no viewer knows."""
    from filmroom.db.catalog import get_meta

    address = os.environ.get(SETTING, "")
    return address if address.startswith(SCHEMES) and get_meta(catalog, "hash_uids") != "yes" else ""


def link(template: str, film: Film) -> str:
    """Return the address that shows the film's study; empty where it has none."""
    if not template or not film.tags.study_uid:
        return ""
    address = template
    uids = {"study": film.tags.study_uid, "series": film.tags.series_uid, "instance": film.tags.instance_uid}
    for name, uid in uids.items():
        for written in (f"{{{name}_uid}}", f"{{{name}}}"):
            address = address.replace(written, quote(uid or "", safe=""))
    return address
