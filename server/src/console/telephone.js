// The telephone of this server: who is on the line, who was lately, a dial pad, and the lines to the outside.
//
// Shows what the feed of calls knows, and asks for it anew after everything that is done here. Lists are bounded:
// of the calls that are on the newest hundred are shown, of those that are over a page at a time. When the server
// does not answer, what was known last stays, and says that it is old.

import { CallsFeed } from "./calls-feed.js";
import { clock, on_language, t, when } from "./i18n.js";
import { Keypad } from "./keypad.js";
import { PhoneCall, arrow, other_side, own_words, replace, status_of, who_took } from "./phone-call.js";
import { title_of } from "./rooms.js";
import { request } from "./server.js";

const PAGE = 20;
const LIVE_MOST = 100;
const ROOMS_MOST = 50;
const TICK_MS = 500;
// What may be dialled again as it stands: a number, or an address with its host.
const DIALLABLE = /^(\+?[\d*#]{2,}|sips?:[^@\s]+@\S+|client:\S+)$/;

export class Telephone {
  /**
   * `parts` are the elements; `on_transcript(room)` shows a room; `rooms()` gives those that are open, `room()` the
   * one that this page is in; `on_count(number)` is how many calls are on.
   */
  constructor({ parts, on_transcript, rooms, room, on_count }) {
    Object.assign(this, { parts, on_transcript, rooms, room, on_count, known: null, lines: new Map(), over: [], trunks: [] });
    this.feed = new CallsFeed({ on_known: (known) => this.take(known), on_failed: (error) => this.lose(error), over_most: PAGE });
    this.pad = new Keypad({ on_key: (key) => this.type(key), typed_in: parts.pad });
    parts.pad.append(this.pad.element);
    parts.dial.addEventListener("submit", (event) => {
      event.preventDefault();
      this.place();
    });
    // Until somebody chooses, a call goes where this page is, whenever it went there.
    parts.into.addEventListener("change", () => (this.chosen = parts.into.value));
    parts.to.addEventListener("input", () => this.complain(null));
    parts.more.addEventListener("click", () => this.feed.more(PAGE));
    on_language(() => this.draw());
  }

  /** From now on calls are counted. */
  begin() {
    this.feed.begin();
  }

  /** Whether somebody looks at the page. */
  look(looking) {
    if (looking === this.feed.looking) return;
    this.feed.look(looking);
    clearInterval(this.ticking);
    if (looking) this.ticking = setInterval(() => this.lines.forEach((line) => line.tick()), TICK_MS);
    if (looking) this.draw_rooms();
  }

  take(known) {
    this.known = known;
    this.parts.stale.hidden = true;
    if (known.over) Object.assign(this, { over: known.over, has_more: known.has_more });
    if (known.trunks) this.trunks = known.trunks;
    this.draw();
  }

  lose(error) {
    this.parts.stale.hidden = false;
    this.parts.stale.textContent = error.status ? words_for(error) : t("phone_stale");
  }

  draw() {
    this.pad.draw();
    this.draw_live();
    this.draw_over();
    this.draw_trunks();
    this.draw_rooms();
  }

  draw_live() {
    const live = (this.known?.live ?? []).slice(0, LIVE_MOST);
    const unseen = (this.known?.live.length ?? 0) - live.length;
    this.on_count(this.known?.live.length ?? 0);
    this.parts.live_empty.hidden = live.length > 0;
    this.parts.live_more.hidden = unseen <= 0;
    this.parts.live_more.textContent = t("phone_unseen", { count: unseen });
    const ids = new Set(live.map(({ id }) => id));
    for (const [id, line] of this.lines) {
      if (ids.has(id)) continue;
      // Whoever stood at a button of this call is not thrown to the top of the page.
      if (line.line.contains(document.activeElement)) this.parts.live_head.focus();
      line.line.remove();
      this.lines.delete(id);
    }
    live.forEach((call, at) => {
      const line = this.lines.get(call.id) ?? this.line_of(call.id);
      line.take(call, this.known.at_ms);
      // A line that stands right is not moved: moving takes the focus away.
      if (this.parts.live.children[at] !== line.line) this.parts.live.insertBefore(line.line, this.parts.live.children[at] ?? null);
    });
  }

  line_of(id) {
    const line = new PhoneCall(id, {
      on_changed: () => this.feed.ask(), on_transcript: this.on_transcript, words_for, others: (not) => this.taken_but(not),
    });
    this.lines.set(id, line);
    return line;
  }

  /** Whom a call can be transferred to: the far ends of the others that are taken. */
  taken_but(not) {
    return (this.known?.live ?? []).filter(({ id, status }) => id !== not && status === "in-progress").slice(0, LIVE_MOST);
  }

  draw_over() {
    this.parts.over_empty.hidden = this.over.length > 0;
    this.parts.more.hidden = !this.has_more;
    const lang = document.documentElement.lang;
    const known = new Map([...this.parts.over.children].map((line) => [line.dataset.call, line]));
    const lines = this.over.map((call) => {
      const line = known.get(call.id);
      return line?.lang === lang ? line : this.past(call, lang);
    });
    const same = lines.length === this.parts.over.children.length && lines.every((line, at) => this.parts.over.children[at] === line);
    if (same) return;
    const focused = document.activeElement?.closest?.(".phone-past");
    const at_button = focused && this.parts.over.contains(focused) ? [focused.dataset.call, document.activeElement.className] : null;
    this.parts.over.replaceChildren(...lines);
    if (at_button) lines.find((line) => line.dataset.call === at_button[0])?.querySelector(`[class="${CSS.escape(at_button[1])}"]`)?.focus();
  }

  past(call, lang) {
    const line = document.createElement("li");
    Object.assign(line, { className: "phone-past", lang });
    Object.assign(line.dataset, { call: call.id, status: call.status });
    const { name, number } = other_side(call);
    const shown = name || number;
    const who = document.createElement("p");
    who.className = "phone-who";
    who.append(arrow(call), " ", own_words("phone-name", shown), ...(name ? [" ", own_words("phone-number", number)] : []));
    const facts = document.createElement("p");
    facts.className = "phone-facts";
    const chip = document.createElement("span");
    chip.className = "phone-state";
    chip.textContent = status_of(call);
    facts.append(chip, ` ${facts_of(call).join(" · ")}`);
    const row = document.createElement("div");
    row.className = "phone-buttons";
    const act = (class_name, words, on_click) => {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: `small ${class_name}`, textContent: words });
      button.setAttribute("aria-label", t("phone_what_who", { what: words, who: shown }));
      button.addEventListener("click", on_click);
      row.append(button);
    };
    if (DIALLABLE.test(number)) act("phone-again", t("phone_again"), () => this.prepare(number));
    if (call.room !== null) act("phone-transcript", t("phone_transcript"), () => this.on_transcript(call.room));
    line.append(who, facts, row);
    return line;
  }

  draw_trunks() {
    this.parts.trunks_section.hidden = this.trunks.length === 0;
    const lines = this.trunks.map(({ name, is_up, registers, is_registered, calls }) => {
      const line = document.createElement("li");
      line.className = "phone-trunk";
      line.dataset.trunk = name;
      line.dataset.state = is_up && (!registers || is_registered) ? "up" : "down";
      const words = [t(is_up ? "trunk_up" : "trunk_down")];
      if (registers) words.push(t(is_registered ? "trunk_registered" : "trunk_unregistered"));
      words.push(t(calls === 1 ? "trunk_call" : "trunk_calls", { count: calls }));
      const dot = document.createElement("span");
      dot.className = "dot";
      dot.setAttribute("aria-hidden", "true");
      const facts = document.createElement("span");
      facts.className = "phone-trunk-state";
      facts.textContent = words.join(" · ");
      line.append(dot, own_words("phone-name", name), facts);
      return line;
    });
    replace(this.parts.trunks, lines);
  }

  /** Where a call that is placed here can go: those rooms that are open now. */
  draw_rooms() {
    const { into } = this.parts;
    // A choice that is open is not changed under somebody's hand.
    if (document.activeElement === into) return;
    const rooms = this.rooms().slice(0, ROOMS_MOST);
    const key = `${document.documentElement.lang} ${rooms.map((room) => `${room.id} ${title_of(room)}`)}`;
    if (into.dataset.shows !== key) into.replaceChildren(...[["", t("dial_listen")], ...rooms.map((room) => [room.id, title_of(room)])].map(([value, text]) => {
      const made = document.createElement("option");
      Object.assign(made, { value, textContent: text });
      return made;
    }));
    into.dataset.shows = key;
    const wanted = [this.chosen, this.room()].find((one) => one === "" || rooms.some(({ id }) => id === one));
    into.value = wanted ?? "";
  }

  /** A key of the pad: where the caret is. */
  type(key) {
    const { to } = this.parts;
    to.setRangeText(key, to.selectionStart, to.selectionEnd, "end");
    this.complain(null);
  }

  /** Writes a number into the field, to be called by whoever wants to. */
  prepare(number) {
    this.parts.to.value = number;
    this.complain(null);
    this.parts.to.focus();
  }

  async place() {
    const { to, into, go } = this.parts;
    const whom = to.value.trim();
    if (whom === "" || go.disabled) return to.focus();
    this.complain(null);
    go.disabled = true;
    try {
      await request("POST", "/api/calls", { to: whom, ...(into.value ? { room: into.value } : {}) });
      to.value = "";
      this.parts.said.textContent = t("dial_placed", { whom });
    } catch (error) {
      this.complain(error);
    }
    go.disabled = false;
    to.focus();
    this.feed.ask();
  }

  complain(error) {
    const { error: box, to } = this.parts;
    box.hidden = error === null;
    box.textContent = error === null ? "" : words_for(error);
    if (error !== null) this.parts.said.textContent = "";
    to.toggleAttribute("aria-invalid", error !== null);
  }
}

