"""What was forgotten on request is remembered as keyed hashes; films with words in their pixels are counted at once."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""CREATE TABLE forgotten (
    mark VARCHAR NOT NULL, 
    PRIMARY KEY (mark)
)""")
    op.execute("CREATE INDEX ix_film_burned_in ON film (burned_in) WHERE burned_in")
