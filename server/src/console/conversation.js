// One room as a person sees it: its events become words, notes and remarks, wherever they come from.
//
// Holds the event stream of the room that is shown, and hands every event on to those who show other things
// of a room. Sound goes in elsewhere; what it needs to tell how old a word is comes through `captured_ms_of`.

import { EventStream } from "./event-stream.js";
import { t } from "./i18n.js";

export class Conversation {
  /** `captured_ms_of(participant, stream_s)` says when a sound of this page's own was captured, or null. */
  constructor({ transcript, notes, latency, captured_ms_of, on_state, on_change, on_event }) {
    Object.assign(this, { transcript, notes, latency, captured_ms_of, on_state, on_change, on_event });
    Object.assign(this, { room: null, stream: null, participants: new Map(), begun: new Map(), heard_s: 0, words: 0 });
  }

  /** Shows a room from its beginning; null shows an empty page. */
  open(room) {
    this.stream?.close();
    Object.assign(this, { room, stream: null, heard_s: 0, words: 0 });
    this.participants.clear();
    this.begun.clear();
    this.transcript.clear();
    this.notes.clear();
    this.latency.clear();
    this.on_change();
    if (room === null) return;
    this.stream = new EventStream(room, { on_event: (event) => this.take(event), on_state: this.on_state });
  }

  take(event) {
    this.on_event(event);
    if (this.notes.take(event)) return;
    const take = this.takes[event.type];
    if (!take) return;
    take.call(this, event);
    this.on_change();
  }

  takes = {
    "transcript.partial"(event) {
      this.transcript.partial(event);
      this.measure(event);
    },
    "transcript.final"(event) {
      this.transcript.final(event);
      this.measure(event);
      this.words += event.words.length;
    },
    "transcript.relabelled"(event) {
      this.transcript.relabelled(event);
    },
    "speaker.named"({ speaker, name }) {
      this.transcript.named(speaker, name);
    },
    "transcript.lost"({ start_s, end_s, why }) {
      this.transcript.remark(t("lost", { s: Math.max(0.1, end_s - start_s).toFixed(1), why: t(`lost_${why}`) }), end_s);
    },
    "participant.joined"({ participant, name, at_s }) {
      // A room's first voice needs no announcement, nor does one that comes back.
      const known = this.names().includes(name);
      if (this.participants.size > 0 && !known) this.transcript.remark(t("joined", { name }), at_s);
      this.participants.set(participant, { name, joined_s: at_s });
    },
    "bot.speaking"({ participant, turn, at_s }) {
      const key = `${participant}/${turn}`;
      if (!this.begun.has(key)) this.begun.set(key, at_s);
    },
    "bot.spoke"(event) {
      this.answered(event, "");
    },
    "bot.interrupted"(event) {
      this.answered(event, event.unheard);
    },
    dtmf({ participant, digit, at_s }) {
      const name = this.participants.get(participant)?.name ?? t("speaker");
      this.transcript.remark(t("sent_key", { name, digit }), at_s);
    },
  };

  /** What was heard of an agent's turn, and what was not because somebody spoke. */
  answered({ participant, turn, text, language, at_s }, unheard) {
    const key = `${participant}/${turn}`;
    const start_s = this.begun.get(key) ?? at_s;
    this.begun.delete(key);
    if (!text) return;
    const speaker = this.participants.get(participant)?.name ?? t("kind_agent");
    this.transcript.answer({ participant, speaker, text, language, start_s, end_s: at_s, words: [] }, unheard);
  }

  names() {
    return [...new Set([...this.participants.values()].map(({ name }) => name))];
  }

  measure(event) {
    this.heard_s = Math.max(this.heard_s, event.end_s);
    // A stream's own time begins when its participant joins.
    const from_s = this.participants.get(event.participant)?.joined_s ?? 0;
    const end_s = event.words.at(-1)?.end_s ?? event.end_s;
    this.latency.note(event, this.captured_ms_of(event.participant, end_s - from_s), performance.now());
  }
}
