"""Stretches of ids have versions, by which what is known of millions of films is brought up to date where something was
written. On a server, whose answers are not kept, there is nothing to do."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

CHANGES_NOTHING = True
"""No copy of the catalog is made before this migration, which only adds a small table and triggers."""

_FACTS = ("state", "view", "modality", "body_part", "sex", "age", "year", "burned_in")
_TABLES = {
    "film": ("id", _FACTS),
    "file": ("id", ("outcome", "listed")),
    "label": ("film_id", ("value",)),
    "report": ("id", ()),
}


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute(
        "CREATE TABLE stretch (relation VARCHAR NOT NULL, number INTEGER NOT NULL, version INTEGER NOT NULL, "
        "PRIMARY KEY (relation, number)) WITHOUT ROWID"
    )
    for relation, (column, facts) in _TABLES.items():
        # What is there already has versions as well: those of another copy of it are others.
        op.execute(
            f"WITH RECURSIVE stretches(number, last) AS (SELECT 0, (SELECT max({column}) >> 14 FROM {relation}) "
            "UNION ALL SELECT number + 1, last FROM stretches WHERE number < last) "
            f"INSERT INTO stretch SELECT '{relation}', number, random() FROM stretches WHERE last IS NOT NULL"
        )
        changed = " OR ".join(f"old.{fact} IS NOT new.{fact}" for fact in facts)
        events = [("INSERT", "new", ""), ("DELETE", "old", "")]
        if facts:
            events.append((f"UPDATE OF {', '.join(facts)}", "new", f"WHEN {changed} "))
        for event, row, condition in events:
            op.execute(
                f"CREATE TRIGGER stretch_{relation}_{event[:6].lower()} AFTER {event} ON {relation} {condition}BEGIN "
                f"INSERT INTO stretch(relation, number, version) VALUES ('{relation}', {row}.{column} >> 14, random()) "
                "ON CONFLICT(relation, number) DO UPDATE SET version = excluded.version; END"
            )
