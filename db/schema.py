"""Define the tables of the catalog (SQLAlchemy Core: rows become the frozen records of `filmroom.db.records`, never
live objects).

A file is what a source lists; a film is one image and frame of it. Every file has exactly one outcome. Films are known
by `identity` (SOP Instance UID and frame for DICOM, content hash and frame otherwise), so a file that moves is the
same film. Timestamps are whole seconds since 1970.
"""

from __future__ import annotations

from typing import Any

from filmroom.db import triggers
from filmroom.db.path_names import tail_of
from filmroom.db.postgresql.column_types import SERVER, Integer, PathText, String, Text
from sqlalchemy import (
    DDL,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Table,
    UniqueConstraint,
    event,
    text,
)


def _where(condition: str) -> dict[str, Any]:
    return {f"{name}_where": text(condition) for name in ("sqlite", SERVER)}


def _tail(context: Any) -> bytes:
    return tail_of(context.get_current_parameters()["path"])


metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
)

root = Table(
    "root",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", PathText, nullable=False, unique=True),
)

file = Table(
    "file",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("root_id", ForeignKey("root.id"), nullable=False),
    Column("path", PathText, nullable=False),
    Column("size", Integer, nullable=False),
    Column("mtime_ns", Integer, nullable=False),
    Column("sha256", String),
    Column("outcome", String, nullable=False),
    Column("listed", Boolean, nullable=False, default=True),
    Column("duplicate_of", ForeignKey("film.id", use_alter=True, name="fk_file_duplicate_of")),
    Column("stage", String),
    Column("reason", String),
    Column("remedy", String),
    Column("tried_at", Integer, nullable=False),
    # The version of decoding that its films are known to be as (`filmroom.db.records.DECODING`).
    Column("decoding", Integer, nullable=False, server_default="1"),
    # The path from its end (`filmroom.db.path_names`), by which names of films are looked up.
    Column("tail", LargeBinary, default=_tail),
    UniqueConstraint("root_id", "path"),
    Index("ix_file_sha256", "sha256"),
    Index("ix_file_outcome", "outcome"),
    Index("ix_file_duplicate_of", "duplicate_of"),
    Index("ix_file_tail", "tail"),
)

film = Table(
    "film",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("identity", String, nullable=False, unique=True),
    Column("file_id", ForeignKey("file.id"), nullable=False, index=True),
    Column("frame", Integer, nullable=False, default=0),
    Column("state", String, nullable=False, default="present", index=True),
    Column("modality", String),
    Column("view", String, index=True),
    Column("body_part", String),
    Column("laterality", String),
    Column("sex", String),
    Column("age", Integer),
    Column("year", Integer, index=True),
    Column("rows", Integer, nullable=False),
    Column("columns", Integer, nullable=False),
    Column("photometric", String),
    Column("study_uid", String, index=True),
    Column("series_uid", String),
    Column("instance_uid", String, index=True),
    Column("patient_key", String, index=True),
    Column("burned_in", Boolean),
    Column("added_at", Integer, nullable=False),
    # How the picture of the file was mirrored or turned, or that it is not certain.
    Column("orientation", String),
    # The manufacturer of the machine, by a code.
    Column("maker", String),
    Index("ix_film_burned_in", "burned_in", **_where("burned_in")),
    # What is asked in any case of letters (`filmroom.db.reads.filters`) is found in any.
    *(
        Index(f"ix_film_{name}", text(f"{name} COLLATE NOCASE")).ddl_if(dialect="sqlite")
        for name in ("modality", "body_part", "sex")
    ),
    Index("ix_film_age", "age"),
    # The facts that no other index holds: what stands in two places can be compared, and damage to either is found.
    Index(
        "ix_film_facts",
        *("modality", "body_part", "laterality", "sex", "age", "photometric", "rows", "columns", "series_uid", "frame"),
        "added_at",
    ),
    sqlite_autoincrement=True,
)

space = Table(
    "space",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", String, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("dim", Integer, nullable=False),
    Column("vectors", Integer, nullable=False),
    Column("has_text", Boolean, nullable=False),
    # Rises whenever a vector of the space is replaced or deleted, so that a cached index knows to look again.
    Column("generation", Integer, nullable=False, default=0),
    UniqueConstraint("model", "fingerprint"),
    # An id that came back would hand one model's open index the vectors of another.
    sqlite_autoincrement=True,
)

