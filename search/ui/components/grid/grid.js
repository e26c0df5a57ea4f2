// The wall of films. Text from files and queries goes in as textContent only; addresses only into src and href.

const ICONS = {
  up: "M6 10v9M6 19h10.5l2-7.5V10H13l1-5.5L12.5 4 6 11",
  down: "M18 14V5M18 5H7.5l-2 7.5V14H11l-1 5.5 1.5.5L18 13",
  like: "M10.5 17a6.5 6.5 0 1 1 0-13 6.5 6.5 0 0 1 0 13zM15.5 15.5 20 20M10.5 7.8v5.4M7.8 10.5h5.4",
  pick: "M5 12.5l4.5 4.5L19 7.5",
  viewer: "M10 5H5v14h14v-5M13.5 4.5H19.5V10.5M19 5l-8.5 8.5",
};
const SAYS = { up: "More of this (U)", down: "Less of this (D)", like: "Films like this one (M)", pick: "Pick (X; with Shift, all from the last pick)" };
const KEYS = { u: "up", d: "down", m: "like", x: "pick", s: "study" };

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

function cell(item, tools, act, pick) {
  const box = make("li", "cell");
  if (item.mark) box.classList.add(item.mark);
  const link = make("a", "frame");
  link.href = item.href;
  link.dataset.id = item.id;
  link.setAttribute("aria-label", item.alt);
  if (item.src) {
    const image = make("img");
    if (!item.src.startsWith("data:")) image.loading = "lazy";
    image.decoding = "async";
    image.alt = "";
    image.src = item.src;
    image.onerror = () => {
      image.onerror = null;
      setTimeout(() => { image.src = item.src; }, 500);
    };
    link.append(image);
  } else {
    link.classList.add("none");
    link.append(make("span", "", "No thumbnail"));
  }
  const picks = tools.includes("pick");
  link.onclick = (event) => {
    if (event.ctrlKey || event.metaKey || event.button !== 0 || (event.shiftKey && !picks)) return;
    event.preventDefault();
    if (event.shiftKey) pick(item.id, true);
    else act("open", item.id);
  };
  if (picks) box.onmousedown = (event) => { if (event.shiftKey) event.preventDefault(); };
  box.append(link);
  if (tools.length || item.viewer) {
    const bar = make("div", "tools");
    if (item.viewer) {
      const out = make("a");
      out.href = item.viewer;
      out.target = "_blank";
      out.rel = "noopener noreferrer";
      out.tabIndex = -1;
      out.title = "Open in the DICOM viewer (V)";
      out.dataset.tool = "viewer";
      out.setAttribute("aria-label", `${out.title}: ${item.alt}`);
      out.append(icon("viewer"));
      bar.append(out);
    }
    tools.filter((name) => ICONS[name]).forEach((name) => {
      const button = make("button");
      button.type = "button";
      button.tabIndex = -1;
      button.title = SAYS[name];
      button.dataset.tool = name;
      button.setAttribute("aria-label", `${SAYS[name]}: ${item.alt}`);
      const on = (name === "up" && item.vote > 0) || (name === "down" && item.vote < 0);
      if (name !== "like") button.setAttribute("aria-pressed", String(on));
      if (on) bar.classList.add("voted");
      button.append(icon(name));
      button.onclick = (event) => (name === "pick" ? pick(item.id, event.shiftKey) : act(name, item.id));
      bar.append(button);
    });
    box.append(bar);
  }
  if (item.bar !== null && item.bar !== undefined) {
    const bar = make("div", "bar");
    bar.setAttribute("aria-hidden", "true");
    const fill = make("i");
    fill.style.width = `${Math.round(Math.min(1, Math.max(0, item.bar)) * 100)}%`;
    bar.append(fill);
    box.append(bar);
  }
  const line = make("div", "line");
  line.append(make("span", "", item.facts));
  if (item.score) {
    const score = make("span", "score muted", item.score);
    score.title = item.score_says ?? "";
    line.append(score);
  }
  box.append(line);
  const labels = make("div", "labels muted");
  const texts = item.terms.map(([text]) => text).join(", ");
  if (item.mark) {
    const whole = [item.mark_says, texts].filter(Boolean).join(" · ");
    const mark = make("span", `${item.mark}-mark`, texts ? `${item.mark_says} · ` : item.mark_says);
    mark.title = whole; // a small film has no room for all of it
    labels.append(mark);
  }
  item.terms.forEach(([text, term], at) => {
    if (at) labels.append(", ");
    const name = make(tools.includes("filter") ? "button" : "span", "term", text);
    if (tools.includes("filter")) {
      name.type = "button";
      name.tabIndex = -1;
      name.title = `Filter by ${term}${item.terms.length > 1 ? ` (of ${texts})` : ""}`;
      name.onclick = () => act("filter", item.id, term);
    }
    labels.append(name);
  });
  if (!labels.childNodes.length) labels.textContent = "\u00a0";
  labels.title = texts;
  box.append(labels);
  return box;
}

