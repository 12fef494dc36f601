// Who spoke, and for how long; and names that people said of themselves, to be accepted by whoever knows.
//
// Built from the room's events: every utterance is kept by its key, so that one that is put right counts for
// whoever said it. Nothing is named before a person says so; the server then tells everybody.

import { clock, on_language, t } from "./i18n.js";
import { request } from "./server.js";
import { name_of, rename, runs_of, speaker_of, tint_of } from "./voices.js";

export class Talk {
  constructor({ list, empty, offers, on_error }) {
    Object.assign(this, { list, empty, offers, on_error });
    this.open(null);
    on_language(() => this.draw());
  }

  open(room) {
    Object.assign(this, { room, finals: new Map(), offered: new Map() });
    this.draw();
  }

  take(event) {
    const take = this.takes[event.type];
    if (!take) return;
    take.call(this, event);
    this.draw();
  }

  takes = {
    "transcript.final"({ participant, utterance, speaker, words, voices }) {
      if (words.length > 0) this.finals.set(`${participant}/${utterance}`, { participant, speaker, words, voices });
    },
    "transcript.relabelled"({ participant, utterance, speaker, voices }) {
      Object.assign(this.finals.get(`${participant}/${utterance}`) ?? {}, { speaker, voices });
    },
    "speaker.suggested"(event) {
      this.offered.set(`${event.speaker} ${event.name}`, event);
    },
    "speaker.named"({ speaker, name }) {
      for (const final of this.finals.values()) rename(final, speaker, name);
      for (const [key, offer] of this.offered) if (offer.speaker === speaker) this.offered.delete(key);
    },
  };

  /** Everybody who spoke, whoever spoke most first. */
  speakers() {
    const found = new Map();
    for (const final of this.finals.values()) {
      for (const { speaker, voice, words } of runs_of(final)) {
        if (words.length === 0) continue;
        const key = speaker ?? "unknown";
        const known = found.get(key) ?? { key, speaker, speech_s: 0 };
        known.name = voice ? name_of(voice) : speaker_of(final);
        known.speech_s += words.at(-1).end_s - words[0].start_s;
        found.set(key, known);
      }
    }
    return [...found.values()].sort((a, b) => b.speech_s - a.speech_s);
  }

  draw() {
    const speakers = this.speakers();
    const all_s = speakers.reduce((sum, { speech_s }) => sum + speech_s, 0);
    this.empty.hidden = speakers.length > 0;
    this.list.replaceChildren(...speakers.map((one) => line(one, all_s)));
    const offers = [...this.offered.entries()].map(([key, { speaker, name, quote }]) => {
      const now = speakers.find((one) => one.speaker === speaker)?.name ?? speaker;
      return { key, speaker, name, quote, text: t("offer", { now, name }), yes: t("offer_yes") };
    });
    // Made anew only where they read otherwise: whoever is about to press a button finds it where it was.
    const drawn = JSON.stringify([this.room, offers]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.offers.replaceChildren(...offers.map((offer) => this.offer(offer)));
  }

  offer({ key, speaker, name, quote, text, yes }) {
    const card = element("li", "card offer");
    card.dataset.speaker = speaker;
    const foot = element("p", "foot");
    foot.append(
      button("offer-yes", yes, () => this.accept(speaker, name)),
      button("offer-no", t("offer_no"), () => {
        this.offered.delete(key);
        this.draw();
      }),
    );
    card.append(element("p", "", text), element("p", "faint", `“${quote}”`), foot);
    return card;
  }

  async accept(speaker, name) {
    try {
      await request("POST", `/api/rooms/${encodeURIComponent(this.room)}/speakers/${encodeURIComponent(speaker)}`, { name });
    } catch (error) {
      this.on_error(error);
    }
  }
}

function line({ key, speaker, name, speech_s }, all_s) {
  const made = element("li", "talk");
  Object.assign(made.dataset, { speaker: key, tint: tint_of(speaker) });
  const share = element("meter", "talk-share");
  Object.assign(share, { min: 0, max: Math.max(all_s, 0.001), value: speech_s });
  share.setAttribute("aria-label", t("talk_of", { name, time: clock(speech_s) }));
  made.append(element("span", "talk-name", name), element("span", "talk-time", clock(speech_s)), share);
  return made;
}

function element(tag, name, text = "") {
  const made = document.createElement(tag);
  made.className = name;
  if (text) made.textContent = text;
  return made;
}

function button(name, text, on_click) {
  const made = element("button", `small ${name}`, text);
  made.type = "button";
  made.addEventListener("click", on_click);
  return made;
}
