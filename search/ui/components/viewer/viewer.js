// The film viewer: one canvas, its tools and its keys. State lives with the element, so that a rerun keeps the view.

const viewers = new WeakMap();

const KEYS = {
  "+": "in", "=": "in", "-": "out", f: "fit", o: "one", i: "invert", r: "rotate", home: "reset", enter: "full", h: "attention",
  x: "regions", t: "flip", delete: "drop", "?": "keys",
};
const TOOL_KEYS = { w: "window", l: "ruler", g: "angle", v: "probe", m: "magnifier" };
const PRESET_KEYS = { s: "stored", a: "auto", d: "dark", b: "bright" };

function freshView() {
  return { window: { centre: 0.5, width: 1 }, preset: "stored", invert: false, turn: 0, flip: false, zoom: 1, x: 0, y: 0, bare: false };
}

class Viewer {
  constructor(root) {
    this.root = root;
    this.find = (selector) => root.querySelector(selector);
    this.canvas = this.find("canvas");
    this.paper = document.createElement("canvas");
    this.draft = document.createElement("canvas");
    this.table = new Uint32Array(65536);
    this.view = freshView();
    this.tool = "window";
    this.pointers = new Map();
    this.lit = -1;
    this.marks = [];
    this.pending = null;
    this.listen();
    this.watcher = new ResizeObserver(() => this.draw());
    this.watcher.observe(this.find(".stage"));
    this.follow = ({ detail }) => this.take(detail);
    window.addEventListener("filmroom-view", this.follow);
  }

  close() {
    this.watcher.disconnect();
    window.removeEventListener("filmroom-view", this.follow);
  }

  // What Python says: a new film resets the view, anything else (attention, regions) keeps it.
  async update(data, send, trigger) {
    Object.assign(this, { send, trigger });
    const isNew = this.data?.film !== data.film;
    const hadPixels = !isNew && this.data?.pixels === data.pixels;
    this.data = data;
    this.canvas.setAttribute("aria-label", data.alt);
    if (isNew) {
      Object.assign(this, { film: null, small: null, heat: null, heatUrl: null, view: freshView(), lit: -1, marks: [], pending: null });
      this.paper.width = 0;
      if (data.focus) this.canvas.focus({ preventScroll: true });
    }
    this.listRegions(data.regions ?? []);
    this.listMarks();
    this.showState();
    if (!hadPixels) await this.load(data);
    await this.loadHeat(data);
    this.showState();
    this.draw();
  }

  async load(data) {
    const current = () => this.data === data;
    try {
      if (data.pixels) {
        const grey = new Uint16Array(await bytesOf(data.pixels));
        if (!current()) return;
        if (grey.length !== data.width * data.height) throw new Error("unexpected size");
        this.film = { grey, width: data.width, height: data.height };
        this.small = grey.length > 1500000 ? halved(grey, data.width, data.height) : this.film;
        this.counts = histogram(grey);
        this.develop(false);
      } else if (data.preview) {
        const image = new Image();
        image.src = data.preview;
        await image.decode();
        if (!current() || this.film) return;
        this.paper.width = image.naturalWidth;
        this.paper.height = image.naturalHeight;
        this.paper.getContext("2d").drawImage(image, 0, 0);
      }
    } catch (fault) {
      if (current()) this.find(".notice").textContent = "The film could not be loaded. Reload the page to try again.";
    }
  }

  async loadHeat(data) {
    if (!data.heat || data.heat.url === this.heatUrl) return;
    try {
      const values = new Uint8Array(await bytesOf(data.heat.url));
      if (this.data !== data) return;
      this.heat = paintHeat(values, data.heat.width, data.heat.height);
      this.heatUrl = data.heat.url;
    } catch (fault) {
      this.heat = null;
    }
  }

  // Grey to screen: at half size while a window is being dragged, at full size when it is let go.
  develop(dragging) {
    if (!this.film) return;
    windowTable(this.view.window, this.view.invert, this.table);
    this.drafted = dragging && this.small !== this.film;
    paintFilm(this.drafted ? this.small : this.film, this.table, this.drafted ? this.draft : this.paper);
  }

  // -- geometry --------------------------------------------------------------------------------------------------
  size() {
    const width = this.film?.width ?? this.paper.width;
    const height = this.film?.height ?? this.paper.height;
    return { width, height };
  }

  fitScale() {
    const { width, height } = this.size();
    const side = this.view.turn % 2;
    return Math.min(this.canvas.clientWidth / (side ? height : width), this.canvas.clientHeight / (side ? width : height));
  }

