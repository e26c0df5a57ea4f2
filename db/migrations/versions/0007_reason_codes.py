"""The reason of a rejected file or a duplicate is a code; its words are looked up when it is shown.

Words that no version is known to have written stay as they are, with their remedy.
"""

from alembic import op
from sqlalchemy import case, column, table, update

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# As versions up to this one wrote them: never to be changed with the words that are shown today.
CODES = {
    "cannot be read": "UNREADABLE",
    "not a regular file": "NOT_A_FILE",
    "a link that leads out of the folder": "LINK_OUT",
    "a link that leads nowhere": "LINK_BROKEN",
    "empty file": "EMPTY",
    "file larger than the limit": "TOO_LARGE",
    "not an image": "UNKNOWN",
    "damaged or incomplete header": "DAMAGED",
    "a DICOM object without an image": "NO_PIXELS",
    "a DICOM directory file": "DICOMDIR",
    "not a projection radiograph": "NOT_RADIOGRAPH",
    "forgotten on request": "FORGOTTEN",
    "more pixels than the limit": "TOO_MANY_PIXELS",
    "more frames than the limit": "TOO_MANY_FRAMES",
    "truncated or damaged pixels": "TRUNCATED",
    "no decoder for its 12-bit JPEG": "TWELVE_BIT_JPEG",
    "no decoder for its compression": "NO_DECODER",
    "video": "VIDEO",
    "took longer than the limit": "TOO_SLOW",
    "needs more memory than the limit": "TOO_MUCH_MEMORY",
    "crashed its decoder": "CRASHED",
    "pixel values that cannot be shown": "NO_GREY_SCALE",
    "could not be made ready for the model": "NOT_PREPARED",
    "same content": "SAME_CONTENT",
    "same instance UID and picture, other header": "SAME_PICTURE",
    "same instance UID, other picture": "SAME_UID",
}


def upgrade() -> None:
    file = table("file", column("reason"), column("remedy"))
    coded = {"reason": case(CODES, value=file.c.reason), "remedy": None}
    op.execute(update(file).where(file.c.reason.in_(CODES)).values(coded))
