// The transcript on the page: one line an utterance, its words solid once they are settled.
//
// A partial rewrites only the words that changed, so settled words keep their elements and never flicker; a
// final turns the live line into a settled one. Everything a voice said goes in as text, never as markup.
// Screen readers hear finals only. The view follows the newest words until the reader scrolls up.

import { clock, fine_clock, on_language, t } from "./i18n.js";
import { name_of, rename, runs_of, speaker_of, tint_of } from "./voices.js";

const UNSURE = 0.55;
const SAME_BREATH_S = 3;
const NEAR_END_PX = 80;

export class Transcript {
  constructor({ lines, spoken, welcome, to_live }) {
    Object.assign(this, { lines, spoken, welcome, to_live });
    // Whichever element scrolls: the column on a desktop, the page on a phone.
    this.scroller = lines.parentElement;
    this.clear();
    lines.addEventListener("click", (event) => this.on_click(event));
    lines.addEventListener("keydown", (event) => this.on_key(event));
    this.scroller.addEventListener("scroll", () => this.on_scroll(), { passive: true });
    to_live.addEventListener("click", () => this.follow());
    on_language(() => this.relabel());
  }

  clear() {
    this.utterances = new Map();
    this.finals = [];
    this.following = true;
    this.lines.replaceChildren();
    this.spoken.replaceChildren();
    this.to_live.hidden = true;
    this.welcome.hidden = false;
  }

  /** Shows the words so far; the first `stable_words` are settled. */
  partial(event) {
    this.show(event, event.stable_words, false);
  }

  /** Settles an utterance; one without words disappears. */
  final(event) {
    const key = key_of(event);
    if (event.words.length === 0) {
      this.utterances.get(key)?.line.remove();
      this.utterances.delete(key);
      return;
    }
    const line = this.show(event, event.words.length, true);
    line.classList.remove("live");
    this.finals.push(event);
    this.say(`${speaker_of(event) ?? ""}: ${event.text}`);
  }

  /** It is known better who said an utterance: its words stay, their speakers change. */
  relabelled({ participant, utterance, speaker, voices }) {
    const entry = this.utterances.get(key_of({ participant, utterance }));
    if (!entry?.settled) return;
    Object.assign(entry.event, { speaker, voices });
    colour(entry.line, entry.event);
  }

  /** Somebody said what one of several speakers on a line is called. */
  named(speaker, name) {
    for (const { line, event } of this.utterances.values()) if (rename(event, speaker, name)) colour(line, event);
  }

  /** A quiet line between the words: somebody came, went, or was not heard. */
  remark(text, at_s) {
    const line = document.createElement("li");
    line.className = "remark";
    line.dataset.start = at_s;
    line.textContent = text;
    this.place(line, at_s);
  }

  /** What was heard of an agent's answer; what was cut stands behind it, struck out. It has no words with times. */
  answer(event, unheard) {
    this.welcome.hidden = true;
    const line = new_line(event);
    line.classList.remove("live");
    line.classList.add("answer");
    label(line, event);
    line.querySelector(".time").disabled = true;
    const said = line.querySelector(".said");
    if (event.language) said.lang = event.language;
    said.textContent = event.text;
    if (unheard) {
      const cut = document.createElement("del");
      cut.className = "cut";
      cut.title = t("agent_unheard");
      cut.textContent = unheard;
      said.append(" ", cut);
    }
    this.place(line, event.start_s);
    this.finals.push(event);
    this.say(`${event.speaker}: ${event.text}`);
    if (this.following) this.follow();
    else this.to_live.hidden = false;
  }

  show(event, stable, settled) {
    this.welcome.hidden = true;
    const key = key_of(event);
    let entry = this.utterances.get(key);
    if (!entry) {
      entry = { line: new_line(event) };
      this.utterances.set(key, entry);
      this.place(entry.line, event.start_s);
    }
    entry.event = event;
    entry.settled = settled;
    fill(entry.line, event, stable);
    if (this.following) this.follow();
    else this.to_live.hidden = false;
    return entry.line;
  }