function move(list, from, key) {
  const links = [...list.querySelectorAll(".frame")];
  const at = links.indexOf(from);
  const top = (link) => Math.round(link.getBoundingClientRect().top);
  const across = Math.max(1, links.filter((link) => top(link) === top(links[0])).length);
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[key];
  let to = at;
  if (key === "Home") to = 0;
  else if (key === "End") to = links.length - 1;
  else if (at + step >= 0 && at + step < links.length) to = at + step;
  links.forEach((l, i) => { l.tabIndex = i === to ? 0 : -1; });
  links[to]?.focus();
}

/** Marks the cells that are picked; nothing is drawn anew. */
function showPicked(list, picks) {
  list.querySelectorAll(".cell").forEach((box) => {
    const on = picks.ids.has(box.querySelector(".frame").dataset.id);
    if (box.classList.contains("picked") === on) return;
    box.classList.toggle("picked", on);
    box.querySelector("[data-tool=pick]")?.setAttribute("aria-pressed", String(on));
  });
}

/** A film is picked or dropped; with `range`, so are all from the one before it. */
function picker(list, picks, shown) {
  return (id, range) => {
    const [from, to] = [shown.indexOf(list.anchor), shown.indexOf(id)].sort((a, b) => a - b);
    if (range && from >= 0) setPicks(picks, shown.slice(from, to + 1), true);
    else setPicks(picks, [id], range || !picks.ids.has(id));
    list.anchor = id;
  };
}

// Streamlit's dialogs hear Escape only while the keyboard is in them, which a run of the page takes away.
window.filmroomEscape ??= (document.addEventListener("keydown", (event) => {
  const inList = document.querySelector("[role=listbox]");
  const open = document.querySelector("[role=dialog]"); // never one that a click opens after the key
  if (event.key !== "Escape" || inList || !open) return;
  setTimeout(() => open.isConnected && open.querySelector("button[aria-label=Close]")?.click(), 200);
}, { capture: true }), true);

export default function show({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector(".grid");
  if (!list || !data) return undefined;
  const active = list.getRootNode().activeElement;
  const focused = active?.closest?.(".cell")?.querySelector(".frame")?.dataset.id;
  const tools = data.tools ?? [];
  const shown = data.bar?.shown ?? data.items.map((item) => item.id);
  const picks = picksOf(data.picks);
  const act = (what, id, term) => {
    if (what === "open" || what === "study") leave(id);
    setTriggerValue("act", { what, id, term });
  };
  const pick = picker(list, picks, shown);
  list.setAttribute("aria-label", data.title);
  list.classList.toggle("small", Boolean(data.small));
  list.replaceChildren(...data.items.map((item) => cell(item, tools, act, pick)));
  const links = [...list.querySelectorAll(".frame")];
  const home = links.find((link) => link.dataset.id === focused) ?? links[0];
  links.forEach((link) => { link.tabIndex = link === home ? 0 : -1; });
  if (focused && home) home.focus({ preventScroll: true });
  list.onkeydown = (event) => {
    const link = event.target.closest(".cell")?.querySelector(".frame");
    if (!link || event.ctrlKey || event.metaKey || event.altKey) return;
    const tool = KEYS[event.key.toLowerCase()];
    const viewer = event.key.toLowerCase() === "v" && link.closest(".cell").querySelector("[data-tool=viewer]");
    if (["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].includes(event.key)) move(list, link, event.key);
    else if (viewer) viewer.click();
    else if (!tool || !tools.includes(tool)) return;
    else if (tool === "pick") pick(link.dataset.id, event.shiftKey);
    else act(tool, link.dataset.id);
    event.preventDefault();
    event.stopPropagation();
  };
  if (tools.includes("pick")) dragPicks(list, picks);
  obeyServer(picks, data.change);
  const place = parentElement.querySelector(".picks");
  place.hidden = !data.bar;
  const send = (what, ids) => setTriggerValue("act", { what, ids });
  const refreshBar = data.bar ? pickBar(place, { bar: data.bar, shown, picks, act: send }) : () => {};
  const refresh = () => {
    if (tools.includes("pick")) showPicked(list, picks);
    refreshBar();
  };
  if (data.bar && data.items.length) place.append(sizeSlider(list));
  refresh();
  comeBack(list);
  window.addEventListener("filmroom-picks", refresh);
  return () => window.removeEventListener("filmroom-picks", refresh);
}
