// The form of exports: counting keeps what was chosen, and nothing is exported but what was counted.
"use strict";
(() => {
  const count = document.getElementById("count-form");
  const start = document.getElementById("export-form");
  if (!count || !start) return;
  const field = count.elements.q;
  const note = document.getElementById("count-first");
  const button = start.querySelector("button.cc-button-main");

  count.addEventListener("submit", () => {
    for (const [name, value] of new FormData(start)) {
      if (name === "q" || name === "csrfmiddlewaretoken") continue;
      const kept = count.querySelector(`input[type=hidden][name=${name}]`) ?? count.appendChild(document.createElement("input"));
      Object.assign(kept, { type: "hidden", name, value });
    }
  });
  field.addEventListener("input", () => {
    const other = field.value.trim() !== start.elements.q.value.trim();
    note.hidden = !other;
    button.disabled = other;
  });
})();
