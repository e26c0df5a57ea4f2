// The parts of a search as chips. Text of queries and files goes in as textContent only.

function make(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

function chip({ part, kind, text, says, href, src }, remove) {
  const box = make("li", `chip ${kind.replace(" ", "-")}`);
  box.dataset.part = part;
  if (kind !== "warning") box.append(make("span", "kind", kind));
  if (src) {
    const image = make("img");
    image.src = src;
    image.alt = "";
    box.append(image);
  }
  const name = make(href ? "a" : "span", "text", text);
  if (href) name.href = href;
  box.append(name);
  if (says) box.append(make("span", "says", says));
  if (part) {
    const button = make("button", "remove", "\u00d7");
    button.type = "button";
    button.setAttribute("aria-label", `Take away: ${kind} ${text}`);
    button.title = "Take away";
    button.onclick = () => remove(part);
    box.append(button);
  }
  return box;
}

export default function show({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector(".chips");
  if (!list || !data) return;
  const remove = (part) => setTriggerValue("remove", part);
  const offers = data.offers.map((text) => {
    const box = make("li", "offer");
    const button = make("button", "", text);
    button.type = "button";
    button.onclick = () => setTriggerValue("take", text);
    box.append(button);
    return box;
  });
  list.replaceChildren(...data.items.map((item) => chip(item, remove)), ...offers);
}
