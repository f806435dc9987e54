// The image's page: draws its objects, keeps list and picture in step, and listens to the keyboard.
"use strict";
(async () => {
  const stage = document.getElementById("stage");
  const list = document.getElementById("objects");
  const pointed = document.getElementById("pointed");
  const details = document.getElementById("one-object");
  const { make, color, draw, extent } = window.ccShapes;
  const groups = new Map(); // id of an object -> its drawing
  const rows = new Map(); // id of an object -> its line in the list
  let objects = [];
  let fixed = null;
  const nameOf = (object) => object.category || list.dataset.none;

  document.addEventListener("keydown", keys);
  stage.querySelectorAll("[data-toggle]").forEach((button) => button.addEventListener("click", () => toggle(button)));

  await window.ccStage.ready;
  await load();

  async function load() {
    try {
      ({ objects } = await window.ccAsk.json(stage.dataset.objects));
    } catch (error) {
      window.ccAsk.tell(list, error, load);
      return;
    }
    list.textContent = objects.length ? "" : list.dataset.empty;
    paint();
    listAll();
  }

  function paint() {
    const { width, height } = window.ccStage.size();
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const object of [...objects].sort((a, b) => extent(b) - extent(a))) {
      const group = draw(object);
      if (!group) continue;
      groups.set(object.id, group);
      svg.append(group);
    }
    svg.addEventListener("pointerover", (event) => hot(idAt(event)));
    svg.addEventListener("pointerleave", () => hot(null));
    svg.addEventListener("click", (event) => fix(idAt(event)));
    stage.querySelector(".cc-sheet").append(svg);
    stage.dataset.drawn = groups.size;
  }

  function idAt(event) {
    const group = event.target.closest("[data-object]");
    return group ? Number(group.dataset.object) : null;
  }

  function listAll() {
    const byCategory = new Map();
    for (const object of objects) {
      const name = nameOf(object);
      byCategory.set(name, [...(byCategory.get(name) ?? []), object]);
    }
    for (const [name, members] of [...byCategory].sort((a, b) => b[1].length - a[1].length)) {
      const section = document.createElement("div");
      section.style.setProperty("--c", color(members[0]));
      section.append(heading(name, members), ...members.map(line));
      list.append(section);
    }
  }

  function heading(name, members) {
    const label = document.createElement("label");
    label.className = "cc-group";
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      for (const { id } of members) if (groups.has(id)) groups.get(id).style.display = box.checked ? "" : "none";
    });
    const swatch = document.createElement("span");
    swatch.className = "cc-swatch";
    const text = document.createElement("span");
    text.className = "cc-cut";
    text.textContent = `${name} (${members.length})`;
    label.append(box, swatch, text);
    return label;
  }

  function line(object) {
    const row = document.createElement("button");
    row.type = "button";
    row.className = "cc-object-row";
    row.dataset.object = object.id;
    const id = document.createElement("span");
    id.className = "cc-mono";
    id.textContent = `#${object.coco_id}`;
    const text = document.createElement("span");
    text.className = "cc-cut";
    text.textContent = summary(object);
    const size = document.createElement("span");
    size.className = "cc-faint cc-small";
    if (Array.isArray(object.bbox)) size.textContent = object.bbox.slice(2).map((each) => Math.round(each)).join(" × ");
    row.append(id, text, size);
    row.addEventListener("pointerenter", () => hot(object.id));
    row.addEventListener("pointerleave", () => hot(null));
    row.addEventListener("focus", () => hot(object.id));
    row.addEventListener("click", () => { fix(object.id); if (Array.isArray(object.bbox)) window.ccStage.reveal(object.bbox); });
    rows.set(object.id, row);
    return row;
  }

  function summary(object) {
    const words = [];
    if (object.iscrowd) words.push(list.dataset.crowd);
    if (object.is_machine) words.push(list.dataset.machine);
    if (object.extra && typeof object.extra.caption === "string") words.push(object.extra.caption);
    for (const [key, value] of Object.entries(object.attributes ?? {})) {
      if (value === true) words.push(key);
      else if (value !== false && value !== null && typeof value !== "object") words.push(`${key}: ${value}`);
    }
    return words.join(", ");
  }

  function hot(id) {
    const shown = id ?? fixed;
    for (const [key, group] of groups) group.classList.toggle("cc-hot", key === shown);
    for (const [key, row] of rows) row.classList.toggle("cc-hot", key === shown);
    stage.classList.toggle("cc-has-hot", groups.has(shown));
    const object = objects.find((each) => each.id === shown);
    pointed.hidden = !object;
    if (object) pointed.textContent = [`${nameOf(object)} #${object.coco_id}`, summary(object)].filter(Boolean).join(" · ");
  }

  function fix(id) {
    fixed = id === fixed ? null : id;
    hot(null);
    rows.get(fixed)?.scrollIntoView({ block: "nearest" });
    const object = objects.find((each) => each.id === fixed);
    details.hidden = !object;
    if (object) {
      const { names, skeleton, color: own, ...record } = object;
      details.querySelector("pre").textContent = JSON.stringify(record, (key, value) => (Array.isArray(value) && value.length > 60 ? [...value.slice(0, 60), "…"] : value), 1);
    }
  }

  function toggle(button) {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    stage.classList.toggle(`cc-no-${button.dataset.toggle}`, !on);
  }

  function keys(event) {
    // A checkbox has no use for letters and arrows; the space bar, which it has, means nothing here.
    if (event.target.closest("textarea, select, input:not([type=checkbox])") || event.ctrlKey || event.metaKey || event.altKey) return;
    const press = (id) => document.getElementById(id)?.click();
    const name = { s: "shapes", b: "boxes", k: "points" }[event.key];
    if (name) toggle(stage.querySelector(`[data-toggle=${name}]`));
    else if (event.key === "ArrowLeft") press("before");
    else if (event.key === "ArrowRight") press("after");
    else if (event.key === "u") press("up");
    else if (event.key === "+" || event.key === "=") window.ccStage.zoom(1.4);
    else if (event.key === "-") window.ccStage.zoom(1 / 1.4);
    else if (event.key === "0") window.ccStage.fit();
    else if (event.key === "Escape") fix(fixed);
    else if (event.key === "t") { event.preventDefault(); document.getElementById("add-tags")?.focus(); }
  }
})();
