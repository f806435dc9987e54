// Which images are selected: by click, by Shift up to here, all that are loaded, or all that the query finds.
"use strict";
(() => {
  const images = document.getElementById("images");
  const bar = document.getElementById("bulk-bar");
  if (!images || !bar) return;
  const total = Number(document.getElementById("number").dataset.number);
  const chosen = new Set();
  let all = false;
  let anchor = null;

  const items = () => [...images.querySelectorAll("[data-id]")];

  function paint() {
    for (const item of items()) {
      const on = all || chosen.has(item.dataset.id);
      item.classList.toggle("cc-chosen", on);
      item.querySelector(".cc-pick").setAttribute("aria-pressed", String(on));
      if (item.hasAttribute("aria-selected")) item.setAttribute("aria-selected", String(on));
    }
    const number = all ? total : chosen.size;
    bar.hidden = !number;
    images.classList.toggle("cc-choosing", number > 0);
    document.getElementById("chosen-number").textContent = number.toLocaleString();
    document.getElementById("select-matching").hidden = all || chosen.size >= total;
  }

  function set(item, on) {
    if (on) chosen.add(item.dataset.id);
    else chosen.delete(item.dataset.id);
  }

  // With `upTo`, everything between the last one and this one becomes like this one.
  function toggle(item, upTo) {
    if (all) { all = false; items().forEach((each) => set(each, true)); }
    const on = upTo ? true : !chosen.has(item.dataset.id);
    if (upTo && anchor) {
      const list = items();
      const [from, to] = [list.indexOf(anchor), list.indexOf(item)].sort((a, b) => a - b);
      list.slice(Math.max(0, from), to + 1).forEach((each) => set(each, on));
    } else set(item, on);
    anchor = item;
    paint();
  }

  function clear() { chosen.clear(); all = false; anchor = null; paint(); }

  images.addEventListener("click", (event) => {
    const item = event.target.closest("[data-id]");
    if (!item) return;
    const pick = event.target.closest(".cc-pick");
    const link = event.target.closest("a");
    if (!pick && event.button) return;
    if (pick || event.shiftKey || (!link && !event.target.closest("button")) || (link && (chosen.size || all) && !event.ctrlKey && !event.metaKey)) {
      event.preventDefault();
      document.getSelection()?.removeAllRanges();
      toggle(item, event.shiftKey);
      item.focus({ preventScroll: true });
    }
  });
  document.getElementById("select-loaded").addEventListener("click", () => { items().forEach((item) => set(item, true)); paint(); });
  document.getElementById("select-matching").addEventListener("click", () => { all = true; paint(); });
  document.getElementById("clear-selection").addEventListener("click", clear);

  window.ccSelection = {
    toggle, clear, paint,
    selectLoaded() { items().forEach((item) => set(item, true)); paint(); },
    isEmpty: () => !all && !chosen.size,
    // What the server is to change.
    fields: () => (all ? { all: "1", q: document.getElementById("browse").dataset.query } : { ids: [...chosen].join(",") }),
  };
})();
