// Facts and reports as text: nothing here reads markup.
export default function show({ data, parentElement }) {
  const sheet = parentElement.querySelector(".sheet");
  if (!sheet || !data) return;
  const parts = [];
  if (data.facts.length) {
    const list = document.createElement("dl");
    for (const [name, value] of data.facts) {
      const term = document.createElement("dt");
      const said = document.createElement("dd");
      term.textContent = name;
      said.textContent = value;
      list.append(term, said);
    }
    parts.push(list);
  }
  for (const paragraph of data.paragraphs) {
    const p = document.createElement("p");
    for (const [text, marked, kind] of paragraph) {
      const piece = document.createElement(marked ? "mark" : "span");
      if (kind) {
        piece.className = kind;
        piece.title = { says: "Says that it is there", denies: "Denies", doubts: "Leaves it open" }[kind];
      }
      piece.textContent = text;
      p.append(piece);
    }
    parts.push(p);
  }
  sheet.replaceChildren(...parts);
}
