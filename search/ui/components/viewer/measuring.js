// Measuring on a film: ruler, angle and probe; points are pixels (column, row) of the film as it is shown.

const MEASURES = { ruler: ["Length", 2], angle: ["Angle", 3], probe: ["Grey value", 1] };

Object.assign(Viewer.prototype, {
  /** Millimetres a pixel across and down; 1 where nothing is known. */
  spacing() {
    return this.data.spacing ?? { row: 1, column: 1 };
  },

  valueOf({ kind, points, value }) {
    const { row, column } = this.spacing();
    const [a, b, c] = points.map(([x, y]) => [x * column, y * row]);
    if (kind === "Length") return Math.hypot(b[0] - a[0], b[1] - a[1]);
    if (kind === "Grey value") return value;
    const turn = Math.atan2(a[1] - b[1], a[0] - b[0]) - Math.atan2(c[1] - b[1], c[0] - b[0]);
    const degrees = Math.abs((turn * 180) / Math.PI) % 360;
    return Math.min(degrees, 360 - degrees);
  },

  words(one) {
    const unit = { Length: this.data.spacing ? " mm" : " px", Angle: "°", "Grey value": " %" }[one.kind];
    return `${this.valueOf(one).toFixed(1)}${unit}`;
  },

  greyAt([x, y]) {
    const { film, data } = this;
    const [ix, iy] = [Math.floor(x / data.step), Math.floor(y / data.step)];
    return film.grey[Math.min(film.height - 1, iy) * film.width + Math.min(film.width - 1, ix)] / 655.35;
  },

  /** A point of the screen as a pixel of the film, within it. */
  filmPoint(px, py) {
    const { width, height } = this.size();
    const { step } = this.data;
    const { x, y } = this.toFilm(px, py);
    return [Math.min(width, Math.max(0, x)) * step, Math.min(height, Math.max(0, y)) * step];
  },

  measureDown(px, py) {
    const [kind, count] = MEASURES[this.tool];
    const point = this.filmPoint(px, py);
    if (!this.pending) this.pending = { kind, points: [point] };
    else this.pending.points[this.pending.points.length - 1] = point;
    this.pressed = { px, py };
    if (count === 1) this.finish();
    else this.pending.points.push(point);
    this.draw();
  },

  measureMove(px, py) {
    if (!this.pending) return;
    this.pending.points[this.pending.points.length - 1] = this.filmPoint(px, py);
    this.draw();
  },

  /** A drag sets both ends of a ruler; a click sets one point, and the next click another. */
  measureUp(px, py) {
    if (!this.pending) return;
    const [, count] = MEASURES[this.tool];
    const dragged = Math.hypot(px - this.pressed.px, py - this.pressed.py) > 4;
    if (this.pending.points.length > count) this.pending.points.length = count;
    else if (!dragged) return;
    else if (this.pending.points.length < count) return void this.pending.points.push(this.filmPoint(px, py));
    this.finish();
  },

  finish() {
    const one = this.pending;
    this.pending = null;
    if (one.kind === "Grey value") one.value = this.greyAt(one.points[0]);
    this.marks.push(one);
    this.listMarks();
    this.draw();
  },

  dropMeasure(at = this.marks.length - 1) {
    if (this.pending) this.pending = null;
    else this.marks.splice(at, 1);
    this.listMarks();
    this.draw();
  },

  listMarks() {
    const list = this.find(".measures");
    const rows = this.marks.map((one, at) => {
      const item = document.createElement("li");
      const drop = document.createElement("button");
      Object.assign(drop, { type: "button", textContent: "\u00d7", title: "Take away" });
      drop.setAttribute("aria-label", `Take away: ${one.kind} ${this.words(one)}`);
      drop.onclick = () => this.dropMeasure(at);
      item.append(`${one.kind} ${this.words(one)} `, drop);
      return item;
    });
    if (rows.length && this.data.can_keep) {
      const item = document.createElement("li");
      const keep = document.createElement("button");
      Object.assign(keep, { type: "button", textContent: "Keep in the note", className: "keep", title: "For everybody, and for exports" });
      keep.onclick = () => {
        this.trigger("keep", this.marks.map(({ kind, points }) => ({ kind, points })));
        this.marks = [];
        this.listMarks();
      };
      item.append(keep);
      rows.push(item);
    }
    list.hidden = rows.length === 0;
    list.replaceChildren(...rows);
  },

  toScreen([x, y]) {
    const { width, height } = this.size();
    const { step } = this.data;
    const scale = this.fitScale() * this.view.zoom;
    const [dx, dy] = [(x / step - width / 2) * scale, (y / step - height / 2) * scale];
    const angle = (this.view.turn * Math.PI) / 2;
    const across = dx * Math.cos(angle) - dy * Math.sin(angle);
    return [
      this.canvas.clientWidth / 2 + this.view.x + (this.view.flip ? -across : across),
      this.canvas.clientHeight / 2 + this.view.y + dx * Math.sin(angle) + dy * Math.cos(angle),
    ];
  },

  drawMarks(ctx, ratio) {
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.font = "13px system-ui, sans-serif";
    ctx.lineJoin = "round";
    const every = [...(this.data.measured ?? []).map((one) => [one, "#8cc4e4"]), ...this.marks.map((one) => [one, "#ffd27a"])];
    if (this.pending) every.push([this.pending, "#ffd27a"]);
    for (const [one, colour] of every) {
      const points = one.points.map((point) => this.toScreen(point));
      const path = new Path2D();
      points.forEach(([x, y], at) => (at ? path.lineTo(x, y) : path.moveTo(x, y)));
      for (const [x, y] of points) path.rect(x - 2.5, y - 2.5, 5, 5);
      for (const [style, wide] of [["rgb(0 0 0 / 70%)", 4], [colour, 1.7]]) {
        ctx.strokeStyle = style;
        ctx.lineWidth = wide;
        ctx.stroke(path);
      }
      const whole = one.kind !== "Angle" || points.length === 3;
      if (!whole || (one.kind === "Grey value" && one.value === undefined)) continue;
      const [x, y] = one.kind === "Angle" ? points[1] : points.at(-1);
      const text = one.text ?? this.words(one);
      ctx.strokeStyle = "rgb(0 0 0 / 85%)";
      ctx.lineWidth = 4;
      ctx.strokeText(text, x + 9, y - 7);
      ctx.fillStyle = colour;
      ctx.fillText(text, x + 9, y - 7);
    }
  },

  /** The film under the mouse, three times as large, in a round glass. */
  drawGlass(ctx, ratio, paint) {
    if (this.tool !== "magnifier" || !this.at || !this.size().width) return;
    const { x, y } = this.at;
    ctx.save();
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.beginPath();
    ctx.arc(x, y, 105, 0, 2 * Math.PI);
    ctx.clip();
    ctx.fillStyle = "#000";
    ctx.fill();
    const kept = { ...this.view };
    this.zoomView(kept.zoom * 3, x, y);
    paint();
    this.view = kept;
    ctx.restore();
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.strokeStyle = "#d9dde1";
    ctx.lineWidth = 1.5;
    ctx.beginPath();
    ctx.arc(x, y, 105, 0, 2 * Math.PI);
    ctx.stroke();
  },
});
