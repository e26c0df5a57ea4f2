// Dragging over films with the mouse picks those that the frame touches; with Alt it drops them, Escape ends it.

function dragPicks(list, picks) {
  const frame = document.createElement("div");
  frame.className = "drag-frame";
  let drag = null;
  const within = () => {
    const { left, top } = list.getBoundingClientRect(); // the page may scroll below the mouse
    const x = [drag.from.x + left, drag.now.x].sort((a, b) => a - b);
    const y = [drag.from.y + top, drag.now.y].sort((a, b) => a - b);
    Object.assign(frame.style, { left: `${x[0]}px`, top: `${y[0]}px`, width: `${x[1] - x[0]}px`, height: `${y[1] - y[0]}px` });
    return [...list.querySelectorAll(".cell")].filter((cell) => {
      const box = cell.querySelector(".frame").getBoundingClientRect();
      const touched = box.right > x[0] && box.left < x[1] && box.bottom > y[0] && box.top < y[1];
      cell.classList.toggle("dragged", touched);
      return touched;
    });
  };
  const end = () => {
    drag = null;
    frame.remove();
    list.querySelectorAll(".dragged").forEach((cell) => cell.classList.remove("dragged"));
    window.removeEventListener("pointermove", move);
    window.removeEventListener("pointerup", up);
    window.removeEventListener("keydown", cancel, true);
  };
  const move = (event) => {
    drag.now = { x: event.clientX, y: event.clientY };
    const { left, top } = list.getBoundingClientRect();
    const far = Math.hypot(event.clientX - drag.from.x - left, event.clientY - drag.from.y - top) > 8;
    if (far && !drag.far) list.after(frame);
    drag.far ||= far;
    if (drag.far) within();
  };
  const up = (event) => {
    const { far } = drag;
    const ids = far ? within().map((cell) => cell.querySelector(".frame").dataset.id) : [];
    end();
    if (!far) return;
    setPicks(picks, ids, !event.altKey);
    // The click that follows a drag is none.
    const nothing = (click) => { click.preventDefault(); click.stopPropagation(); };
    window.addEventListener("click", nothing, { capture: true, once: true });
    setTimeout(() => window.removeEventListener("click", nothing, true), 50);
  };
  const cancel = (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    end();
  };
  list.ondragstart = (event) => event.preventDefault();
  list.onpointerdown = (event) => {
    if (event.pointerType !== "mouse" || event.button !== 0 || event.shiftKey || event.ctrlKey || event.metaKey) return;
    if (event.target.closest("button")) return;
    const { left, top } = list.getBoundingClientRect();
    drag = { from: { x: event.clientX - left, y: event.clientY - top }, now: { x: event.clientX, y: event.clientY }, far: false };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", up);
    window.addEventListener("keydown", cancel, true);
  };
}
