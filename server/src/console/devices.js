// Which microphone a call uses and where it is heard, chosen by a person and remembered in this browser.
//
// Browsers name devices only to pages that were given a microphone before, so the lists fill when a call
// begins. Where a browser cannot choose the loudspeaker, that choice is not offered.

import { on_language, t } from "./i18n.js";

const REMEMBERED = { input: "harmony.input", output: "harmony.output", plain: "harmony.plain-sound" };

export class Devices {
  /** The two selects, the row of the second, and the checkbox for cleaned sound. */
  constructor({ input, output, output_row, cleaned, on_input, on_output }) {
    Object.assign(this, { input, output, cleaned });
    this.can_choose_output = "setSinkId" in HTMLMediaElement.prototype;
    output_row.hidden = !this.can_choose_output;
    cleaned.checked = localStorage.getItem(REMEMBERED.plain) !== "yes";
    input.addEventListener("change", () => {
      localStorage.setItem(REMEMBERED.input, input.value);
      on_input();
    });
    cleaned.addEventListener("change", () => {
      localStorage.setItem(REMEMBERED.plain, cleaned.checked ? "no" : "yes");
      on_input();
    });
    output.addEventListener("change", () => {
      localStorage.setItem(REMEMBERED.output, output.value);
      on_output();
    });
    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.look());
    on_language(() => this.look());
  }

  /** What to ask the browser for. */
  wanted() {
    return { device: localStorage.getItem(REMEMBERED.input) ?? "", is_cleaned: this.cleaned.checked };
  }

  /** Looks which devices there are. */
  async look() {
    const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    this.fill(this.input, all.filter(({ kind }) => kind === "audioinput"), REMEMBERED.input);
    this.fill(this.output, all.filter(({ kind }) => kind === "audiooutput"), REMEMBERED.output);
  }

  fill(select, devices, remembered) {
    const named = devices.filter(({ deviceId, label }) => label && deviceId !== "default" && deviceId !== "communications");
    const options = named.map(({ deviceId, label }) => new Option(label, deviceId));
    select.replaceChildren(new Option(t("device_default"), ""), ...options);
    const chosen = localStorage.getItem(remembered) ?? "";
    select.value = named.some(({ deviceId }) => deviceId === chosen) ? chosen : "";
  }

  /** Lets an audio element sound where the person wants it. */
  async play_through(sound) {
    if (!this.can_choose_output) return;
    try {
      await sound.setSinkId(this.output.value);
    } catch {
      // The device went away in between; the browser's own choice sounds.
    }
  }
}
