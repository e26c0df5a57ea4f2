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


def show(archive: Archive, result: Result) -> None:
    """Show a result; to be called in a fragment."""
    if result.conclusion:
        st.info(plain(result.conclusion))
    elif result.ok:
        st.success(f"Nothing to look at among {counted(result.films, 'film')}.")
    _figures(result)
    with st.expander(counted(len(result.notes), "note")) if len(result.notes) > FEW_NOTES else st.container():
        for note in result.notes:
            st.caption(plain(note))
    if result.check == "archive":
        _lines(result)
    elif result.rows:
        _figures_with_intervals(result)
    _files(archive, result)
    if result.check == "labels":
        _labels(archive, result)
    elif result.check == "next":
        _queue(archive, result)
    elif result.picks:
        _side_by_side(archive, result)
        st.subheader("All films")
        _pick_buttons(result)
        wall(archive, f"check-{result.check}", _listed(result.picks))


def _figures(result: Result) -> None:
    with st.container(horizontal=True, gap="large"):
        for name, value in result.figures.items():
            value_text = number(value) if isinstance(value, int) else _p(value) if name == "p" else _short(value)
            st.metric(plain(_capital(name)), value_text, width="content")


def _lines(result: Result) -> None:
    """Show the lines of the archive's health, those that need a look first."""
    ordered = sorted(result.rows, key=lambda row: row["state"] != "look")
    table = pd.DataFrame([{"Line": str(row["line"]), "Count": row["count"], "State": row["state"]} for row in ordered])
    st.dataframe(table, hide_index=True, height="content", alt="What was counted, and which lines need a look")


def _figures_with_intervals(result: Result) -> None:
    """Plot the rows of figures with their intervals, the first at the top, and show them as a table; those of too few
    films are counted."""
    measured = measured_rows(result.rows)
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
    if few := len(result.rows) - len(measured):
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
    fields = [name for name in ("Row", "films", of, "low", "high", "others", "p", "state") if name in table]
    base = alt.Chart(table[fields]).encode(
        y=alt.Y("Row:N", sort=None, title=None, axis=alt.Axis(labelLimit=260, labelFlush=False)),
        tooltip=[name if table[name].dtype == object else alt.Tooltip(name, format=".3~f") for name in fields],
    )
    across = alt.X(f"{of}:Q", title=f"{of.capitalize()} with its 95 % interval{tick}", scale=alt.Scale(zero=not beside),
                   axis=alt.Axis(tickCount=6, labelBound=False))  # fmt: skip
    colours = {state: colour for state, colour in _COLOURS.items() if state in set(table.state)}
    states = alt.Color("state:N", legend=alt.Legend(orient="top", title=None),
                       scale=alt.Scale(domain=list(colours), range=list(colours.values())))  # fmt: skip
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


def _files(archive: Archive, result: Result) -> None:
    def as_json() -> bytes:
        return json.dumps(result.to_json(), indent=2, ensure_ascii=False).encode()

    download(
        [
            File("CSV", f"check-{result.check}.csv", "text/csv", lambda: as_csv(archive, result).encode()),
            File("JSON", f"check-{result.check}.json", "application/json", as_json),
        ],
        key=f"check-files-{result.check}",
    )


def groups_of(result: Result) -> list[list[Pick]]:
    """Give the picks that belong together, where they are of several films: first those that show one picture."""
    groups: dict[int, list[Pick]] = {}
    for pick in result.picks:
        if pick.group:
            groups.setdefault(pick.group, []).append(pick)
    several = [group for group in groups.values() if len({pick.film for pick in group}) > 1]
    return sorted(several, key=lambda group: group[0].why != "near-duplicate")


def _side_by_side(archive: Archive, result: Result) -> None:
    every = groups_of(result)
    if not every:
        return
    st.subheader("Side by side")
    most = st.session_state.get(_SHOWN, GROUPS)
    for start in range(0, min(most, len(every)), 2):
        for column, group in zip(st.columns(2, gap="medium"), every[start : start + 2], strict=False):
            with column:
                _group(archive, group)
    left = len(every) - most
    if left > 0 and st.button(f"{number(min(GROUPS, left))} more of {number(left)}", key="more-groups"):
        st.session_state[_SHOWN] = most + GROUPS
        st.rerun(scope="fragment")


