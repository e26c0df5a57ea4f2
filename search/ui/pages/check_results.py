"""Show what a check found: its figures, films that belong together side by side, and all films as a grid with picks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st
from filmroom.db.archive import Archive
from filmroom.db.reads import films as db_films
from filmroom.search.checks.result import Pick, Result, Value, as_csv, measured_rows, written_p
from filmroom.search.exchange.delimited import cell
from filmroom.search.request import SearchRequest
from filmroom.search.ui import layout, picks
from filmroom.search.ui.components.download.download import File, download
from filmroom.search.ui.components.grid.grid import Act, Mark
from filmroom.search.ui.pages.film_lists import FilmList, wall
from filmroom.search.ui.result_grid import wall_of_films
from filmroom.search.ui.text import counted, number, plain

GROUPS = 8
"""Groups that are shown side by side at first, and with each "more"."""
IN_GROUP = 4
FEW_NOTES = 3
_ROWS_SHOWN = 500
_TO_DO = {"drop": "to drop", "look": "to look at"}
_SHOWN = "check-groups"
_DRAWN = 40
"""Figures that are plotted, the first ones."""
_COLOURS = {"worse": "#e0566b", "moved": "#e0566b", "no difference shown": "#8a929a", "better": "#4fb3a5"}


def begin() -> None:
    """Show a new result from its first group."""
    st.session_state[_SHOWN] = GROUPS


def show(archive: Archive, found: Result) -> None:
    """Show a result; to be called in a fragment."""
    if found.conclusion:
        st.info(plain(found.conclusion))
    elif found.ok:
        st.success(f"Nothing to look at among {counted(found.films, 'film')}.")
    _figures(found)
    with st.expander(counted(len(found.notes), "note")) if len(found.notes) > FEW_NOTES else st.container():
        for note in found.notes:
            st.caption(plain(note))
    if found.check == "archive":
        _lines(found)
    elif found.rows:
        _figures_with_intervals(found)
    _files(archive, found)
    if found.check == "labels":
        _labels(archive, found)
    elif found.check == "next":
        _queue(archive, found)
    elif found.picks:
        _side_by_side(archive, found)
        st.subheader("All films")
        _pick_buttons(found)
        wall(archive, f"check-{found.check}", _listed(found.picks))


def _figures(found: Result) -> None:
    with st.container(horizontal=True, gap="large"):
        for name, value in found.figures.items():
            said = number(value) if isinstance(value, int) else _p(value) if name == "p" else _short(value)
            st.metric(plain(_capital(name)), said, width="content")


def _lines(found: Result) -> None:
    """Show the lines of the archive's health, those that need a look first."""
    ordered = sorted(found.rows, key=lambda row: row["state"] != "look")
    table = pd.DataFrame([{"Line": str(row["line"]), "Count": row["count"], "State": row["state"]} for row in ordered])
    st.dataframe(table, hide_index=True, height="content", alt="What was counted, and which lines need a look")


def _figures_with_intervals(found: Result) -> None:
    """Plot the rows of figures with their intervals, the first at the top, and show them as a table; those of too few
    films are counted."""
    measured = measured_rows(found.rows)
    if measured:
        table = pd.DataFrame(
            [{name: cell(v) if isinstance(v, str) else v for name, v in row.items()} for row in measured]
        )
        table["p"] = [_p(value) for value in table.p]
        drawn = table.head(_DRAWN)
        _plot(drawn.assign(Row=[_row_name(row) for row in drawn.to_dict("records")]))
        st.dataframe(
            table.round(3).rename(columns=_capital),
            hide_index=True,
            alt="Every figure with its interval, p and what it says",
        )
    if few := len(found.rows) - len(measured):
        st.caption(f"{counted(few, 'line')} of too few films not shown: CSV and JSON hold all.")


def _capital(name: str) -> str:
    return name if name == "p" else name[:1].upper() + name[1:]


