// How long words take from the microphone to the page, as numbers and as a line of the latest results.
//
// Pure measuring: told when a sound was captured and when its text was shown. The numbers are medians of
// the last few results, because one result says little; the line shows each one.

import { on_language, t } from "./i18n.js";

const SHOWN = 60;
const RECENT = 9;
const WIDTH = 240;
const HEIGHT = 44;
const FLOOR_MS = 1000;

export class Latency {
  constructor({ partial, final, chart }) {
    Object.assign(this, { partial_out: partial, final_out: final, chart });
    this.clear();
    on_language(() => this.draw());
  }

  clear() {
    this.points = [];
    this.newest_word = new Map();
    this.draw();
  }

  /** A text arrived at `shown_ms` whose last word was captured at `captured_ms` (both of one clock). */
  note(event, captured_ms, shown_ms) {
    const final = event.type === "transcript.final";
    if (event.words.length === 0 || captured_ms === null) return;
    // A partial counts when it brings a new word: during a pause the old last word only grows older.
    const key = `${event.participant}/${event.utterance}`;
    if (!final && (this.newest_word.get(key) ?? 0) >= event.words.length) return;
    if (final) this.newest_word.delete(key);
    else this.newest_word.set(key, event.words.length);
    this.points.push({ final, ms: Math.max(0, Math.round(shown_ms - captured_ms)) });
    if (this.points.length > SHOWN) this.points.shift();
    this.draw();
  }

  /** The median of the latest results of a kind, or null. */
  median(final) {
    const recent = this.points.filter((point) => point.final === final).slice(-RECENT).map((point) => point.ms).sort((a, b) => a - b);
    return recent.length ? recent[Math.floor(recent.length / 2)] : null;
  }

  draw() {
    const shown = (ms) => (ms === null ? "–" : t("latency_at", { ms }));
    const [partial, final] = [shown(this.median(false)), shown(this.median(true))];
    this.partial_out.textContent = partial;
    this.final_out.textContent = final;
    const scale = Math.max(FLOOR_MS, ...this.points.map((point) => point.ms));
    const live = this.points.filter((point) => !point.final);
    const step = WIDTH / Math.max(1, SHOWN - 1);
    const start = WIDTH - (live.length - 1) * step;
    const at = (point, index) => `${(start + index * step).toFixed(1)} ${(HEIGHT - 2 - (point.ms / scale) * (HEIGHT - 6)).toFixed(1)}`;
    const line = live.length > 1 ? `M${live.map(at).join("L")}` : "";
    this.chart.querySelector(".line").setAttribute("d", line);
    this.chart.querySelector(".area").setAttribute("d", line && `${line}L${WIDTH} ${HEIGHT}L${start.toFixed(1)} ${HEIGHT}Z`);
    this.chart.setAttribute("aria-label", t("latency_chart_value", { partial, final, count: this.points.length }));
  }
}
