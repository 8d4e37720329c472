// The page: what is asked, and when it is asked again.

import * as documents from "./document.js";
import * as filters from "./filters.js";
import * as lists from "./lists.js";
import * as server from "./server.js";
import { element, milliseconds } from "./text.js";

const PAUSE = 90; // milliseconds without a change before asking again: a slider moves through many values
const DEEPEST = 200; // the slider's end; the server takes more
const NARROWEST = 8; // dimensions
const THEMES = ["auto", "light", "dark"];

const at = (id) => document.getElementById(id);
const query = at("query");
const depth = at("depth");
const dimensions = at("dimensions");
const shown = at("shown");

let known = [];
let results = [];
let widths = [];
let asking = null;
let timer = null;

const collection = () => known.find((one) => one.name === at("collection").value);

// Asking

const soon = () => {
  label();
  clearTimeout(timer);
  timer = setTimeout(ask, PAUSE);
};

const ask = async () => {
  clearTimeout(timer);
  asking?.abort();
  remember();
  if (!query.value.trim()) return say("");
  const mine = (asking = new AbortController());
  lists.stale(true);
  try {
    const answer = await server.search(request(), mine.signal);
    if (asking !== mine) return;
    lists.stale(false);
    show(answer);
  } catch (error) {
    if (error.name === "AbortError") return;
    lists.stale(false);
    fail(error);
  }
};

const request = () => {
  const reads = Number(depth.value);
  return {
    collection: collection().name,
    query: query.value,
    k: Math.max(reads, Number(shown.value)),
    depth: reads || null,
    rerank: reads > 0,
    dimensions: dimensions.disabled ? null : widths[Number(dimensions.value)],
    filter: filters.current(),
    include_text: false,
    matched: true,
  };
};

const show = (answer) => {
  results = answer.results;
  if (results.length === 0) {
    lists.hide();
    at("times").hidden = true;
    return say(filters.current() ? "Nothing found that passes the filters." : "Nothing found.");
  }
  showTimes(answer);
  at("final-note").textContent = answer.timings.reranked
    ? "after the reranker" : "not reranked: the order of the first stage";
  say("");
  lists.show(results, Number(shown.value));
  return undefined;
};

const showTimes = ({ timings, dimensions: width }) => {
  const { first_stage_ms: first, rerank_ms: second, reranked } = timings;
  const part = (name, value) => {
    const made = element("span", { className: name });
    made.style.flexGrow = value;
    return made;
  };
  const dot = (colour) => {
    const made = element("span", { className: "dot" });
    made.style.background = `var(${colour})`;
    return made;
  };
  const read = reranked ? ` for ${reranked} candidates` : "";
  at("times").replaceChildren(
    element("div", { className: "timebar" }, part("one", first), part("two", reranked ? second : 0)),
    element(
      "div", { className: "timenote" },
      element("span", {}, dot("--accent"), "first stage ", element("b", { textContent: milliseconds(first) }),
        width ? ` at ${width} dimensions` : " by words alone"),
      reranked
        ? element("span", {}, dot("--down"), "reranker ", element("b", { textContent: milliseconds(second) }), read)
        : element("span", { textContent: "no reranker" }),
    ),
  );
  at("times").hidden = false;
};

const say = (text, wrong = false) => {
  at("status").textContent = text;
  at("status").classList.toggle("wrong", wrong);
};

const fail = (error) => {
  if (error instanceof server.Unauthorized) return askToken(error.message);
  lists.hide();
  at("times").hidden = true;
  return say(error.message, true);
};

// Controls

const label = () => {
  at("depth-value").value = Number(depth.value) === 0 ? "off" : depth.value;
  const width = widths[Number(dimensions.value)];
  const full = collection()?.dimensions;
  at("dimensions-value").value = dimensions.disabled ? "–" : width;
  at("dimensions-note").textContent = dimensions.disabled
    ? "this collection is searched by words alone"
    : width === full ? "all of the vectors" : `the leading ${width} of ${full}; exact search, vectors made in memory`;
};

