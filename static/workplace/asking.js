// Asking the server, and saying in plain words what went wrong: an ended session, no network, a server that is away.
"use strict";
(() => {
  const words = () => document.getElementById("cocohub-words").dataset;
  const LOGIN = /\/login\/$/;
  const AWAY = [502, 503, 504];

  class Fault extends Error {
    constructor(message, known = {}) {
      super(message);
      Object.assign(this, known); // `ended`: whether the session has; `status` and `detail` of the answer
    }
  }

  // A whole answer of 2xx, or a Fault. With `doing`, an answer that is lost may be that of a change which was made.
  async function ask(address, { doing = false, ...options } = {}) {
    const { offline, unreached, unsure, ended } = words();
    const unchanged = (text) => (options.method === "POST" ? `${text} ${words().unchanged}` : text);
    if (navigator.onLine === false) throw new Fault(unchanged(offline));
    let answer;
    try {
      answer = await fetch(address, { ...options, headers: { Accept: "application/json", ...options.headers } });
    } catch {
      throw new Fault(doing ? unsure : unchanged(unreached));
    }
    if (answer.redirected && LOGIN.test(new URL(answer.url).pathname)) throw new Fault(unchanged(ended), { ended: true, status: 401 });
    if (!answer.ok) throw await refusal(answer);
    return answer;
  }

  async function refusal(answer) {
    const { status } = answer;
    try {
      const { message, fieldErrors, detail } = await answer.json();
      const told = [message, ...Object.values(fieldErrors ?? {}).flat()].filter(Boolean).join(" ");
      if (told) return new Fault(told, { status, detail });
    } catch { /* no answer of ours, but one of something before it, or a page */ }
    const { away, old, gone, large, wrong } = words();
    const text = AWAY.includes(status) ? away : { 403: old, 404: gone, 413: large }[status] ?? wrong;
    return new Fault(text.replace("{status}", status), { status });
  }

  async function read(answer, kind, doing) {
    try {
      return await answer[kind]();
    } catch {
      throw new Fault(doing ? words().unsure : words().unreached);
    }
  }

  // Puts the fault into `place`: its words, the way to log in where that is what is missing, and a button for another try.
  function tell(place, error, again) {
    place.replaceChildren(document.createTextNode(`${error.message} `));
    if (error.ended) {
      const link = document.createElement("a");
      link.className = "cc-link";
      link.href = `${words().login}?${new URLSearchParams({ next: location.pathname + location.search })}`;
      link.textContent = words().loginText;
      place.append(link);
    } else if (again) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "cc-button";
      button.textContent = words().again;
      button.addEventListener("click", () => { button.disabled = true; again(); });
      place.append(button);
    }
    place.hidden = false;
  }

  window.ccAsk = {
    Fault,
    tell,
    ask,
    text: async (address, options) => read(await ask(address, options), "text"),
    json: async (address, options) => read(await ask(address, options), "json", options?.doing),
    post: (address, body, doing) => window.ccAsk.json(address, { method: "POST", body, doing }),
  };
})();
