"""Keep what people and other programs say about films: labels, reports, tags, notes, collections, judgements."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from filmroom.db.batching import chunked
from filmroom.db.catalog import Catalog
from filmroom.db.errors import BadInput, NotFound
from filmroom.db.names import check_letters, check_name
from filmroom.db.records import Label
from filmroom.db.schema import collection, collection_film, judgement, label, note, report, saved_search, tag
from sqlalchemy import Connection, delete, func, insert, literal_column, select
from sqlalchemy.dialects.sqlite import insert as upsert


def put_labels(catalog: Catalog, labels: Iterable[tuple[int, Label]]) -> int:
    """Add labels to films (film id, label); the same name from the same source is replaced. Returns how many."""
    rows = (
        {"film_id": film_id, "name": entry.name.strip().lower(), "source": entry.source, "value": entry.value}
        for film_id, entry in labels
    )
    count = 0
    with catalog.write() as connection:
        for chunk in chunked(rows):
            statement = upsert(label)
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["film_id", "name", "source"], set_={"value": statement.excluded.value}
                ),
                chunk,
            )
            count += len(chunk)
    return count


def remove_labels(catalog: Catalog, *, source: str, name: str | None = None) -> int:
    conditions = [label.c.source == source] + ([label.c.name == name.lower()] if name else [])
    with catalog.write() as connection:
        return int(connection.execute(delete(label).where(*conditions)).rowcount)


def label_values(catalog: Catalog, *, sources: Sequence[str] | None = None) -> dict[str, dict[int, float]]:
    """Return the values of every label by its name, then by film id: the highest among the sources, without probes."""
    values: dict[str, dict[int, float]] = {}
    statement = select(label).where(label.c.source.in_(sources) if sources else label.c.source != "probe")
    with catalog.read() as connection:
        for row in connection.execute(statement):
            films = values.setdefault(row.name, {})
            films[row.film_id] = max(row.value, films.get(row.film_id, 0.0))
    return values


@dataclass(frozen=True)
class Report:
    """A report of one film, or of all films of a study."""

    text: str
    film_id: int | None = None
    study_uid: str | None = None


def put_reports(catalog: Catalog, reports: Sequence[Report], *, source: str) -> int:
    """Add reports; an earlier one of the same film or study from the same source is replaced."""
    with catalog.write() as connection:
        for new in reports:
            same = report.c.film_id == new.film_id if new.film_id is not None else report.c.study_uid == new.study_uid
            connection.execute(delete(report).where(same, report.c.source == source))
            values = {"film_id": new.film_id, "study_uid": new.study_uid, "source": source, "text": new.text}
            connection.execute(insert(report).values(**values))
    return len(reports)


def set_tags(catalog: Catalog, film_id: int, names: Sequence[str]) -> None:
    """Give a film these tags and no others. Raises BadInput for a new tag that cannot stand on one line."""
    stored = _tag_names(catalog, names)
    with catalog.write(annotates=True) as connection:
        connection.execute(delete(tag).where(tag.c.film_id == film_id))
        for name in stored:
            connection.execute(insert(tag).values(film_id=film_id, name=name))


def add_tags(catalog: Catalog, film_ids: Sequence[int], names: Sequence[str]) -> list[tuple[int, str]]:
    """Put tags on films; returns the (film id, tag) that are new, which `remove_tags` takes off again. Raises BadInput
    for a new tag that cannot stand on one line."""
    stored = _tag_names(catalog, names)
    return _change_tags(catalog, [(film_id, name) for film_id in film_ids for name in stored], add=True)


def _tag_names(catalog: Catalog, names: Sequence[str]) -> list[str]:
    """Return the tags as they are stored. Those of archives from before are taken as they are, so that they can stay
    beside a new one."""
    known = set(all_tags(catalog))
    typed = sorted({name.strip().lower() for name in names if name.strip()})
    return [name if name in known else check_name(name, "a tag") for name in typed]


def remove_tags(catalog: Catalog, tagged: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Take tags (film id, tag) off films; returns those that were there, which `put_tags` puts back."""
    return _change_tags(catalog, list(tagged), add=False)


