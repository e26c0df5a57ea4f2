"""Read the address of an archive on a server, and keep it in a folder beside the client.

The folder is this client's part of the archive: the address (which may hold a password), the key of the patients, and
what is derived from the catalog. Nothing of the first two is ever in the database.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from filmroom.db.errors import BadInput, MissingExtra
from filmroom.db.files import private_files

FILE = "server.url"
_SCHEMES = ("postgresql:", "postgres:")


def is_address(text: str) -> bool:
    return text.lower().startswith(_SCHEMES)


def folder_of(address: str) -> Path:
    """Return the folder of this client for the archive at an address, which is stored in it. Raises BadInput for no
    address, MissingExtra without the driver."""
    from platformdirs import user_data_path

    facts = parts(address)
    # Whoever asks under another name or with another password means the same archive.
    same = {name: facts.get(name, "") for name in ("host", "hostaddr", "port", "dbname", "options", "service")}
    digest = hashlib.sha256(repr(sorted(same.items())).encode()).hexdigest()[:12]
    readable = re.sub(r"[^a-z0-9]+", "-", f"{same['host']} {same['dbname']}".lower()).strip("-")[-40:]
    folder = user_data_path("filmroom", appauthor=False) / "servers" / f"{readable}-{digest}"
    path = folder / FILE
    stored = path.read_text("utf-8").strip() if path.is_file() else ""
    if stored != address and not (stored and _is_same_without_password(parts(stored), facts)):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            private_files.write(path, address.encode())
        except OSError as error:
            raise BadInput(f"the folder of this client cannot be made ({error.strerror})", where=folder) from error
    return folder


def _is_same_without_password(stored: dict[str, str], facts: dict[str, str]) -> bool:
    """Tell whether an address only leaves out the password of the one that is kept."""
    return "password" not in facts and {name: stored[name] for name in stored if name != "password"} == facts


def read(path: Path) -> str:
    """Return the address that a file holds. Raises BadInput, MissingExtra."""
    address = path.read_text("utf-8").strip()
    parts(address)
    return address


def parts(address: str) -> dict[str, str]:
    """Return what an address says, by the names of libpq. Raises BadInput, MissingExtra."""
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise MissingExtra("An archive on PostgreSQL", extra="postgresql") from error
    fix = "For example: postgresql://user@host/filmroom"
    try:
        facts = {name: str(value) for name, value in conninfo_to_dict(address).items() if value}
    except psycopg.Error:
        # Without what libpq says: it shows the address, with the password in it.
        raise BadInput("the address of the server cannot be read", where=address.split(":")[0], fix=fix) from None
    if not facts.get("dbname") and not facts.get("service"):
        raise BadInput("the address names no database", where=shown(facts), fix=fix)
    return facts


def shown(facts: dict[str, str]) -> str:
    """Write an address without its password."""
    port = f":{facts['port']}" if "port" in facts else ""
    user = f"{facts['user']}@" if "user" in facts else ""
    host = facts.get("host", "")
    if host.startswith("/"):
        return f"postgresql://{user}/{facts.get('dbname', '')}?host={host}"
    return f"postgresql://{user}{host}{port}/{facts.get('dbname', '')}"
