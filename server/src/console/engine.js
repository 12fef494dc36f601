// Which engine listens on this server, and which languages it can be asked for.

import { language_name, t } from "./i18n.js";
import { ask_status } from "./server.js";

const REMEMBERED = "harmony.spoken";

/** Resolves to `{engine, missing}`: what listens, or that no model is installed. */
export async function look_at_engine() {
  const { status, body } = await ask_status("/readyz");
  return { engine: status === 200 ? body : null, missing: body?.error?.code === "no_model" };
}

/** `Moonshine tiny` as a person reads it, with its language when it knows only one. */
export function engine_label({ engine, model, languages }) {
  const name = (model ?? engine).replace(/-(en|de)$/, "").replace(/[-_]/g, " ").replace(/^\p{L}/u, (letter) => letter.toUpperCase());
  return languages?.length === 1 ? `${name} · ${language_name(languages[0])}` : name;
}

/** Fills the choice of spoken languages; an engine that knows one offers no choice. */
export function fill_languages(select, engine) {
  const languages = engine?.languages ?? [];
  const chosen = select.value || localStorage.getItem(REMEMBERED) || "";
  const options = languages.map((tag) => option(tag, language_name(tag)));
  options.sort((a, b) => a.textContent.localeCompare(b.textContent));
  if (languages.length > 1) options.unshift(option("", t("language_auto")));
  select.replaceChildren(...options);
  select.disabled = languages.length < 2;
  select.parentElement.hidden = languages.length === 0;
  if (languages.includes(chosen)) select.value = chosen;
  select.onchange = () => localStorage.setItem(REMEMBERED, select.value);
}

function option(value, text) {
  const element = document.createElement("option");
  element.value = value;
  element.textContent = text;
  return element;
}
