// The map: films as points. Its view and selection live with the element, so that a rerun keeps them; only a drag, a
// key or a button changes what is selected, never the wheel.

const maps = new WeakMap();

class FilmMap {
  constructor(root) {
    this.root = root;
    this.find = (selector) => root.querySelector(selector);
    this.canvas = this.find("canvas");
    Object.assign(this, { x: [], y: [], value: [], ids: [], colours: [], chosen: new Set(), polygon: [], tool: "lasso" });
    this.view = { zoom: 1, x: 0, y: 0 };
    this.listen();
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(this.find(".stage"));
  }

  async update(data, send) {
    const isNew = this.data?.points !== data.points;
    Object.assign(this, { data, send });
    this.canvas.setAttribute("aria-label", data.title);
    if (!isNew) return this.draw();
    try {
      const answer = await fetch(data.points);
      const raw = await answer.arrayBuffer();
      if (this.data !== data) return undefined;
      const before = this.ids;
      const n = data.count;
      this.ids = new Float64Array(raw, 0, n);
      this.x = new Float32Array(raw, 8 * n, n);
      this.y = new Float32Array(raw, 12 * n, n);
      this.value = new Float32Array(raw, 16 * n, n);
      if (before.length !== n || before.some((id, i) => id !== this.ids[i])) this.choose([], [], false);
      this.find(".notice").textContent = "";
    } catch {
      this.find(".notice").textContent = "The map could not be loaded. Reload the page to try again.";
    }
    this.colour();
    this.legend();
    return this.draw();
  }

