// A form is sent once: its buttons rest while it is on its way, so that a second click makes nothing twice.
"use strict";
(() => {
  const PATIENCE = 30000; // milliseconds after which somebody who is still here may try again
  const OF_LISTS = 3000; // the actions of a list may answer with a file, and then the page stays
  const resting = new Map(); // form -> its buttons

  const buttonsOf = (form) => [...form.elements].filter((each) => !each.disabled && (each.type === "submit" || each.type === "image"));

  function wake(form) {
    for (const button of resting.get(form) ?? []) button.disabled = false;
    resting.delete(form);
  }

  // After the form's own listeners: what a script sends itself is the script's to hold back.
  window.addEventListener("submit", (event) => {
    const form = event.target;
    const method = event.submitter?.getAttribute("formmethod") ?? form.method;
    if (event.defaultPrevented || method.toLowerCase() !== "post" || (form.target && form.target !== "_self")) return;
    if (resting.has(form)) {
      event.preventDefault();
      return;
    }
    const buttons = buttonsOf(form);
    resting.set(form, buttons);
    // Only now: a button that rests already would be left out of what is sent.
    setTimeout(() => { for (const button of buttons) button.disabled = true; });
    setTimeout(() => wake(form), form.id === "changelist-form" ? OF_LISTS : PATIENCE);
  });
  // Back from the next page, the browser shows this one as it was left.
  window.addEventListener("pageshow", () => { for (const form of [...resting.keys()]) wake(form); });
})();
