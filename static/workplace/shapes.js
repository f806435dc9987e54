// COCO shapes as SVG, in pixels of the stored picture: boxes, polygons, run-length masks, keypoints with skeletons.
"use strict";
window.ccShapes = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  // Okabe and Ito's colours and some more, told apart also by the colour-blind.
  const COLORS = ["#e69f00", "#56b4e9", "#00b587", "#f0e442", "#3d8bfd", "#ff6b35", "#e17fc2", "#a3d977", "#c4a5ff", "#ff8fa3", "#4dd0c4", "#d4b483"];
  const MOST_RUNS = 200000;

  const numbers = (list) => Array.isArray(list) && list.every((each) => Number.isFinite(each));

  function make(name, attributes, css) {
    const element = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (css) element.setAttribute("class", css);
    return element;
  }

  function color(object) {
    if (/^#[0-9a-f]{6}$/i.test(object.color)) return object.color;
    return COLORS[Math.abs(Number(object.category_id ?? 0)) % COLORS.length];
  }

  // The counts of a compressed RLE, as pycocotools writes them: 5 bits a character, differences from the last but one.
  function decompress(text) {
    const counts = [];
    for (let place = 0; place < text.length && counts.length < MOST_RUNS;) {
      let value = 0, shift = 0, more = true;
      while (more && place < text.length) {
        const code = text.charCodeAt(place++) - 48;
        value |= (code & 0x1f) << (5 * shift++);
        more = Boolean(code & 0x20);
        if (!more && code & 0x10) value |= -1 << (5 * shift);
      }
      counts.push(counts.length > 2 ? value + counts[counts.length - 2] : value);
    }
    return counts;
  }

  // Runs go down the columns; each becomes bars of one pixel's width.
  function maskPath(rle) {
    const [high, wide] = rle.size ?? [];
    const counts = typeof rle.counts === "string" ? decompress(rle.counts) : rle.counts;
    if (!(high > 0 && wide > 0) || !numbers(counts)) return "";
    const parts = [];
    let place = 0;
    for (const [index, count] of counts.slice(0, MOST_RUNS).entries()) {
      if (index % 2) {
        for (let from = place; from < place + count;) {
          const column = Math.floor(from / high), row = from % high;
          const length = Math.min(high - row, place + count - from);
          if (length === high) {
            const columns = Math.floor((place + count - from) / high);
            parts.push(`M${column} 0h${columns}v${high}h-${columns}z`);
            from += columns * high;
          } else {
            parts.push(`M${column} ${row}h1v${length}h-1z`);
            from += length;
          }
        }
      }
      place += count;
    }
    return parts.join("");
  }

  function polygonPath(polygons) {
    return polygons.filter((ring) => numbers(ring) && ring.length >= 4).map((ring) => {
      const points = [];
      for (let place = 0; place + 1 < ring.length; place += 2) points.push(`${ring[place]} ${ring[place + 1]}`);
      return `M${points.join("L")}z`;
    }).join("");
  }

  function skeleton(object) {
    const flat = object.keypoints;
    if (!numbers(flat)) return [];
    const points = [];
    for (let place = 0; place + 2 < flat.length; place += 3) points.push({ x: flat[place], y: flat[place + 1], seen: flat[place + 2] });
    const drawn = [];
    for (const bone of Array.isArray(object.skeleton) ? object.skeleton : []) {
      const [from, to] = Array.isArray(bone) ? [points[bone[0] - 1], points[bone[1] - 1]] : [];
      if (from?.seen && to?.seen) drawn.push(make("path", { d: `M${from.x} ${from.y}L${to.x} ${to.y}` }, "cc-bone"));
    }
    points.forEach((point, place) => {
      if (!point.seen) return;
      // A line of no length with round ends is a dot whose size does not grow with the zoom.
      const d = `M${point.x} ${point.y}h0`;
      const joint = make("path", { d }, point.seen > 1 ? "cc-joint" : "cc-joint cc-joint-unseen");
      const title = make("title", {});
      title.textContent = String(object.names?.[place] ?? place + 1);
      joint.append(title);
      drawn.push(make("path", { d }, point.seen > 1 ? "cc-joint-rim" : "cc-joint-rim cc-joint-unseen"), joint);
    });
    return drawn;
  }

  // One object as a group, or null if it has nothing that can be drawn.
  function draw(object) {
    const group = make("g", { "data-object": object.id }, "cc-object");
    group.style.setProperty("--c", color(object));
    const shape = object.segmentation;
    const isMask = shape && !Array.isArray(shape) && typeof shape === "object";
    const d = isMask ? maskPath(shape) : Array.isArray(shape) ? polygonPath(shape) : "";
    if (d) group.append(make("path", { d, "fill-rule": isMask ? "nonzero" : "evenodd" }, isMask ? "cc-shape cc-mask" : "cc-shape"));
    if (numbers(object.bbox) && object.bbox.length === 4) {
      const [x, y, width, height] = object.bbox;
      group.append(make("rect", { x, y, width: Math.max(0, width), height: Math.max(0, height) }, d ? "cc-box" : "cc-box cc-box-only"));
    }
    group.append(...skeleton(object));
    return group.childNodes.length ? group : null;
  }

  // By size, so that small objects lie over large ones and can be pointed at.
  const extent = (object) => (numbers(object.bbox) && object.bbox.length === 4 ? object.bbox[2] * object.bbox[3] : object.area ?? 0);

  return { color, draw, extent, make, decompress, maskPath };
})();
