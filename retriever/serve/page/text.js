// Text into elements. Nothing here or elsewhere parses HTML: what a document says is shown, never run.

const WORD = /[\p{L}\p{N}]+/gu;
const BEFORE = 24; // characters shown before the first matched word of an excerpt
const LONG = 240; // characters of an excerpt; a line shows fewer

export const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.filter((child) => child !== null));
  return made;
};

// The text as nodes, with the given words marked.
export const marked = (text, words) => {
  const wanted = new Set(words);
  const nodes = [];
  let end = 0;
  for (const found of text.matchAll(WORD)) {
    if (!wanted.has(found[0])) continue;
    nodes.push(text.slice(end, found.index), element("mark", { textContent: found[0] }));
    end = found.index + found[0].length;
  }
  return [...nodes, text.slice(end)];
};

// A passage's beginning, or the part around its first matched word where that comes late.
export const excerpt = (passage, words) => {
  const wanted = new Set(words);
  const text = passage.replace(/\s+/g, " ");
  const first = [...text.matchAll(WORD)].find((found) => wanted.has(found[0]));
  if (!first || first.index < 2 * BEFORE) return text.slice(0, LONG);
  const start = text.indexOf(" ", first.index - BEFORE) + 1;
  return `… ${text.slice(start, start + LONG)}`;
};

export const number = (value, digits = 2) =>
  value === null || value === undefined ? "–" : value.toFixed(digits).replace("-", "−");

export const milliseconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
