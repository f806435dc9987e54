// Keeps the bars of running tasks moving: asks every second and a half while the page is in sight.
"use strict";
(() => {
  const PAUSE = 1500;
  const box = document.querySelector("[data-tasks]");
  if (!box) return;

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
        const answer = await fetch(`${box.dataset.tasks}?${query}`, { headers: { Accept: "application/json" } });
        const { tasks } = await answer.json();
        for (const task of tasks) show(waiting.find((row) => row.dataset.task === task.id), task);
        if ("reload" in box.dataset && !rows().length) return void location.reload();
      } catch {
        // The server or the network is away for a moment: ask again.
      }
    }
    setTimeout(ask, PAUSE);
  }
  if (rows().length) setTimeout(ask, 400);
})();
