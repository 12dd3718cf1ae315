// A line that grows, as SVG: no library, no network.
import { el, short } from "./page.js";

const WIDTH = 320, HEIGHT = 150, LEFT = 52, RIGHT = 8, TOP = 10, BOTTOM = 22;

function svg(tag, about, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(about)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A figure of points [[round, value], ...]; values that are no numbers are gaps. */
export function chart(name, points, note = "") {
  const known = points.filter(([, value]) => value !== null);
  const caption = el("figcaption", {}, el("strong", {}, name), note ? ` ${note}` : "");
  if (!known.length) return el("figure", {}, caption, el("p", { class: "quiet" }, "no number yet"));
  const values = known.map(([, value]) => value);
  const low = Math.min(...values), high = Math.max(...values);
  const steep = low > 0 && high / low >= 100;
  const scale = steep ? Math.log10 : (value) => value;
  const [bottom, top] = [scale(low), scale(high)];
  const [first, last] = [points[0][0], points[points.length - 1][0]];
  const x = (round) => LEFT + (last === first ? 0.5 : (round - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + (top === bottom ? 0.5 : (top - scale(value)) / (top - bottom)) * (HEIGHT - TOP - BOTTOM);
  const [lastRound, lastValue] = known[known.length - 1];
  const says = `${name}: ${short(lastValue)} after round ${lastRound}, lowest ${short(low)}, highest ${short(high)}`;
  const right = { x: LEFT - 6, "text-anchor": "end" };
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": says },
    svg("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }),
    svg("line", { class: "axis", x1: LEFT, x2: LEFT, y1: TOP, y2: HEIGHT - BOTTOM }),
    svg("text", { ...right, y: y(high) + 4 }, short(high)),
    svg("text", { x: x(first), y: HEIGHT - 6, "text-anchor": "middle" }, String(first)));
  if (high !== low) drawing.append(svg("text", { ...right, y: y(low) + 4 }, short(low)));
  if (last !== first) drawing.append(svg("text", { x: x(last), y: HEIGHT - 6, "text-anchor": "end" }, String(last)));
  for (const part of parts(points)) {
    drawing.append(svg("polyline", {
      class: "line", points: part.map(([round, value]) => `${x(round).toFixed(1)},${y(value).toFixed(1)}`).join(" "),
    }));
  }
  if (known.length <= 30) {
    for (const [round, value] of known) drawing.append(svg("circle", { class: "dot", r: 2.5, cx: x(round), cy: y(value) }));
  }
  caption.append(` ${short(lastValue)}${steep ? ", logarithmic" : ""}`);
  return el("figure", {}, caption, drawing);
}

/** The lines between two gaps. */
function parts(points) {
  const found = [[]];
  for (const point of points) {
    if (point[1] === null) found.push([]);
    else found[found.length - 1].push(point);
  }
  return found.filter((part) => part.length > 1);
}
