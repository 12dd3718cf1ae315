import { chip, clock, duration, el, listen, put, table } from "./page.js";

const $ = (id) => document.getElementById(id);
const size = (bytes) => (bytes === null || bytes === undefined ? ""
  : bytes < 1000 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
const when = (text) => text.slice(0, 19).replace("T", " ");
const trouble = (part) => (part.trouble ? el("p", { class: "said bad" }, part.trouble) : null);
const MOST_DAYS = 31, PAUSE = 250;
let egress = {}, found = null, asking = 0, typing = 0;

function showNow(now) {
  $("name").textContent = now.name;
  document.title = `Node ${now.name}`;
  const busy = now.message.run
    ? el("p", {}, chip("computing", "busy"), ` ${now.message.kind} of run ${now.message.run} for `,
      el("strong", {}, now.message.project || "a project that is not named"), `, app ${now.message.app}`,
      now.since ? `, since ${clock(now.since)} (${duration(Date.now() / 1000 - now.since)})` : "")
    : el("p", {}, chip(now.runs ? "waits for work" : "does not run", now.runs ? "good" : "bad"));
  put("now-part", busy, now.trouble.map((text) => el("p", { class: "said bad" }, text)),
    now.lines.map((text) => el("p", { class: "quiet" }, text)));
}

const open = (app) => el("a", { href: `#app-${app.hash}`, "data-key": app.hash }, app.hash.slice(0, 12));

function showApps(apps) {
  const waiting = apps.waiting ?? [], decided = apps.decided ?? [];
  put("waiting-part", trouble(apps),
    (apps.full ?? []).map((text) => el("p", { class: "said warn" }, text)),
    waiting.length ? table(`${waiting.length} waiting for this hospital's approval`,
      ["hash", "app", "project", "asked (UTC)"],
      waiting.map((app) => [open(app), app.app, app.project, when(app.when)]))
      : el("p", { class: "quiet" }, "No app waits for approval."),
    decided.length ? table("decided", ["hash", "app", "project", "state", "by"],
      decided.map((app) => [open(app), app.app, app.project, app.state, app.reviewer])) : null);
}

async function showApp() {
  const [, hash] = /^#app-([0-9a-f]{64})$/.exec(location.hash) ?? [];
  if (!hash) { put("app-part"); return; }
  const answer = await fetch(`app/${hash}`);
  const app = await answer.json();
  if (app.trouble) { put("app-part", trouble(app)); return; }
  const pre = (text) => el("pre", { class: "code", tabindex: "0" }, text);
  const marked = app.difference.map((line) => el("span",
    { class: line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : null }, `${line}\n`));
  put("app-part", el("h3", {}, app.title), el("p", { class: "quiet" }, `SHA-256 ${app.hash}`),
    app.history.map((line) => el("p", { class: "quiet" }, line)),
    el("h3", {}, "What runs at the node"), el("p", { class: "said" }, app.clientapp),
    app.code.map(([place, text]) => el("details", { open: true }, el("summary", {}, place), pre(text))),
    el("h3", {}, "What it declares to read and to send"),
    app.declared.length ? table("as its text says it", ["what", "value"], app.declared)
      : el("p", {}, "Nothing that can be read from its text."),
    el("h3", {}, "Look closer at"),
    app.warnings.length ? el("ul", {}, app.warnings.map((text) => el("li", {}, text)))
      : el("p", {}, "Nothing that stands out."),
    el("h3", {}, app.before ? `What differs from ${app.before}, approved before` : "No version was approved before"),
    app.before ? el("pre", { class: "code", tabindex: "0" }, marked) : null,
    el("h3", {}, "Run config"), table("its keys", ["key", "value"], app.config),
    el("h3", {}, "Imports of other packages"), table("by package", ["package", "files"], app.imports),
    el("h3", {}, "All files"),
    app.files.map(([path, text]) => el("details", {}, el("summary", {}, path), pre(text))),
    el("h3", {}, "Then"),
    el("p", {}, "Code can be made to read otherwise than it runs: read every file. Then decide at a terminal, ",
      "as the node's user, with a day in the place of DATE:"),
    app.commands.map((text) => el("code", { class: "command" }, text)));
  $("app-part").scrollIntoView();
  $("app-part").focus({ preventScroll: true });
}

const asked = () => ({ project: $("project").value, day: $("day").value, text: $("text").value.trim() });

/** The server searches the whole log: the page has only its newest lines. */
async function search() {
  const wanted = asked(), mine = ++asking;
  $("save").href = `left.csv?${new URLSearchParams(wanted)}`;
  let said = null;
  if (Object.values(wanted).some(Boolean)) {
    $("count").textContent = "The log is searched.";
    said = await fetch(`lines?${new URLSearchParams(wanted)}`).then((answer) => answer.json())
      .catch(() => ({ trouble: "The log could not be searched: change what is asked for, to try again." }));
  }
  if (mine !== asking) return; // something else is asked for by now
  found = said;
  showLeft();
}

function showLeft() {
  const { project, day } = asked(), about = found ?? egress;
  const lines = about.lines ?? [], refused = about.refused ?? [];
  const days = (egress.days ?? []).filter((row) => (!project || row.project === project) && (!day || row.day === day));
  const shown = (some, all, what) => `${some.length < all ? `the newest ${some.length} of ` : ""}${all} ${what}`;
  $("count").textContent = egress.all === undefined || about.fitting === undefined ? "" : `${egress.all} answers in all; `
    + `below: ${shown(lines, about.fitting, found ? "lines that fit" : "lines")}. The CSV has all of these.`;
  put("days-part", trouble(about), days.length ? table(
    days.length > MOST_DAYS ? `by day and study, the newest ${MOST_DAYS} of ${days.length}; choose a day or a study for others` : "by day and study",
    ["day (UTC)", "study", "answers", "size", "masked", "withheld", "in part"],
    days.slice(0, MOST_DAYS).map((row) => [row.day, row.project, row.answers, size(row.bytes), row.masked, row.withheld, row["withheld in part"]]),
    [2, 3, 4, 5, 6]) : null);
  put("left-part", lines.length ? table("answer by answer, the newest first",
    ["time (UTC)", "study", "answer", "size", "masked", "rules and filters", "what left"],
    lines.map((row) => [when(row.time), row.project, row.answer, size(row.bytes),
      row.masked ? "yes" : "no", [row.rules, row.filters].filter(Boolean).join("; "),
      row.left || `nothing: ${row.withheld}`]), [3])
    : about.trouble ? null : el("p", { class: "quiet" }, found ? "Nothing that fits has left." : "Nothing has left."));
  put("withheld-part", refused.length ? table(`${shown(refused, about.withheld, found ? "that fit" : "in all")}, the newest first`,
    ["time (UTC)", "study", "app", "answer", "what", "why, or by which rule"],
    refused.map((row) => [when(row.time), row.project, row.app, row.answer, row.withheld ? "all of it" : "a part", row.withheld || row["withheld in part"]]))
    : about.trouble ? null : el("p", { class: "quiet" }, `Nothing ${found ? "that fits " : ""}was withheld or refused.`));
}

function showEgress(part) {
  egress = part;
  const chosen = $("project").value; // the list is made anew, as a study may have come
  $("project").replaceChildren(el("option", { value: "" }, "all"),
    ...(part.projects ?? []).map((name) => el("option", { value: name, selected: name === chosen }, name || "(not named)")));
  search(); // what has left since then may fit, too
}

function showLedger(ledger) {
  const limit = (data) => [data.answers_per_day ? `${data.answers_per_day} answers a day` : null,
    data.epsilon_total ? `epsilon ${data.epsilon_total}` : null].filter(Boolean).join(", ");
  put("ledger-part", trouble(ledger), (ledger.datasets ?? []).flatMap((data) => [
    el("h3", {}, data.name),
    limit(data) ? el("p", { class: "quiet" }, `at most ${limit(data)}, all projects together`) : null,
    data.accounts.length ? table("what has left of it, by project",
      ["project", "answers", "today", "figures", "no noise", "min-max", "epsilon"],
      data.accounts.map((each) => [each.project || "(no approval asked)", each.answers, each.today, each.figures,
        each.exact, each.extremes, Number(each.epsilon.toPrecision(3))]), [1, 2, 3, 4, 5, 6])
      : el("p", { class: "quiet" }, "Nothing has left.")]),
  ledger.datasets?.length === 0 ? el("p", { class: "quiet" }, "Nothing has left.") : null);
}

for (const id of ["project", "day", "text"]) {
  $(id).addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(search, PAUSE); });
}
$("filters").addEventListener("submit", (event) => event.preventDefault());
window.addEventListener("hashchange", showApp);
listen("events", {
  now: showNow, apps: showApps, egress: showEgress, ledger: showLedger,
  gate: (rows) => put("gate-part", table("from its config", ["key", "what it does"], rows)),
});
showApp();
