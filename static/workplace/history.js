// Queries that were asked before in this project: kept in this browser, for this user.
"use strict";
(() => {
  const KEPT = 30;
  const menu = document.getElementById("query-menu");
  const list = document.getElementById("asked-before");
  const forget = document.getElementById("forget-queries");
  if (!menu) return;
  const name = menu.dataset.history;
  const none = list.firstElementChild;

  function read() {
    try {
      const found = JSON.parse(localStorage.getItem(name) ?? "[]");
      return Array.isArray(found) ? found.filter((each) => typeof each === "string") : [];
    } catch {
      return [];
    }
  }

  function write(queries) {
    try { localStorage.setItem(name, JSON.stringify(queries.slice(0, KEPT))); } catch { /* the browser keeps nothing */ }
  }

  function show() {
    const queries = read();
    forget.hidden = !queries.length;
    list.replaceChildren(...(queries.length ? queries.map(line) : [none]));
  }

  function line(query) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = `?${new URLSearchParams({ q: query })}`;
    const text = document.createElement("code");
    text.className = "cc-mono";
    text.textContent = query;
    link.append(text);
    item.append(link);
    return item;
  }

  // A query with a mistake in it is not worth keeping.
  const asked = new URLSearchParams(location.search).get("q")?.trim();
  if (asked && !document.getElementById("fault")) write([asked, ...read().filter((each) => each !== asked)]);
  document.getElementById("query-menu-button").addEventListener("click", () => { show(); menu.showModal(); });
  forget.addEventListener("click", () => { localStorage.removeItem(name); show(); });
})();
