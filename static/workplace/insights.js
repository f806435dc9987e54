// The dashboard: loads the charts, asks again while fresh figures are on their way, opens the dialog of saving.
"use strict";
(() => {
  const PAUSE = 2500;
  const MOST = 120; // times that it asks again
  const box = document.getElementById("charts");
  const dialog = document.getElementById("save-dialog");
  let asked = 0;

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
    for (const menu of document.querySelectorAll(".cc-menu[open]")) {
      if (!menu.contains(event.target) || event.target.closest(".cc-menu-list")) menu.open = false;
    }
    const button = event.target.closest("[data-save]");
    if (button && dialog) save(button);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.querySelectorAll(".cc-menu[open]").forEach((menu) => { menu.open = false; });
    if (event.key === "/" && !event.target.closest("input, textarea, select, dialog")) {
      event.preventDefault();
      document.querySelector(".cc-query input").focus();
    }
  });
  if (box) load();
  const source = document.getElementById("source");
  source?.addEventListener("change", () => judge(0));
  if (source) judge(0);

  // How well the chosen source predicts; asked again while that is being found out.
  async function judge(times) {
    const place = document.getElementById("predictions");
    const wanted = source.value;
    try {
      const answer = await window.ccAsk.ask(`${place.dataset.address}?${new URLSearchParams({ source: wanted, q: place.dataset.query })}`);
      const text = await answer.text();
      if (source.value !== wanted) return;
      place.innerHTML = text; // made and escaped by our own templates
      if (answer.headers.get("X-Waiting") && times < MOST) setTimeout(() => { if (source.value === wanted) judge(times + 1); }, PAUSE);
    } catch (error) {
      if (source.value === wanted) window.ccAsk.tell(place, error, () => judge(0));
    }
    place.setAttribute("aria-busy", "false");
  }

  function save(button) {
    const form = dialog.querySelector("form");
    form.elements.metric.value = button.dataset.save;
    form.elements.chart.value = button.dataset.chart;
    dialog.querySelector("[data-part=title]").textContent = button.dataset.title;
    form.elements.name.value = [button.dataset.title, form.elements.q.value].filter(Boolean).join(": ").slice(0, 200);
    dialog.showModal();
    form.elements.name.select();
  }

  async function load() {
    try {
      const answer = await window.ccAsk.ask(box.dataset.address, { headers: { Accept: "text/html" } });
      const text = await answer.text();
      const kept = openOnes();
      box.innerHTML = text; // made and escaped by our own templates
      kept.forEach((key) => { const found = box.querySelector(`${key} .cc-more-bars`); if (found) found.open = true; });
      if (!asked && location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
      if (answer.headers.get("X-Waiting") && ++asked < MOST) setTimeout(load, PAUSE);
    } catch (error) {
      window.ccAsk.tell(box, error, load);
    }
    box.setAttribute("aria-busy", "false");
  }

  // Lists that the reader has opened stay open when fresh figures come.
  function openOnes() {
    return [...box.querySelectorAll(".cc-more-bars[open]")].map((each) => `[data-metric="${each.closest("[data-metric]").dataset.metric}"]`);
  }
})();
