// Live sound on its way to a room, across lost connections.
//
// Frames wait in a bounded queue while there is no connection (10 s; then the oldest are dropped and
// counted), so the first words are not lost while the socket opens. Each frame's capture time is kept for a
// minute, so that the page can tell how old the sound of a word is when its text arrives.

import { ServerError, socket, why_refused } from "./server.js";

const FRAME_S = 0.02;
const QUEUE_FRAMES = 500;
const REMEMBERED_FRAMES = 3000;
// Above this the network is slower than speech; what waits in the browser would only grow older.
const SLOW_BYTES = 512 * 1024;
const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 5000;
const TRIES = 8;

export class AudioSocket {
  /** `on_state("connecting"|"open"|"closed")`, `on_refused(error)` once it is hopeless, `on_dropped(seconds)`. */
  constructor(path, { on_state, on_refused, on_dropped }) {
    Object.assign(this, { path, on_state, on_refused, on_dropped });
    Object.assign(this, { queue: [], over: false, finishing: false, tries: 0, wait_ms: FIRST_WAIT_MS });
    this.forget();
    this.connect();
  }

  forget() {
    Object.assign(this, { participants: [], first_frame: 0, captured: [] });
  }

  connect() {
    this.on_state("connecting");
    this.forget();
    const link = socket(this.path);
    link.binaryType = "arraybuffer";
    this.link = link;
    let opened = false;
    let error = null;
    link.onopen = () => {
      opened = true;
      this.wait_ms = FIRST_WAIT_MS;
      this.on_state("open");
      this.drain();
    };
    link.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "error") error = new ServerError(message.error);
      if (message.type === "ready") this.participants = message.participants;
    };
    link.onclose = async () => {
      if (this.over || this.link !== link) return;
      if (this.finishing) return this.end();
      error ??= opened ? null : await why_refused(this.path);
      if (this.over || this.link !== link) return;
      if (opened && !error) this.tries = 0;
      this.tries += 1;
      if (error?.status >= 400 || this.tries > TRIES || (opened && error)) {
        this.end();
        this.on_refused(error ?? new ServerError({}));
      } else {
        this.on_state("connecting");
        this.timer = setTimeout(() => this.connect(), this.wait_ms);
        this.wait_ms = Math.min(this.wait_ms * 2, LONGEST_WAIT_MS);
      }
    };
  }

  /** Sends one frame, or keeps it until there is a connection. */
  push(frame) {
    if (this.over || this.finishing) return;
    this.queue.push(frame);
    if (this.queue.length > QUEUE_FRAMES) this.drop(1);
    this.drain();
  }

  drain() {
    if (this.link.readyState !== WebSocket.OPEN) return;
    if (this.link.bufferedAmount > SLOW_BYTES) return;
    for (const { samples, captured_ms } of this.queue.splice(0)) {
      this.link.send(samples);
      this.captured.push(captured_ms);
      if (this.captured.length > REMEMBERED_FRAMES) {
        this.captured.shift();
        this.first_frame += 1;
      }
    }
  }

  drop(frames) {
    this.queue.splice(0, frames);
    this.on_dropped(frames * FRAME_S);
  }

  /** When the sound at `stream_s` of this stream was captured, or null when that is not known. */
  captured_ms_at(stream_s) {
    const frame = Math.ceil(stream_s / FRAME_S - 1e-6) - 1 - this.first_frame;
    return this.captured[Math.min(frame, this.captured.length - 1)] ?? null;
  }

  /** Ends the sound: what was said becomes final, then the server closes. */
  finish() {
    if (this.over || this.finishing) return;
    if (this.link.readyState !== WebSocket.OPEN) return this.end();
    this.drain();
    this.finishing = true;
    this.link.send(JSON.stringify({ type: "finish" }));
  }

  end() {
    if (this.over) return;
    this.over = true;
    clearTimeout(this.timer);
    this.link.close();
    this.on_state("closed");
  }
}
