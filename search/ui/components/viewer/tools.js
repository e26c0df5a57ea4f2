// The viewer's tools, pointers and keys, and the door that Streamlit calls.

Object.assign(Viewer.prototype, {
  attentionOn() {
    return this.find("[data-act=attention]").getAttribute("aria-pressed") === "true";
  },

  showState() {
    const { data } = this;
    const waiting = !this.film && !!(data.pixels || data.waiting);
    if (waiting || this.film || data.note) this.find(".notice").textContent = this.film || this.paper.width ? "" : waiting ? "Loading the film" : data.note ?? "";
    this.root.querySelectorAll("button[data-tool]").forEach((b) => b.setAttribute("aria-checked", String(b.dataset.tool === this.tool)));
    this.canvas.dataset.tool = this.tool;
    this.find("[data-act=preset]").value = this.view.preset;
    this.find("[data-act=invert]").setAttribute("aria-pressed", String(this.view.invert));
    this.find("[data-act=flip]").setAttribute("aria-pressed", String(this.view.flip));
    this.find("[data-act=keys]").setAttribute("aria-expanded", String(!this.find(".keys").hidden));
    for (const tool of ["ruler", "angle", "probe"]) this.find(`[data-tool=${tool}]`).disabled = !this.film;
    this.find("[data-act=regions]").setAttribute("aria-pressed", String(!this.view.bare));
    const attention = this.find("[data-act=attention]");
    const on = Boolean(data.attention);
    attention.setAttribute("aria-pressed", String(on));
    attention.disabled = !data.can_attend;
    attention.title = data.can_attend ? "Where the query matches (H)" : data.why_not ?? "";
    this.find(".opacity").hidden = !on;
    this.find(".warn").hidden = !on;
    for (const act of ["preset", "invert"]) this.find(`[data-act=${act}]`).disabled = !this.film;
  },

  choose(preset) {
    if (!this.film || !preset) return;
    this.view.window = presetWindow(preset, this.counts);
    this.view.preset = preset;
    this.develop(false);
    this.showState();
    this.draw();
  },

  shade(dx, dy, dragging) {
    if (!this.film) return;
    const { window: w } = this.view;
    const pace = Math.max(0.15, w.width);
    w.width = Math.min(2, Math.max(0.01, w.width + (dx / 500) * pace));
    w.centre = Math.min(1.5, Math.max(-0.5, w.centre + (dy / 500) * pace));
    this.view.preset = "";
    this.develop(dragging);
    this.draw();
  },

  act(name) {
    const { view } = this;
    if (name === "in") this.zoomTo(view.zoom * 1.25);
    if (name === "out") this.zoomTo(view.zoom / 1.25);
    if (name === "one") this.zoomTo(1 / (this.fitScale() * (window.devicePixelRatio || 1)));
    if (name === "fit") Object.assign(view, { zoom: 1, x: 0, y: 0 });
    if (name === "flip") Object.assign(view, { flip: !view.flip, x: -view.x });
    if (name === "drop") this.dropMeasure();
    if (name === "keys") this.find(".keys").hidden = !this.find(".keys").hidden;
    if (name === "rotate") Object.assign(view, { turn: (view.turn + 1) % 4, x: 0, y: 0 });
    if (name === "invert" && this.film) {
      view.invert = !view.invert;
      this.develop(false);
    }
    if (name === "reset") {
      this.view = freshView();
      this.develop(false);
    }
    if (name === "regions" && this.data.regions?.length) {
      view.bare = !view.bare;
      this.light(-1);
    }
    if (name === "full") {
      if (document.fullscreenElement) document.exitFullscreen();
      else this.find(".viewer").requestFullscreen?.().catch(() => {});
    }
    if (name === "attention" && this.data.can_attend) this.send("attention", !this.data.attention);
    this.showState();
    this.draw();
  },

  regionsOn() {
    return Boolean(this.data?.regions?.length) && !this.view.bare;
  },

  listRegions(regions) {
    const list = this.find(".regions");
    list.hidden = regions.length === 0;
    this.find(".group.marks").hidden = regions.length === 0;
    list.replaceChildren(...regions.map(({ text }, at) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.onfocus = button.onmouseenter = () => this.light(at);
      button.onblur = button.onmouseleave = () => this.light(-1);
      item.append(button);
      return item;
    }));
  },

  light(at, px, py) {
    this.lit = at;
    const tip = this.find(".tip");
    tip.hidden = at < 0 || px === undefined;
    if (!tip.hidden) {
      tip.textContent = this.data.regions[at].text;
      tip.style.left = `${Math.min(px + 14, this.canvas.clientWidth - 180)}px`;
      tip.style.top = `${py + 14}px`;
    }
    this.draw();
  },

  hover(px, py) {
    this.at = { x: px, y: py };
    if (this.tool === "magnifier") this.draw();
    if (!this.regionsOn()) return this.readOut();
    const { width, height } = this.size();
    const { x, y } = this.toFilm(px, py);
    const [u, v] = [x / width, y / height];
    // Of boxes one within another the smallest is meant.
    let [best, smallest] = [-1, Infinity];
    this.data.regions.forEach(({ boxes }, at) => boxes.forEach(([x0, y0, x1, y1]) => {
      const area = (x1 - x0) * (y1 - y0);
      if (u >= x0 && u <= x1 && v >= y0 && v <= y1 && area < smallest) [best, smallest] = [at, area];
    }));
    return this.light(best, px, py);
  },

  // Viewers that are linked tell each other what a reader does to one of them. A preset is each film's own window.
  tell() {
    if (!this.data?.linked) return;
    const { window: shade, preset, invert, turn, flip, zoom, x, y } = this.view;
    const said = JSON.stringify({ shade, preset, invert, turn, flip, zoom, x: x / this.canvas.clientWidth, y: y / this.canvas.clientHeight });
    if (said === this.said) return;
    this.said = said;
    window.dispatchEvent(new CustomEvent("filmroom-view", { detail: { from: this, said } }));
  },

  take({ from, said }) {
    if (from === this || !this.data?.linked) return;
    const { shade, preset, x, y, ...rest } = JSON.parse(said);
    Object.assign(this.view, rest, { preset, x: x * this.canvas.clientWidth, y: y * this.canvas.clientHeight });
    this.view.window = preset && this.film ? presetWindow(preset, this.counts) : { ...shade };
    this.said = said;
    this.develop(false);
    this.showState();
    this.draw();
  },

  listen() {
    for (const what of ["pointermove", "wheel", "keydown", "click", "dblclick", "change"]) {
      this.find(".viewer").addEventListener(what, () => setTimeout(() => this.tell()), { capture: true, passive: true });
    }
    const place = (event) => {
      const edge = this.canvas.getBoundingClientRect();
      return { x: event.clientX - edge.left, y: event.clientY - edge.top };
    };
    this.canvas.onpointerdown = (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, place(event));
      const panning = this.tool === "pan" || event.button !== 0 || event.shiftKey;
      this.drag = panning ? "pan" : MEASURES[this.tool] ? "measure" : this.tool === "magnifier" ? "glass" : "window";
      if (this.drag === "measure" && this.film) this.measureDown(...Object.values(place(event)));
      this.canvas.classList.add("dragging");
    };
    this.canvas.onpointermove = (event) => {
      const now = place(event);
      const before = this.pointers.get(event.pointerId);
      if (this.pending && this.drag !== "pan" && this.pointers.size < 2) this.measureMove(now.x, now.y);
      if (!before) return this.hover(now.x, now.y);
      if (this.pointers.size === 2) return this.pinch(event.pointerId, now);
      this.pointers.set(event.pointerId, now);
      const [dx, dy] = [now.x - before.x, now.y - before.y];
      if (this.drag === "window") return this.shade(dx, dy, true);
      if (this.drag !== "pan") return this.hover(now.x, now.y);
      this.view.x += dx;
      this.view.y += dy;
      return this.draw();
    };
    this.canvas.onpointerup = this.canvas.onpointercancel = (event) => {
      if (!this.pointers.delete(event.pointerId) || this.pointers.size) return;
      this.canvas.classList.remove("dragging");
      if (this.drag === "window") this.develop(false);
      if (this.drag === "measure") this.measureUp(...Object.values(place(event)));
      this.showState();
      this.draw();
    };
    this.canvas.onpointerleave = () => {
      this.at = null;
      if (this.tool === "magnifier") this.draw();
      if (this.data?.regions?.length) this.light(-1);
    };
    this.canvas.oncontextmenu = (event) => event.preventDefault();
    this.canvas.ondblclick = () => !MEASURES[this.tool] && this.act("fit");
    this.canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const { x, y } = place(event);
      this.zoomTo(this.view.zoom * Math.exp(-event.deltaY / (event.ctrlKey ? 120 : 500)), x, y);
    }, { passive: false });
    this.canvas.onkeydown = (event) => this.key(event);
    this.root.querySelectorAll("button[data-tool]").forEach((button) => {
      button.onclick = () => {
        this.takeTool(button.dataset.tool);
      };
    });
    this.root.querySelectorAll("button[data-act]").forEach((button) => {
      button.onclick = () => this.act(button.dataset.act);
    });
    this.find("[data-act=preset]").onchange = (event) => this.choose(event.target.value);
    this.find("[data-act=opacity]").oninput = () => this.draw();
    document.fonts?.ready.then(() => this.draw());
  },

  takeTool(tool) {
    this.tool = tool;
    this.pending = null;
    this.showState();
    this.draw();
  },

  pinch(id, now) {
    const [a, b] = [...this.pointers.entries()];
    const other = a[0] === id ? b[1] : a[1];
    const before = this.pointers.get(id);
    const length = (p) => Math.hypot(p.x - other.x, p.y - other.y) || 1;
    this.pointers.set(id, now);
    this.view.x += (now.x - before.x) / 2;
    this.view.y += (now.y - before.y) / 2;
    this.zoomTo((this.view.zoom * length(now)) / length(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
  },

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const arrows = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] };
    if (arrows[key]) {
      const [dx, dy] = arrows[key];
      if (event.shiftKey) {
        this.shade(dx * 20, dy * 20, false);
        this.showState();
      } else {
        this.view.x -= dx * 40;
        this.view.y -= dy * 40;
        this.draw();
      }
    } else if (KEYS[key]) {
      if (KEYS[key] === "drop" && !this.pending && !this.marks.length) return;
      this.act(KEYS[key]);
    } else if (TOOL_KEYS[key]) this.takeTool(TOOL_KEYS[key]);
    else if (key === "escape" && (this.pending || !this.find(".keys").hidden)) {
      this.pending = null;
      this.find(".keys").hidden = true;
      this.showState();
      this.draw();
    }
    else if (PRESET_KEYS[key]) this.choose(PRESET_KEYS[key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  },
});

export default function show({ data, parentElement, setStateValue, setTriggerValue }) {
  let viewer = viewers.get(parentElement);
  if (!viewer || !viewer.root.contains(viewer.canvas)) {
    viewer = new Viewer(parentElement);
    viewers.set(parentElement, viewer);
  }
  if (data) viewer.update(data, setStateValue, setTriggerValue);
  return () => {
    // Streamlit also runs this when a newer call overtook an older one; only a viewer that has left the page closes.
    if ((parentElement.host ?? parentElement).isConnected) return;
    viewer.close();
    viewers.delete(parentElement);
  };
}
