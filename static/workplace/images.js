// The images' page: facets that come later, more images on scrolling down, sizes, the keyboard.
"use strict";
(() => {
  const browse = document.getElementById("browse");
  const field = document.getElementById("query");
  const help = document.getElementById("help-dialog");
  const address = (changes) => {
    const url = new URL(location.href);
    for (const [name, value] of Object.entries(changes)) url.searchParams.set(name, value);
    return url;
  };

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
  });
  document.getElementById("sort")?.addEventListener("change", (event) => event.target.form.submit());

  if (browse) {
    facets();
    paging();
    sizes();
    document.getElementById("help").addEventListener("click", () => help.showModal());
  }
  document.addEventListener("keydown", keys);
  // In the capturing phase, before anything follows the link; the middle button and the menu of a link have events of their own.
  for (const kind of ["click", "auxclick", "contextmenu"]) document.addEventListener(kind, carry, true);

  // Sizes and boxes change without a new page: a link that the server wrote before, or that came later, still has the old ones.
  function carry(event) {
    const link = event.target.closest?.("#facets a, #images a, .cc-tools a, .cc-empty a, form.cc-query a");
    if (!link?.href || !link.pathname.startsWith(location.pathname)) return;
    const [url, now] = [new URL(link.href), new URL(location.href).searchParams];
    for (const name of ["size", "boxes"]) {
      if (now.get(name)) url.searchParams.set(name, now.get(name));
      else url.searchParams.delete(name);
    }
    link.href = url;
  }

  function facets() {
    const box = document.getElementById("facets");
    const button = document.getElementById("show-facets");
    button.addEventListener("click", () => button.setAttribute("aria-expanded", String(box.classList.toggle("cc-open"))));
    load();

    async function load() {
      try {
        box.innerHTML = await window.ccAsk.text(box.dataset.address); // made and escaped by our own template
      } catch (error) {
        window.ccAsk.tell(box, error, load);
      }
      box.setAttribute("aria-busy", "false");
    }
  }

  function paging() {
    const images = document.getElementById("images");
    const more = document.getElementById("more");
    if (!images) return;
    const fault = document.getElementById("more-fault");
    let loading = false;

    async function load() {
      const mark = images.querySelector("[data-cursor]");
      if (!mark || loading) return;
      loading = true;
      more.disabled = true;
      try {
        const text = await window.ccAsk.text(`${browse.dataset.more}&${new URLSearchParams({ cursor: mark.dataset.cursor })}`);
        mark.remove();
        fault.hidden = true;
        images.insertAdjacentHTML("beforeend", text);
        images.querySelectorAll("[data-id][tabindex='0']").forEach((item, place) => { if (place) item.tabIndex = -1; });
        more.hidden = !images.querySelector("[data-cursor]");
        window.ccSelection?.paint();
        window.ccBoxes?.draw();
      } catch (error) {
        more.hidden = true;
        window.ccAsk.tell(fault, error, () => { fault.hidden = true; more.hidden = false; load(); });
      } finally {
        loading = false;
        more.disabled = false;
      }
    }
    more.addEventListener("click", load);
    new IntersectionObserver((seen) => { if (seen.some((each) => each.isIntersecting)) load(); }, { rootMargin: "600px" }).observe(more);
  }

  function sizes() {
    const buttons = [...document.querySelectorAll("[data-size]")];
    for (const button of buttons) {
      button.addEventListener("click", () => {
        for (const each of buttons) {
          browse.classList.toggle(`cc-size-${each.dataset.size}`, each === button);
          each.classList.toggle("cc-button-on", each === button);
          each.setAttribute("aria-pressed", String(each === button));
        }
        history.replaceState(null, "", address({ size: button.dataset.size }));
        for (const field of document.querySelectorAll("input[type=hidden][name=size]")) {
          field.value = button.dataset.size;
          field.disabled = button.dataset.size === "m";
        }
      });
    }
  }

  function keys(event) {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const images = [...document.querySelectorAll("#images [data-id]")];
    const here = document.activeElement.closest?.("#images [data-id]");
    const done = () => event.preventDefault();
    if (event.key === "/") { done(); field.focus(); field.select(); }
    else if (event.key === "?" && help) { done(); help.showModal(); }
    else if (event.key === "t" && window.ccBulk) { done(); window.ccBulk("tags", here); }
    else if (event.key === "b" && window.ccBoxes) window.ccBoxes.toggle();
    else if (event.key === "a" && window.ccSelection) { done(); window.ccSelection.selectLoaded(); }
    else if (event.key === "Escape") window.ccSelection?.clear();
    else if (event.key === " " && here && event.target === here) { done(); window.ccSelection.toggle(here, event.shiftKey); }
    else if (event.key === "Enter" && here && event.target === here) { done(); here.querySelector("[data-open]").click(); }
    else if (event.key.startsWith("Arrow") && images.length && (here || event.target === document.body)) {
      done();
      go(images, here, event.key);
    }
  }

  function go(images, here, key) {
    if (!here) return images[0].focus();
    const place = images.indexOf(here);
    const top = images[0].offsetTop;
    const columns = Math.max(1, images.findIndex((item) => item.offsetTop > top)) || images.length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
    const next = images[place + step];
    if (!next) return;
    here.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }
})();
