// The twelve keys of a telephone, by touch, mouse or keyboard.
//
// Whoever uses it says what a key does: dialled numbers grow, a call sends it to its far end. Typing a key's sign
// anywhere within `typed_in` is pressing it; where people write text, nothing is taken from them.

import { t } from "./i18n.js";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const LETTERS = { 2: "ABC", 3: "DEF", 4: "GHI", 5: "JKL", 6: "MNO", 7: "PQRS", 8: "TUV", 9: "WXYZ" };
const NAMED = { "*": "key_star", "#": "key_hash" };

export class Keypad {
  /** `on_key(sign)`. `typed_in` is the element in which typing presses keys, if any. */
  constructor({ on_key, typed_in = null }) {
    this.element = document.createElement("div");
    this.element.className = "keypad";
    this.element.setAttribute("role", "group");
    this.buttons = KEYS.map((sign) => this.key(sign, on_key));
    this.element.append(...this.buttons);
    typed_in?.addEventListener("keydown", (event) => this.on_typed(event, on_key));
    this.draw();
  }

  key(sign, on_key) {
    const made = document.createElement("button");
    Object.assign(made, { type: "button", className: "key" });
    made.dataset.key = sign;
    const letters = document.createElement("small");
    letters.textContent = LETTERS[sign] ?? "";
    letters.setAttribute("aria-hidden", "true");
    made.append(sign, letters);
    made.addEventListener("click", () => on_key(sign));
    return made;
  }

  on_typed(event, on_key) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, select, textarea")) return;
    if (!KEYS.includes(event.key)) return;
    event.preventDefault();
    on_key(event.key);
  }

  /** Writes the names of the keys in the language of the page. */
  draw() {
    this.element.setAttribute("aria-label", t("keypad"));
    for (const button of this.buttons) {
      const { key } = button.dataset;
      button.setAttribute("aria-label", key in NAMED ? t(NAMED[key]) : key);
    }
  }

  focus() {
    this.buttons[0].focus();
  }
}
