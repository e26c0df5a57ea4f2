// Recent searches, kept in this browser and nowhere else; and "/" goes to the search box from anywhere on the page.

const PLACE = "filmroom-recent";
const KEPT = 8;

function recent() {
  try {
    const found = JSON.parse(localStorage.getItem(PLACE) ?? "[]");
    return Array.isArray(found) ? found.filter((query) => typeof query === "string").slice(0, KEPT) : [];
  } catch {
    return [];
  }
}

function keep(queries) {
  try {
    localStorage.setItem(PLACE, JSON.stringify(queries.slice(0, KEPT)));
  } catch {
    // A browser that keeps nothing has no recent searches.
  }
}

function toSearchBox(event) {
  const at = event.composedPath()[0];
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName ?? "")) return;
  const box = document.querySelector('input[type="search"]');
  if (!box) return;
  event.preventDefault();
  box.focus();
  box.select();
}

function chip(text, className, press) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = className;
  button.textContent = text;
  button.onclick = press;
  return button;
}

export default function show({ data, parentElement, setTriggerValue }) {
  const place = parentElement.querySelector(".memory");
  if (!place || !data) return undefined;
  if (data.query && recent()[0] !== data.query) keep([data.query, ...recent().filter((query) => query !== data.query)]);
  document.removeEventListener("keydown", window.filmroomSlash);
  window.filmroomSlash = toSearchBox;
  document.addEventListener("keydown", toSearchBox);
  const queries = data.list ? recent() : [];
  const heading = document.createElement("span");
  heading.textContent = "Recent";
  const chips = queries.map((query) => chip(query, "", () => setTriggerValue("ask", query)));
  const forget = chip("Forget these", "quiet", () => {
    keep([]);
    place.replaceChildren();
  });
  place.replaceChildren(...(queries.length ? [heading, ...chips, forget] : []));
  return () => document.removeEventListener("keydown", toSearchBox);
}
