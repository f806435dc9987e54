// Exporting what is selected, or sending it to CVAT: opens the exports' page with a query that says which images.
"use strict";
(() => {
  const MOST = 150; // a query has room for some more
  for (const button of document.querySelectorAll("[data-send]")) button.addEventListener("click", () => {
    const { all, q, ids } = window.ccSelection.fields();
    const keys = (ids ?? "").split(",").filter(Boolean);
    if (!all && keys.length > MOST) {
      window.ccDialogs.say({ text: button.dataset.many });
      return;
    }
    const query = all ? q : keys.length === 1 ? `id:${keys[0]}` : `id:(${keys.join(" OR ")})`;
    location.assign(`${button.dataset.address}?${new URLSearchParams({ q: query, what: button.dataset.send })}`);
  });
})();
