// Talks to the server. Every failure becomes an Error whose message can be shown to a person.

const TOKEN = "retriever-token";

export class Unauthorized extends Error {}

export const rememberToken = (token) => sessionStorage.setItem(TOKEN, token);

const fetchChecked = async (path, options = {}) => {
  const headers = { ...options.headers };
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running?");
  }
  if (response.ok) return response;
  const said = await response.json().then((body) => body.error.message, () => response.statusText);
  if (response.status === 401 || response.status === 403) throw new Unauthorized(said);
  if (response.status === 429) {
    throw new Error(`The server is busy; try again in ${response.headers.get("retry-after")} s.`);
  }
  throw new Error(said);
};

const asJson = async (response) => (await response).json();

export const collections = () => asJson(fetchChecked("v1/collections"));

export const search = (body, signal) =>
  asJson(fetchChecked("v1/search", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  }));

export const documentOf = (collection, id) =>
  asJson(fetchChecked(`v1/documents?${new URLSearchParams({ collection, id })}`));

export const report = async () => (await fetchChecked("report")).text();
