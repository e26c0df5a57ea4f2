"""Thumbnails may lie in a file of their own: an earlier version would show none, and is told that it is too old.

They are moved by the next index run, some at a time (`filmroom.db.thumbnails.moving`).
"""

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

CHANGES_NOTHING = True
"""No copy of the catalog is made before this migration."""


def upgrade() -> None:
    """Leave the tables as they are: an empty `webp` beside a checksum means a picture in the file."""
