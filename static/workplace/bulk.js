// Changing what is selected: the server first tells how many images it is, then does it.
"use strict";
(() => {
  const dialog = document.getElementById("bulk-dialog");
  const form = document.getElementById("bulk-form");
  if (!dialog) return;
  const by = (id) => document.getElementById(id);
  const [go, back, told, fault, fields] = ["bulk-go", "bulk-back", "bulk-told", "bulk-fault", "bulk-fields"].map(by);
  const FIRST = { tags: "bulk-add", status: "bulk-status", metadata: "bulk-key", split: "bulk-split", delete: "bulk-delete", relabel: "relabel-from" };
  let foretold = false;
  let action = form.action;

  function step(second) {
    foretold = second;
    told.hidden = back.hidden = !second;
    fields.hidden = second;
    go.textContent = second ? go.dataset.do : go.dataset.ask;
    go.disabled = false;
  }

  function open(part, here) {
    if (!window.ccSelection) return;
    if (window.ccSelection.isEmpty()) {
      if (!here) return;
      window.ccSelection.toggle(here, false);
    }
    form.reset();
    by("bulk-once").value = crypto.randomUUID?.() ?? String(Math.random()).slice(2); // sent twice, it is done once
    fault.hidden = true;
    step(false);
    for (const field of fields.children) field.hidden = field.dataset.part !== part;
    action = part === "relabel" ? form.dataset.relabel : form.action;
    if (part === "relabel") listCategories();
    dialog.showModal();
    by(FIRST[part]).focus();
  }

  // There may be thousands: they are fetched when somebody relabels for the first time.
  async function listCategories() {
    const into = by("relabel-into");
    if (into.options.length) return;
    try {
      const { categories } = await window.ccAsk.json(form.dataset.categories);
      const names = new Map();
      for (const { name } of categories) names.set(name, (names.get(name) ?? 0) + 1);
      for (const { id, name, coco_id: number } of categories) {
        const text = names.get(name) > 1 ? `${name} (${number})` : name;
        into.add(new Option(text, id));
        by("relabel-from").add(new Option(text, id));
      }
    } catch (error) {
      window.ccAsk.tell(fault, error, () => { fault.hidden = true; listCategories(); });
    }
  }

  function send(apply) {
    const body = new FormData(form);
    for (const [name, value] of Object.entries(window.ccSelection.fields())) body.set(name, value);
    if (apply) body.set("apply", "1");
    return window.ccAsk.post(action, body, apply);
  }

  window.ccDialogs.guard(form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (go.disabled) return;
    fault.hidden = true;
    go.disabled = true;
    try {
      const said = await send(foretold);
      if (foretold) {
        window.ccDialogs.done(said);
        return;
      }
      told.querySelector("[data-part=text]").textContent = said.text;
      window.ccDialogs.list(told.querySelector("[data-part=changes]"), said.changes);
      step(true);
      window.ccDialogs.hold(go, told);
    } catch (error) {
      window.ccAsk.tell(fault, error);
      go.disabled = false;
      go.focus();
    }
  });
  back.addEventListener("click", () => step(false));
  document.querySelectorAll("[data-bulk]").forEach((button) => button.addEventListener("click", () => open(button.dataset.bulk)));
  window.ccBulk = open;
})();
