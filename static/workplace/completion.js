// Completion of the query: the server says what may stand at the cursor, arrows choose, Tab or Enter puts it there.
"use strict";
(() => {
  const form = document.querySelector("[data-complete]");
  if (!form) return;
  const field = form.querySelector("[role=combobox]");
  const list = form.querySelector("[role=listbox]");
  let found = null;
  let chosen = -1;
  let asked = 0;
  let timer = 0;

  function close() {
    list.hidden = true;
    chosen = -1;
    field.setAttribute("aria-expanded", "false");
    field.removeAttribute("aria-activedescendant");
  }

  function mark(index) {
    const items = [...list.children];
    chosen = (index + items.length) % items.length;
    items.forEach((item, place) => item.setAttribute("aria-selected", String(place === chosen)));
    items[chosen].scrollIntoView({ block: "nearest" });
    field.setAttribute("aria-activedescendant", items[chosen].id);
  }

  function take(index) {
    const { text, kind } = found.suggestions[index];
    const before = field.value.slice(0, found.start);
    const after = field.value.slice(found.cursor);
    const space = kind === "value" || kind === "keyword" ? " " : "";
    field.value = before + text + space + after;
    const place = before.length + text.length + space.length;
    field.setSelectionRange(place, place);
    close();
    ask();
  }

  function show() {
    list.replaceChildren();
    found.suggestions.forEach((suggestion, index) => {
      const item = document.createElement("li");
      item.id = `suggestion-${index}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      const text = document.createElement("code");
      text.textContent = suggestion.text;
      const help = document.createElement("span");
      help.className = "cc-faint cc-small cc-grow cc-cut";
      help.textContent = suggestion.help;
      const count = document.createElement("span");
      count.className = "cc-faint cc-small";
      if (suggestion.count !== null) count.textContent = (suggestion.count_is_exact ? "" : "~") + suggestion.count.toLocaleString();
      item.append(text, help, count);
      item.addEventListener("mousedown", (event) => { event.preventDefault(); take(index); });
      list.append(item);
    });
    list.hidden = !found.suggestions.length;
    field.setAttribute("aria-expanded", String(!list.hidden));
    chosen = -1;
  }

  async function ask() {
    const number = ++asked;
    const cursor = field.selectionStart ?? field.value.length;
    try {
      const told = await window.ccAsk.json(`${form.dataset.complete}?${new URLSearchParams({ q: field.value.slice(0, cursor) })}`);
      if (number !== asked) return;
      found = told;
      if (document.activeElement === field) show();
    } catch {
      close(); // one can write without suggestions, and sending the query will say what is wrong
    }
  }

  field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 120); });
  field.addEventListener("blur", close);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (list.hidden) field.blur();
      return close();
    }
    if (event.key === "ArrowDown" && list.hidden) { event.preventDefault(); return ask(); }
    if (list.hidden) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); mark(chosen + (event.key === "ArrowDown" ? 1 : -1)); }
    else if (event.key === "Tab" || (event.key === "Enter" && chosen >= 0)) { event.preventDefault(); take(Math.max(0, chosen)); }
  });
})();
