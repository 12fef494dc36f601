// The transcript as a file: text with names, subtitles, or everything as JSON. Built from what the page
// has shown, in order of time; nothing is asked of the server.

import { clock } from "./i18n.js";
import { by_speaker } from "./voices.js";

/** Builds the file's name, kind and text: `format` is `text`, `srt` or `json`. */
export function build(format, { title, finals, notes }) {
  // One part for each speaker, where several share a line.
  const ordered = finals.flatMap(by_speaker).sort((a, b) => a.start_s - b.start_s);
  const name = title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "transcript";
  if (format === "srt") return { name: `${name}.srt`, kind: "application/x-subrip", text: srt(ordered) };
  if (format === "json") return { name: `${name}.json`, kind: "application/json", text: json(title, ordered, notes) };
  return { name: `${name}.txt`, kind: "text/plain;charset=utf-8", text: plain(ordered) };
}

/** Hands a file to the browser's downloads. */
export function save({ name, kind, text }) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: kind }));
  link.download = name;
  link.click();
  // The browser reads the blob after this turn of the page; a minute is plenty.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function plain(finals) {
  return finals.map(({ start_s, speaker, text }) => `[${clock(start_s)}] ${speaker ?? ""}: ${text}\n`).join("");
}

function srt(finals) {
  const cues = finals.flatMap((final) => cut(final.words));
  return cues.map((words, index) => {
    const span = `${stamp(words[0].start_s)} --> ${stamp(words.at(-1).end_s)}`;
    return `${index + 1}\n${span}\n${words.map(({ word }) => word).join(" ")}\n`;
  }).join("\n");
}

// Two lines of 42 letters and 7 seconds are what a reader follows at the pace of speech.
const CUE_LETTERS = 84;
const CUE_S = 7;

function cut(words) {
  const cues = [];
  let letters = 0;
  for (const word of words) {
    const cue = cues.at(-1);
    letters += word.word.length + 1;
    if (!cue || letters > CUE_LETTERS || word.end_s - cue[0].start_s > CUE_S) {
      cues.push([word]);
      letters = word.word.length;
    } else {
      cue.push(word);
    }
  }
  return cues;
}

function stamp(seconds) {
  const ms = Math.round(seconds * 1000);
  const pad = (n, width) => String(n).padStart(width, "0");
  return `${pad(Math.floor(ms / 3_600_000), 2)}:${pad(Math.floor(ms / 60_000) % 60, 2)}:${pad(Math.floor(ms / 1000) % 60, 2)},${pad(ms % 1000, 3)}`;
}

function json(title, finals, notes) {
  const segments = finals.map(({ participant, speaker, text, start_s, end_s, language, words }, id) => ({ id, start_s, end_s, participant, speaker, text, language, words }));
  const bare = ({ seq, v, at_s, type, ...note }) => note;
  const kept = Object.fromEntries(Object.entries(notes).map(([kind, list]) => [kind, list.map(bare)]));
  return `${JSON.stringify({ title, segments, ...kept }, null, 2)}\n`;
}