def _p(value: Value) -> str:
    return written_p(value) if isinstance(value, float) else ""


def _row_name(row: Mapping[Any, Any]) -> str:
    return " ".join(str(row[name]) for name in ("measure", "of", "fact", "slice") if name in row)


def _plot(table: pd.DataFrame) -> None:
    """Plot each row's value, or difference, with its interval; a tick for the films that it is compared with."""
    of, beside = ("value", "others") if "value" in table else ("difference", None)
    tick = "; the tick is that of the other films" if beside else " between B and A"
    shown = [name for name in ("Row", "films", of, "low", "high", "others", "p", "state") if name in table]
    base = alt.Chart(table[shown]).encode(
        y=alt.Y("Row:N", sort=None, title=None, axis=alt.Axis(labelLimit=260, labelFlush=False)),
        tooltip=[name if table[name].dtype == object else alt.Tooltip(name, format=".3~f") for name in shown],
    )
    across = alt.X(f"{of}:Q", title=f"{of.capitalize()} with its 95 % interval{tick}", scale=alt.Scale(zero=not beside),
                   axis=alt.Axis(tickCount=6, labelBound=False))  # fmt: skip
    held = {state: colour for state, colour in _COLOURS.items() if state in set(table.state)}
    states = alt.Color("state:N", legend=alt.Legend(orient="top", title=None),
                       scale=alt.Scale(domain=list(held), range=list(held.values())))  # fmt: skip
    layers = [
        base.mark_rule(strokeWidth=2, color="#8a929a").encode(x="low:Q", x2="high:Q"),
        *([base.mark_tick(thickness=2, color="#e5a561").encode(x=f"{beside}:Q")] if beside else []),
        base.mark_point(filled=True, size=70, opacity=1).encode(x=across, color=states),
    ]
    st.altair_chart(
        layout.readable(alt.layer(*layers, height=alt.Step(20))),
        width="stretch",
        alt="Figures with their intervals, the worst first; the table below holds them all",
    )


def _files(archive: Archive, found: Result) -> None:
    def as_json() -> bytes:
        return json.dumps(found.to_json(), indent=2, ensure_ascii=False).encode()

    download(
        [
            File("CSV", f"check-{found.check}.csv", "text/csv", lambda: as_csv(archive, found).encode()),
            File("JSON", f"check-{found.check}.json", "application/json", as_json),
        ],
        key=f"check-files-{found.check}",
    )


def groups_of(found: Result) -> list[list[Pick]]:
    """Give the picks that belong together, where they are of several films: first those that show one picture."""
    held: dict[int, list[Pick]] = {}
    for one in found.picks:
        if one.group:
            held.setdefault(one.group, []).append(one)
    several = [some for some in held.values() if len({one.film for one in some}) > 1]
    return sorted(several, key=lambda some: some[0].why != "near-duplicate")


def _side_by_side(archive: Archive, found: Result) -> None:
    every = groups_of(found)
    if not every:
        return
    st.subheader("Side by side")
    most = st.session_state.get(_SHOWN, GROUPS)
    for start in range(0, min(most, len(every)), 2):
        for column, some in zip(st.columns(2, gap="medium"), every[start : start + 2], strict=False):
            with column:
                _group(archive, some)
    left = len(every) - most
    if left > 0 and st.button(f"{number(min(GROUPS, left))} more of {number(left)}", key="more-groups"):
        st.session_state[_SHOWN] = most + GROUPS
        st.rerun(scope="fragment")


