// One telephone call that is on, as a person sees and handles it: who, how long, how it sounds, and what can be done.
//
// The line is built once and changed in place, so that a button keeps its focus while the call goes on. What callers
// say of themselves is text and nothing else, and stands in a <bdi>, so that a name that turns the direction of
// writing turns itself only. Keys are sent in the order in which they were pressed, as many at once as have gathered.

import { clock, hour_of, t } from "./i18n.js";
import { Keypad } from "./keypad.js";
import { request } from "./server.js";

// The most that one request takes.
const KEYS_AT_ONCE = 64;
const KEYS_SHOWN = 24;

/** What is said of a call by its status. */
export function status_of({ status }) {
  return t(`phone_${status.replace(/-/g, "_")}`);
}

/** The other side: `{name, number}`, the name empty where none came. */
export function other_side({ direction, name, from, to }) {
  return direction === "inbound" ? { name: name ?? "", number: from || t("phone_anonymous") } : { name: "", number: to };
}

/** Somebody's own words, kept from turning what stands beside them. */
export function own_words(class_name, text) {
  const made = document.createElement("bdi");
  made.className = class_name;
  made.textContent = text;
  return made;
}

export class PhoneCall {
  /**
   * `on_changed()` after something was done; `on_transcript(room)` shows a room; `words_for(error)` says what went
   * wrong; `others(id)` gives the calls to which this one can be transferred.
   */
  constructor(id, { on_changed, on_transcript, words_for, others }) {
    Object.assign(this, { id, on_changed, on_transcript, words_for, others, call: null, open: null, unsent: "", sent: "" });
    this.line = element("li", "phone-call");
    this.line.dataset.call = id;
    this.who = element("p", "phone-who");
    this.facts = element("p", "phone-facts");
    this.clock = element("span", "phone-clock");
    this.sound = element("p", "phone-sound");
    this.error = element("p", "phone-error");
    this.error.setAttribute("role", "alert");
    this.error.hidden = true;
    this.buttons = this.make_buttons();
    this.panels = { keys: this.make_keys(), transfer: this.make_transfer() };
    this.line.append(this.who, this.facts, this.sound, this.row, ...Object.values(this.panels), this.error);
    // Escape puts away what is open, and goes back to the button that opened it.
    this.line.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.open === null) return;
      const opener = this.buttons[this.open];
      this.show_panel(null);
      opener.focus();
    });
  }

  make_buttons() {
    const acts = {
      hangup: () => this.act({ action: "hangup" }),
      hold: () => this.act({ action: "hold", is_held: !this.call.is_held }),
      mute: () => this.act({ action: "mute", is_muted: !this.call.is_muted }),
      keys: () => this.show_panel(this.open === "keys" ? null : "keys"),
      transfer: () => this.show_panel(this.open === "transfer" ? null : "transfer"),
      transcript: () => this.on_transcript(this.call.room),
    };
    this.row = element("div", "phone-buttons");
    const made = {};
    for (const [name, act] of Object.entries(acts)) {
      made[name] = element("button", `small phone-${name}`);
      made[name].type = "button";
      made[name].addEventListener("click", act);
      this.row.append(made[name]);
    }
    return made;
  }

  make_keys() {
    const panel = element("div", "phone-panel phone-keys-panel");
    panel.hidden = true;
    this.keypad = new Keypad({ on_key: (key) => this.press(key), typed_in: panel });
    this.pressed = element("output", "phone-pressed");
    panel.append(this.keypad.element, this.pressed);
    return panel;
  }

  make_transfer() {
    const form = element("form", "phone-panel phone-transfer-panel");
    form.hidden = true;
    this.whom = element("input", "phone-whom");
    Object.assign(this.whom, { type: "text", maxLength: 255, autocomplete: "off", autocapitalize: "none", spellcheck: false });
    this.to_call = element("select", "phone-to-call");
    this.go = element("button", "primary phone-go");
    this.go.type = "submit";
    this.whom_label = element("span", "");
    this.to_call_label = element("span", "");
    const [whom, to_call] = [element("label", ""), element("label", "")];
    whom.append(this.whom_label, this.whom);
    to_call.append(this.to_call_label, this.to_call);
    this.to_call_row = to_call;
    form.append(whom, to_call, this.go);
    this.to_call.addEventListener("change", () => (this.whom.disabled = this.to_call.value !== ""));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.transfer();
    });
    return form;
  }

  show_panel(name) {
    this.open = name;
    for (const [its_name, panel] of Object.entries(this.panels)) panel.hidden = its_name !== name;
    this.draw();
    if (name === "keys") this.keypad.focus();
    if (name === "transfer") this.whom.focus();
  }

  /** Keys wait for those before them; what cannot be sent is said and forgotten. */
  async press(key) {
    this.unsent += key;
    this.sent = (this.sent + key).slice(-KEYS_SHOWN);
    this.draw();
    if (this.is_pressing) return;
    this.is_pressing = true;
    while (this.unsent !== "") {
      const digits = this.unsent.slice(0, KEYS_AT_ONCE);
      this.unsent = this.unsent.slice(KEYS_AT_ONCE);
      if (!(await this.act({ action: "dtmf", digits }))) this.unsent = "";
    }
    this.is_pressing = false;
  }

  async transfer() {
    const to = this.to_call.value || this.whom.value.trim();
    if (to === "") return this.whom.focus();
    this.go.disabled = true;
    this.go.textContent = t("phone_transferring");
    const is_done = await this.act({ action: "transfer", to });
    this.go.disabled = false;
    this.draw();
    if (is_done) this.show_panel(null);
  }

  /** Resolves to whether the server did it. */
  async act(action) {
    this.error.hidden = true;
    try {
      await request("POST", `/api/calls/${encodeURIComponent(this.id)}`, action);
      return true;
    } catch (error) {
      // A call that is over by now leaves the list by itself.
      if (error.code !== "call_over") {
        this.error.textContent = this.words_for(error);
        this.error.hidden = false;
      }
      return false;
    } finally {
      this.on_changed();
    }
  }

  /** Shows the call as it stands; `at_ms` is when that was so. */
  take(call, at_ms) {
    Object.assign(this, { call, at_ms });
    this.draw();
  }

  draw() {
    const { call } = this;
    if (!call) return;
    const { name, number } = other_side(call);
    const shown = name || number;
    this.line.dataset.status = call.status;
    this.line.classList.toggle("held", call.is_held || call.holds_us);
    replace(this.who, [arrow(call), " ", own_words("phone-name", shown), ...(name ? [" ", own_words("phone-number", number)] : [])]);
    const is_taken = call.status === "in-progress";
    this.draw_facts(call, is_taken);
    this.sound.hidden = !call.quality?.mos;
    if (call.quality?.mos) say(this.sound, sound_of(call.quality));
    const words = {
      hangup: "phone_hangup", hold: call.is_held ? "phone_resume" : "phone_hold", mute: call.is_muted ? "phone_unmute" : "phone_mute",
      keys: "phone_keys", transfer: "phone_transfer", transcript: "phone_transcript",
    };
    for (const [action, button] of Object.entries(this.buttons)) {
      say(button, t(words[action]));
      button.setAttribute("aria-label", t("phone_what_who", { what: t(words[action]), who: shown }));
    }
    this.buttons.hold.setAttribute("aria-pressed", String(call.is_held));
    this.buttons.mute.setAttribute("aria-pressed", String(call.is_muted));
    for (const panel of ["keys", "transfer"]) this.buttons[panel].setAttribute("aria-expanded", String(this.open === panel));
    for (const action of ["hold", "keys", "transfer"]) this.buttons[action].hidden = !is_taken;
    this.buttons.mute.hidden = !is_taken || call.participant === null;
    this.buttons.transcript.hidden = call.room === null;
    this.keypad.draw();
    say(this.pressed, this.sent && t("phone_pressed", { keys: this.sent }));
    this.draw_transfer();
  }

  draw_facts(call, is_taken) {
    const chip = element("span", "phone-state");
    const marks = [status_of(call)];
    if (call.is_held) marks.push(t("phone_is_held"));
    if (call.holds_us) marks.push(t("phone_holds_us"));
    if (call.is_muted) marks.push(t("phone_is_muted"));
    chip.textContent = marks.join(" · ");
    const parts = [chip, " "];
    if (is_taken) parts.push(this.clock, " · ");
    parts.push(t("phone_since", { time: hour_of(call.answered_at ?? call.began_at) }));
    if (call.direction === "inbound") parts.push(" · ", t("phone_dialled"), " ", own_words("phone-dialled", call.to));
    else if (call.from) parts.push(" · ", t("phone_as"), " ", own_words("phone-dialled", call.from));
    if (call.trunk) parts.push(" · ", t("phone_by", { trunk: call.trunk }));
    if (call.answered_by) parts.push(" · ", who_took(call.answered_by));
    replace(this.facts, parts, this.clock);
    this.tick();
  }

  draw_transfer() {
    say(this.whom_label, t("phone_transfer_to"));
    say(this.to_call_label, t("phone_transfer_call"));
    if (!this.go.disabled) say(this.go, t("phone_transfer_go"));
    // A choice that is open is not changed under somebody's hand.
    if (document.activeElement === this.to_call) return;
    const others = this.others(this.id);
    const chosen = others.some(({ id }) => id === this.to_call.value) ? this.to_call.value : "";
    const nobody = option("", t("phone_transfer_nobody"));
    const key = `${document.documentElement.lang} ${others.map(({ id }) => id)}`;
    this.to_call_row.hidden = others.length === 0;
    if (this.to_call.dataset.shows !== key) {
      this.to_call.dataset.shows = key;
      this.to_call.replaceChildren(nobody, ...others.map((other) => option(other.id, words_of(other))));
      this.to_call.value = chosen;
    }
    this.whom.disabled = this.to_call.value !== "";
  }

  /** Writes how long it has lasted. */
  tick() {
    if (this.call) say(this.clock, clock(this.call.duration_s + (performance.now() - this.at_ms) / 1000));
  }
}

