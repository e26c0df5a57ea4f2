"""Make the tables of an archive on a server: those of `filmroom.db.schema`, and what SQLAlchemy has no words for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filmroom.db import engine
from filmroom.db.postgresql import vector_tables, words

if TYPE_CHECKING:
    from sqlalchemy import Connection

_WITHOUT_CASE = ("modality", "body_part", "sex")
_OWN = (
    # SQLite numbers the rows of every table, and judgements of one second are told apart so.
    "ALTER TABLE judgement ADD COLUMN rowid bigserial",
    """
CREATE FUNCTION filmroom_film_state() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE meta SET value = CAST(CAST(value AS bigint) + 1 AS text) WHERE key = 'film_states';
    RETURN NULL;
END $$
""",
    "CREATE TRIGGER film_state AFTER UPDATE OF state ON film FOR EACH ROW WHEN (old.state IS DISTINCT FROM new.state) "
    "EXECUTE FUNCTION filmroom_film_state()",
    """
CREATE FUNCTION filmroom_finding_delete() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    DELETE FROM sentence WHERE id = old.sentence_id
        AND NOT EXISTS (SELECT 1 FROM finding WHERE sentence_id = old.sentence_id);
    RETURN NULL;
END $$
""",
    "CREATE TRIGGER finding_delete AFTER DELETE ON finding FOR EACH ROW EXECUTE FUNCTION filmroom_finding_delete()",
    *(f"CREATE INDEX ix_film_{name} ON film (lower({name}))" for name in _WITHOUT_CASE),
    "INSERT INTO meta(key, value) VALUES ('film_states', '0')",
    "INSERT INTO meta(key, value) VALUES ('archive_id', replace(CAST(gen_random_uuid() AS text), '-', ''))",
)


def make_tables(connection: Connection, revision: str) -> None:
    """Make the tables of a new archive, which are those of this Alembic revision, in one transaction.

    Another client may have made them while this one waited for its turn.
    """
    if connection.dialect.has_table(connection, "alembic_version"):
        return
    for statement in words.functions(set(connection.exec_driver_sql(words.WHICH_FOLDING).scalars())):
        connection.exec_driver_sql(statement)
    engine.make_tables(connection, revision, without={f"ix_film_{name}" for name in _WITHOUT_CASE})
    for statement in (*words.columns(), *_OWN):
        connection.exec_driver_sql(statement)
    vector_tables.add_extension(connection)