  /** A colour a point: of its kind, or of where it lies between the least and the greatest value. */
  colour() {
    const { kinds, low, high } = this.data;
    const said = getComputedStyle(this.find(".scatter")).getPropertyValue("--st-chart-categorical-colors");
    this.palette = said.match(/#[\da-f]{6}/gi) ?? ["#6fb1d6", "#e5a561", "#7fc79a", "#b7a3e3", "#ec8b82", "#e3c565", "#79c7c5", "#d79bc0", "#a8b46b"];
    const packs = (kinds ?? []).map((kind, at) => (kind.plain ? NONE : packed(this.palette[at % 9])));
    this.colours = Uint32Array.from(this.value, (value) => {
      if (Number.isNaN(value)) return NONE;
      return kinds ? packs[value] : rampColour((value - low) / Math.max(1e-9, high - low));
    });
  }

  legend() {
    const { kinds, low, high, unit } = this.data;
    const item = () => document.createElement("li");
    if (!kinds) {
      const box = item();
      box.className = "ramp";
      const bar = document.createElement("i");
      bar.style.background = `linear-gradient(90deg, ${STOPS.map((stop) => `rgb(${stop})`).join(", ")})`;
      box.append(`${unit}: ${Number(low.toFixed(2))}`, bar, `${Number(high.toFixed(2))}`);
      return this.find(".legend").replaceChildren(box);
    }
    return this.find(".legend").replaceChildren(...kinds.map((kind, at) => {
      const box = item();
      const button = document.createElement("button");
      button.type = "button";
      const dot = document.createElement("i");
      dot.style.background = kind.plain ? "#78818a" : this.palette[at % 9];
      const several = kind.having > kind.count;
      button.append(dot, `${kind.name} (${kind.count}${several ? ` of ${kind.having}` : ""})`);
      button.title = several ? `Select the ${kind.count} films of this colour; ${kind.having} have it` : "Select these films";
      button.onclick = () => this.choose([...this.value.keys()].filter((i) => this.value[i] === at), [], true);
      box.append(button);
      return box;
    }));
  }

  // -- geometry, in pixels of the screen --------------------------------------------------------------------------
  scale() {
    return (Math.min(this.canvas.clientWidth, this.canvas.clientHeight) / 2.1) * this.view.zoom;
  }

  origin() {
    return { x: this.canvas.clientWidth / 2 + this.view.x, y: this.canvas.clientHeight / 2 + this.view.y };
  }

  toMap(px, py) {
    const { x, y } = this.origin();
    return [(px - x) / this.scale(), (y - py) / this.scale()];
  }

  zoomTo(zoom, px = this.canvas.clientWidth / 2, py = this.canvas.clientHeight / 2) {
    const next = Math.min(200, Math.max(0.5, zoom));
    const ratio = next / this.view.zoom;
    const [cx, cy] = [px - this.canvas.clientWidth / 2, py - this.canvas.clientHeight / 2];
    this.view = { zoom: next, x: cx - (cx - this.view.x) * ratio, y: cy - (cy - this.view.y) * ratio };
    this.draw();
  }

  nearest(px, py) {
    const [x, y] = this.toMap(px, py);
    const reach = 9 / this.scale();
    let [best, least] = [-1, reach * reach];
    for (let i = 0; i < this.x.length; i += 1) {
      const distance = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2;
      if (distance < least) [best, least] = [i, distance];
    }
    return best;
  }

  // -- drawing ----------------------------------------------------------------------------------------------------
  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    const started = performance.now();
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(this.canvas.clientWidth * ratio), Math.round(this.canvas.clientHeight * ratio)];
    if (!wide || !this.ids.length) return;
    if (this.canvas.width !== wide) this.canvas.width = wide;
    if (this.canvas.height !== high) this.canvas.height = high;
    const { x, y } = this.origin();
    const size = this.ids.length < 3000 ? 4 : this.ids.length < 20000 ? 3 : 2;
    const radius = Math.max(1, Math.round(size * Math.min(2, Math.sqrt(this.view.zoom)) * ratio * 0.9));
    paintPoints(this.canvas, this, { x: x * ratio, y: y * ratio, scale: this.scale() * ratio }, radius);
    const path = [];
    for (let i = 0; i < this.polygon.length; i += 2) path.push(`${x + this.polygon[i] * this.scale()},${y - this.polygon[i + 1] * this.scale()}`);
    this.find("path").setAttribute("d", path.length > 1 ? `M${path.join("L")}Z` : "");
    this.canvas.dataset.took = (performance.now() - started).toFixed(1);
  }

  // -- what is selected -------------------------------------------------------------------------------------------
  choose(indices, polygon, tell) {
    this.chosen = new Set(indices);
    this.polygon = polygon;
    const { size } = this.chosen;
    this.find(".count").textContent = size ? `${size.toLocaleString("en").replaceAll(",", "\u202f")} selected` : "";
    this.find("[data-act=pick]").textContent = size ? `Pick these ${size}` : "Pick these";
    for (const name of ["pick", "clear"]) this.find(`[data-act=${name}]`).disabled = !size;
    this.draw();
    if (tell) this.send("region", indices.map((i) => this.ids[i]));
  }

  act(name) {
    if (name === "in") this.zoomTo(this.view.zoom * 1.4);
    if (name === "out") this.zoomTo(this.view.zoom / 1.4);
    if (name === "fit") this.view = { zoom: 1, x: 0, y: 0 };
    if (name === "clear") this.choose([], [], true);
    if (name === "pick") setPicks(picksOf(this.data.picks), [...this.chosen].map((i) => String(this.ids[i])), true);
    if (name === "view") {
      const [left, top] = this.toMap(0, 0);
      const [right, low] = this.toMap(this.canvas.clientWidth, this.canvas.clientHeight);
      const box = [left, top, right, top, right, low, left, low];
      this.choose(within(this.x, this.y, box), box, true);
    }
    this.draw();
  }

  hover(px, py) {
    const at = this.nearest(px, py);
    const tip = this.find(".tip");
    tip.hidden = at < 0;
    this.canvas.style.cursor = at >= 0 ? "pointer" : "";
    if (at < 0 || at === this.over) return void (this.over = at);
    this.over = at;
    const image = tip.querySelector("img");
    image.hidden = false;
    image.onerror = () => { image.hidden = true; };
    image.src = this.data.thumbnails.replace("ID", this.ids[at]);
    const value = this.value[at];
    const said = this.data.kinds ? this.data.kinds[value].name : Number.isNaN(value) ? "unknown" : `${this.data.unit} ${Number(value.toFixed(3))}`;
    tip.querySelector("span").textContent = `Film ${this.ids[at]}: ${said}`;
    const right = px + 170 > this.canvas.clientWidth;
    tip.style.left = `${right ? px - 164 : px + 14}px`;
    tip.style.top = `${Math.max(4, Math.min(py + 12, this.canvas.clientHeight - 210))}px`;
    return undefined;
  }

  listen() {
    const place = (event) => {
      const edge = this.canvas.getBoundingClientRect();
      return [event.clientX - edge.left, event.clientY - edge.top];
    };
    let drag = null;
    this.canvas.onpointerdown = (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      const [px, py] = place(event);
      const moves = this.tool === "move" || event.button !== 0 || event.shiftKey;
      drag = { moves, from: [px, py], last: [px, py], far: false, line: [...this.toMap(px, py)] };
      this.find(".tip").hidden = true;
    };
    this.canvas.onpointermove = (event) => {
      const [px, py] = place(event);
      if (!drag) return this.hover(px, py);
      drag.far ||= Math.hypot(px - drag.from[0], py - drag.from[1]) > 4;
      if (!drag.far) return undefined;
      if (drag.moves) {
        this.view.x += px - drag.last[0];
        this.view.y += py - drag.last[1];
      } else {
        drag.line.push(...this.toMap(px, py));
        this.polygon = drag.line;
      }
      drag.last = [px, py];
      return this.draw();
    };
    this.canvas.onpointerup = () => {
      if (!drag) return;
      const { moves, far, line, from } = drag;
      drag = null;
      if (far && !moves) this.choose(within(this.x, this.y, line), line, true);
      if (far || moves) return;
      const at = this.nearest(...from);
      if (at >= 0) this.send("open", this.ids[at]);
    };
    this.canvas.onpointercancel = () => { drag = null; };
    this.canvas.onpointerleave = () => { this.find(".tip").hidden = true; };
    this.canvas.oncontextmenu = (event) => event.preventDefault();
    this.canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoomTo(this.view.zoom * Math.exp(-event.deltaY / 200), ...place(event));
    }, { passive: false });
    this.canvas.onkeydown = (event) => this.key(event);
    this.root.querySelectorAll("button[data-act]").forEach((button) => { button.onclick = () => this.act(button.dataset.act); });
    this.root.querySelectorAll("button[data-tool]").forEach((button) => { button.onclick = () => this.take(button.dataset.tool); });
  }

  take(tool) {
    this.tool = tool;
    this.canvas.dataset.tool = tool;
    this.root.querySelectorAll("button[data-tool]").forEach((one) => one.setAttribute("aria-checked", String(one.dataset.tool === tool)));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    const acts = { "+": "in", "=": "in", "-": "out", 0: "fit", v: "view", Escape: "clear" };
    if (steps[event.key]) {
      this.view.x += steps[event.key][0];
      this.view.y += steps[event.key][1];
      this.draw();
    } else if (acts[event.key]) this.act(acts[event.key]);
    else if (event.key === "l") this.take("lasso");
    else return;
    event.preventDefault();
  }
}

export default function show({ data, parentElement, setTriggerValue }) {
  let map = maps.get(parentElement);
  if (!map || !map.root.contains(map.canvas)) {
    map = new FilmMap(parentElement);
    maps.set(parentElement, map);
  }
  if (data) map.update(data, setTriggerValue);
  return () => {
    if (!(parentElement.host ?? parentElement).isConnected) map.watcher.disconnect();
  };
}
