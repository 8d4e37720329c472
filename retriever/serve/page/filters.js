// Filters: rows of field, operator and value, together one filter object.

import { element } from "./text.js";

const OPERATORS = [
  ["eq", "is"], ["ne", "is not"], ["gte", "≥"], ["lte", "≤"],
  ["prefix", "starts with"], ["contains", "contains"], ["exists", "exists"],
];

const rows = document.getElementById("filters");
let fields = {};

export const setFields = (known) => {
  fields = known;
  rows.replaceChildren();
};

export const add = (changed, { field = Object.keys(fields)[0] ?? "", operator = "eq", value = "" } = {}) => {
  const names = Object.keys(fields);
  const chooseField = names.length
    ? element("select", {}, ...names.map((name) => element("option", { value: name, textContent: name })))
    : element("input", { type: "text", placeholder: "field" });
  chooseField.value = field;
  chooseField.setAttribute("aria-label", "Field");
  const chooseOperator = element(
    "select", {}, ...OPERATORS.map(([name, label]) => element("option", { value: name, textContent: label })));
  chooseOperator.value = operator;
  chooseOperator.setAttribute("aria-label", "Operator");
  const suggestions = element("datalist", { id: `values-${crypto.randomUUID()}` });
  const input = element("input", { type: "text", value, placeholder: "value" });
  input.setAttribute("list", suggestions.id);
  input.setAttribute("aria-label", "Value");
  const remove = element("button", { type: "button", className: "plain", textContent: "×", title: "Remove this filter" });
  const row = element("div", { className: "filter" }, chooseField, chooseOperator, input, suggestions, remove);
  const suggest = () => {
    suggestions.replaceChildren(...(fields[chooseField.value] ?? []).map((known) => element("option", { value: known })));
    input.hidden = chooseOperator.value === "exists";
  };
  suggest();
  row.addEventListener("input", () => { suggest(); changed(); });
  remove.addEventListener("click", () => { row.remove(); changed(); });
  rows.append(row);
  input.focus();
};

export const rowsNow = () =>
  [...rows.children].map((row) => {
    const [field, operator, input] = row.querySelectorAll("select, input");
    return { field: field.value, operator: operator.value, value: input.value };
  });

// The filter object, or null where no row is complete.
export const current = () => {
  const parts = rowsNow()
    .filter(({ field, operator, value }) => field && (operator === "exists" || value !== ""))
    .map(({ field, operator, value }) => ({ [field]: { [operator]: typed(field, operator, value) } }));
  if (parts.length === 0) return null;
  return parts.length === 1 ? parts[0] : { and: parts };
};

// A number where the field holds numbers: 1 and "1" are two values.
const typed = (field, operator, value) => {
  if (operator === "exists") return true;
  const known = fields[field] ?? [];
  if (known.some((one) => typeof one === "boolean") && /^(true|false)$/.test(value)) return value === "true";
  const numbers = known.some((one) => typeof one === "number");
  return numbers && operator !== "prefix" && value.trim() !== "" && !Number.isNaN(Number(value)) ? Number(value) : value;
};
