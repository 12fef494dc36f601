// What went wrong, said so that a person knows what to do. One message at a time; the newest wins.

import { on_language, t } from "./i18n.js";

export class Notice {
  constructor(root) {
    this.root = root;
    this.title = root.querySelector("#notice-title");
    this.text = root.querySelector("#notice-text");
    this.command = root.querySelector("#notice-command");
    root.querySelector("#notice-close").addEventListener("click", () => this.clear());
    on_language(() => this.draw());
  }

  /** Shows a message; `about` lets whoever solved the trouble take it away again. */
  show(message) {
    this.message = message;
    this.draw();
  }

  /** Takes the message away: any, or only one about something. */
  clear(about = null) {
    if (about !== null && this.message?.about !== about) return;
    this.message = null;
    this.draw();
  }

  draw() {
    this.root.hidden = !this.message;
    if (!this.message) return;
    const { title, text, values, said, command } = this.message;
    this.title.textContent = t(title);
    this.text.textContent = [text && t(text, values), said].filter(Boolean).join(" ");
    this.command.textContent = command ?? "";
    this.command.hidden = !command;
  }
}

/** The message for a microphone that is not there. */
export function about_microphone(reason) {
  return { about: "microphone", title: "e_mic_title", text: `e_mic_${reason}` };
}

/** The message for a call that ended by itself. */
export function about_lost_call(why) {
  return { about: "call", title: "e_call_title", text: `e_call_${why}` };
}

/** The message for what the server refused. */
export function about_server(error) {
  const { status, code, retry_after_s, message, hint } = error;
  if (code === "no_model") return about_models();
  if (code === "draining") return { about: "server", title: "e_draining_title", said: message };
  if (status === 503 || status === 429 || code === "full") {
    const soon = retry_after_s === null || retry_after_s === undefined;
    return { about: "full", title: "e_full_title", text: soon ? "e_full_soon" : "e_full", values: { s: retry_after_s } };
  }
  if (status === 404 || status === 410) return { about: "room", title: "e_gone_title", text: "e_gone" };
  if (!status && code === "unreachable") return { about: "reach", title: "e_reach_title", text: "e_reach" };
  return { about: "server", title: "e_other_title", said: [message, hint].filter(Boolean).join(". ") };
}

/** The message for a server without models. One command brings everything that is needed to hear. */
export function about_models() {
  return { about: "models", title: "e_models_title", text: "e_models", command: "harmony models fetch" };
}
