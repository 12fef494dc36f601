// A recording on its way to a room, as fast as the server takes it.
//
// The file is read in slices, so that two hours cost no more memory than two seconds; a slice is sent when
// little waits in the browser, and the server's own pace comes back through that. Progress is what has left
// the browser. The server recognizes the container by itself.

import { ServerError, socket, why_refused } from "./server.js";

const SLICE_BYTES = 64 * 1024;
const WAITING_BYTES = 256 * 1024;
const LOOK_AGAIN_MS = 20;

/** Sends `file`; resolves when the server has heard all of it. `signal` (AbortSignal) gives up. */
export function send_file(path, file, { on_progress, signal }) {
  return new Promise((resolve, reject) => {
    const link = socket(path);
    link.binaryType = "arraybuffer";
    let opened = false;
    let error = null;
    const give_up = () => link.close();
    signal.addEventListener("abort", give_up);
    link.onopen = () => {
      opened = true;
      pump(link, file, on_progress, signal).catch((reason) => {
        error ??= new ServerError({ code: "unreadable", message: reason.message });
        link.close();
      });
    };
    link.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "error") error = new ServerError(message.error);
    };
    link.onclose = async ({ code }) => {
      signal.removeEventListener("abort", give_up);
      if (signal.aborted) return resolve(false);
      if (!opened) error ??= await why_refused(path);
      if (error) return reject(error);
      if (code !== 1000) return reject(new ServerError({}));
      on_progress(1);
      resolve(true);
    };
  });
}

async function pump(link, file, on_progress, signal) {
  for (let at = 0; at < file.size; at += SLICE_BYTES) {
    const slice = await file.slice(at, at + SLICE_BYTES).arrayBuffer();
    while (link.bufferedAmount > WAITING_BYTES) {
      on_progress(Math.max(0, at - link.bufferedAmount) / file.size);
      await new Promise((wake) => setTimeout(wake, LOOK_AGAIN_MS));
      if (link.readyState !== WebSocket.OPEN) return;
    }
    if (link.readyState !== WebSocket.OPEN || signal.aborted) return;
    link.send(slice);
    on_progress(Math.max(0, at - link.bufferedAmount) / file.size);
  }
  link.send(JSON.stringify({ type: "finish" }));
}
