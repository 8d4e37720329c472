// The two lists, and the lines between a document's two places.

import { element, excerpt, marked, number } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const stages = document.getElementById("stages");
const lists = { first: document.getElementById("first"), final: document.getElementById("final") };
const lines = document.getElementById("lines");

export const show = (results, shown) => {
  const byFirst = results.filter((result) => result.stages.fused.rank <= shown);
  byFirst.sort((a, b) => a.stages.fused.rank - b.stages.fused.rank);
  const byFinal = results.slice(0, shown);
  lists.first.replaceChildren(...byFirst.map((result) => card(result, "first")));
  lists.final.replaceChildren(...byFinal.map((result) => card(result, "final")));
  stages.hidden = false;
  drawLines();
};

export const hide = () => { stages.hidden = true; };

export const stale = (is) => stages.classList.toggle("stale", is);

const card = (result, list) => {
  const rank = list === "first" ? result.stages.fused.rank : result.rank;
  const name = result.title || result.id;
  const made = element(
    "li",
    { className: "card", tabIndex: -1 },
    element("span", { className: "rank", textContent: rank }),
    element("span", { className: "name", title: name }, ...marked(name, result.matched)),
    move(result, list),
    element("div", { className: "passage" }, ...marked(excerpt(result.passage, result.matched), result.matched)),
    element("div", { className: "scores" }, ...(list === "first" ? firstScores(result) : finalScores(result))),
  );
  made.dataset.id = result.id;
  made.setAttribute("role", "button");
  made.setAttribute("aria-label", `${rank}: ${name}`);
  made.addEventListener("pointerenter", () => trace(result.id));
  made.addEventListener("pointerleave", () => trace(null));
  made.addEventListener("focus", () => trace(result.id));
  made.addEventListener("blur", () => trace(null));
  return made;
};

// Where the document is in the other list.
const move = (result, list) => {
  const before = result.stages.fused.rank;
  const way = before > result.rank ? "up" : before < result.rank ? "down" : "same";
  const arrow = { up: "▲", down: "▼", same: "=" }[way];
  const text = list === "first" ? `→ ${result.rank}` : `${arrow}${way === "same" ? "" : Math.abs(before - result.rank)}`;
  const title = `rank ${before} in the first stage, ${result.rank} in the final list`;
  return element("span", { className: `move ${way}`, textContent: text, title });
};

const pair = (name, value, strong = false) => [
  element(strong ? "b" : "span", { textContent: `${name} ${value}` }),
  " · ",
];

const firstScores = ({ stages: { fused, dense, lexical }, matched }) => [
  ...pair("fused", number(fused.score), true),
  ...(dense ? pair("cosine", number(dense.score)) : []),
  ...(lexical ? pair("BM25", number(lexical.score)) : []),
  matched.length ? `matched ${[...new Set(matched.map((word) => word.toLowerCase()))].join(", ")}` : "no word matched",
];

const finalScores = ({ score, probability, stages: { reranked, fused } }) => [
  ...pair("score", number(score), true),
  ...(probability === null ? [] : pair("relevant", `${Math.round(100 * probability)} %`)),
  ...(reranked ? pair("reranker", number(reranked.score)) : []),
  reranked ? `its rank ${reranked.rank}` : `not read; first stage rank ${fused.rank}`,
];

export const drawLines = () => {
  lines.replaceChildren();
  if (stages.hidden || getComputedStyle(lines).display === "none") return;
  const top = lines.getBoundingClientRect().top;
  const width = lines.clientWidth;
  const bottom = lines.clientHeight;
  const middle = (item) => {
    const box = item.getBoundingClientRect();
    return box.top + box.height / 2 - top;
  };
  const places = Object.fromEntries(
    Object.entries(lists).map(([name, list]) => [
      name, new Map([...list.children].map((item) => [item.dataset.id, middle(item)])),
    ]),
  );
  const order = (name) => [...places[name].keys()];
  for (const id of new Set([...order("first"), ...order("final")])) {
    const [from, to] = [places.first.get(id), places.final.get(id)];
    const leaving = from === undefined || to === undefined;
    const [y1, y2] = [from ?? bottom, to ?? bottom];
    const path = document.createElementNS(SVG, "path");
    const bend = width * 0.5;
    path.setAttribute("d", `M3,${y1} C${bend},${y1} ${width - bend},${y2} ${width - 3},${y2}`);
    const item = [...lists.final.children, ...lists.first.children].find((one) => one.dataset.id === id);
    const way = [...item.querySelector(".move").classList].pop();
    path.setAttribute("class", `${way}${leaving ? " leaving" : ""}`);
    path.dataset.id = id;
    lines.append(path);
  }
};

const trace = (id) => {
  stages.classList.toggle("tracing", id !== null);
  for (const part of stages.querySelectorAll("[data-id]")) part.classList.toggle("traced", part.dataset.id === id);
};

// Keyboard: up and down in a list, across to the same document in the other one.

export const focusFirst = () => lists.final.firstElementChild?.focus();

export const step = (by) => {
  const at = document.activeElement;
  if (!at?.classList.contains("card")) return focusFirst();
  return (by > 0 ? at.nextElementSibling : at.previousElementSibling)?.focus();
};

export const across = (name) => {
  const at = document.activeElement;
  if (!at?.classList.contains("card") || at.parentElement === lists[name]) return;
  const same = [...lists[name].children].find((one) => one.dataset.id === at.dataset.id);
  (same ?? lists[name].firstElementChild)?.focus();
};

new ResizeObserver(drawLines).observe(stages);