function words_of(call) {
  const { name, number } = other_side(call);
  return name ? `${name} (${number})` : number;
}

/** Who took a call, in words. */
export function who_took(answered_by) {
  const known = { human: "phone_took_human", fax: "phone_took_fax", unknown: "phone_took_unknown" };
  return t(known[answered_by] ?? "phone_took_machine");
}

export function arrow({ direction }) {
  const made = element("span", "phone-way");
  made.textContent = direction === "inbound" ? "↙" : "↗";
  made.title = t(direction === "inbound" ? "phone_inbound" : "phone_outbound");
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", made.title);
  return made;
}

/** How a call sounds: as a listener would judge it, and why. */
export function sound_of({ codec, mos, loss, jitter_ms, round_trip_ms }) {
  const judged = mos >= 4 ? "phone_sounds_good" : mos >= 3.3 ? "phone_sounds_fair" : "phone_sounds_bad";
  const parts = [t(judged, { mos: mos.toFixed(1) }), codec, t("phone_lost", { percent: Math.round(loss * 100) }), t("phone_jitter", { ms: Math.round(jitter_ms) })];
  if (round_trip_ms !== null) parts.push(t("phone_round_trip", { ms: Math.round(round_trip_ms) }));
  return parts.join(" · ");
}

function option(value, text) {
  const made = document.createElement("option");
  made.value = value;
  made.textContent = text;
  return made;
}

function element(tag, name) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  return made;
}

/** Changes what stands in an element only when it reads otherwise, whatever the clock says. */
export function replace(element, parts, clock = null) {
  const reads = (part) => (typeof part === "string" ? part : part === clock ? "" : `${part.className} ${part.textContent}`);
  const key = parts.map(reads).join("\n");
  if (element.reads === key) return;
  element.reads = key;
  element.replaceChildren(...parts);
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
