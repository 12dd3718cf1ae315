// What every page on this machine needs: elements made of text, and events. Nothing that comes from
// elsewhere is ever read as HTML: it becomes text nodes and attributes.

/** An element: `el("td", {class: "number"}, 3)`. Children are elements, text, or null for none. */
export function el(tag, about = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(about)) {
    if (value !== null && value !== undefined && value !== false) {
      made.setAttribute(name, value === true ? "" : value);
    }
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** A table with a caption: `titles` are texts, rows are lists of cells, `numbers` are column places. */
export function table(caption, titles, rows, numbers = []) {
  const side = (place) => ({ class: numbers.includes(place) ? "number" : null });
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {},
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, titles.map((title, place) =>
        el("th", { scope: "col", ...side(place) }, title)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, place) =>
        el("td", side(place), cell)))))));
}

export const chip = (text, kind) => el("span", { class: `chip ${kind}` }, text);

/** Put children into an element by its id, and leave the focus on what has the same `data-key`. */
export function put(id, ...children) {
  const place = document.getElementById(id);
  const focused = place.contains(document.activeElement) ? document.activeElement : null;
  const key = focused?.closest("[data-key]")?.dataset.key;
  const scrolled = [...place.querySelectorAll(".scroll")].map((each) => [each.scrollLeft, each.scrollTop]);
  place.replaceChildren(...children.flat().filter((child) => child !== null));
  place.querySelectorAll(".scroll").forEach((each, i) => { [each.scrollLeft, each.scrollTop] = scrolled[i] ?? [0, 0]; });
  if (key !== undefined) {
    const again = [...place.querySelectorAll("[data-key]")].find((each) => each.dataset.key === key);
    again?.focus({ preventScroll: true });
  }
}

/** Listen to the events of an address: `listen("events", {run: (said) => ...})`; close it with close(). */
export function listen(address, takers) {
  const source = new EventSource(address);
  const lost = document.getElementById("lost");
  for (const [name, take] of Object.entries(takers)) {
    source.addEventListener(name, (event) => take(JSON.parse(event.data)));
  }
  source.onopen = () => { lost.hidden = true; };
  source.onerror = () => { lost.hidden = false; };
  return source;
}

/** 75 becomes "1 min 15 s". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 10) return `${Number(seconds.toPrecision(2))} s`;
  const whole = Math.round(seconds), minutes = Math.round(seconds / 60);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (minutes < 60 * 48) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.round(minutes / 1440)} days`;
}

/** A time in seconds since 1970, as this machine's clock shows it: 2026-12-01 14:05:33. */
export const clock = (seconds) => (seconds ? new Date(seconds * 1000).toLocaleString("sv-SE") : "");

/** A number as a table shows it. */
export const short = (value) => (value === null || value === undefined ? "" : Number(Number(value).toPrecision(4)).toString());
