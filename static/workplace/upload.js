// Sending the files of an import: dropped or chosen, with a bar that shows how far they are.
"use strict";
(() => {
  const form = document.getElementById("upload");
  if (!form) return;
  const fault = document.getElementById("upload-fault");
  const progress = document.getElementById("upload-progress");
  const bar = progress.querySelector("progress");
  const text = progress.querySelector("[data-part=text]");
  const button = form.querySelector("button:not([type=button])");

  // Unfold's script takes every file field for one of its own, and would write into the text field beside it.
  form.addEventListener("change", (event) => { if (event.target.type === "file") event.stopPropagation(); }, true);

  form.querySelectorAll(".cc-drop").forEach((place) => {
    const field = document.getElementById(place.dataset.for);
    place.addEventListener("dragover", (event) => { event.preventDefault(); place.classList.add("cc-over"); });
    place.addEventListener("dragleave", () => place.classList.remove("cc-over"));
    place.addEventListener("drop", (event) => {
      event.preventDefault();
      place.classList.remove("cc-over");
      const given = new DataTransfer();
      for (const file of [...event.dataTransfer.files].slice(0, field.multiple ? undefined : 1)) given.items.add(file);
      field.files = given.files;
    });
  });

  function refuse(message) {
    fault.textContent = message;
    fault.hidden = false;
    progress.hidden = true;
    button.disabled = false;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    fault.hidden = true;
    progress.hidden = false;
    button.disabled = true;
    const request = new XMLHttpRequest(); // fetch does not tell how much has been sent
    request.open("POST", form.action || location.href);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      bar.value = (100 * loaded) / total;
      text.textContent = loaded < total ? `${form.dataset.sending} ${Math.round((100 * loaded) / total)} %` : form.dataset.checking;
    });
    request.addEventListener("error", () => refuse(form.dataset.lost));
    request.addEventListener("load", () => {
      let said = {};
      try { said = JSON.parse(request.responseText); } catch { return refuse(form.dataset.lost); }
      if (request.status < 300 && said.next) location.assign(said.next);
      else refuse([said.message, ...Object.values(said.fieldErrors ?? {}).flat()].filter(Boolean).join(" "));
    });
    request.send(new FormData(form));
  });
})();
