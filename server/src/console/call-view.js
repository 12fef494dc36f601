// What a person sees and touches of a call: the question before it, and the bar at the bottom during it.
//
// Every state is said in words, in a live region; nothing is told by colour alone. Before a call the name is
// asked for, and in a room that demands it whether this voice may be recorded: nothing is chosen beforehand.

import { clock, on_language, t } from "./i18n.js";
import { Meter } from "./meter.js";

const $ = (id) => document.getElementById(id);

export class CallView {
  /** `on_leave()`, `on_mute(bool)`, `on_agree(bool)` are what the bar can ask for. */
  constructor({ on_leave, on_mute, on_agree }) {
    this.call = null;
    this.meters = { own: new Meter($("level-own")), room: new Meter($("level-room")) };
    $("call-leave").addEventListener("click", on_leave);
    $("call-mute").addEventListener("click", () => on_mute(!this.call.is_muted));
    $("call-agree").addEventListener("change", () => on_agree($("call-agree").checked));
    // Settled by what was done, not by the dialog's closing: browsers tell of that a frame later.
    this.settle = () => {};
    const dialog = $("join-dialog");
    dialog.addEventListener("submit", () => this.settle(true));
    dialog.addEventListener("cancel", () => this.settle(false));
    dialog.addEventListener("close", () => !dialog.open && this.settle(false));
    $("join-cancel").addEventListener("click", () => dialog.close());
    on_language(() => this.call && this.draw(this.call));
  }

  /** Asks how to join: resolves to `{name, consent, demands}` or null. `room` is null for a new one. */
  ask({ title, room, name, consent_required }) {
    $("join-head").textContent = room ? t("join_head", { title }) : t("join_new_head");
    $("join-name").value = name;
    $("join-name").placeholder = t("guest");
    $("join-consent").hidden = !consent_required;
    $("join-demand-row").hidden = room !== null;
    $("join-demand").checked = false;
    for (const choice of document.querySelectorAll("[name=join-consent]")) {
      choice.checked = false;
      choice.required = consent_required;
    }
    $("join-dialog").showModal();
    $("join-name").select();
    return new Promise((resolve) => {
      this.settle = (joins) => {
        if (!joins) return resolve(null);
        const said = document.querySelector("[name=join-consent]:checked")?.value;
        const demands = room === null && $("join-demand").checked;
        // Whoever opens a room that asks everybody has read the question just now.
        const consent = demands ? true : consent_required ? said === "yes" : null;
        resolve({ name: $("join-name").value.trim(), consent, demands });
      };
    });
  }

  level(which, rms) {
    this.meters[which].push(rms);
  }

  /** Shows how the call stands. */
  draw(call) {
    const was_busy = this.call?.is_busy() && !$("call").hidden;
    this.call = call;
    const busy = call.is_busy();
    $("call").hidden = !busy;
    $("controls").hidden = busy;
    if (!busy) {
      $("call-devices").open = false;
      Object.values(this.meters).forEach((meter) => meter.clear());
      return;
    }
    $("call").dataset.state = call.state;
    const words = [t(`call_${call.state}`, { title: call.title })];
    if (call.is_muted) words.push(t("call_is_muted"));
    say($("call-text"), words.join(" · "));
    $("call-mute").setAttribute("aria-pressed", String(call.is_muted));
    $("call-mute-text").textContent = t(call.is_muted ? "call_unmute" : "call_mute");
    $("call-agree-row").hidden = call.consent === null;
    $("call-agree").checked = call.consent === true;
    // Who joined by the keyboard goes on with it: leaving and muting are the next things.
    if (!was_busy && document.activeElement === document.body) $("call-mute").focus({ focusVisible: false });
    this.tick();
  }

  tick() {
    clearTimeout(this.timer);
    const { began_ms } = this.call;
    $("call-clock").textContent = began_ms === null ? "" : clock((performance.now() - began_ms) / 1000);
    if (this.call.is_busy()) this.timer = setTimeout(() => this.tick(), 500);
  }
}

/** Writes only what changed, so that a screen reader says it once. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