embedding = Table(
    "embedding",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("space_id", ForeignKey("space.id", ondelete="CASCADE"), nullable=False),
    Column("film_id", ForeignKey("film.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("vectors", LargeBinary, nullable=False),
    # `filmroom.db.reads.integrity.checksum` of the vectors; earlier versions kept none.
    Column("checksum", Integer),
    UniqueConstraint("space_id", "film_id"),
    Index("ix_embedding_unchecked", "id", **_where("checksum IS NULL")),
    Index("ix_embedding_space_id_id", "space_id", "id"),
    # Ids are never used twice: the highest one an index has seen is its watermark.
    sqlite_autoincrement=True,
)

thumbnail = Table(
    "thumbnail",
    metadata,
    Column("film_id", ForeignKey("film.id", ondelete="CASCADE"), primary_key=True),
    Column("webp", LargeBinary, nullable=False),
    Column("checksum", Integer),
    Index("ix_thumbnail_unchecked", "film_id", **_where("checksum IS NULL")),
)

label = Table(
    "label",
    metadata,
    Column("film_id", ForeignKey("film.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("source", String, primary_key=True),
    Column("value", Float, nullable=False),
    Index("ix_label_name", "name", "film_id"),
)

report = Table(
    "report",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("film_id", ForeignKey("film.id", ondelete="CASCADE"), index=True),
    Column("study_uid", String, index=True),
    Column("source", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("read_by", Integer),
    Index("ix_report_read_by", "read_by"),
)

report_finding = Table(
    "report_finding",
    metadata,
    Column("report_id", ForeignKey("report.id", ondelete="CASCADE"), primary_key=True),
    Column("finding", String, primary_key=True),
    Column("assertion", String, primary_key=True),
    Column("side", String, primary_key=True),
    Column("severity", String, primary_key=True),
    Column("places", String, primary_key=True),
    Index("ix_report_finding", "finding", "assertion", "report_id"),
)

run = Table(
    "run",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("paths", Text, nullable=False),
    Column("model", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("started_at", Integer, nullable=False),
    Column("ended_at", Integer),
    Column("listed", Integer, nullable=False, default=0),
    Column("indexed", Integer, nullable=False, default=0),
    Column("unchanged", Integer, nullable=False, default=0),
    Column("duplicate", Integer, nullable=False, default=0),
    Column("rejected", Integer, nullable=False, default=0),
    Column("gone", Integer, nullable=False, default=0),
    Column("message", Text),
)

collection = Table(
    "collection",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("created_at", Integer, nullable=False),
)

collection_film = Table(
    "collection_film",
    metadata,
    Column("collection_id", ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True),
    Column("film_id", ForeignKey("film.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("place", Integer, nullable=False),
)

tag = Table(
    "tag",
    metadata,
    Column("film_id", ForeignKey("film.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String, primary_key=True, index=True),
)

note = Table(
    "note",
    metadata,
    Column("film_id", ForeignKey("film.id", ondelete="CASCADE"), primary_key=True),
    Column("text", Text, nullable=False),
    Column("updated_at", Integer, nullable=False),
)

saved_search = Table(
    "saved_search",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("query", Text, nullable=False),
    Column("created_at", Integer, nullable=False),
    # The whole search request as JSON; archives of before know the query alone.
    Column("request", Text),
)

judgement = Table(
    "judgement",
    metadata,
    Column("query", Text, primary_key=True),
    Column("film_id", ForeignKey("film.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("judge", String, primary_key=True),
    Column("grade", Integer, nullable=False),
    Column("judged_at", Integer, nullable=False),
)

# What a model wrote about films, kept apart from what people wrote: sentences, each kept once, and where they are said.
sentence = Table(
    "sentence",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("text", Text, nullable=False, unique=True),
)

finding = Table(
    "finding",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("film_id", ForeignKey("film.id", ondelete="CASCADE"), nullable=False),
    Column("source", String, nullable=False),
    Column("position", Integer, nullable=False),
    Column("sentence_id", ForeignKey("sentence.id"), nullable=False, index=True),
    # JSON: [[x0, y0, x1, y1], ...] in shares of the film's width and height.
    Column("boxes", Text, nullable=False),
    UniqueConstraint("film_id", "source", "position"),
)

# Which films a model was asked about, whether or not it found anything to say.
described = Table(
    "described",
    metadata,
    Column("film_id", ForeignKey("film.id", ondelete="CASCADE"), primary_key=True),
    Column("source", String, primary_key=True),
    Column("described_at", Integer, nullable=False),
)

sentence_vector = Table(
    "sentence_vector",
    metadata,
    Column("sentence_id", ForeignKey("sentence.id", ondelete="CASCADE"), primary_key=True),
    Column("space_id", ForeignKey("space.id", ondelete="CASCADE"), primary_key=True, index=True),
    Column("vector", LargeBinary, nullable=False),
)

# The last evaluation of a space with a query set.
measured = Table(
    "measured",
    metadata,
    Column("space_id", ForeignKey("space.id", ondelete="CASCADE"), primary_key=True),
    Column("queries", String, primary_key=True),
    Column("measure", String, primary_key=True),
    Column("value", Float, nullable=False),
    Column("count", Integer, nullable=False),
    Column("measured_at", Integer, nullable=False),
)

# What tables say of films where their own headers say nothing, or where it `overrides` them. The columns of `film` hold
# what counts; these rows say where it is from, and give it again when a film is indexed anew.
fact = Table(
    "fact",
    metadata,
    Column("film_id", ForeignKey("film.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
    Column("source", String, nullable=False),
    Column("overrides", Boolean, nullable=False),
    Index("ix_fact_name_value", "name", "value"),
)

# What must not come back: keyed hashes (`filmroom.db.erasure.forget`), so that remembering keeps nothing of the film.
forgotten = Table("forgotten", metadata, Column("mark", String, primary_key=True))

# Who may use the archive over the network. `digest`: SHA-256 of the token, which itself is shown once and not kept.
token = Table(
    "token",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("digest", String, nullable=False, unique=True),
    Column("scope", String, nullable=False),
    Column("created_at", Integer, nullable=False),
    Column("revoked_at", Integer),
)

for _statement in triggers.STATEMENTS:
    _ddl = DDL(_statement).execute_if(dialect="sqlite")  # type: ignore[no-untyped-call]
    event.listen(metadata, "after_create", _ddl)
