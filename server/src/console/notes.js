// What the room took on, decided and asked, each with a way back to the words that prove it.
//
// An item that is updated keeps its place; a decision or question said again (same words, same time) is
// shown once. Cards are built from text nodes only.

import { clock, day, on_language, t } from "./i18n.js";

export class Notes {
  /** `on_evidence({start_s, end_s, participant})` when a person asks where something was said. */
  constructor({ on_evidence, on_count }) {
    Object.assign(this, { on_evidence, on_count });
    this.clear();
    on_language(() => this.draw());
  }

  clear() {
    this.kept = { actions: new Map(), decisions: new Map(), questions: new Map() };
    this.fresh = null;
    this.draw();
  }

  /** Takes an event that is a note; says whether it was one. */
  take(event) {
    const kind = { "action_item.created": "actions", "action_item.updated": "actions", "decision.noted": "decisions", "question.asked": "questions" }[event.type];
    if (!kind) return false;
    const key = event.id ?? `${event.start_s} ${event.text}`;
    this.kept[kind].set(key, event);
    this.fresh = event;
    this.draw();
    return true;
  }

  actions() {
    return [...this.kept.actions.values()].filter((item) => item.standing !== "declined");
  }

  draw() {
    let count = 0;
    for (const [kind, notes] of Object.entries(this.kept)) {
      const shown = kind === "actions" ? this.actions() : [...notes.values()];
      count += shown.length;
      document.getElementById(kind).replaceChildren(...shown.map((note) => this.card(note)));
      document.getElementById(`${kind}-empty`).hidden = shown.length > 0;
      document.getElementById(`${kind}-count`).textContent = shown.length || "";
    }
    // It arrives once, however often the list is drawn.
    this.fresh = null;
    this.on_count(count);
  }

  card(note) {
    const card = document.createElement("li");
    card.className = "card";
    card.classList.toggle("fresh", note === this.fresh);
    card.classList.toggle("answered", note.answered === true);
    const text = document.createElement("p");
    text.textContent = note.text;
    const foot = document.createElement("p");
    foot.className = "foot";
    foot.append(...this.chips(note), this.evidence(note));
    card.append(text, foot);
    return card;
  }

  chips(note) {
    const chips = [];
    if (note.type.startsWith("action_item")) {
      chips.push(chip("owner", owner_name(note.owner), note.owner ? "" : "faint"));
      if (note.due) chips.push(chip("due", t("due", { day: day(note.due) })));
      if (note.standing === "agreed") chips.push(chip("state", t("agreed")));
    } else {
      if (note.speaker) chips.push(chip("owner", note.speaker));
      if (note.answered) chips.push(chip("state", t("answered")));
    }
    return chips;
  }

  evidence(note) {
    const link = document.createElement("button");
    link.type = "button";
    link.className = "evidence-link";
    link.textContent = clock(note.start_s);
    link.setAttribute("aria-label", t("evidence", { time: clock(note.start_s) }));
    link.addEventListener("click", () => this.on_evidence(note));
    return link;
  }
}

function chip(kind, text, more = "") {
  const element = document.createElement("span");
  element.className = `chip ${kind} ${more}`.trim();
  element.textContent = text;
  return element;
}

/** The brain's own word for everybody is translated; names are not. */
function owner_name(owner) {
  if (owner === "team") return t("owner_team");
  return owner ?? t("owner_none");
}
