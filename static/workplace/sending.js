// Exporting what is selected, or sending it to CVAT: opens the exports' page with a query that says which images.
"use strict";
(() => {
  const TERMS = 150; // a query has room for some more, and for what facets add to it
  const CHARACTERS = 4000;

  // Keys that follow each other become one range; `places` says where each stands among those that it is told from.
  function ranges(keys, places) {
    const runs = [];
    for (const key of keys) {
      const last = runs.at(-1);
      if (last && places.get(key) === places.get(last.to) + 1) last.to = key;
      else runs.push({ from: key, to: key });
    }
    return runs.map(({ from, to }) => (from === to ? `${from}` : `${from}..${to}`));
  }

  const fits = (terms, text) => terms.length <= TERMS && text.length <= CHARACTERS;
  const within = (terms) => (terms.length === 1 ? `id:${terms[0]}` : `id:(${terms.join(" OR ")})`);

  // The shortest of: the images by their keys; what the page's query finds between some of them. Null if none is short.
  function queryOf(ids) {
    const keys = ids.map(Number).sort((a, b) => a - b);
    const alone = ranges(keys, new Map(keys.map((key) => [key, key])));
    if (fits(alone, within(alone))) return within(alone);
    const order = document.getElementById("sort")?.value;
    if (order !== "id" && order !== "-id") return null; // between two of the page there may be others
    const loaded = [...document.querySelectorAll("#images [data-id]")].map((item) => Number(item.dataset.id)).sort((a, b) => a - b);
    const runs = ranges(keys, new Map(loaded.map((key, place) => [key, place])));
    const asked = document.getElementById("browse").dataset.query;
    const text = asked ? `(${asked}) ${within(runs)}` : within(runs);
    return fits(runs, text) ? text : null;
  }

  for (const button of document.querySelectorAll("[data-send]")) button.addEventListener("click", () => {
    const { all, q, ids } = window.ccSelection.fields();
    const query = all ? q : queryOf(ids.split(",").filter(Boolean));
    if (query === null) {
      window.ccDialogs.say({ text: button.dataset.many });
      return;
    }
    location.assign(`${button.dataset.address}?${new URLSearchParams({ q: query, what: button.dataset.send })}`);
  });
})();
