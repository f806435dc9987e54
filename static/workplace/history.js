// Queries that were asked before in this project, each with the look that its images had last: order, grid or table,
// sizes, boxes. Kept in this browser, for this user.
"use strict";
(() => {
  const KEPT = 30;
  const PARTS = ["sort", "view", "size", "boxes"];
  const menu = document.getElementById("query-menu");
  const list = document.getElementById("asked-before");
  const forget = document.getElementById("forget-queries");
  if (!menu) return;
  const name = menu.dataset.history;
  const none = list.firstElementChild;

  function read() {
    try {
      const found = JSON.parse(localStorage.getItem(name) ?? "[]");
      return Array.isArray(found) ? found.map(one).filter((each) => each.get("q")) : [];
    } catch {
      return [];
    }
  }

  // Kept as the address' parameters; once it was the query alone.
  function one(text) {
    return new URLSearchParams(typeof text !== "string" ? "" : text.startsWith("?q=") ? text : { q: text });
  }

  function write(queries) {
    try { localStorage.setItem(name, JSON.stringify(queries.slice(0, KEPT).map((each) => `?${each}`))); } catch { /* the browser keeps nothing */ }
  }

  function show() {
    const queries = read();
    forget.hidden = !queries.length;
    list.replaceChildren(...(queries.length ? queries.map(line) : [none]));
  }

  function line(query) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = `?${query}`;
    const text = document.createElement("code");
    text.className = "cc-mono";
    text.textContent = query.get("q");
    link.append(text);
    const look = lookOf(query);
    if (look) {
      const words = document.createElement("span");
      words.className = "cc-faint cc-small";
      words.textContent = look;
      link.append(words);
    }
    item.append(link);
    return item;
  }

  // What the look is called on the page itself.
  function lookOf(query) {
    const order = [...document.querySelectorAll("#sort option")].find((each) => each.value === query.get("sort"));
    const { table, boxes } = menu.dataset;
    const size = query.get("size") && query.get("size") !== "m" ? query.get("size").toUpperCase() : "";
    return [order?.text, query.get("view") === "table" && table, size, query.get("boxes") && boxes].filter(Boolean).join(" · ");
  }

  function keep() {
    const here = new URLSearchParams(location.search);
    const asked = here.get("q")?.trim();
    // A query with a mistake in it is not worth keeping.
    if (!asked || document.getElementById("fault")) return;
    const kept = new URLSearchParams({ q: asked });
    for (const part of PARTS) if (here.get(part)) kept.set(part, here.get(part));
    write([kept, ...read().filter((each) => each.get("q") !== asked)]);
  }

  keep();
  window.addEventListener("pagehide", keep); // sizes and boxes change without a new page
  document.getElementById("query-menu-button").addEventListener("click", () => { keep(); show(); menu.showModal(); });
  forget.addEventListener("click", () => { localStorage.removeItem(name); show(); });
})();
