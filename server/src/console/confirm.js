// A question before something that cannot be taken back.
//
// Each question is settled by what was done to it: browsers tell of a closed dialog a frame later, when the
// next question may be open already.

const $ = (id) => document.getElementById(id);

let settle = () => {};

/** Asks; resolves to whether the person said yes. Escape and “Cancel” are a no. */
export function confirmed({ title, text, yes }) {
  settle(false);
  $("confirm-head").textContent = title;
  $("confirm-text").textContent = text;
  $("confirm-yes").textContent = yes;
  $("confirm-dialog").showModal();
  $("confirm-no").focus();
  return new Promise((resolve) => (settle = resolve));
}

/** To be called once: hears the answers. */
export function listen_for_answers() {
  const dialog = $("confirm-dialog");
  dialog.addEventListener("submit", () => settle(true));
  dialog.addEventListener("cancel", () => settle(false));
  dialog.addEventListener("close", () => !dialog.open && settle(false));
  $("confirm-no").addEventListener("click", () => {
    settle(false);
    dialog.close();
  });
}