  /** Screen point -> film point in pixels. */
  toFilm(px, py) {
    const { width, height } = this.size();
    const scale = this.fitScale() * this.view.zoom;
    const dx = ((px - this.canvas.clientWidth / 2 - this.view.x) / scale) * (this.view.flip ? -1 : 1);
    const dy = (py - this.canvas.clientHeight / 2 - this.view.y) / scale;
    const angle = (-this.view.turn * Math.PI) / 2;
    return {
      x: dx * Math.cos(angle) - dy * Math.sin(angle) + width / 2,
      y: dx * Math.sin(angle) + dy * Math.cos(angle) + height / 2,
    };
  }

  zoomTo(zoom, px = this.canvas.clientWidth / 2, py = this.canvas.clientHeight / 2) {
    this.zoomView(Math.min(40, Math.max(0.5, zoom)), px, py);
    this.draw();
  }

  /** The view at another zoom, with what is under (px, py) where it was; another object, nothing is drawn. */
  zoomView(next, px, py) {
    const ratio = next / this.view.zoom;
    const cx = px - this.canvas.clientWidth / 2;
    const cy = py - this.canvas.clientHeight / 2;
    const moved = { zoom: next, x: cx - (cx - this.view.x) * ratio, y: cy - (cy - this.view.y) * ratio };
    this.view = { ...this.view, ...moved };
  }

  // -- drawing ---------------------------------------------------------------------------------------------------
  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    const ratio = window.devicePixelRatio || 1;
    const wide = Math.round(this.canvas.clientWidth * ratio);
    const high = Math.round(this.canvas.clientHeight * ratio);
    if (this.canvas.width !== wide) this.canvas.width = wide;
    if (this.canvas.height !== high) this.canvas.height = high;
    const ctx = this.canvas.getContext("2d");
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.fillStyle = "#000";
    ctx.fillRect(0, 0, wide, high);
    if (!(this.drafted ? this.draft : this.paper).width || !this.size().width) return;
    this.paint(ctx, ratio);
    this.drawMarks(ctx, ratio);
    this.drawGlass(ctx, ratio, () => this.paint(ctx, ratio));
    this.readOut();
  }

  /** The film with what lies over it, as it is viewed now. */
  paint(ctx, ratio) {
    const source = this.drafted ? this.draft : this.paper;
    const { width, height } = this.size();
    const scale = this.fitScale() * this.view.zoom * ratio;
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.translate(this.canvas.width / 2 + this.view.x * ratio, this.canvas.height / 2 + this.view.y * ratio);
    if (this.view.flip) ctx.scale(-1, 1);
    ctx.rotate((this.view.turn * Math.PI) / 2);
    ctx.scale(scale, scale);
    ctx.imageSmoothingEnabled = scale < 4;
    ctx.imageSmoothingQuality = "high";
    ctx.drawImage(source, -width / 2, -height / 2, width, height);
    if (this.heat && this.attentionOn()) {
      ctx.imageSmoothingEnabled = true;
      ctx.globalAlpha = this.find("[data-act=opacity]").value / 100;
      ctx.drawImage(this.heat, -width / 2, -height / 2, width, height);
      ctx.globalAlpha = 1;
    }
    if (this.regionsOn()) this.drawRegions(ctx, ratio, scale);
  }

  drawRegions(ctx, ratio, scale) {
    const { width, height } = this.size();
    const { lit } = this;
    this.data.regions.forEach(({ boxes }, at) => {
      ctx.lineWidth = ((at === lit ? 3 : 1.5) * ratio) / scale;
      ctx.strokeStyle = at === lit ? "#ffd27a" : "#8cc4e4";
      ctx.globalAlpha = lit < 0 || at === lit ? 1 : 0.35;
      for (const [x0, y0, x1, y1] of boxes) {
        ctx.strokeRect((x0 - 0.5) * width, (y0 - 0.5) * height, (x1 - x0) * width, (y1 - y0) * height);
      }
    });
    ctx.globalAlpha = 1;
  }

  readOut() {
    const { window: w, zoom } = this.view;
    const pixels = Math.round(this.fitScale() * zoom * (window.devicePixelRatio || 1) * 100);
    let text = `W ${Math.round(w.width * 100)}  L ${Math.round(w.centre * 100)}  ·  ${pixels} %`;
    if (this.at && this.film) {
      const { x, y } = this.toFilm(this.at.x, this.at.y);
      const [ix, iy] = [Math.floor(x), Math.floor(y)];
      if (ix >= 0 && iy >= 0 && ix < this.film.width && iy < this.film.height) {
        text += `  ·  ${(this.film.grey[iy * this.film.width + ix] / 655.35).toFixed(1)} at ${ix}, ${iy}`;
      }
    }
    this.find(".readout").textContent = text;
  }
}
