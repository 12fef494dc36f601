// The events of one room, in order, across lost connections.
//
// Every event carries a `seq`; after a break the stream asks for what came after the last one it saw, so
// nothing is shown twice and nothing is missed. Waits between attempts double up to 8 s, and a page that
// comes back online tries at once.

import { socket, why_refused } from "./server.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const ROOM_CLOSED = 1000;
// The page was so slow that the log has moved on; the reason says where it begins now.
const FELL_OFF = 4008;

export class EventStream {
  /** `on_event(event)`, `on_state(state, details)` with `connecting|live|waiting|refused|ended`. */
  constructor(room, { on_event, on_state }) {
    Object.assign(this, { room, on_event, on_state, seq: 0, wait_ms: FIRST_WAIT_MS, over: false });
    this.at_once = () => this.retry_now();
    addEventListener("online", this.at_once);
    this.connect();
  }

  connect() {
    this.on_state("connecting");
    const path = `/api/rooms/${encodeURIComponent(this.room)}/events?since=${this.seq}`;
    const link = socket(path);
    let opened = false;
    this.link = link;
    link.onopen = () => {
      opened = true;
      this.wait_ms = FIRST_WAIT_MS;
      this.on_state("live");
    };
    link.onmessage = (message) => this.take(message.data);
    link.onclose = async ({ code, reason }) => {
      if (this.over || this.link !== link) return;
      if (code === ROOM_CLOSED) return this.end();
      if (code === FELL_OFF) this.seq = Number(/resume=(\d+)/.exec(reason)?.[1] ?? this.seq);
      const why = opened ? null : await why_refused(path);
      if (this.over || this.link !== link) return;
      if (why && [401, 403, 404, 410].includes(why.status)) {
        this.close();
        this.on_state("refused", why);
      } else {
        this.wait();
      }
    };
  }

  take(text) {
    const event = JSON.parse(text);
    if (typeof event.seq !== "number" || event.seq <= this.seq) return;
    this.seq = event.seq;
    this.on_event(event);
  }

  wait() {
    // A little chance keeps a hundred pages from knocking together after a restart.
    const wait_ms = this.wait_ms * (0.75 + Math.random() / 2);
    this.wait_ms = Math.min(this.wait_ms * 2, LONGEST_WAIT_MS);
    this.on_state("waiting", { wait_ms });
    this.timer = setTimeout(() => this.connect(), wait_ms);
  }

  retry_now() {
    if (this.over || this.link?.readyState !== WebSocket.CLOSED) return;
    clearTimeout(this.timer);
    this.connect();
  }

  end() {
    this.close();
    this.on_state("ended");
  }

  close() {
    this.over = true;
    clearTimeout(this.timer);
    removeEventListener("online", this.at_once);
    this.link?.close();
  }
}