def put_tags(catalog: Catalog, tagged: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Put tags (film id, tag) on films; returns those that are new."""
    return _change_tags(catalog, list(tagged), add=True)


def _change_tags(catalog: Catalog, tagged: list[tuple[int, str]], *, add: bool) -> list[tuple[int, str]]:
    changed = []
    with catalog.write(annotates=True) as connection:
        for film_id, name in tagged:
            if add:
                done = connection.execute(upsert(tag).values(film_id=film_id, name=name).on_conflict_do_nothing())
            else:
                done = connection.execute(delete(tag).where(tag.c.film_id == film_id, tag.c.name == name))
            if done.rowcount:
                changed.append((film_id, name))
    return changed


def tags_of(catalog: Catalog, film_id: int) -> list[str]:
    with catalog.read() as connection:
        return list(connection.scalars(select(tag.c.name).where(tag.c.film_id == film_id).order_by(tag.c.name)))


def tag_counts(catalog: Catalog, film_ids: Sequence[int]) -> dict[str, int]:
    """Say how many of the films have each tag, the most frequent first."""
    counts: dict[str, int] = {}
    with catalog.read() as connection:
        for chunk in chunked(film_ids):
            statement = select(tag.c.name, func.count()).where(tag.c.film_id.in_(chunk)).group_by(tag.c.name)
            for name, count in connection.execute(statement):
                counts[name] = counts.get(name, 0) + count
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def all_tags(catalog: Catalog) -> list[str]:
    with catalog.read() as connection:
        return list(connection.scalars(select(tag.c.name).distinct().order_by(tag.c.name)))


def set_note(catalog: Catalog, film_id: int, text: str) -> None:
    """Keep the note of a film; an empty text removes it."""
    with catalog.write(annotates=True) as connection:
        connection.execute(delete(note).where(note.c.film_id == film_id))
        if text.strip():
            connection.execute(insert(note).values(film_id=film_id, text=text, updated_at=int(time.time())))


def note_of(catalog: Catalog, film_id: int) -> str:
    with catalog.read() as connection:
        return connection.scalar(select(note.c.text).where(note.c.film_id == film_id)) or ""


def notes_of(catalog: Catalog, film_ids: Sequence[int]) -> dict[int, str]:
    """Return the notes of these films, by film, in their order."""
    notes: dict[int, str] = {}
    with catalog.read() as connection:
        for chunk in chunked(film_ids):
            notes.update(connection.execute(select(note.c.film_id, note.c.text).where(note.c.film_id.in_(chunk))).all())
    return {film_id: notes[film_id] for film_id in film_ids if film_id in notes}


@dataclass(frozen=True)
class Collection:
    id: int
    name: str
    films: int


def collections(catalog: Catalog) -> list[Collection]:
    counted = (
        select(collection.c.id, collection.c.name, func.count(collection_film.c.film_id).label("films"))
        .outerjoin(collection_film, collection_film.c.collection_id == collection.c.id)
        .group_by(collection.c.id)
        .order_by(func.lower(collection.c.name))
    )
    with catalog.read() as connection:
        return [Collection(row.id, row.name, row.films) for row in connection.execute(counted)]


def collect(catalog: Catalog, name: str, film_ids: Sequence[int]) -> int:
    """Put films into the collection of this name, made if it is not there. Returns how many are new in it.

    Raises BadInput for a new name that cannot stand on one line."""
    name = name.strip()
    with catalog.write(annotates=True) as connection:
        if connection.scalar(select(collection.c.id).where(collection.c.name == name)) is None:
            check_name(name, "a collection")
        connection.execute(upsert(collection).values(name=name, created_at=int(time.time())).on_conflict_do_nothing())
        collection_id = connection.execute(select(collection.c.id).where(collection.c.name == name)).scalar_one()
        mine = collection_film.c.collection_id == collection_id
        last = connection.scalar(select(func.max(collection_film.c.place)).where(mine)) or 0
        added = 0
        for place, film_id in enumerate(film_ids, last + 1):
            values = {"collection_id": collection_id, "film_id": film_id, "place": place}
            added += connection.execute(upsert(collection_film).values(**values).on_conflict_do_nothing()).rowcount
    return added


def collected(catalog: Catalog, name: str, *, most: int | None = None, offset: int = 0) -> list[int]:
    """Return the film ids of a collection in the order they were put there, all or `most` after the first `offset`.
    Raises NotFound."""
    with catalog.read() as connection:
        mine = collection_film.c.collection_id == _collection_id(connection, name)
        statement = select(collection_film.c.film_id).where(mine).order_by(collection_film.c.place)
        return list(connection.scalars(statement.limit(most).offset(offset)))


def count_collected(catalog: Catalog, name: str) -> int:
    """Count the films of a collection. Raises NotFound."""
    with catalog.read() as connection:
        mine = collection_film.c.collection_id == _collection_id(connection, name)
        return int(connection.scalar(select(func.count()).where(mine)) or 0)


def _collection_id(connection: Connection, name: str) -> int:
    collection_id = connection.scalar(select(collection.c.id).where(collection.c.name == name))
    if collection_id is None:
        raise NotFound("there is no collection of this name", where=name, fix="The page Collections lists them.")
    return int(collection_id)


def uncollect(catalog: Catalog, name: str, film_ids: Sequence[int] | None = None) -> list[tuple[int, int]]:
    """Take films out of a collection; without ids the collection itself goes. Returns (film id, its place) of
    what went, which `recollect` puts back."""
    gone: list[tuple[int, int]] = []
    with catalog.write(annotates=True) as connection:
        collection_id = select(collection.c.id).where(collection.c.name == name).scalar_subquery()
        mine = collection_film.c.collection_id == collection_id
        rows = select(collection_film.c.film_id, collection_film.c.place)
        for chunk in [None] if film_ids is None else chunked(film_ids):
            these = mine if chunk is None else mine & collection_film.c.film_id.in_(chunk)
            gone += [(row.film_id, row.place) for row in connection.execute(rows.where(these))]
            connection.execute(delete(collection_film).where(these))
        if film_ids is None:
            connection.execute(delete(collection).where(collection.c.name == name))
    return gone


def recollect(catalog: Catalog, name: str, rows: Iterable[tuple[int, int]]) -> None:
    """Put back what `uncollect` returned, in its old order; the collection is made where it went."""
    with catalog.write(annotates=True) as connection:
        connection.execute(upsert(collection).values(name=name, created_at=int(time.time())).on_conflict_do_nothing())
        collection_id = connection.execute(select(collection.c.id).where(collection.c.name == name)).scalar_one()
        for film_id, place in rows:
            values = {"collection_id": collection_id, "film_id": film_id, "place": place}
            connection.execute(upsert(collection_film).values(**values).on_conflict_do_nothing())


@dataclass(frozen=True)
class SavedSearch:
    """A search under its name; `request` is the whole of it as JSON, None in archives of before."""

    name: str
    query: str
    request: str | None = None


def save_search(catalog: Catalog, name: str, query: str, request: str | None = None) -> None:
    """Save a search, in place of an earlier one of this name."""
    values = {"query": query, "request": request}
    statement = upsert(saved_search).values(name=name.strip(), created_at=int(time.time()), **values)
    with catalog.write(annotates=True) as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


def saved_searches(catalog: Catalog) -> list[SavedSearch]:
    with catalog.read() as connection:
        rows = connection.execute(select(saved_search).order_by(func.lower(saved_search.c.name))).all()
    return [SavedSearch(row.name, row.query, row.request) for row in rows]


def remove_search(catalog: Catalog, name: str) -> None:
    with catalog.write(annotates=True) as connection:
        connection.execute(delete(saved_search).where(saved_search.c.name == name))


@dataclass(frozen=True)
class Judgement:
    query: str
    film_id: int
    judge: str
    grade: int


def judge(catalog: Catalog, new: Judgement) -> None:
    """Keep one judge's grade (0 to 3) of a film for a query; a later grade replaces it. Raises BadInput."""
    check_letters(new.judge, "the name of a judge")
    check_letters(new.query, "a query")
    if not 0 <= new.grade <= 3:
        raise BadInput("a grade is 0, 1, 2 or 3", where=new.grade, fix="0 is no match, 3 is exactly what was asked.")
    values = {"grade": new.grade, "judged_at": int(time.time())}
    statement = upsert(judgement).values(query=new.query, film_id=new.film_id, judge=new.judge, **values)
    with catalog.write(annotates=True) as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["query", "film_id", "judge"], set_=values))


