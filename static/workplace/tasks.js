// Keeps the bars of running tasks moving: asks every second and a half while the page is in sight.
"use strict";
(() => {
  const PAUSE = 1500;
  const PATIENCE = 4; // answers that may be lost before it is told
  const box = document.querySelector("[data-tasks]");
  if (!box) return;
  const note = document.createElement("div");
  note.className = "cc-note cc-note-warn cc-small mt-2";
  note.setAttribute("role", "status");
  note.hidden = true;
  box.append(note);
  let lost = 0;

  const rows = () => [...box.querySelectorAll("[data-task]:not([data-finished])")];

  function show(row, task) {
    const part = (name) => row.querySelector(`[data-part=${name}]`);
    const bar = row.querySelector("progress");
    if (part("status")) part("status").textContent = task.status_text;
    if (part("phase")) part("phase").textContent = [task.phase, task.message].filter(Boolean).join(" · ");
    if (part("count")) part("count").textContent = task.total ? `${task.done.toLocaleString()} / ${task.total.toLocaleString()}` : "";
    if (bar && task.percent !== null) bar.value = task.percent;
    else if (bar) bar.removeAttribute("value");
    if (task.finished) row.dataset.finished = "1";
  }

  async function ask() {
    const waiting = rows();
    if (!waiting.length) return;
    if (!document.hidden) {
      const query = new URLSearchParams(waiting.map((row) => ["id", row.dataset.task]));
      try {
        const { tasks } = await window.ccAsk.json(`${box.dataset.tasks}?${query}`);
        lost = 0;
        note.hidden = true;
        for (const task of tasks) show(waiting.find((row) => row.dataset.task === task.id), task);
        if ("reload" in box.dataset && !rows().length) return void location.reload();
      } catch (error) {
        // The server or the network may be away for a moment: ask again, and say so once it lasts.
        if (error.ended || ++lost >= PATIENCE) window.ccAsk.tell(note, error);
        if (error.ended) return;
      }
    }
    setTimeout(ask, PAUSE);
  }
  if (rows().length) setTimeout(ask, 400);
})();
