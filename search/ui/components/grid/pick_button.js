// One film's pick, beside the film: the same set as on the walls. P does what a click does.

export default function show({ data, parentElement }) {
  const button = parentElement.querySelector("button");
  if (!button || !data) return undefined;
  const picks = picksOf(data.picks);
  const refresh = () => {
    const on = picks.ids.has(data.film);
    button.setAttribute("aria-pressed", String(on));
    button.textContent = on ? "\u2713 Picked" : "Pick";
    button.title = `${data.keyed ? "P; " : ""}${picks.ids.size} picked in all`;
  };
  const toggle = () => setPicks(picks, [data.film], !picks.ids.has(data.film));
  const key = (event) => {
    const at = event.composedPath()[0];
    if (event.key.toLowerCase() !== "p" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName ?? "")) return;
    event.preventDefault();
    toggle();
  };
  button.onclick = toggle;
  refresh();
  window.addEventListener("filmroom-picks", refresh);
  if (data.keyed) document.addEventListener("keydown", key);
  return () => {
    window.removeEventListener("filmroom-picks", refresh);
    document.removeEventListener("keydown", key);
  };
}
