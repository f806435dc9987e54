// The categories' page: colours, finding, the dialogs of changing, merging and deleting.
"use strict";
(() => {
  const rows = [...document.querySelectorAll("#categories [data-category]")];
  for (const row of rows) row.querySelector(".cc-swatch").style.setProperty("--c", colorOf(row));

  document.getElementById("find-category").addEventListener("input", (event) => {
    const words = event.target.value.trim().toLowerCase();
    for (const row of rows) row.hidden = Boolean(words) && !`${row.dataset.name} ${row.dataset.supercategory}`.toLowerCase().includes(words);
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
  });

  function colorOf(row) {
    return window.ccShapes.color({ color: row.dataset.color, category_id: row.dataset.category });
  }

  const edited = document.getElementById("category-dialog");
  if (!edited) return;
  const editForm = edited.querySelector("form");
  const fate = document.getElementById("fate-dialog");
  const fateForm = fate.querySelector("form");
  const part = (name) => fate.querySelector(`[data-part=${name}]`);
  const go = fate.querySelector("[data-ask]");
  const mergeButton = document.getElementById("merge-categories");
  let address = "";
  let foretold = false;

  // --- Making and changing -------------------------------------------------------------------------------------------
  document.getElementById("new-category").addEventListener("click", () => edit(null));
  for (const row of rows) row.querySelector("[data-edit]").addEventListener("click", () => edit(row));
  editForm.elements.color.addEventListener("input", () => { editForm.elements.no_color.checked = false; });

  function edit(row) {
    const kind = row ? "edit" : "new";
    editForm.action = row ? editForm.dataset.edit.replace("/0/", `/${row.dataset.category}/`) : editForm.dataset.new;
    document.getElementById("category-title").textContent = document.getElementById("category-title").dataset[kind];
    editForm.elements.name.value = row?.dataset.name ?? "";
    editForm.elements.supercategory.value = row?.dataset.supercategory ?? "";
    editForm.elements.version.value = row?.dataset.version ?? "";
    editForm.elements.no_color.checked = !row?.dataset.color;
    if (row) editForm.elements.color.value = colorOf(row);
    for (const each of edited.querySelectorAll("[data-part=color]")) each.hidden = !row;
    edited.showModal();
    editForm.elements.name.select();
  }

  // --- Merging and deleting: what would become of annotations is told first ----------------------------------------
  const ticked = () => rows.filter((row) => row.querySelector(".cc-tick").checked);
  document.getElementById("categories")?.addEventListener("change", () => {
    mergeButton.disabled = ticked().length < 2;
    document.getElementById("merge-number").textContent = ticked().length > 1 ? ticked().length : "";
  });
  mergeButton.addEventListener("click", () => open("merge", fateForm.dataset.merge, ticked()));
  for (const row of rows) {
    row.querySelector("[data-delete]")?.addEventListener("click", (event) => open("delete", event.currentTarget.dataset.delete, [row]));
  }

  function open(kind, to, chosen) {
    address = to;
    fateForm.reset();
    document.getElementById("fate-title").textContent = document.getElementById("fate-title").dataset[kind];
    for (const each of fate.querySelectorAll("[data-only]")) each.hidden = each.dataset.only !== kind;
    fateForm.elements.ids.value = chosen.map((row) => row.dataset.category).join(",");
    part("names").textContent = chosen.map((row) => row.dataset.name).join(", ");
    // Which one stays is chosen, never taken for granted; what each has is said beside its name.
    const { into } = fateForm.elements;
    into.required = kind === "merge";
    into.replaceChildren(new Option(into.dataset.none, ""), ...chosen.map((row) => new Option(`${row.dataset.name} (${row.dataset.counts})`, row.dataset.category)));
    part("fault").hidden = true;
    step(false);
    fate.showModal();
  }

  function step(second) {
    foretold = second;
    part("ask").hidden = second;
    part("told").hidden = !second;
    go.textContent = second ? go.dataset.do : go.dataset.ask;
    go.disabled = false;
  }

  window.ccDialogs.guard(fateForm);
  fateForm.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (go.disabled) return;
    go.disabled = true;
    part("fault").hidden = true;
    const body = new FormData(fateForm);
    if (foretold) body.set("apply", "1");
    try {
      const said = await window.ccAsk.post(address, body, foretold);
      if (foretold) {
        window.ccDialogs.done(said);
        return;
      }
      part("text").textContent = said.text;
      window.ccDialogs.list(part("changes"), said.changes);
      step(true);
      window.ccDialogs.hold(go, part("told"), said.blocked);
    } catch (error) {
      window.ccAsk.tell(part("fault"), error);
      go.disabled = false;
      go.focus();
    }
  });
})();
