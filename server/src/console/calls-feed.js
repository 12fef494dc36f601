// The telephone calls of this server, asked for again and again: often while somebody looks, seldom otherwise.
//
// One question is under way at a time. While nobody looks only the calls that are on are asked for, which is what a
// count needs. A server that does not answer is asked less and less often, and at once when the page comes back
// online. A hidden page asks nothing.

import { request } from "./server.js";

const LOOKED_AT_MS = 1000;
const OTHERWISE_MS = 5000;
const LONGEST_WAIT_MS = 8000;

export class CallsFeed {
  /**
   * `on_known({live, over, has_more, trunks, at_ms})`, where `over` and `trunks` are null while nobody looks;
   * `on_failed(error)` when the server did not answer, or refused.
   */
  constructor({ on_known, on_failed, over_most }) {
    Object.assign(this, { on_known, on_failed, over_most, looking: false, is_asked: false, failures: 0 });
    addEventListener("online", () => this.ask());
    document.addEventListener("visibilitychange", () => this.ask());
  }

  /** From now on calls are followed. */
  begin() {
    if (this.is_asked) return;
    this.is_asked = true;
    this.ask();
  }

  look(looking) {
    this.looking = looking;
    if (looking) this.begin();
    this.ask();
  }

  /** Shows more of those that are over. */
  more(by) {
    this.over_most += by;
    this.ask();
  }

  async ask() {
    clearTimeout(this.timer);
    if (!this.is_asked || document.hidden) return;
    if (this.is_asking) {
      this.again = true;
      return;
    }
    Object.assign(this, { is_asking: true, again: false });
    let wait_ms = this.looking ? LOOKED_AT_MS : OTHERWISE_MS;
    try {
      await this.look_once();
      this.failures = 0;
    } catch (error) {
      this.failures += 1;
      wait_ms = Math.min(wait_ms * 2 ** this.failures, LONGEST_WAIT_MS);
      this.on_failed(error);
    }
    this.is_asking = false;
    if (this.again) return this.ask();
    this.timer = setTimeout(() => this.ask(), wait_ms);
  }

  async look_once() {
    const { looking, over_most } = this;
    // One more than is shown says whether there are more.
    const limit = looking ? over_most + 1 : 0;
    const [{ calls }, lines] = await Promise.all([
      request("GET", `/api/calls?limit=${limit}`),
      looking ? request("GET", "/api/trunks") : null,
    ]);
    const over = calls.filter((call) => call.ended_at !== null);
    this.on_known({
      live: calls.filter((call) => call.ended_at === null),
      over: looking ? over.slice(0, over_most) : null,
      has_more: over.length > over_most,
      trunks: lines?.trunks ?? null,
      at_ms: performance.now(),
    });
  }
}
