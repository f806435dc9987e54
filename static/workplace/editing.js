// Tags, status and metadata of an image, changed where they stand: the picture stays as it is, and so does one's place.
"use strict";
(() => {
  const side = document.querySelector(".cc-side");
  const told = document.getElementById("edit-told");
  const EDITED = 5000; // milliseconds for which it is told
  let leaving = 0;

  side.addEventListener("submit", async (event) => {
    const form = event.target;
    event.preventDefault();
    if (form.dataset.sent) return;
    form.dataset.sent = "1";
    const body = new FormData(form, event.submitter);
    const next = placeAfter(body);
    try {
      const { text, parts } = await window.ccAsk.post(form.action, body, true);
      swap(parts, form, next);
      tell(text);
    } catch (error) {
      delete form.dataset.sent;
      if (error.detail?.parts) {
        swap(error.detail.parts, form, next);
      }
      tell(null, error);
    }
  });

  // Where the keyboard goes on: after a tag to the next tag, after something that is gone to what stands after it.
  function placeAfter(body) {
    const after = (name, value) => {
      const all = [...side.querySelectorAll(`button[name=${name}]`)];
      const place = all.findIndex((each) => each.value === value);
      return (all[place + 1] ?? all[place - 1])?.value;
    };
    if (body.has("add_tags")) return ["#add-tags"];
    if (body.has("remove_tag")) return [button("remove_tag", after("remove_tag", body.get("remove_tag"))), "#add-tags"];
    if (body.has("remove_key")) return [button("remove_key", after("remove_key", body.get("remove_key"))), "#meta-key"];
    if (body.has("status")) return ["#status"];
    return document.activeElement.closest("#part-metadata dl") ? [`[data-key="${CSS.escape(body.get("meta_key"))}"]`] : ["#meta-key"];
  }

  const button = (name, value) => value !== undefined && `button[name=${name}][value="${CSS.escape(value)}"]`;

  function focus(places) {
    for (const place of places) {
      const found = place && side.querySelector(place);
      if (found) return found.focus();
    }
    return undefined;
  }

  // Made and escaped by our own templates. What was open stays open, and what was typed elsewhere meanwhile stays typed.
  function swap(parts, sent, next) {
    const fields = [...side.querySelectorAll("input[id], select[id]")].filter((each) => !sent.contains(each));
    const typed = fields.filter((each) => each.type !== "checkbox" && each.value !== defaultOf(each)).map(({ id, value }) => [id, value]);
    const here = fields.find((each) => each === document.activeElement)?.id;
    for (const html of Object.values(parts)) {
      const made = document.createElement("template");
      made.innerHTML = html;
      for (const part of [...made.content.children]) {
        const old = document.getElementById(part.id);
        part.open = old.open || (part.id === "part-history" && part.open);
        old.replaceWith(part);
      }
    }
    for (const [id, value] of typed) document.getElementById(id).value = value;
    focus(here ? [`#${here}`] : next);
  }

  const defaultOf = (field) => (field.tagName === "SELECT" ? [...field.options].find((each) => each.defaultSelected)?.value ?? "" : field.defaultValue);

  function tell(text, error) {
    if (error) window.ccAsk.tell(told, error);
    else told.textContent = text;
    told.classList.toggle("cc-toast-bad", Boolean(error));
    told.hidden = !told.textContent;
    clearTimeout(leaving);
    leaving = setTimeout(() => { told.hidden = true; }, error ? 4 * EDITED : EDITED);
  }

  // --- A value becomes a field when it is clicked; Escape leaves it as it was ----------------------------------------
  side.addEventListener("click", (event) => {
    const value = event.target.closest("[data-key]");
    if (!value) return;
    const form = document.getElementById("value-form").content.firstElementChild.cloneNode(true);
    const { meta_key: key, meta_value: field } = form.elements;
    key.value = value.dataset.key;
    field.value = value.dataset.value;
    value.replaceWith(form);
    field.select();
    const leave = () => { form.replaceWith(value); value.focus(); };
    form.addEventListener("keydown", (pressed) => { if (pressed.key === "Escape") { pressed.stopPropagation(); leave(); } });
    form.addEventListener("submit", (sent) => {
      if (field.value.trim() !== value.dataset.value) return;
      sent.preventDefault();
      sent.stopPropagation();
      leave();
    });
  });
})();
