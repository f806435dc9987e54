// The stage that holds the picture: one CSS transform moves and scales the picture and whatever lies over it together.
"use strict";
(() => {
  const stage = document.getElementById("stage");
  if (!stage) return;
  const sheet = stage.querySelector(".cc-sheet");
  const picture = sheet.querySelector("img");
  const label = stage.querySelector("[data-part=zoom]");
  const LEAST = 0.02;
  const MOST = 40;
  let width = Number(stage.dataset.width);
  let height = Number(stage.dataset.height);
  let scale = 1, x = 0, y = 0, fitted = true, moved = false;

  function draw() {
    // Drawn at its final size rather than by scale(), so that lines and text of the overlay stay sharp.
    Object.assign(sheet.style, { width: `${width * scale}px`, height: `${height * scale}px`, transform: `translate(${x}px, ${y}px)` });
    sheet.classList.toggle("cc-pixels", scale > 4);
    label.textContent = `${Math.round(scale * 100)} %`;
  }

  function fit() {
    const room = 16;
    if (width && height) stage.style.setProperty("--picture", `${width} / ${height}`); // as tall as it needs on a phone
    scale = Math.min((stage.clientWidth - room) / width, (stage.clientHeight - room) / height, 4);
    x = (stage.clientWidth - width * scale) / 2;
    y = (stage.clientHeight - height * scale) / 2;
    fitted = true;
    draw();
  }

  function zoom(by, atX = stage.clientWidth / 2, atY = stage.clientHeight / 2) {
    const next = Math.min(MOST, Math.max(LEAST, scale * by));
    x = atX - ((atX - x) * next) / scale;
    y = atY - ((atY - y) * next) / scale;
    scale = next;
    fitted = false;
    draw();
  }

  function pan(byX, byY) { x += byX; y += byY; fitted = false; draw(); }

  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = stage.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });

  const fingers = new Map();
  const spread = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a.x - b.x, a.y - b.y); };
  stage.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button, a")) return;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    moved = false;
  });
  stage.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const before = fingers.size === 2 ? spread() : 0;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (fingers.size === 2) {
      const box = stage.getBoundingClientRect();
      const [a, b] = [...fingers.values()];
      zoom(spread() / before, (a.x + b.x) / 2 - box.left, (a.y + b.y) / 2 - box.top);
    } else {
      if (!moved && Math.hypot(event.clientX - last.x, event.clientY - last.y) < 3) {
        fingers.set(event.pointerId, last);
        return;
      }
      if (!moved) stage.setPointerCapture(event.pointerId);
      moved = true;
      stage.classList.add("cc-dragging");
      pan(event.clientX - last.x, event.clientY - last.y);
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    stage.addEventListener(name, (event) => { fingers.delete(event.pointerId); stage.classList.remove("cc-dragging"); });
  }
  // A drag that ends over an object is no click on it.
  stage.addEventListener("click", (event) => { if (moved) { event.stopPropagation(); moved = false; } }, true);
  stage.addEventListener("dblclick", (event) => {
    if (event.target.closest("button")) return;
    const box = stage.getBoundingClientRect();
    zoom(2, event.clientX - box.left, event.clientY - box.top);
  });
  stage.querySelectorAll("[data-zoom]").forEach((button) => button.addEventListener("click", () => {
    if (button.dataset.zoom === "fit") fit();
    else zoom(button.dataset.zoom === "in" ? 1.4 : 1 / 1.4);
  }));
  new ResizeObserver(() => { if (fitted && width) fit(); }).observe(stage);

  window.ccStage = {
    fit, zoom, pan,
    size: () => ({ width, height }),
    // Bring a box (x, y, width, height in pixels of the picture) into sight, if it is not.
    reveal([left, top, wide, high]) {
      const [l, t, r, b] = [x + left * scale, y + top * scale, x + (left + wide) * scale, y + (top + high) * scale];
      if (l >= 0 && t >= 0 && r <= stage.clientWidth && b <= stage.clientHeight) return;
      x = stage.clientWidth / 2 - (left + wide / 2) * scale;
      y = stage.clientHeight / 2 - (top + high / 2) * scale;
      fitted = false;
      draw();
    },
    // The record has no size: take the picture's own.
    ready: new Promise((resolve) => {
      const go = () => {
        width ||= picture?.naturalWidth || 640;
        height ||= picture?.naturalHeight || 480;
        fit();
        resolve();
      };
      if ((width && height) || !picture || picture.complete) go();
      else { picture.addEventListener("load", go); picture.addEventListener("error", go); }
    }),
  };
})();