const choose = (wanted = {}) => {
  const { dimensions: full, depth: usual, max_depth: most, reranks, fields } = collection();
  widths = full ? [] : [0];
  for (let width = NARROWEST; width < full; width *= 2) widths.push(width, ...(width * 1.5 < full ? [width * 1.5] : []));
  if (full) widths.push(full);
  dimensions.max = widths.length - 1;
  dimensions.disabled = !full;
  const width = widths.indexOf(Number(wanted.dimensions));
  dimensions.value = width < 0 ? widths.length - 1 : width;
  depth.max = Math.min(most, DEEPEST);
  depth.value = wanted.depth ?? (reranks ? usual : 0);
  shown.value = wanted.shown ?? shown.value;
  filters.setFields(fields);
  for (const row of wanted.filters ?? []) filters.add(soon, row);
  label();
};

// The address keeps what was asked, so that it can be sent to someone.
const remember = () => {
  const kept = {
    q: query.value, c: collection().name, depth: depth.value, shown: shown.value,
    dimensions: String(widths[Number(dimensions.value)]), f: JSON.stringify(filters.rowsNow()),
  };
  history.replaceState(null, "", `?${new URLSearchParams(kept)}`);
};

const recall = () => {
  const kept = Object.fromEntries(new URLSearchParams(location.search));
  const wanted = { ...kept, filters: [] };
  try {
    const rows = JSON.parse(kept.f ?? "[]");
    if (Array.isArray(rows)) wanted.filters = rows.filter((row) => row && typeof row === "object");
  } catch { /* an address cut short asks without filters */ }
  return wanted;
};

const start = async () => {
  try {
    const { collections: listed, report } = await server.collections();
    known = listed;
    at("report").hidden = !report;
  } catch (error) {
    return fail(error);
  }
  const wanted = recall();
  const select = at("collection");
  select.replaceChildren(...known.map(({ name, documents: count }) =>
    element("option", { value: name, textContent: `${name} (${count.toLocaleString("en")} documents)` })));
  if (known.some(({ name }) => name === wanted.c)) select.value = wanted.c;
  query.value = wanted.q ?? "";
  choose(wanted);
  query.focus();
  if (!query.value) say("Press / to search, ? for the keys.");
  return query.value ? ask() : undefined;
};

const askToken = (problem) => {
  at("token-problem").textContent = problem;
  if (!at("token-view").open) at("token-view").showModal();
  at("token").focus();
};

const showReport = async () => {
  try {
    at("report-frame").srcdoc = await server.report();
    at("report-view").showModal();
  } catch (error) {
    fail(error);
  }
};

const setTheme = (theme) => {
  document.documentElement.style.colorScheme = theme === "auto" ? "" : theme;
  at("theme").textContent = `theme: ${theme}`;
  localStorage.setItem("retriever-theme", theme);
};
const nextTheme = () => {
  const now = localStorage.getItem("retriever-theme") ?? "auto";
  setTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
};

// Events

at("search").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
for (const control of [depth, dimensions, shown]) control.addEventListener("input", soon);
at("collection").addEventListener("change", () => { choose(); ask(); });
at("add-filter").addEventListener("click", () => filters.add(soon));
at("theme").addEventListener("click", nextTheme);
at("keys").addEventListener("click", () => at("help").showModal());
at("report").addEventListener("click", showReport);
at("token-form").addEventListener("submit", () => { server.rememberToken(at("token").value); at("token").value = ""; start(); });
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => { if (event.target === dialog && dialog.id !== "token-view") dialog.close(); });
}
at("stages").addEventListener("click", (event) => {
  const card = event.target.closest(".card");
  if (card) documents.open(results, card.dataset.id, collection().name);
});

const KEYS = {
  "/": () => { query.focus(); query.select(); },
  "?": () => at("help").showModal(),
  t: nextTheme,
  j: () => lists.step(1),
  k: () => lists.step(-1),
  ArrowDown: () => lists.step(1),
  ArrowUp: () => lists.step(-1),
  ArrowLeft: () => lists.across("first"),
  ArrowRight: () => lists.across("final"),
  Enter: () => document.activeElement.classList.contains("card") && document.activeElement.click(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.matches("input, select, textarea, button");
  if (typing && !(event.target === query && event.key === "ArrowDown")) {
    if (event.key === "Escape") { event.preventDefault(); event.target.blur(); }
    return;
  }
  const action = KEYS[event.key];
  if (action) { event.preventDefault(); action(); }
});

setTheme(localStorage.getItem("retriever-theme") ?? "auto");
start();
