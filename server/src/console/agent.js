// The agent of the room on show: asked in and sent away here, what it does, and where the time of its answers went.
//
// Everything but the button comes from the room's events, so every page shows the same. The bars of a turn begin with the
// last sound of whoever is answered and end when the answer is heard; the numbers say the same in text.

import { on_language, t } from "./i18n.js";
import { request } from "./server.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 280;
const HEIGHT = 12;
const TURNS = 5;
// What each part is called, and between which times of the server's waterfall it lies.
const PARTS = [
  ["stage_turn", "speech_ended_s", "turn_ended_s"],
  ["stage_llm_first_token", "asked_s", "first_token_s"],
  ["stage_tts_first_audio", "first_token_s", "first_audio_s"],
  ["agent_way", "first_audio_s", "heard_s"],
];

export class Agent {
  constructor({ toggle, state, turns, on_error }) {
    Object.assign(this, { toggle, state, list: turns, on_error, room: null, agent: null, does: "listens", turns: [], asking: false });
    toggle.addEventListener("click", () => this.change());
    on_language(() => this.draw());
    this.draw();
  }

  open(room) {
    Object.assign(this, { room, agent: null, does: "listens", turns: [] });
    this.draw();
  }

  take(event) {
    const take = this.takes[event.type];
    if (!take || (event.type !== "participant.joined" && event.participant !== this.agent)) return;
    take.call(this, event);
    this.draw();
  }

  takes = {
    "participant.joined"({ participant, kind }) {
      if (kind === "agent") Object.assign(this, { agent: participant, does: "listens" });
    },
    "participant.left"() {
      this.agent = null;
    },
    "turn.ended"() {
      this.does = "thinks";
    },
    "bot.speaking"() {
      this.does = "speaks";
    },
    "bot.trace"({ what }) {
      if (what === "paused") this.does = "holds";
      if (what === "resumed") this.does = "speaks";
      if (what === "dropped") this.does = "listens";
    },
    "bot.spoke"(event) {
      this.spoke(event);
    },
    "bot.interrupted"(event) {
      this.spoke(event);
    },
  };

  spoke({ turn, waterfall }) {
    this.does = "listens";
    // A greeting is nobody's answer.
    if (waterfall?.speech_ended_s === undefined || waterfall.heard_s === undefined) return;
    this.turns = [{ turn, times: waterfall }, ...this.turns].slice(0, TURNS);
  }

  async change() {
    this.asking = true;
    this.draw();
    const path = `/api/rooms/${encodeURIComponent(this.room)}/agent`;
    try {
      await request(this.agent ? "DELETE" : "POST", path);
    } catch (error) {
      // Somebody else may have asked the same a moment before.
      if (error.status !== (this.agent ? 404 : 409)) this.on_error(error);
    }
    this.asking = false;
    this.draw();
  }

  draw() {
    this.toggle.disabled = this.room === null || this.asking;
    this.toggle.textContent = t(this.agent ? "agent_away" : "agent_in");
    this.state.textContent = t(this.agent ? `agent_${this.does}` : "agent_none");
    const scale_s = Math.max(0.001, ...this.turns.map(({ times }) => times.heard_s - times.speech_ended_s));
    this.list.replaceChildren(...this.turns.map((turn) => line(turn, scale_s)));
  }
}

function line({ turn, times }, scale_s) {
  const item = document.createElement("li");
  item.className = "stage-line total";
  item.dataset.turn = turn;
  const name = document.createElement("span");
  name.className = "stage-name";
  name.textContent = t("agent_answered", { ms: Math.round((times.heard_s - times.speech_ended_s) * 1000) });
  const parts = PARTS.filter(([, from, to]) => times[from] !== undefined && times[to] !== undefined);
  const said = document.createElement("span");
  said.className = "unseen";
  said.textContent = parts.map(([key, from, to]) => `${t(key)}: ${Math.max(0, Math.round((times[to] - times[from]) * 1000))} ms`).join(", ");
  item.title = said.textContent;
  item.append(name, said, picture(times, parts, scale_s));
  return item;
}

function picture(times, parts, scale_s) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const at = (s) => (Math.max(0, s - times.speech_ended_s) / scale_s) * WIDTH;
  const bar = (name, x, width) => {
    const rect = document.createElementNS(SVG, "rect");
    for (const [key, value] of Object.entries({ class: name, x, width, y: 1, height: HEIGHT - 2, rx: 2 })) rect.setAttribute(key, value);
    svg.append(rect);
  };
  bar("ground", 0, WIDTH);
  const names = ["bar-p99", "bar-p95", "bar-p50"];
  // What is too short to see is a line.
  parts.forEach(([, from, to], index) => bar(names[index % names.length], at(times[from]), Math.max(2, at(times[to]) - at(times[from]))));
  return svg;
}
