"""Tell drives of other machines, which send no events of what others change on them."""

from __future__ import annotations

import os
from pathlib import Path

_MOUNTS = Path("/proc/mounts")
_KINDS = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "glusterfs", "lustre", "ncpfs", "vboxsf", "virtiofs", "fuse.")
_LOCAL = ("fuse.fuse-overlayfs", "fuse.lxcfs")


def is_network_drive(folder: Path) -> bool:
    """Tell whether a folder lies on such a drive; False where the system does not tell (Linux does)."""
    try:
        lines = _MOUNTS.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return False
    kinds = {_unescaped(fields[1]): fields[2] for line in lines if len(fields := line.split()) > 2}
    place = os.path.realpath(folder)
    mount = max((mount_point for mount_point in kinds if _is_below(place, mount_point)), key=len, default="")
    kind = kinds.get(mount, "")
    return kind.startswith(_KINDS) and kind not in _LOCAL


def _is_below(place: str, mount: str) -> bool:
    return place == mount or place.startswith(mount.rstrip("/") + "/")


def _unescaped(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
