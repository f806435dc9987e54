// Dialogs in two steps, where the second carries out what the first has told; and what is said afterwards, with undo.
"use strict";
(() => {
  const READ = 700; // milliseconds for which the second step cannot be confirmed: a double click or Enter twice is no answer
  const TOAST = "cocohub-toast";
  const [SHORT, LONG] = [6000, 20000];

  // Holds `go` back while what stands in `told` is new; the keyboard waits at the text and then goes on to the button.
  function hold(go, told, blocked = false) {
    go.disabled = true;
    told.tabIndex = -1;
    told.focus();
    setTimeout(() => {
      if (told.hidden || blocked) return;
      go.disabled = false;
      if (document.activeElement === told || document.activeElement === document.body) go.focus();
    }, READ);
  }

  // The second click of a double click, and a key that is held down, confirm nothing.
  function guard(form) {
    form.addEventListener("click", (event) => {
      if (event.detail > 1 && event.target.closest("button:not([type=button])")) event.preventDefault();
    });
    form.addEventListener("keydown", (event) => {
      if (event.repeat && event.key === "Enter") event.preventDefault();
    });
  }

  function list(place, lines) {
    place.replaceChildren(...lines.map((line) => {
      const item = document.createElement("li");
      item.textContent = line;
      return item;
    }));
  }

  const toast = document.getElementById("toast");
  const undo = document.getElementById("undo");
  let leaving = 0;

  function show(time) {
    toast.hidden = false;
    clearTimeout(leaving);
    leaving = setTimeout(() => { toast.hidden = true; }, time);
  }

  function say(said) {
    toast.querySelector("span").textContent = said.text;
    undo.hidden = !said.undo;
    undo.disabled = false;
    undo.onclick = async () => {
      undo.disabled = true;
      const body = new FormData();
      body.set("csrfmiddlewaretoken", document.querySelector("[name=csrfmiddlewaretoken]").value);
      try {
        done(await window.ccAsk.post(said.undo, body, true));
      } catch (error) {
        undo.hidden = true;
        window.ccAsk.tell(toast.querySelector("span"), error);
        show(LONG);
      }
    };
    show(said.undo ? LONG : SHORT);
  }

  function done(said) {
    sessionStorage.setItem(TOAST, JSON.stringify(said));
    location.reload();
  }

  const kept = toast && sessionStorage.getItem(TOAST);
  if (kept) {
    sessionStorage.removeItem(TOAST);
    say(JSON.parse(kept));
  }
  window.ccDialogs = { hold, guard, list, say, done };
})();