  /** Puts a line where its time belongs, which is nearly always at the end. */
  place(line, start_s) {
    let after = this.lines.lastElementChild;
    while (after && Number(after.dataset.start) > start_s) after = after.previousElementSibling;
    if (after) after.after(line);
    else this.lines.prepend(line);
    for (const one of [line, line.nextElementSibling]) if (one) join_breath(one);
  }

  say(text) {
    const line = document.createElement("p");
    line.textContent = text;
    this.spoken.append(line);
    while (this.spoken.childElementCount > 3) this.spoken.firstElementChild.remove();
  }

  on_scroll() {
    const { scrollTop, clientHeight, scrollHeight } = this.scroller;
    this.following = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    if (this.following) this.to_live.hidden = true;
  }

  follow() {
    this.following = true;
    this.to_live.hidden = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** Scrolls to what was said at a time, by whom if that is known, and marks it for a moment. */
  reveal(start_s, end_s, participant) {
    const heard = [...this.utterances.values()].map(({ line, event }) => ({ line, event }));
    const overlap = ({ event }) => Math.min(end_s, event.end_s) - Math.max(start_s, event.start_s);
    const mine = heard.filter(({ event }) => !participant || event.participant === participant);
    const best = mine.sort((a, b) => overlap(b) - overlap(a))[0];
    if (!best) return;
    this.following = false;
    best.line.scrollIntoView({ block: "center", behavior: calm() ? "auto" : "smooth" });
    for (const word of best.line.querySelectorAll(".word")) {
      const inside = Number(word.dataset.start) < end_s && Number(word.dataset.end) > start_s;
      word.classList.toggle("evidence", inside);
    }
    best.line.querySelector(".time").focus({ preventScroll: true });
    setTimeout(() => best.line.querySelectorAll(".evidence").forEach((word) => word.classList.remove("evidence")), 4000);
  }

  on_click(event) {
    const word = event.target.closest(".word");
    const line = event.target.closest(".line");
    if (!line) return;
    if (word) this.inspect(line, word);
    else if (event.target.closest(".time")) this.inspect(line, null);
  }

  /** Arrow keys walk through the words of the line whose time has the focus; Escape puts its times away. */
  on_key(event) {
    const line = event.target.closest(".line");
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") this.put_away();
    if (!line || !step) return;
    event.preventDefault();
    const words = [...line.querySelectorAll(".word")];
    const at = words.findIndex((word) => word.classList.contains("chosen"));
    const next = words[at < 0 && step < 0 ? words.length - 1 : Math.max(0, Math.min(words.length - 1, at + step))];
    if (next) this.inspect(line, next, true);
  }

  /** Shows the times of a word, or of the whole line; the same again puts them away. */
  inspect(line, word, keep = false) {
    const was = line.querySelector(".times");
    const same = was && (word ? word.classList.contains("chosen") : !line.querySelector(".chosen"));
    this.put_away();
    if (same && !keep) return;
    word?.classList.add("chosen");
    const times = document.createElement("p");
    times.className = "times";
    times.setAttribute("role", "status");
    times.textContent = word ? word_times(word) : line_times(line);
    line.append(times);
    line.querySelector(".time").setAttribute("aria-expanded", "true");
  }

  put_away() {
    this.lines.querySelectorAll(".times").forEach((times) => times.remove());
    this.lines.querySelectorAll(".chosen").forEach((word) => word.classList.remove("chosen"));
    this.lines.querySelectorAll("[aria-expanded=true]").forEach((time) => time.setAttribute("aria-expanded", "false"));
  }

  relabel() {
    this.put_away();
    for (const { line, event } of this.utterances.values()) colour(line, event);
  }
}

function key_of({ participant, utterance }) {
  return `${participant}/${utterance}`;
}

function new_line(event) {
  const line = document.createElement("li");
  line.className = "line live";
  Object.assign(line.dataset, { speaker: event.participant, start: event.start_s, end: event.end_s });
  const time = document.createElement("button");
  time.type = "button";
  time.className = "time";
  time.setAttribute("aria-expanded", "false");
  const speaker = document.createElement("span");
  speaker.className = "speaker";
  const said = document.createElement("p");
  said.className = "said";
  line.append(time, speaker, said);
  return line;
}

function label(line, event) {
  const time = line.querySelector(".time");
  time.textContent = clock(event.start_s);
  time.setAttribute("aria-label", t("time_of", { time: clock(event.start_s) }));
  line.querySelector(".speaker").textContent = speaker_of(event) || t("speaker");
}

/** Says whose the words are: by colour, and by name where the speaker changes within an utterance. */
function colour(line, event) {
  label(line, event);
  const runs = runs_of(event).filter(({ words }) => words.length > 0);
  // The paragraph of one voice is not that of another on the same line.
  line.dataset.speaker = runs.length === 1 ? runs[0].speaker ?? `${event.participant}?` : event.participant;
  line.dataset.tint = tint_of(runs.length === 1 ? runs[0].speaker : event.participant);
  const words = [...line.querySelectorAll(".word")];
  let at = 0;
  for (const run of runs) {
    run.words.forEach((_, index) => {
      const word = words[at + index];
      if (!word) return;
      if (runs.length > 1) word.dataset.tint = tint_of(run.speaker);
      else delete word.dataset.tint;
      if (runs.length > 1 && index === 0) word.dataset.by = name_of(run.voice);
      else delete word.dataset.by;
    });
    at += run.words.length;
  }
  for (const one of [line, line.nextElementSibling]) if (one) join_breath(one);
}

function fill(line, event, stable) {
  line.dataset.start = event.start_s;
  line.dataset.end = event.end_s;
  const said = line.querySelector(".said");
  if (event.language) said.lang = event.language;
  const shown = said.children;
  event.words.forEach((word, index) => {
    let element = shown[index];
    if (!element) {
      element = document.createElement("span");
      element.className = "word";
      // The blank belongs to the paragraph, so that a word's underline ends with the word.
      said.append(element, " ");
    }
    if (element.textContent !== word.word) element.textContent = word.word;
    element.dataset.start = word.start_s;
    element.dataset.end = word.end_s;
    element.dataset.confidence = word.confidence;
    element.classList.toggle("stable", index < stable);
    element.classList.toggle("unsure", index < stable && word.confidence < UNSURE);
  });
  while (shown.length > event.words.length) {
    said.lastElementChild.nextSibling?.remove();
    said.lastElementChild.remove();
  }
  colour(line, event);
}

/** Speech that goes on after a short pause continues the paragraph: its name is not said again. */
function join_breath(line) {
  let before = line.previousElementSibling;
  if (before?.classList.contains("remark")) before = null;
  const goes_on = before?.dataset.speaker === line.dataset.speaker && Number(line.dataset.start) - Number(before?.dataset.end) < SAME_BREATH_S;
  line.classList.toggle("goes-on", Boolean(goes_on));
}

function word_times(word) {
  const { start, end, confidence } = word.dataset;
  return t("word_times", { word: word.textContent, start: fine_clock(Number(start)), end: fine_clock(Number(end)), confidence: Math.round(confidence * 100) });
}

function line_times(line) {
  const words = [...line.querySelectorAll(".word")];
  const sum = words.reduce((total, word) => total + Number(word.dataset.confidence), 0);
  const confidence = Math.round((sum / Math.max(1, words.length)) * 100);
  return t("sentence_times", { start: fine_clock(Number(line.dataset.start)), end: fine_clock(Number(line.dataset.end)), count: words.length, confidence });
}

export function calm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
