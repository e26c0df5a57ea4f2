// Pixels: 16-bit grey in, screen colours out. No DOM here.

const TOP = 65535;
const BINS = 1024;

/** Counts of a Uint16Array in 1024 equal bins; every `step`-th pixel is enough for a window. */
function histogram(grey) {
  const counts = new Uint32Array(BINS);
  const step = Math.max(1, Math.floor(grey.length / 500000));
  for (let i = 0; i < grey.length; i += step) counts[grey[i] >> 6] += 1;
  return counts;
}

/** The grey value in [0, 1] below which `share` of the pixels lie; pure black (the collimated border) is not counted. */
function quantile(counts, share) {
  let total = 0;
  for (let i = 1; i < BINS; i += 1) total += counts[i];
  let seen = 0;
  for (let i = 1; i < BINS; i += 1) {
    seen += counts[i];
    if (seen >= total * share) return i / BINS;
  }
  return 1;
}

/** A window as {centre, width} in [0, 1]. */
function presetWindow(name, counts) {
  const between = (low, high) => {
    const a = quantile(counts, low);
    const b = Math.max(quantile(counts, high), a + 0.02);
    return { centre: (a + b) / 2, width: b - a };
  };
  if (name === "auto") return between(0.01, 0.99);
  if (name === "dark") return between(0.005, 0.5);
  if (name === "bright") return between(0.5, 0.995);
  return { centre: 0.5, width: 1 };
}

/** 65,536 packed RGBA words: the linear window of DICOM PS3.3 C.11.2.1.3, on grey already in [0, 1]. */
function windowTable(window, invert, table) {
  const low = window.centre - window.width / 2;
  for (let i = 0; i <= TOP; i += 1) {
    let v = ((i / TOP - low) / window.width) * 255;
    v = v < 0 ? 0 : v > 255 ? 255 : Math.round(v);
    if (invert) v = 255 - v;
    table[i] = 0xff000000 | (v << 16) | (v << 8) | v;
  }
  return table;
}

/** Half the size by 2 x 2 means, for smooth dragging on large films. */
function halved(grey, width, height) {
  const w = width >> 1;
  const h = height >> 1;
  const out = new Uint16Array(w * h);
  for (let y = 0; y < h; y += 1) {
    let i = y * 2 * width;
    for (let x = 0; x < w; x += 1, i += 2) {
      out[y * w + x] = (grey[i] + grey[i + 1] + grey[i + width] + grey[i + width + 1]) >> 2;
    }
  }
  return { grey: out, width: w, height: h };
}

/** A canvas with the grey film through the table. */
function paintFilm(film, table, canvas) {
  if (canvas.width !== film.width || canvas.height !== film.height) {
    canvas.width = film.width;
    canvas.height = film.height;
    film.image = null;
  }
  const ctx = canvas.getContext("2d");
  film.image ??= ctx.createImageData(film.width, film.height);
  const out = new Uint32Array(film.image.data.buffer);
  const { grey } = film;
  for (let i = 0; i < grey.length; i += 1) out[i] = table[grey[i]];
  ctx.putImageData(film.image, 0, 0);
}

/** A canvas with the attention map in amber: the stronger, the yellower and the more opaque. One hue ramp of rising
 * lightness, so that it reads without colour vision; weak values are clear, so that the film stays visible. */
function paintHeat(values, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const ctx = canvas.getContext("2d");
  const image = ctx.createImageData(width, height);
  for (let i = 0; i < values.length; i += 1) {
    const v = values[i] / 255;
    const a = v * v * (3 - 2 * v);
    image.data[i * 4] = 215 + 40 * v;
    image.data[i * 4 + 1] = 70 + 150 * v;
    image.data[i * 4 + 2] = 20 + 60 * v * v;
    image.data[i * 4 + 3] = 255 * a;
  }
  ctx.putImageData(image, 0, 0);
  return canvas;
}

/** The bytes of a URL; one second try, because a rerun may move the file while it is being asked for. */
async function bytesOf(url) {
  for (let attempt = 0; ; attempt += 1) {
    const answer = await fetch(url);
    if (answer.ok) return answer.arrayBuffer();
    if (attempt === 1) throw new Error(`status ${answer.status}`);
    await new Promise((done) => setTimeout(done, 400));
  }
}
