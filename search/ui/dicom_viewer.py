"""Links to the DICOM viewer of the house, by the UIDs of film and study."""

from __future__ import annotations

import os
from urllib.parse import quote

from filmroom.db.catalog import Catalog, get_meta
from filmroom.db.records import Film
from filmroom.search.ui.server.launch import VIEWER_SCHEMES, VIEWER_SETTING

LABEL = "Open in the DICOM viewer"


def template(catalog: Catalog) -> str:
    """The viewer's address with its places for UIDs; empty where there is none, or where the archive keeps hashes of
    the UIDs, which no viewer knows."""
    found = os.environ.get(VIEWER_SETTING, "")
    return found if found.startswith(VIEWER_SCHEMES) and get_meta(catalog, "hash_uids") != "yes" else ""


def link(template: str, film: Film) -> str:
    """The address that shows the film's study; empty where it has none."""
    if not template or not film.tags.study_uid:
        return ""
    address = template
    uids = {"study": film.tags.study_uid, "series": film.tags.series_uid, "instance": film.tags.instance_uid}
    for name, uid in uids.items():
        for written in (f"{{{name}_uid}}", f"{{{name}}}"):
            address = address.replace(written, quote(uid or "", safe=""))
    return address
