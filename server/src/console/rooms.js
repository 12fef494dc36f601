// The list of rooms, asked for every few seconds while somebody looks at it.

import { hour_of, on_language, t } from "./i18n.js";
import { request } from "./server.js";

const EVERY_MS = 4000;

export class Rooms {
  constructor({ list, empty, on_open, on_error, on_reached, on_looked }) {
    Object.assign(this, { list, empty, on_open, on_error, on_reached, on_looked, rooms: [], current: null });
    on_language(() => this.draw());
    document.addEventListener("visibilitychange", () => this.look());
  }

  /** Asks now, and again in a while; a hidden page does not ask. */
  async look() {
    clearTimeout(this.timer);
    if (document.hidden) return;
    try {
      const answer = await request("GET", "/api/rooms");
      this.rooms = [...answer.rooms].sort((a, b) => number_of(b.id) - number_of(a.id));
      this.on_reached();
      this.draw();
      this.on_looked();
    } catch (error) {
      this.on_error(error);
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), EVERY_MS);
  }

  find(id) {
    return this.rooms.find((room) => room.id === id) ?? null;
  }

  choose(id) {
    this.current = id;
    this.draw();
  }

  draw() {
    const focused = document.activeElement?.dataset?.room;
    this.empty.hidden = this.rooms.length > 0;
    this.list.replaceChildren(...this.rooms.map((room) => this.entry(room)));
    if (focused) this.list.querySelector(`[data-room="${CSS.escape(focused)}"]`)?.focus();
  }

  entry(room) {
    const item = document.createElement("li");
    const open = document.createElement("button");
    open.type = "button";
    open.className = "room";
    open.dataset.room = room.id;
    if (room.id === this.current) open.setAttribute("aria-current", "true");
    const title = document.createElement("span");
    title.className = "room-name";
    title.textContent = title_of(room);
    const state = document.createElement("span");
    const live = is_live(room);
    state.className = live ? "room-state live" : "room-state";
    state.textContent = live ? t("room_live") : hour_of(room.began);
    open.append(title, state);
    open.addEventListener("click", () => this.on_open(room.id));
    item.append(open);
    return item;
  }
}

/** What people call a room. */
export function title_of(room) {
  return room.title || t("room_untitled", { id: room.id.replace(/^r/, "") });
}

function is_live(room) {
  return (room.participants.length) > 0;
}

function number_of(id) {
  return Number(id.replace(/\D/g, ""));
}