function facts_of(call) {
  const facts = [when(call.began_at)];
  if (call.answered_at !== null) facts.push(clock(call.duration_s));
  if (call.refused_with !== null) facts.push(t("phone_refused", { status: call.refused_with }));
  if (call.trunk) facts.push(t("phone_by", { trunk: call.trunk }));
  if (call.answered_by) facts.push(who_took(call.answered_by));
  return facts;
}

const KNOWN = {
  not_allowed: "e_dial_not_allowed", no_trunk: "e_dial_no_trunk", bad_number: "e_dial_bad_number", not_reachable: "e_dial_not_reachable",
  not_transferred: "e_not_transferred", not_taken: "e_not_taken", not_found: "e_gone",
};

/** What went wrong with a call, in the words of the page, and in the server's own. */
function words_for(error) {
  const { status, code, retry_after_s, message, hint } = error;
  if (!status) return t("e_reach");
  if (code === "dialling_limit") return [t("e_dial_limit", { s: retry_after_s ?? "?" }), message].join(" ");
  if (code in KNOWN) return [t(KNOWN[code]), sentence(message), sentence(hint)].filter(Boolean).join(" ");
  return [sentence(message), sentence(hint)].filter(Boolean).join(" ") || t("e_other_title");
}

function sentence(text) {
  if (!text) return "";
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
