// A file that is played into the room, heard by everybody in it; one at a time.
//
// The server decodes and paces it. What plays is known from the room's events, so every page shows the same.

import { clock, on_language, t } from "./i18n.js";
import { ask, request } from "./server.js";

export class Play {
  constructor({ open, file, now, text, stop, on_error }) {
    Object.assign(this, { open_button: open, now, text, on_error, room: null, playing: null, sending: false });
    open.addEventListener("click", () => file.click());
    file.addEventListener("change", async () => {
      const [chosen] = file.files;
      if (chosen) await this.send(chosen);
      file.value = "";
    });
    stop.addEventListener("click", () => this.stop());
    on_language(() => this.draw());
    this.draw();
  }

  open(room) {
    Object.assign(this, { room, playing: null });
    this.draw();
  }

  take(event) {
    if (event.type === "play.started") this.playing = event;
    if (event.type === "play.ended" && this.playing?.play === event.play) this.playing = null;
    this.draw();
  }

  async send(file) {
    this.sending = true;
    this.draw();
    try {
      const headers = { "content-type": file.type || "application/octet-stream" };
      await ask("POST", `/api/rooms/${encodeURIComponent(this.room)}/play`, { headers, body: file });
    } catch (error) {
      this.on_error(error);
    }
    this.sending = false;
    this.draw();
  }

  async stop() {
    try {
      await request("DELETE", `/api/rooms/${encodeURIComponent(this.room)}/play`);
    } catch (error) {
      // It may have ended in the meantime, which is what was wanted.
      if (error.status !== 404) this.on_error(error);
    }
  }

  draw() {
    this.open_button.disabled = this.room === null || this.sending;
    this.now.hidden = !this.playing;
    if (this.playing) this.text.textContent = t("play_now", { length: clock(this.playing.duration_s) });
  }
}
