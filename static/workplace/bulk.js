// Changing what is selected: the server first tells how many images it is, then does it.
"use strict";
(() => {
  const dialog = document.getElementById("bulk-dialog");
  const form = document.getElementById("bulk-form");
  if (!dialog) return;
  const by = (id) => document.getElementById(id);
  const [go, back, told, fault, fields] = ["bulk-go", "bulk-back", "bulk-told", "bulk-fault", "bulk-fields"].map(by);
  const FIRST = { tags: "bulk-add", status: "bulk-status", metadata: "bulk-key", split: "bulk-split", delete: "bulk-delete", relabel: "relabel-from" };
  const TOAST = "cocohub-toast";
  let foretold = false;
  let action = form.action;

  function step(second) {
    foretold = second;
    told.hidden = back.hidden = !second;
    fields.hidden = second;
    go.textContent = second ? go.dataset.do : go.dataset.ask;
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
      const { categories } = await (await fetch(form.dataset.categories)).json();
      const names = new Map();
      for (const { name } of categories) names.set(name, (names.get(name) ?? 0) + 1);
      for (const { id, name, coco_id: number } of categories) {
        const text = names.get(name) > 1 ? `${name} (${number})` : name;
        into.add(new Option(text, id));
        by("relabel-from").add(new Option(text, id));
      }
    } catch (error) {
      fault.textContent = error.message;
      fault.hidden = false;
    }
  }

  function done(said) {
    sessionStorage.setItem(TOAST, JSON.stringify(said));
    location.reload();
  }

  function send(apply) {
    const body = new FormData(form);
    for (const [name, value] of Object.entries(window.ccSelection.fields())) body.set(name, value);
    if (apply) body.set("apply", "1");
    return post(action, body);
  }

  async function post(address, body) {
    const answer = await fetch(address, { method: "POST", body, headers: { Accept: "application/json" } });
    const said = await answer.json();
    if (!answer.ok) throw new Error([said.message, ...Object.values(said.fieldErrors ?? {}).flat()].join(" "));
    return said;
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    fault.hidden = true;
    go.disabled = true;
    try {
      const said = await send(foretold);
      if (foretold) {
        return done(said);
      }
      told.querySelector("[data-part=text]").textContent = said.text;
      told.querySelector("[data-part=changes]").replaceChildren(...said.changes.map((line) => {
        const item = document.createElement("li");
        item.textContent = line;
        return item;
      }));
      step(true);
    } catch (error) {
      fault.textContent = error.message;
      fault.hidden = false;
    }
    go.disabled = false;
    go.focus();
  });
  back.addEventListener("click", () => step(false));
  document.querySelectorAll("[data-bulk]").forEach((button) => button.addEventListener("click", () => open(button.dataset.bulk)));
  window.ccBulk = open;

  const kept = sessionStorage.getItem(TOAST);
  if (kept) tell(JSON.parse(kept));

  function tell(said) {
    sessionStorage.removeItem(TOAST);
    const toast = by("toast");
    const undo = by("undo");
    toast.querySelector("span").textContent = said.text;
    toast.hidden = false;
    undo.hidden = !said.undo;
    undo.onclick = async () => {
      undo.disabled = true;
      try {
        done(await post(said.undo, new FormData(form)));
      } catch (error) {
        tell({ text: error.message });
      }
    };
    setTimeout(() => { toast.hidden = true; }, said.undo ? 20000 : 6000);
  }
})();
