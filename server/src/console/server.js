// The way to the server: requests with the key, sockets with the key, and errors that say what to do.
//
// The key lives in sessionStorage: it goes when the tab goes. A request that is answered 401 asks for a key
// once, through `ask_for_key`, and is made again. Sockets cannot carry headers from a browser, so they send
// the key as a subprotocol.

const KEY = "harmony.key";
let ask_for_key = async () => null;
let asking = null;

/** Says how a person is asked: `ask(was_wrong)` resolves to a key, or null when they gave up. */
export function on_key_wanted(ask) {
  ask_for_key = ask;
}

/** What went wrong, in the server's own words: `{status, code, message, hint, retry_after_s}`. */
export class ServerError extends Error {
  constructor({ status = 0, code = "unreachable", message = "", hint = "", retry_after_s = null }) {
    super(message || code);
    Object.assign(this, { status, code, hint, retry_after_s });
  }
}

/** Makes a request with a JSON body or none; resolves to the JSON of the answer, or null when it has none. */
export async function request(method, path, body) {
  const json = body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  const text = await (await ask(method, path, json)).text();
  return text ? JSON.parse(text) : null;
}

/** Makes a request with any body and resolves to the answer itself; a refusal is thrown as `ServerError`. */
export async function ask(method, path, options) {
  const response = await send(method, path, options);
  if (!response.ok) throw await refusal(response);
  return response;
}

/** The same, for answers whose status is the message (`/readyz`). */
export async function ask_status(path) {
  const response = await send("GET", path);
  const text = await response.text();
  try {
    return { status: response.status, body: JSON.parse(text) };
  } catch {
    return { status: response.status, body: null };
  }
}

/** Takes leave of `path` while the page goes away: nobody can wait for the answer any more. */
export function delete_in_passing(path) {
  const key = sessionStorage.getItem(KEY);
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  fetch(path, { method: "DELETE", headers, keepalive: true }).catch(() => {});
}

/**
 * Follows server-sent events until `signal` ends it; `on_data(object)` takes each. A browser's own EventSource
 * cannot carry the key. Rejects when the connection breaks.
 */
export async function follow(path, { on_data, signal }) {
  const response = await ask("GET", path, { headers: { accept: "text/event-stream" }, signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data:")) on_data(JSON.parse(line.slice(5)));
  }
}

/** Whether this server is used with a key, which players and links of the browser cannot send. */
export function has_key() {
  return sessionStorage.getItem(KEY) !== null;
}

/** Where the browser itself can read `path` (a player, a download): as it is, or fetched with the key. */
export async function readable_url(path) {
  if (!has_key()) return path;
  return URL.createObjectURL(await (await ask("GET", path)).blob());
}

/** A socket to `path`, with the key where there is one. */
export function socket(path) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const key = sessionStorage.getItem(KEY);
  return key ? new WebSocket(url, ["token", key]) : new WebSocket(url);
}

/** Why a socket could not be opened: browsers keep the refusal from a page, plain requests do not. */
export async function why_refused(path) {
  try {
    const response = await send("GET", path);
    if (response.status !== UPGRADE_REQUIRED) return await refusal(response);
    // The path and the key are right, so it is the server's own state that stood in the way.
    const ready = await send("GET", "/readyz");
    if (!ready.ok) return await refusal(ready);
    const { streams } = await ready.json();
    return streams?.open >= streams?.max ? new ServerError({ status: 503, code: "full" }) : null;
  } catch (error) {
    return error instanceof ServerError ? error : null;
  }
}

const UPGRADE_REQUIRED = 426;

async function send(method, path, { headers = {}, body, signal } = {}, was_wrong = false) {
  const key = sessionStorage.getItem(KEY);
  const all = { accept: "application/json", ...headers };
  if (key) all.authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, { method, headers: all, body, signal, cache: "no-store" });
  } catch (error) {
    throw new ServerError({ message: error.message });
  }
  if (response.status !== 401) return response;
  // Somebody may have given the key while this request was under way.
  if (sessionStorage.getItem(KEY) === key || was_wrong) {
    asking ??= ask_for_key(key !== null).finally(() => (asking = null));
    const given = await asking;
    if (given === null) return response;
    sessionStorage.setItem(KEY, given);
  }
  return send(method, path, { headers, body, signal }, true);
}

async function refusal(response) {
  const retry_after = Number(response.headers.get("retry-after"));
  let error = {};
  try {
    error = (await response.json()).error ?? {};
  } catch {
    // A proxy in between may answer in HTML; the status says enough.
  }
  return new ServerError({ ...error, status: response.status, retry_after_s: retry_after > 0 ? retry_after : null });
}
