// The analyst's page. Events say what has changed; each part of the page is made anew when it has.
import { chart } from "./chart.js";
import { chip, clock, duration, el, listen, put, short, table } from "./page.js";

const KINDS = { running: "busy", completed: "good", failed: "bad", "ended without a word": "bad" };
const STATES = {
  computing: ["computing", "busy"], waiting: ["waiting", ""], answered: ["answered", "good"],
  done: ["done", "good"], failed: ["failed", "bad"], gone: ["gone, waited for", "bad"], silent: ["silent", "bad"],
  here: ["here", "good"], missing: ["waited for", "warn"], unknown: ["not known", ""],
};
const FIRST = ["failed", "gone", "silent", "missing", "computing", "waiting"];

let runs = [], run = null, source = null, asked = "", made = {};

const chosen = () => {
  const hash = location.hash.slice(1);
  if (!hash.startsWith("run/")) return "";
  try { return decodeURIComponent(hash.slice(4)); } catch { return hash.slice(4); }
};

function connect() {
  source?.close();
  made = {};
  asked = chosen();
  source = listen(`events?run=${encodeURIComponent(asked)}`, {
    place: (place) => { document.getElementById("place").textContent = place; },
    runs: (found) => { runs = found; showRuns(); },
    run: (found) => { run = found; showRun(); showRuns(); },
  });
}

function rounds(about) {
  return `${about.rounds}${about.most ? ` of ${about.most}` : ""} ${about.most || about.rounds !== 1 ? "rounds" : "round"}`;
}

function showRuns() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = runs.filter((each) => {
    const text = `${each.name} ${each.title} ${each.app} ${each.status}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const count = document.getElementById("count");
  const said = words.length ? `${found.length} of ${runs.length} runs` : `${runs.length} ${runs.length === 1 ? "run" : "runs"}`;
  if (count.textContent !== said) count.textContent = said;
  if (same("runs", [found, run?.name])) return;
  put("runs", found.map((each) => el("li", {}, el("a", {
    href: `#run/${encodeURIComponent(each.name)}`, "data-key": each.name, "aria-current": each.name === run?.name ? "true" : null,
  },
  el("span", { class: "name" }, each.title || each.app || each.name), " ", chip(each.status, KINDS[each.status] ?? "warn"),
  el("br"), el("span", { class: "quiet" }, each.started ? `${clock(each.started)} · ${each.doing || rounds(each)}` : null)))));
}

function showRun() {
  document.title = `${run.status}: ${run.title || run.app || run.name}`;
  showHead();
  if (run.nodes === undefined) { put("nodes"); put("plots"); put("rounds"); put("failures"); put("files"); return; }
  showNodes(); showPlots(); showRounds(); showFailures(); showFiles();
}

/** Whether a part of the page would show what it shows already. */
function same(part, about) {
  const text = JSON.stringify(about);
  const before = made[part];
  made[part] = text;
  return before === text;
}

