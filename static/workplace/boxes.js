// Boxes over the thumbnails of the grid, fetched for those that are loaded once somebody wants to see them.
"use strict";
(() => {
  const AT_ONCE = 60;
  const button = document.getElementById("show-boxes");
  const images = document.getElementById("images");
  if (!button || !images) return;
  const { make, color } = window.ccShapes;
  let shown = button.getAttribute("aria-pressed") === "true";

  function toggle() {
    shown = !shown;
    button.setAttribute("aria-pressed", String(shown));
    button.classList.toggle("cc-button-on", shown);
    images.classList.toggle("cc-with-boxes", shown);
    const url = new URL(location.href);
    if (shown) url.searchParams.set("boxes", "1");
    else url.searchParams.delete("boxes");
    history.replaceState(null, "", url);
    for (const field of document.querySelectorAll("input[type=hidden][name=boxes]")) field.disabled = !shown;
    draw();
  }

  async function draw() {
    if (!shown) return;
    const waiting = [...images.querySelectorAll("[data-id]:not([data-boxes])")].slice(0, AT_ONCE);
    if (!waiting.length) return;
    for (const tile of waiting) tile.dataset.boxes = "";
    try {
      const { images: found } = await window.ccAsk.json(`${button.dataset.address}?ids=${waiting.map((tile) => tile.dataset.id).join(",")}`);
      for (const tile of waiting) if (found[tile.dataset.id]) lay(tile, found[tile.dataset.id]);
    } catch (error) {
      for (const tile of waiting) delete tile.dataset.boxes;
      const fault = document.getElementById("more-fault");
      window.ccAsk.tell(fault, error, () => { fault.hidden = true; draw(); });
      return;
    }
    draw();
  }

  // The drawing fits into the tile as the picture does: whole, in the middle.
  function lay(tile, { size: [width, height], boxes }) {
    tile.dataset.boxes = boxes.length;
    if (!width || !height || !boxes.length) return;
    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, "cc-tile-boxes");
    for (const [bbox, category, own] of boxes) {
      if (!Array.isArray(bbox) || bbox.length !== 4 || !bbox.every(Number.isFinite)) continue;
      const [x, y, wide, high] = bbox;
      const box = make("rect", { x, y, width: Math.max(0, wide), height: Math.max(0, high) });
      box.style.setProperty("--c", color({ color: own, category_id: category }));
      svg.append(box);
    }
    tile.querySelector(".cc-tile-picture")?.append(svg);
  }

  images.classList.toggle("cc-with-boxes", shown);
  button.addEventListener("click", toggle);
  window.ccBoxes = { draw, toggle };
  draw();
})();