def _group(archive: Archive, group: Sequence[Pick]) -> None:
    """Show the films of one group, with why they are one."""
    first = group[0]
    measured = [f"{name} {_short(first.evidence[name])}" for name in ("likeness", "cosine") if first.evidence.get(name)]
    rest = [f"the first {IN_GROUP} of {counted(len(group), 'film')}"] if len(group) > IN_GROUP else []
    title = f"{first.group}: {', '.join([first.why, *measured, *rest])}"
    st.markdown(plain(title))
    films = db_films.films(archive.catalog, [pick.film for pick in group[:IN_GROUP]])
    done = wall_of_films(
        archive.catalog,
        films,
        key=f"wall-group-{first.group}",
        title=title,
        tools=(Act.PICK,),
        marks={pick.film: (Mark.NOTED, _role(pick)) for pick in group if _role(pick)},
    )
    if done and done.act is Act.OPEN:
        st.switch_page(layout.pages()["film"], query_params={"film": str(done.film)})


def _role(pick: Pick) -> str:
    """Say what a film is in its group: the side that it is on, or whether to keep it."""
    return str(pick.evidence.get("side") or pick.evidence.get("advice") or "")


def _pick_buttons(result: Result) -> None:
    """Offer to pick all films with one role: those to drop, or those of one side."""
    by_role: dict[str, list[int]] = {}
    for pick in result.picks:
        if _role(pick) and _role(pick) != "keep":
            by_role.setdefault(_role(pick), []).append(pick.film)
    with st.container(horizontal=True):
        for role, films in sorted(by_role.items())[:6]:
            ids = list(dict.fromkeys(films))
            words = _TO_DO.get(role, f"in {plain(role)}")
            if st.button(f"Pick the {number(len(ids))} {words}", key=f"pick-role-{role}"):
                picks.order_change(add=ids)
                st.rerun()


def _labels(archive: Archive, result: Result) -> None:
    """Show the doubtful labels of one finding, the most doubtful first, as a table and as a grid."""
    names = list(dict.fromkeys(str(pick.evidence["finding"]) for pick in result.picks))
    if not names:
        return
    counts = {name: sum(pick.evidence["finding"] == name for pick in result.picks) for name in names}
    chosen = st.selectbox(
        "Finding", names, key="check-finding", format_func=lambda name: f"{name} ({number(counts.get(name, 0))})"
    )
    doubtful = [pick for pick in result.picks if pick.evidence["finding"] == chosen]
    wall(archive, "check-labels", _listed(doubtful), request=SearchRequest(chosen or ""))
    st.caption("A doubt is no proof: pick films and choose Judge to look at them one at a time.")
    rows = [
        {"Rank": rank, "Film": pick.film, "Why": pick.why, **{name.capitalize(): cell(v) if isinstance(v, str) else v
         for name, v in pick.evidence.items() if name != "finding"}}
        for rank, pick in enumerate(doubtful[:_ROWS_SHOWN], 1)
    ]  # fmt: skip
    st.dataframe(pd.DataFrame(rows).round(3), hide_index=True, alt="The films with what speaks against their label")


def _queue(archive: Archive, result: Result) -> None:
    """Show the films to label for a finding, or to judge for one query of a set, and hand them on to Judge."""
    if not result.picks:
        return
    of = "query" if "query" in result.picks[0].evidence else "finding"
    by_name: dict[str, list[int]] = {}
    for pick in result.picks:
        by_name.setdefault(str(pick.evidence[of]), []).append(pick.film)
    name = next(iter(by_name))
    if len(by_name) > 1:
        name = st.selectbox("Query", list(by_name), key="check-next-query") or name
    films = tuple(by_name.get(name, ()))
    if st.button(f"Judge the {counted(len(films), 'film')}", key="judge-queue", type="primary"):
        st.session_state["judge-films"] = films
        st.switch_page(layout.pages()["judge"], query_params={"judged": name})
    st.caption("They come in Judge one at a time, whatever the model holds of them.")
    wall(archive, "check-next", FilmList(films, {}, ""), request=SearchRequest(name))


def _listed(picked: Sequence[Pick]) -> FilmList:
    says: dict[int, list[str]] = {}
    for pick in picked:
        says.setdefault(pick.film, []).append(_says(pick))
    return FilmList(tuple(says), {film: "; ".join(dict.fromkeys(reasons)) for film, reasons in says.items()}, "")


def _says(pick: Pick) -> str:
    """Say of a film in a few words why it is here."""
    if "doubt" in pick.evidence:
        return f"doubt {_short(pick.evidence['doubt'])}, {pick.evidence['label']}"
    words = ", ".join(word for word in (_role(pick), pick.why) if word)
    return f"{pick.group}: {words}" if pick.group else words


def _short(value: Value) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