def unjudge(catalog: Catalog, judged: Judgement) -> bool:
    """Take back what a judge said of a film for a query, whatever the grade; tells whether there was a judgement."""
    same = (
        judgement.c.query == judged.query,
        judgement.c.film_id == judged.film_id,
        judgement.c.judge == judged.judge,
    )
    with catalog.write(annotates=True) as connection:
        return bool(connection.execute(delete(judgement).where(*same)).rowcount)


def judgements(
    catalog: Catalog, query: str | None = None, *, most: int | None = None, offset: int = 0
) -> list[Judgement]:
    """Return them oldest first, all or `most` after the first `offset`; within a second as they were given, since the
    last one is what Undo takes back."""
    statement = select(judgement).order_by(judgement.c.judged_at, literal_column("judgement.rowid"))
    if query is not None:
        statement = statement.where(judgement.c.query == query)
    with catalog.read() as connection:
        rows = connection.execute(statement.limit(most).offset(offset))
        return [Judgement(row.query, row.film_id, row.judge, row.grade) for row in rows]


def count_judgements(catalog: Catalog, query: str | None = None) -> int:
    """Count the judgements, all or those for a query."""
    statement = select(func.count()).select_from(judgement)
    if query is not None:
        statement = statement.where(judgement.c.query == query)
    with catalog.read() as connection:
        return int(connection.scalar(statement) or 0)