function showHead() {
  const { nodes, history, failures, files, ...head } = run;
  if (same("head", head)) return;
  const facts = [
    ["Rounds", head.started ? rounds(head) : null],
    ["Began", clock(head.started)],
    ["completed", "failed"].includes(head.status) ? ["Took", head.ended && head.started ? duration(head.ended - head.started) : ""]
      : head.ended ? ["Last sign", clock(head.ended)]
        : ["Since then", head.started ? el("span", { "data-since": head.started }) : null], // none where it cannot be read
    ["Now", head.doing && head.status === "running" ? [`${head.doing}, for `, el("span", { "data-since": head.since })] : null],
    ["Ends", head.left !== null && head.left !== undefined ? `in ${duration(head.left)} at the latest` : null],
    ["Kept after round", head.checkpoint || null],
    ["Went on after round", head.resumed_after || null],
    ["App", head.app], ["Flower's run", head.run_id],
  ].filter(([, value]) => value !== null && value !== "" && value !== undefined);
  put("head",
    el("h2", {}, head.title || head.app || head.name),
    el("p", { role: "status" }, chip(head.status, KINDS[head.status] ?? "warn"), " ", el("span", { class: "quiet" }, head.name)),
    head.said ? el("p", { class: `said ${["failed", "ended without a word"].includes(head.status) ? "bad" : ""}` },
      head.status === "completed" || head.status === "running" ? `It stopped: ${head.said}` : head.said) : null,
    head.private ? el("p", { class: "quiet" }, "The run is private: nothing exact is shown of it.") : null,
    el("dl", { class: "facts" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
  tick();
}

function showNodes() {
  if (same("nodes", [run.nodes, run.expected])) return;
  if (!run.nodes.length) { put("nodes", run.expected ? el("p", { class: "quiet" }, `It waits for ${run.expected} nodes; none is here yet.`) : null); return; }
  const names = [...new Set(run.nodes.flatMap((node) => Object.keys(node.metrics)))].slice(0, 4);
  const order = (node) => { const place = FIRST.indexOf(node.state); return place < 0 ? FIRST.length : place; };
  const sorted = [...run.nodes].sort((one, other) => order(one) - order(other));
  const counts = {};
  for (const node of run.nodes) { const word = (STATES[node.state] ?? [node.state])[0]; counts[word] = (counts[word] ?? 0) + 1; }
  const more = run.status === "running" && run.expected > run.nodes.length ? `, of ${run.expected} expected` : "";
  const caption = `${run.nodes.length} nodes${more}: ${Object.entries(counts).map(([word, count]) => `${count} ${word}`).join(", ")}`;
  const live = run.nodes.some((node) => node.seen !== null);
  const titles = ["node", "state", "seconds", ...(live ? ["last seen"] : []), ...names, "remarks"];
  put("nodes", el("h3", {}, "Nodes"), table(caption, titles, sorted.map((node) => [
    node.hospital ? [node.name, el("br"), el("span", { class: "quiet" }, node.hospital)] : node.name, chip(...(STATES[node.state] ?? [node.state, ""])), short(node.seconds), ...(live ? [clock(node.seen).slice(-8)] : []),
    ...names.map((name) => short(node.metrics[name])), [node.why, node.size].filter(Boolean).join("; "),
  ]), [2, ...names.map((_, i) => i + (live ? 4 : 3))]));
}

function showPlots() {
  if (same("plots", run.history)) return;
  if (!run.history.length) { put("plots"); return; }
  const names = [...new Set(run.history.flatMap((each) => Object.keys(each.metrics)))];
  const series = (take) => run.history.map((each) => [each.number, take(each) ?? null]);
  const plots = names.map((name) => chart(name, series((each) => each.metrics[name]),
    run.weighted_by[name] ? `mean weighted by ${run.weighted_by[name]}:` : "mean:"));
  if (run.history.some((each) => each.change !== null)) {
    plots.unshift(chart("convergence", series((each) => each.change), "by how much the aggregate changed:"));
  }
  plots.push(chart("seconds of a round", series((each) => each.seconds)));
  put("plots", el("h3", {}, "By round"), el("div", { class: "plots" }, plots));
}

function showRounds() {
  const last = run.history.slice(-10).reverse();
  if (same("rounds", last)) return;
  if (!last.length) { put("rounds"); return; }
  const names = [...new Set(last.flatMap((each) => Object.keys(each.metrics)))].slice(0, 4);
  put("rounds", el("h3", {}, "Last rounds"), table("The newest first; history.csv has all of them when the run is over",
    ["round", "answered", "failed", "seconds", "change", ...names],
    last.map((each) => [String(each.number), String(each.answered), String(each.failed), short(each.seconds), short(each.change),
      ...names.map((name) => short(each.metrics[name]))]), [0, 1, 2, 3, 4, ...names.map((_, i) => i + 5)]));
}

function showFailures() {
  if (same("failures", run.failures)) return;
  if (!run.failures.length) { put("failures"); return; }
  put("failures", el("h3", {}, "Nodes that gave no result"), table("The newest first", ["round", "node", "why"],
    [...run.failures].reverse().map(([round, node, why]) => [round ? String(round) : "before the first", node, why]), [0]));
}

function showFiles() {
  if (same("files", [run.name, run.files, run.report])) return;
  if (!run.files.length) { put("files"); return; }
  const at = encodeURIComponent(run.name);
  const link = (file) => el("a", { href: `file/${at}/${file.name.split("/").map(encodeURIComponent).join("/")}`, download: true, "data-key": `file ${file.name}` }, file.name);
  put("files", el("h3", {}, "Files"),
    run.report ? el("p", {}, el("a", { href: `report/${at}`, target: "_blank", rel: "noopener", "data-key": "report" }, "Open the report")) : null,
    table("As the run has written them", ["file", "size"], run.files.map((file) => [link(file), file.size]), [1]));
}

/** Times that grow. */
function tick() {
  for (const each of document.querySelectorAll("[data-since]")) {
    each.textContent = duration(Math.max(0, Math.round(Date.now() / 1000 - Number(each.dataset.since))));
  }
}

addEventListener("hashchange", () => {
  if (chosen() !== asked) { // and not where the way past the list was taken
    connect();
    document.getElementById("run").focus({ preventScroll: innerWidth > 768 });
  }
});
document.getElementById("filter").addEventListener("input", showRuns);
document.getElementById("to-runs").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("filter").focus();
});
setInterval(tick, 1000);
connect();
