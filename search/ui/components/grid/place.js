// What a reader comes back to: as large films as were chosen, and the place on the page that was left.

const ACROSS = [12, 8, 6, 4, 3, 2];
const SIZE_KEPT = "filmroom-across";
const LEFT_AT = "filmroom-left";

function kept(store, name) {
  try {
    return JSON.parse(store.getItem(name));
  } catch {
    return null;
  }
}

function keep(store, name, value) {
  try {
    store.setItem(name, JSON.stringify(value));
  } catch {
    // A browser that keeps nothing starts anew.
  }
}

/** A slider of how many films stand in a row, all of which make whole rows of 24; until it is moved, the window decides. */
function sizeSlider(list) {
  const chosen = kept(localStorage, SIZE_KEPT);
  const slider = make("input", "size");
  Object.assign(slider, { type: "range", min: 0, max: ACROSS.length - 1, title: "Size of the films; twice a click: as usual" });
  slider.setAttribute("aria-label", "Size of the films");
  const usual = () => Number(getComputedStyle(list).getPropertyValue("--across")) || 6;
  if (ACROSS.includes(chosen)) list.style.setProperty("--across", chosen);
  const nearest = (count) => ACROSS.reduce((best, one, at) => (Math.abs(one - count) < Math.abs(ACROSS[best] - count) ? at : best), 0);
  slider.value = nearest(usual());
  slider.oninput = () => {
    list.style.setProperty("--across", ACROSS[slider.value]);
    keep(localStorage, SIZE_KEPT, ACROSS[slider.value]);
  };
  slider.ondblclick = () => {
    list.style.removeProperty("--across");
    keep(localStorage, SIZE_KEPT, null);
    slider.value = nearest(usual());
  };
  return slider;
}

function here() {
  // The browser's own way back may leave the name of the film in the address.
  const said = [...new URLSearchParams(location.search)].filter(([name]) => name !== "film");
  return location.pathname + said.map(String).sort().join("&");
}

function scroller() {
  return document.querySelector("[data-testid=stMain]") ?? document.scrollingElement;
}

function leave(id) {
  keep(sessionStorage, LEFT_AT, { page: here(), top: scroller().scrollTop, id });
}

/** Once, where this page was left for a film: the films stand where they stood, and that film has the keyboard. */
function comeBack(list, tries = 15) {
  const left = kept(sessionStorage, LEFT_AT);
  if (!left || !list.isConnected) return;
  const frame = list.querySelector(`.frame[data-id="${CSS.escape(left.id)}"]`);
  if (left.page !== here() || !frame) {
    // The address may come after the films.
    if (frame && tries > 0) setTimeout(() => comeBack(list, tries - 1), 100);
    return;
  }
  keep(sessionStorage, LEFT_AT, null);
  frame.focus({ preventScroll: true });
  const place = scroller();
  let moved = false;
  const stop = () => { moved = true; };
  for (const what of ["wheel", "keydown", "pointerdown", "touchstart"]) place.addEventListener(what, stop, { once: true, passive: true });
  // Streamlit scrolls a new page to its top when its last part has come.
  for (const wait of [0, 100, 300, 700, 1200]) setTimeout(() => { if (!moved) scroller().scrollTop = left.top; }, wait);
}
