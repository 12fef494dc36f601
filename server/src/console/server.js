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

/** Makes a request; resolves to the JSON of the answer, or null when it has none. */
export async function request(method, path, body) {
  const response = await send(method, path, body);
  if (!response.ok) throw await refusal(response);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
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

async function send(method, path, body, was_wrong = false) {
  const headers = { accept: "application/json" };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.authorization = `Bearer ${key}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store" });
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
  return send(method, path, body, true);
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
