// Who said which words, where several people share a line: their names as the page's language has them, their
// colours, and an utterance cut where the speaker changes. Values only.

import { t } from "./i18n.js";

const TINTS = 8;

/** The name of whoever said a run of words. */
export function name_of(voice) {
  if (voice.named_by === "nobody") return t("speaker_unknown");
  if (voice.named_by !== "voice") return voice.name;
  return voice.name.replace(/, voice (\d+)$/, (_, number) => t("speaker_voice", { number }));
}

/** The name of whoever said all of an utterance, else of the line. */
export function speaker_of({ speaker, voices = [] }) {
  const [first] = voices;
  return first && voices.every((voice) => voice.speaker === first.speaker) ? name_of(first) : speaker;
}

/** The colour of a speaker such as p1, or p1.2: the same wherever they are shown. */
export function tint_of(speaker) {
  if (!speaker) return "";
  const [line, voice = 0] = speaker.slice(1).split(".").map(Number);
  return Number.isFinite(line) ? (line * 3 + voice) % TINTS : "";
}

/** The runs of an utterance, each `{speaker, voice, words}`; one by its line where voices are not told apart. */
export function runs_of({ participant, words, voices = [] }) {
  if (voices.length === 0) return [{ speaker: participant, voice: null, words }];
  let from = 0;
  return voices.map((voice) => ({ speaker: voice.speaker, voice, words: words.slice(from, (from += voice.words)) }));
}

/** An utterance as one for each run. */
export function by_speaker(final) {
  if ((final.voices ?? []).length < 2) return [{ ...final, speaker: speaker_of(final) }];
  return runs_of(final).filter(({ words }) => words.length > 0).map(({ voice, words }) => ({
    ...final, speaker: name_of(voice), voices: [voice], words,
    text: words.map(({ word }) => word).join(" "), start_s: words[0].start_s, end_s: words.at(-1).end_s,
  }));
}

/** Puts the new name of a speaker into the runs of an utterance; says whether it was among them. */
export function rename(final, speaker, name) {
  const theirs = (final.voices ?? []).filter((voice) => voice.speaker === speaker);
  for (const voice of theirs) Object.assign(voice, { name, named_by: "person" });
  return theirs.length > 0;
}
