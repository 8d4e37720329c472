// The document view: what every stage thought of a document, and its text with the best passage marked.

import * as server from "./server.js";
import { element, marked, number } from "./text.js";

const dialog = document.getElementById("document");
const body = document.getElementById("document-body");
const title = document.getElementById("document-title");

let results = [];
let at = 0;
let collection = "";

export const open = async (found, id, name) => {
  results = found;
  collection = name;
  at = results.findIndex((result) => result.id === id);
  await show();
};

export const step = async (by) => {
  const next = at + by;
  if (next < 0 || next >= results.length) return;
  at = next;
  await show();
};

const show = async () => {
  const result = results[at];
  title.textContent = result.title || result.id;
  body.replaceChildren(facts(result));
  if (!dialog.open) dialog.showModal();
  body.focus();
  try {
    const { text } = await server.documentOf(collection, result.id);
    if (results[at] !== result) return;
    body.append(whole(text, result));
    body.querySelector(".best")?.scrollIntoView({ block: "nearest" });
  } catch (error) {
    body.append(element("p", { className: "wrong", textContent: error.message }));
  }
};

// Spans count characters as Python does, which for emoji and the like is not as JavaScript does.
const whole = (text, { span: [start, end], matched }) => {
  const characters = Array.from(text);
  const part = (from, to) => characters.slice(from, to).join("");
  return element(
    "pre",
    { className: "whole" },
    part(0, start),
    element("span", { className: "best", title: "best passage" }, ...marked(part(start, end), matched)),
    part(end),
  );
};

const facts = ({ id, rank, score, probability, stages, metadata, span }) => {
  const stage = (name, value, digits = 3) =>
    [name, value ? `rank ${value.rank ?? "–"}, score ${number(value.score, digits)}` : "off or not read"];
  const rows = [
    ["id", id],
    ["final", `rank ${rank}, score ${number(score, 3)}`],
    ...(probability === null ? [] : [["relevant", `with a probability of ${number(probability, 2)}`]]),
    stage("first stage, fused", stages.fused),
    stage("static encoder, cosine", stages.dense),
    stage("BM25", stages.lexical),
    stage("reranker, logit", stages.reranked),
    ["best passage", `characters ${span[0]} to ${span[1]}`],
    ...Object.entries(metadata).map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]),
  ];
  const cells = rows.map(([key, value]) =>
    element("tr", {}, element("th", { textContent: key }), element("td", { textContent: value })));
  return element("table", { className: "facts" }, element("tbody", {}, ...cells));
};

for (const button of dialog.querySelectorAll("[data-step]")) {
  button.addEventListener("click", () => step(Number(button.dataset.step)));
}
dialog.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "j" || event.key === "ArrowRight") step(1);
  if (event.key === "k" || event.key === "ArrowLeft") step(-1);
});
