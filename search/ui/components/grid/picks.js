// Picks live in this tab, not on the server: a key changes them at once, a reload keeps them, and the server hears of
// them with what is to be done to them. All walls of a page share one set, which its place names: that of an archive.

const MOST_KEPT = 100000;

function storedPicks(place) {
  try {
    const found = JSON.parse(sessionStorage.getItem(place) ?? "[]");
    return Array.isArray(found) ? found.filter((id) => /^\d{1,17}$/.test(id)).slice(0, MOST_KEPT) : [];
  } catch {
    return [];
  }
}

function picksOf(place) {
  if (window.filmroomPicks?.place !== place) {
    window.filmroomPicks = { place, ids: new Set(storedPicks(place)), cleared: [], done: "" };
  }
  return window.filmroomPicks;
}

function keepPicks(picks) {
  try {
    sessionStorage.setItem(picks.place, JSON.stringify([...picks.ids]));
  } catch {
    // A browser that keeps nothing loses them with a reload.
  }
  window.dispatchEvent(new Event("filmroom-picks"));
}

function setPicks(picks, ids, on) {
  picks.cleared = [];
  for (const id of ids) {
    if (!on) picks.ids.delete(id);
    else if (picks.ids.size < MOST_KEPT) picks.ids.add(id);
  }
  keepPicks(picks);
}

/** What the server adds or takes away, once: "all that pass", films that were taken out. */
function obeyServer(picks, change) {
  if (!change || change.token === picks.done) return;
  picks.done = change.token;
  setPicks(picks, change.drop ?? [], false);
  setPicks(picks, change.add ?? [], true);
}

const ACTIONS = {
  collect: ["Collect", "Put these films into a collection"],
  tag: ["Tag", "Put tags on these films, or take them off"],
  export: ["Export", "A table or TREC run of exactly these films"],
  copy: ["Copy", "Copy the files of these films into a folder"],
  similar: ["More like these", "Search by these films"],
  judge: ["Judge", "Grade these films for the query"],
  take_out: ["Take out", "Take these films out of the collection"],
};
/** What may be done without picks: the server then asks whether the films shown or all that pass are meant. */
const WITHOUT_PICKS = new Set(["collect", "tag", "export", "copy"]);

function barButton(text, title, press) {
  const button = make("button", "", text);
  button.type = "button";
  button.title = title;
  button.onclick = press;
  return button;
}

/** The bar above a wall; `refresh` of what it returns says how many are picked. */
function pickBar(place, { bar, shown, picks, act }) {
  const count = make("span", "count");
  count.setAttribute("role", "status");
  const every = barButton("", "", () => setPicks(picks, shown, !shown.every((id) => picks.ids.has(id))));
  every.dataset.do = "shown";
  const passing = barButton(bar.passing, "Pick every film that passes, on this page or not", () => act("passing", []));
  passing.dataset.do = "passing";
  passing.hidden = !bar.passing;
  const actions = bar.actions.map((name) => {
    const button = barButton(ACTIONS[name][0], ACTIONS[name][1], () => act(name, [...picks.ids]));
    button.dataset.do = name;
    return button;
  });
  const clear = barButton("", "", () => {
    const { cleared } = picks;
    if (picks.ids.size) {
      const all = [...picks.ids];
      picks.ids.clear();
      setPicks(picks, [], false);
      picks.cleared = all;
      keepPicks(picks);
    } else setPicks(picks, cleared, true);
  });
  clear.dataset.do = "clear";
  const gap = make("span", "gap");
  place.replaceChildren(count, every, passing, gap, ...actions, clear);
  return () => {
    const { size } = picks.ids;
    const here = shown.reduce((sum, id) => sum + picks.ids.has(id), 0);
    const told = size ? `${size.toLocaleString("en").replaceAll(",", "\u202f")} picked` : "None picked";
    count.textContent = size > here ? `${told}, ${here ? `${size - here} of them` : "all"} not shown here` : told;
    count.classList.toggle("some", size > 0);
    every.textContent = shown.length && here === shown.length ? "None of these" : `All ${shown.length} shown`;
    every.title = "Pick or drop the films of this page. Shift and a click pick a range, X the film that has the keyboard";
    every.disabled = shown.length === 0;
    actions.forEach((button) => { button.disabled = !size && !WITHOUT_PICKS.has(button.dataset.do); });
    const back = picks.cleared.length;
    clear.textContent = size || !back ? "Clear" : `Bring back ${back}`;
    clear.title = size || !back ? "Drop all picks" : "Pick again what was dropped";
    clear.disabled = !size && !back;
  };
}
