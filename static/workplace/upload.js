// An import's files: dropped or chosen, a folder packed as a zip, sent in parts that survive a broken connection, looked at, started.
"use strict";
(() => {
  const form = document.getElementById("upload");
  if (!form) return;
  const PART = 4 * 1024 * 1024;
  const TRIES = 6;
  const PICTURE = /\.(jpe?g|png|webp|gif|bmp|tiff?|heic|heif|avif)$/i;
  const ZIP = /\.zip$/i;
  const OF_USE = /\.(json|json\.gz|jpe?g|png|webp|gif|bmp|tiff?|heic|heif|avif)$/i;
  const by = (id) => document.getElementById(id);
  const [fault, progress, found, folder, told] = ["upload-fault", "upload-progress", "found", "folder", "folder-told"].map(by);
  const bar = progress.querySelector("progress");
  const text = progress.querySelector("[data-part=text]");
  const buttons = [form.querySelector("button.cc-button-main"), by("look-first")];
  let folderFiles = []; // [path below the folder, file]
  let folderName = "folder";
  let sent = null; // what was sent already, until something else is chosen

  // What is imported says which parts of the form are asked for.
  const what = () => form.elements.what.value;
  function showParts() {
    form.querySelectorAll("[data-what]").forEach((part) => { part.hidden = !part.dataset.what.split(" ").includes(what()); });
    form.elements.source.required = what() === "predictions";
    forget();
  }

  // Unfold's script takes every file field for one of its own, and would write into the text field beside it.
  form.addEventListener("change", (event) => {
    if (event.target.name === "what") showParts();
    if (event.target.type !== "file") return;
    event.stopPropagation();
    if (event.target === folder) choose([...folder.files].map((file) => [below(file.webkitRelativePath), file]), folder.files[0]?.webkitRelativePath.split("/")[0]);
    else if (event.target === form.elements.file) choose([]);
    forget();
  }, true);
  for (const name of ["prefix", "images_prefix", "split"]) form.elements[name]?.addEventListener("input", () => { found.hidden = true; });
  by("folder-label").addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); folder.click(); } });

  const below = (path) => path.split("/").slice(1).join("/") || path;

  const isHidden = (path) => path.split("/").some((part) => part.startsWith("."));

  function choose(entries, name) {
    folderFiles = entries.filter(([path]) => OF_USE.test(path) && !isHidden(path));
    folderName = name || "folder";
    told.textContent = folderFiles.length ? `${folderFiles.length.toLocaleString()} ${form.dataset.folder}` : "";
    if (folderFiles.length) form.elements.file.value = "";
  }

  function forget() { sent = null; found.hidden = true; fault.hidden = true; }

  // --- Dropping ------------------------------------------------------------------------------------------------------
  form.querySelectorAll(".cc-drop").forEach((place) => {
    const field = by(place.dataset.for);
    place.addEventListener("dragover", (event) => { event.preventDefault(); place.classList.add("cc-over"); });
    place.addEventListener("dragleave", () => place.classList.remove("cc-over"));
    place.addEventListener("drop", async (event) => {
      event.preventDefault();
      place.classList.remove("cc-over");
      const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
      const files = [...event.dataTransfer.files];
      forget();
      const hasFolder = entries.some((entry) => entry.isDirectory);
      const all = async () => (await Promise.all(entries.map((entry) => walk(entry, "")))).flat();
      if (field.id === "images") { // of a folder its pictures
        return put(field, hasFolder ? (await all()).filter(([path]) => PICTURE.test(path) && !isHidden(path)).map(([, file]) => file) : files);
      }
      const coco = files.filter((file) => !ZIP.test(file.name) && !PICTURE.test(file.name));
      if (!hasFolder && coco.length === 1 && files.some((file) => ZIP.test(file.name)) && what() === "coco") {
        put(by("images"), files.filter((file) => file !== coco[0])); // a COCO file together with the zip of its pictures
        put(field, coco);
        return choose([]);
      }
      if (hasFolder || files.length > 1) {
        const walked = await all();
        return entries.length === 1 ? choose(walked.map(([path, file]) => [below(path), file]), entries[0].name) : choose(walked);
      }
      put(field, files.slice(0, 1));
      return choose([]);
    });
  });

  function put(field, files) {
    const given = new DataTransfer();
    for (const file of files) given.items.add(file);
    field.files = given.files;
  }

  async function walk(entry, above) {
    const path = above ? `${above}/${entry.name}` : entry.name;
    if (entry.isFile) return [[path, await new Promise((done, failed) => entry.file(done, failed))]];
    const reader = entry.createReader();
    const inside = [];
    for (;;) { // a reader gives some hundred at a time
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) break;
      inside.push(...some);
    }
    return (await Promise.all(inside.map((each) => walk(each, path)))).flat();
  }

  // --- Sending -------------------------------------------------------------------------------------------------------
  class Refused extends Error {}

  async function ask(address, body, headers = {}) {
    const token = form.elements.csrfmiddlewaretoken.value;
    try {
      return await window.ccAsk.json(address, { method: "POST", body, headers: { "X-CSRFToken": token, ...headers } });
    } catch (error) {
      if (!error.status || error.status >= 500) throw error; // may be better at the next try
      throw Object.assign(new Refused(error.message), { offset: error.detail?.offset, ended: error.ended });
    }
  }

  async function send(file, name, tell) {
    const body = new FormData();
    body.set("name", name);
    body.set("length", file.size);
    const { id } = await ask(form.dataset.begin, body);
    let offset = 0, tries = 0;
    while (offset < file.size) {
      try {
        ({ offset } = await ask(`${form.dataset.begin}/${id}?offset=${offset}`, file.slice(offset, offset + PART), { "Content-Type": "application/octet-stream" }));
        tries = 0;
        tell(offset);
      } catch (error) {
        if (Number.isInteger(error.offset)) offset = error.offset; // the part had come, its answer had not
        else if (error instanceof Refused || ++tries >= TRIES) throw error;
        else await new Promise((done) => setTimeout(done, 500 * 2 ** tries));
      }
    }
    return id;
  }

  async function packed(entries) {
    say(form.dataset.packing, 0);
    try {
      return await window.ccZip.pack(entries, (share) => say(form.dataset.packing, 100 * share));
    } catch (error) {
      if (error instanceof RangeError) throw new Refused(form.dataset.large);
      throw error;
    }
  }

  function say(words, percent) {
    progress.hidden = false;
    bar.value = percent;
    text.textContent = words;
  }

  // Everything that was chosen, sent once.
  async function sendAll() {
    if (sent) return sent;
    const waiting = [];
    const [file] = form.elements.file.files;
    const images = what() === "predictions" ? [] : [...form.elements.images.files];
    if (what() === "images") {
      if (!images.length && !form.elements.images_prefix?.value.trim()) throw new Refused(form.dataset.noPictures);
    } else if (folderFiles.length && what() === "coco") waiting.push(["upload", await packed(folderFiles), `${folderName}.zip`]);
    else if (file) waiting.push(["upload", file, file.name]);
    else if (!form.elements.prefix?.value.trim()) throw new Refused(what() === "coco" ? form.dataset.nothing : form.dataset.noResults);
    if (images.length > 1 && images.some((each) => ZIP.test(each.name))) throw new Refused(form.dataset.oneZip);
    if (images.length === 1 && ZIP.test(images[0].name)) waiting.push(["images_upload", images[0], images[0].name]);
    else if (images.length) waiting.push(["images_upload", await packed(images.map((each) => [each.name, each])), "images.zip"]);
    const total = waiting.reduce((sum, [, each]) => sum + each.size, 0) || 1;
    const done = {};
    let before = 0;
    for (const [field, each, name] of waiting) {
      done[field] = await send(each, name, (offset) => {
        const percent = (100 * (before + offset)) / total;
        say(`${form.dataset.sending} ${Math.round(percent)} %`, percent);
      });
      before += each.size;
    }
    sent = done;
    return done;
  }

  async function perform(address, then) {
    fault.hidden = true;
    for (const button of buttons) button.disabled = true;
    try {
      const done = await sendAll();
      say(form.dataset.checking, 100);
      const body = new FormData(form);
      body.delete("file");
      body.delete("images");
      for (const [field, id] of Object.entries(done)) body.set(field, id);
      const splits = Object.fromEntries([...found.querySelectorAll("[data-split-of]")].map((each) => [each.dataset.splitOf, each.value]));
      if (!found.hidden && Object.keys(splits).length && !form.elements.split.value.trim()) body.set("splits", JSON.stringify(splits));
      then(await ask(address, body));
    } catch (error) {
      window.ccAsk.tell(fault, error instanceof Refused || error instanceof window.ccAsk.Fault ? error : { message: form.dataset.lost });
    }
    progress.hidden = true;
    for (const button of buttons) button.disabled = false;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    perform(form.action || location.href, (said) => location.assign(said.next));
  });
  showParts(); // a browser may have kept the choice from before
  by("look-first").addEventListener("click", () => {
    found.hidden = true;
    perform(form.dataset.survey, (said) => {
      found.innerHTML = said.html; // made and escaped by our own template
      found.hidden = false;
      found.scrollIntoView({ block: "nearest" });
    });
  });
})();
