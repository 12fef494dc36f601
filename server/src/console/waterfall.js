// Where the time goes between a voice and its words: each stage of the server with its quantiles.
//
// The server keeps the last minutes; this asks every two seconds while somebody looks. Bars of the way stand
// one behind the other, each beginning where the half of those before it have ended; totals begin at zero.
// The numbers say the same in text.

import { on_language, t } from "./i18n.js";
import { request } from "./server.js";

const EVERY_MS = 2000;
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 280;
const HEIGHT = 12;
const TOTALS = ["ear_to_text", "ear_to_ear"];
// A partial and a final are two ways through the same place, not one after the other.
const BESIDE = { asr_final: "asr_partial" };

export class Waterfall {
  constructor({ list, empty, note }) {
    Object.assign(this, { list, empty, note, looking: false, answer: null });
    on_language(() => this.draw());
    document.addEventListener("visibilitychange", () => this.ask());
  }

  look(looking) {
    this.looking = looking;
    this.ask();
  }

  async ask() {
    clearTimeout(this.timer);
    if (!this.looking || document.hidden) return;
    try {
      this.answer = await request("GET", "/api/stages");
      this.draw();
    } catch {
      // The list of rooms says when the server does not answer; this stays as it was.
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), EVERY_MS);
  }

  draw() {
    if (!this.answer) return;
    const { stages, window_s } = this.answer;
    const begins = begins_of(stages);
    const scale_ms = Math.max(1, ...stages.map((stage) => begins.get(stage.stage) + stage.p99_ms));
    this.empty.hidden = stages.length > 0;
    this.note.hidden = stages.length === 0;
    this.note.textContent = t("stages_note", { minutes: Math.round(window_s / 60) });
    this.list.replaceChildren(...stages.map((stage) => line(stage, begins.get(stage.stage), scale_ms)));
  }
}

/** When each stage begins on the picture: after the medians of those before it. */
function begins_of(stages) {
  const begins = new Map();
  let at_ms = 0;
  for (const { stage, p50_ms } of stages) {
    const beside = begins.get(BESIDE[stage]);
    begins.set(stage, TOTALS.includes(stage) ? 0 : beside ?? at_ms);
    if (!TOTALS.includes(stage)) at_ms = Math.max(at_ms, begins.get(stage) + p50_ms);
  }
  return begins;
}

function line({ stage, count, p50_ms, p95_ms, p99_ms }, begin_ms, scale_ms) {
  const item = document.createElement("li");
  item.className = TOTALS.includes(stage) ? "stage-line total" : "stage-line";
  item.dataset.stage = stage;
  const name = document.createElement("span");
  name.className = "stage-name";
  name.textContent = t(`stage_${stage}`) === `stage_${stage}` ? stage : t(`stage_${stage}`);
  name.title = t("stage_count", { stage, count });
  const numbers = document.createElement("span");
  numbers.className = "stage-numbers";
  for (const [label, ms] of [["p50", p50_ms], ["p95", p95_ms], ["p99", p99_ms]]) {
    const number = document.createElement("span");
    number.className = label;
    const said = document.createElement("span");
    said.className = "unseen";
    said.textContent = `${t(label)} `;
    number.append(said, short(ms));
    numbers.append(number);
  }
  item.append(name, numbers, picture([p50_ms, p95_ms, p99_ms], begin_ms, scale_ms));
  return item;
}

function picture(quantiles, begin_ms, scale_ms) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const at = (ms) => (ms / scale_ms) * WIDTH;
  const bar = (name, x, width) => {
    const rect = document.createElementNS(SVG, "rect");
    for (const [key, value] of Object.entries({ class: name, x, width, y: 1, height: HEIGHT - 2, rx: 2 })) rect.setAttribute(key, value);
    svg.append(rect);
  };
  bar("ground", 0, WIDTH);
  const names = ["bar-p50", "bar-p95", "bar-p99"];
  // The longest first, so that the shorter lie on it. What is too short to see is a line.
  quantiles.map((ms, index) => [names[index], ms]).reverse().forEach(([name, ms]) => bar(name, at(begin_ms), Math.max(2, at(ms))));
  return svg;
}

/** Three digits say enough. */
function short(ms) {
  return ms < 10 ? ms.toFixed(1) : String(Math.round(ms));
}
