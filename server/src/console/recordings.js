// What was recorded, in this room and in earlier ones, and the buttons that begin, hold and end a recording.
//
// The list is asked for when somebody looks, when an event says that something changed, and every few seconds
// while a recording grows. A line is changed in place, so that what plays goes on playing.

import { confirmed } from "./confirm.js";
import { bytes_in_words, clock, on_language, t, when } from "./i18n.js";
import { has_key, readable_url, request } from "./server.js";

const EVERY_MS = 3000;
const MORE = 20;
// Recordings that the page holds once they were heard, where it fetches them with a key.
const KEPT = 4;
const STATES = ["recording", "paused", "finished", "interrupted", "failed"];

export class Recordings {
  /** `parts` are the elements; `on_error(error)`, `on_recording(bool)` says whether the room is being recorded. */
  constructor({ parts, on_error, on_recording }) {
    Object.assign(this, { parts, on_error, on_recording, room: null, all: [], shown: MORE, looking: false, urls: new Map() });
    parts.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.start();
    });
    parts.more.addEventListener("click", () => {
      this.shown += MORE;
      this.ask();
    });
    on_language(() => this.draw());
    document.addEventListener("visibilitychange", () => this.ask());
  }

  /** The room on show: `{id, began}`, or null. */
  open(room) {
    this.room = room;
    this.draw();
    this.ask();
  }

  look(looking) {
    this.looking = looking;
    this.ask();
  }

  take(event) {
    if (event.type.startsWith("recording.")) this.ask_soon();
  }

  ask_soon() {
    // A room's past comes as a burst of events: one question answers all of them.
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.ask({ unseen: true }), 100);
  }

  async ask({ unseen = false } = {}) {
    clearTimeout(this.timer);
    if (document.hidden || (!this.looking && !unseen)) return;
    try {
      // One more than is shown says whether there are more.
      this.all = (await request("GET", `/api/recordings?limit=${this.shown + 1}`)).recordings;
      this.draw();
    } catch (error) {
      if (this.looking) this.on_error(error);
    }
    clearTimeout(this.timer);
    if (this.all.some(is_running)) this.timer = setTimeout(() => this.ask({ unseen: true }), EVERY_MS);
  }

  async start() {
    const { format, tracks } = this.parts;
    await this.change("POST", `/api/rooms/${encodeURIComponent(this.room.id)}/recordings`, { format: format.value, tracks: tracks.value });
  }

  async change(method, path, body) {
    try {
      await request(method, path, body);
    } catch (error) {
      this.on_error(error);
    }
    await this.ask({ unseen: true });
  }

  async erase(recording) {
    const sure = await confirmed({ title: t("erase_title"), text: t("erase_text", { name: name_of(recording) }), yes: t("erase_yes") });
    if (sure) await this.change("DELETE", path_of(recording));
  }

  is_here(recording) {
    return this.room !== null && recording.room === this.room.id && recording.room_began === this.room.began;
  }

  draw() {
    const here = this.all.filter((one) => this.is_here(one));
    const running = here.some(is_running);
    this.parts.form.hidden = this.room === null || !this.room.is_open || running;
    this.parts.closed.hidden = this.room?.is_open === true;
    const ordered = [...here, ...this.all.filter((one) => !this.is_here(one))].slice(0, this.shown);
    this.parts.empty.hidden = this.all.length > 0;
    this.parts.more.hidden = this.all.length <= this.shown;
    const lines = ordered.map((one) => this.line_of(one));
    // Moving a player would stop it: the list is put in order only when its lines are others.
    if (lines.length !== this.parts.list.children.length || lines.some((line, at) => this.parts.list.children[at] !== line)) {
      this.parts.list.replaceChildren(...lines);
    }
    ordered.forEach((one, at) => this.draw_one(lines[at], one));
    this.on_recording(running);
  }

  line_of(recording) {
    const known = this.parts.list.querySelector(`[data-recording="${CSS.escape(recording.id)}"]`);
    if (known) return known;
    const line = element("li", "recording");
    line.dataset.recording = recording.id;
    line.append(element("p", "recording-name"), element("p", "recording-facts"), element("div", "recording-buttons"), element("div", "recording-tracks"));
    return line;
  }

  draw_one(line, recording) {
    const { state } = recording;
    line.dataset.state = state;
    const said = STATES.includes(state) ? t(`rec_${state}`) : state;
    line.querySelector(".recording-name").textContent = name_of(recording);
    const bytes = recording.tracks.reduce((sum, track) => sum + (track.bytes ?? 0), 0);
    const facts = [said, clock(recording.duration_s), bytes > 0 ? bytes_in_words(bytes) : "", recording.reason ?? ""];
    const chip = element("span", "recording-state");
    chip.textContent = said;
    line.querySelector(".recording-facts").replaceChildren(chip, ` ${facts.slice(1).filter(Boolean).join(" · ")}`);
    this.draw_buttons(line.querySelector(".recording-buttons"), recording);
    this.draw_tracks(line.querySelector(".recording-tracks"), recording);
  }

  draw_buttons(row, recording) {
    const wanted = { recording: ["pause", "stop"], paused: ["resume", "stop"] }[recording.state] ?? ["erase"];
    const key = `${wanted} ${document.documentElement.lang}`;
    if (row.dataset.shows === key) return;
    const had_focus = row.contains(document.activeElement);
    row.dataset.shows = key;
    const acts = {
      pause: () => this.change("PATCH", path_of(recording), { state: "paused" }),
      resume: () => this.change("PATCH", path_of(recording), { state: "recording" }),
      stop: () => this.change("PATCH", path_of(recording), { state: "stopped" }),
      erase: () => this.erase(recording),
    };
    const buttons = wanted.map((name) => {
      const button = element("button", `small rec-${name}`);
      button.type = "button";
      button.textContent = t(`rec_do_${name}`);
      button.setAttribute("aria-label", t(`rec_do_${name}_which`, { name: name_of(recording) }));
      button.addEventListener("click", acts[name]);
      return button;
    });
    row.replaceChildren(...buttons);
    if (had_focus) buttons[0].focus();
  }

  draw_tracks(box, recording) {
    const key = is_running(recording) ? "" : `${recording.tracks.map((track) => track.file)} ${document.documentElement.lang}`;
    if (box.dataset.shows === key) return;
    box.dataset.shows = key;
    // A recording that still grows has no end to play to.
    box.replaceChildren(...(is_running(recording) ? [] : recording.tracks.map((track) => this.track(recording, track))));
  }

  track(recording, track) {
    const row = element("div", "track");
    const name = element("span", "track-name");
    name.textContent = track.participant ? track.name : t("track_mix");
    const player = element("audio", "track-player");
    Object.assign(player, { controls: true, preload: "none" });
    player.setAttribute("aria-label", t("track_play", { name: name.textContent }));
    const path = `${path_of(recording)}/files/${encodeURIComponent(track.file)}`;
    const link = element("a", "small track-save");
    link.textContent = t("track_save");
    link.setAttribute("aria-label", t("track_save_which", { name: name.textContent }));
    Object.assign(link, { href: path, download: `${file_name(recording, name.textContent)}.${track.file.split(".").at(-1)}` });
    link.addEventListener("click", (event) => this.save(event, link, path));
    // With a key the browser cannot read by itself: the file is fetched when somebody wants to hear it.
    const hear = element("button", "small track-hear");
    Object.assign(hear, { type: "button", textContent: t("track_hear") });
    hear.setAttribute("aria-label", t("track_play", { name: name.textContent }));
    hear.addEventListener("click", async () => {
      try {
        player.src = await this.url_of(path);
        hear.replaceWith(player);
        player.focus();
        await player.play();
      } catch (error) {
        if (error.name !== "AbortError") this.on_error(error);
      }
    });
    row.append(name, hear, link);
    return row;
  }

  async save(event, link, path) {
    if (!has_key() || link.href.startsWith("blob:")) return;
    event.preventDefault();
    try {
      link.href = await this.url_of(path);
      link.click();
    } catch (error) {
      this.on_error(error);
    }
  }

  async url_of(path) {
    const url = this.urls.get(path) ?? (await readable_url(path));
    // Behind the others, as the one used last. With a key each is a whole recording in the page's memory.
    this.urls.delete(path);
    this.urls.set(path, url);
    while (this.urls.size > KEPT) {
      const [oldest, its_url] = this.urls.entries().next().value;
      this.urls.delete(oldest);
      URL.revokeObjectURL(its_url);
    }
    return url;
  }
}

function is_running({ state }) {
  return state === "recording" || state === "paused";
}

function path_of({ room, id }) {
  return `/api/rooms/${encodeURIComponent(room)}/recordings/${encodeURIComponent(id)}`;
}

function name_of({ title, room, started_at }) {
  return `${title || t("room_untitled", { id: room.replace(/^r/, "") })}, ${when(started_at)}`;
}

function file_name({ title, room }, track) {
  return `${title || room} ${track}`.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
}

function element(tag, name) {
  const made = document.createElement(tag);
  made.className = name;
  return made;
}
