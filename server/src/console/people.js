// Who is in the room on show: how they came, whether they are muted, speak, and how loud.
//
// Comes and goes by the room's events; levels by their own stream, followed only while somebody looks. A
// line is built when somebody comes and changed in place after that, so that a button keeps its focus.

import { on_language, t } from "./i18n.js";
import { follow, request } from "./server.js";

const FLOOR_DB = -60;
const AGAIN_MS = 2000;
const ASK_AFTER_MS = 100;
const KINDS = ["webrtc", "websocket", "file", "echo", "phone", "sip", "rtp", "http", "agent"];

export class People {
  /** `is_own(participant)` says who this browser is; `on_error(error)`, `on_count(number)`. */
  constructor({ list, empty, is_own, on_error, on_count }) {
    Object.assign(this, { list, empty, is_own, on_error, on_count, room: null, people: new Map(), looking: false });
    on_language(() => this.draw());
    document.addEventListener("visibilitychange", () => this.follow_levels());
  }

  /** Shows a room's people; null shows nobody. */
  open(room) {
    this.room = room;
    clearTimeout(this.soon);
    this.people.clear();
    this.list.replaceChildren();
    this.draw();
    this.follow_levels();
  }

  /** Whether somebody looks at the list. */
  look(looking) {
    this.looking = looking;
    this.follow_levels();
  }

  take(event) {
    const take = this.takes[event.type];
    if (!take) return;
    take.call(this, event);
    this.draw();
    this.follow_levels();
  }

  takes = {
    "participant.joined"({ participant, name, kind }) {
      this.people.set(participant, { id: participant, name, kind, is_muted: false, consent: null, speaking: false });
      this.ask_soon();
    },
    "participant.updated"({ participant, is_muted, consent }) {
      Object.assign(this.people.get(participant) ?? {}, { is_muted, consent, is_told: true });
    },
    "participant.left"({ participant }) {
      this.people.delete(participant);
      if (this.people.size === 0) clearTimeout(this.soon);
    },
    "speech.started"({ participant }) {
      Object.assign(this.people.get(participant) ?? {}, { speaking: true });
    },
    "speech.ended"({ participant }) {
      Object.assign(this.people.get(participant) ?? {}, { speaking: false });
    },
  };

  /** How people stood when they came, the events of a room's past do not say: asked once for a burst of them. */
  ask_soon() {
    clearTimeout(this.soon);
    this.soon = setTimeout(async () => {
      const { room } = this;
      try {
        const { participants } = await request("GET", `/api/rooms/${encodeURIComponent(room)}/participants`);
        if (room !== this.room) return;
        for (const { id, is_muted, consent } of participants) {
          const person = this.people.get(id);
          // An event that overtook this answer is newer than it.
          if (person && !person.is_told) Object.assign(person, { is_muted, consent });
        }
        this.draw();
      } catch {
        // The room may be over, and its events are all there is to show.
      }
    }, ASK_AFTER_MS);
  }

  async follow_levels() {
    const wanted = this.room !== null && this.looking && !document.hidden && this.people.size > 0;
    if (!wanted) {
      this.following?.abort();
      this.following = null;
      return;
    }
    if (this.following?.room === this.room) return;
    this.following?.abort();
    const following = new AbortController();
    following.room = this.room;
    this.following = following;
    const path = `/api/rooms/${encodeURIComponent(this.room)}/levels`;
    try {
      await follow(path, { on_data: ({ levels }) => this.show_levels(levels ?? {}), signal: following.signal });
    } catch {
      // Levels are a comfort: the list is right without them, and they come back when the server does.
    }
    if (this.following !== following) return;
    this.show_levels({});
    setTimeout(() => {
      if (this.following !== following) return;
      this.following = null;
      this.follow_levels();
    }, AGAIN_MS);
  }

  show_levels(levels) {
    for (const line of this.list.children) {
      const db = Math.max(FLOOR_DB, Math.min(0, levels[line.dataset.participant] ?? FLOOR_DB));
      const bar = line.querySelector(".person-level");
      bar.value = db - FLOOR_DB;
    }
  }

  draw() {
    this.empty.hidden = this.people.size > 0;
    this.on_count(this.people.size);
    for (const line of [...this.list.children]) if (!this.people.has(line.dataset.participant)) line.remove();
    for (const person of this.people.values()) this.draw_one(person);
  }

  draw_one(person) {
    let line = this.list.querySelector(`[data-participant="${CSS.escape(person.id)}"]`);
    if (!line) this.list.append((line = this.line(person.id)));
    const part = (name) => line.querySelector(name);
    const own = this.is_own(person.id);
    line.classList.toggle("speaking", person.speaking && !person.is_muted);
    line.classList.toggle("muted", person.is_muted);
    part(".person-name").textContent = own ? t("person_you", { name: person.name }) : person.name;
    part(".person-state").textContent = state_of(person);
    part(".person-level").setAttribute("aria-label", t("person_level", { name: person.name }));
    const mute = part(".person-mute");
    mute.textContent = t(person.is_muted ? "person_unmute" : "person_mute");
    mute.setAttribute("aria-label", t(person.is_muted ? "person_unmute_who" : "person_mute_who", { name: person.name }));
    part(".person-remove").textContent = t("person_remove");
    part(".person-remove").setAttribute("aria-label", t("person_remove_who", { name: person.name }));
    part(".person-remove").hidden = own;
  }

  line(id) {
    const line = element("li", "person");
    line.dataset.participant = id;
    const level = element("meter", "person-level");
    Object.assign(level, { min: 0, max: -FLOOR_DB, value: 0 });
    const buttons = element("div", "person-buttons");
    const mute = button("person-mute", () => this.change(id, "PATCH", { is_muted: !this.people.get(id)?.is_muted }));
    const remove = button("person-remove", () => this.change(id, "DELETE"));
    buttons.append(mute, remove);
    line.append(element("span", "person-name"), buttons, element("span", "person-state"), level);
    return line;
  }

  async change(id, method, body) {
    try {
      await request(method, `/api/rooms/${encodeURIComponent(this.room)}/participants/${encodeURIComponent(id)}`, body);
    } catch (error) {
      this.on_error(error);
    }
  }
}

function state_of({ kind, is_muted, consent, speaking }) {
  const parts = [KINDS.includes(kind) ? t(`kind_${kind}`) : kind ?? ""];
  if (is_muted) parts.push(t("person_muted"));
  else if (speaking) parts.push(t("person_speaking"));
  if (consent === false) parts.push(t("person_unrecorded"));
  return parts.filter(Boolean).join(" · ");
}

function element(tag, name) {
  const made = document.createElement(tag);
  made.className = name;
  return made;
}

function button(name, on_click) {
  const made = element("button", `small ${name}`);
  made.type = "button";
  made.addEventListener("click", on_click);
  return made;
}
