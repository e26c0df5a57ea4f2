// Facets: a list of values a section, each with its count and a bar. Texts go in as textContent only.

const FEW = 8;
const opened = new Set();

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function line(section, value, most, choose) {
  const item = make("li", `value ${value.chosen}`);
  const button = make("button", "only");
  button.type = "button";
  button.setAttribute("aria-pressed", String(value.chosen === "only"));
  const share = make("i");
  share.style.width = `${most ? (100 * value.count) / most : 0}%`;
  button.append(share, make("span", "text", value.text), make("span", "count", value.count.toLocaleString("en").replaceAll(",", "\u202f")));
  button.title = value.text;
  button.onclick = () => choose({ name: section.name, value: value.value, how: "only" });
  item.append(button);
  if (section.can_exclude) {
    const without = make("button", "not", "\u2212");
    without.type = "button";
    without.title = `Leave out ${value.text}`;
    without.setAttribute("aria-label", `Leave out ${section.title} ${value.text}`);
    without.setAttribute("aria-pressed", String(value.chosen === "not"));
    without.onclick = () => choose({ name: section.name, value: value.value, how: "not" });
    item.append(without);
  }
  return item;
}

function show_section(section, choose, again) {
  const box = make("section");
  box.dataset.facet = section.name;
  box.append(make("h4", "", section.title));
  const list = make("ul");
  const most = Math.max(...section.values.map((value) => value.count));
  const whole = opened.has(section.name) || section.values.length <= FEW + 1;
  const shown = section.values.filter((value, at) => whole || at < FEW || value.chosen);
  list.append(...shown.map((value) => line(section, value, most, choose)));
  box.append(list);
  if (!whole) {
    const more = make("button", "more", `${section.values.length - shown.length} more`);
    more.type = "button";
    more.onclick = () => {
      opened.add(section.name);
      again();
    };
    box.append(more);
  }
  return box;
}

export default function show({ data, parentElement, setTriggerValue }) {
  const place = parentElement.querySelector(".facets");
  if (!place || !data) return;
  const choose = (what) => setTriggerValue("choose", what);
  const draw = () => place.replaceChildren(...data.sections.map((section) => show_section(section, choose, draw)));
  draw();
}