def _group(archive: Archive, some: Sequence[Pick]) -> None:
    """Show the films of one group, with why they are one."""
    first = some[0]
    measured = [f"{name} {_short(first.evidence[name])}" for name in ("likeness", "cosine") if first.evidence.get(name)]
    more = [f"the first {IN_GROUP} of {counted(len(some), 'film')}"] if len(some) > IN_GROUP else []
    title = f"{first.group}: {', '.join([first.why, *measured, *more])}"
    st.markdown(plain(title))
    shown = db_films.films(archive.catalog, [one.film for one in some[:IN_GROUP]])
    done = wall_of_films(
        archive.catalog,
        shown,
        key=f"wall-group-{first.group}",
        title=title,
        tools=(Act.PICK,),
        marks={one.film: (Mark.NOTED, _role(one)) for one in some if _role(one)},
    )
    if done and done.act is Act.OPEN:
        st.switch_page(layout.pages()["film"], query_params={"film": str(done.film)})


def _role(one: Pick) -> str:
    """Say what a film is in its group: the side that it is on, or whether to keep it."""
    return str(one.evidence.get("side") or one.evidence.get("advice") or "")


def _pick_buttons(found: Result) -> None:
    """Offer to pick all films with one role: those to drop, or those of one side."""
    held: dict[str, list[int]] = {}
    for one in found.picks:
        if _role(one) and _role(one) != "keep":
            held.setdefault(_role(one), []).append(one.film)
    with st.container(horizontal=True):
        for role, some in sorted(held.items())[:6]:
            ids = list(dict.fromkeys(some))
            words = _TO_DO.get(role, f"in {plain(role)}")
            if st.button(f"Pick the {number(len(ids))} {words}", key=f"pick-role-{role}"):
                picks.order_change(add=ids)
                st.rerun()


def _labels(archive: Archive, found: Result) -> None:
    """Show the doubtful labels of one finding, the most doubtful first, as a table and as a grid."""
    names = list(dict.fromkeys(str(one.evidence["finding"]) for one in found.picks))
    if not names:
        return
    counts = {name: sum(one.evidence["finding"] == name for one in found.picks) for name in names}
    chosen = st.selectbox(
        "Finding", names, key="check-finding", format_func=lambda name: f"{name} ({number(counts.get(name, 0))})"
    )
    some = [one for one in found.picks if one.evidence["finding"] == chosen]
    wall(archive, "check-labels", _listed(some), request=SearchRequest(chosen or ""))
    st.caption("A doubt is no proof: pick films and choose Judge to look at them one at a time.")
    rows = [
        {"Rank": rank, "Film": one.film, "Why": one.why, **{name.capitalize(): cell(v) if isinstance(v, str) else v
         for name, v in one.evidence.items() if name != "finding"}}
        for rank, one in enumerate(some[:_ROWS_SHOWN], 1)
    ]  # fmt: skip
    st.dataframe(pd.DataFrame(rows).round(3), hide_index=True, alt="The films with what speaks against their label")


def _queue(archive: Archive, found: Result) -> None:
    """Show the films to label for a finding, and hand them on to Judge."""
    if not found.picks:
        return
    finding = str(found.picks[0].evidence["finding"])
    if st.button(f"Judge the {counted(len(found.picked), 'film')}", key="judge-queue", type="primary"):
        st.session_state["judge-films"] = found.picked
        st.switch_page(layout.pages()["judge"], query_params={"judged": finding})
    st.caption("They come in Judge one at a time, whatever the probe holds of them.")
    wall(archive, "check-next", FilmList(found.picked, {}, ""), request=SearchRequest(finding))


def _listed(some: Sequence[Pick]) -> FilmList:
    says: dict[int, list[str]] = {}
    for one in some:
        says.setdefault(one.film, []).append(_says(one))
    return FilmList(tuple(says), {film: "; ".join(dict.fromkeys(said)) for film, said in says.items()}, "")


def _says(one: Pick) -> str:
    """Say of a film in a few words why it is here."""
    if "doubt" in one.evidence:
        return f"doubt {_short(one.evidence['doubt'])}, {one.evidence['label']}"
    words = ", ".join(word for word in (_role(one), one.why) if word)
    return f"{one.group}: {words}" if one.group else words


def _short(value: Value) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
