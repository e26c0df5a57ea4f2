// Points on a canvas, written pixel by pixel: 100,000 of them take a few milliseconds. No DOM here.

const NONE = 0xff8a8178; // grey, as the canvas keeps a pixel: alpha, blue, green, red

function packed(text, alpha = 255) {
  const [r, g, b] = (text.match(/[\da-f]{2}/gi) ?? ["80", "80", "80"]).map((part) => parseInt(part, 16));
  return ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** A ramp of rising lightness, which reads without colour vision; its ends are seen on dark and on light pages. */
const STOPS = [[92, 68, 168], [62, 104, 170], [33, 145, 140], [94, 190, 98], [232, 190, 36]];

function rampColour(share) {
  const at = Math.min(0.9999, Math.max(0, share)) * (STOPS.length - 1);
  const [low, high] = [STOPS[Math.floor(at)], STOPS[Math.floor(at) + 1]];
  const [r, g, b] = low.map((value, i) => Math.round(value + (high[i] - value) * (at % 1)));
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** Where the pixels of a disc lie in a picture of this width. */
function disc(radius, width) {
  const found = [];
  for (let y = -radius; y <= radius; y += 1) {
    for (let x = -radius; x <= radius; x += 1) if (x * x + y * y <= radius * radius + 0.3) found.push(y * width + x);
  }
  return found;
}

/** Draw points (x, y in [-1, 1]) with `colours` a point, those that are `chosen` over the others, which then fade. */
function paintPoints(canvas, { x, y, colours, chosen }, place, radius) {
  const { width, height } = canvas;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const out = new Uint32Array(image.data.buffer);
  const round = disc(radius, width);
  const fades = chosen.size > 0;
  const stamp = (i, colour) => {
    const px = Math.round(place.x + x[i] * place.scale);
    const py = Math.round(place.y - y[i] * place.scale);
    if (px < radius || py < radius || px >= width - radius || py >= height - radius) return;
    const at = py * width + px;
    for (const step of round) out[at + step] = colour;
  };
  for (let i = 0; i < x.length; i += 1) if (!fades || !chosen.has(i)) stamp(i, fades ? (colours[i] & 0xffffff) | 0x38000000 : colours[i]);
  if (fades) for (const i of chosen) stamp(i, colours[i]);
  context.putImageData(image, 0, 0);
}

/** The points within a polygon of [x, y, x, y, ...]: even-odd, so that a line that crosses itself leaves a hole. */
function within(x, y, polygon) {
  const found = [];
  for (let i = 0; i < x.length; i += 1) {
    let inside = false;
    for (let a = 0, b = polygon.length - 2; a < polygon.length; b = a, a += 2) {
      const [ax, ay, bx, by] = [polygon[a], polygon[a + 1], polygon[b], polygon[b + 1]];
      if (ay > y[i] !== by > y[i] && x[i] < ((bx - ax) * (y[i] - ay)) / (by - ay) + ax) inside = !inside;
    }
    if (inside) found.push(i);
  }
  return found;
}
