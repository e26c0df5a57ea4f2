"""Facts of films that a table gave, which no header has: what, from where, and whether it stands above the header's."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""CREATE TABLE fact (
    film_id INTEGER NOT NULL, 
    name VARCHAR NOT NULL, 
    value VARCHAR NOT NULL, 
    source VARCHAR NOT NULL, 
    overrides BOOLEAN NOT NULL, 
    PRIMARY KEY (film_id, name), 
    FOREIGN KEY(film_id) REFERENCES film (id) ON DELETE CASCADE
)""")
    op.execute("CREATE INDEX ix_fact_name_value ON fact (name, value)")
