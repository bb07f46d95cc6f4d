"use strict";
// Adds filters to the tables of examples; without it every example is shown.
for (const form of document.querySelectorAll("form.filters")) {
  const rows = form.parentElement.querySelectorAll("tbody tr");
  const count = form.querySelector("output");
  const apply = () => {
    const { chosen, outcome, words } = form.elements;
    const sought = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !(
        (!chosen || !chosen.value || row.dataset.classes.split(" ").includes(chosen.value)) &&
        (!outcome || !outcome.value || row.dataset.outcome === outcome.value) &&
        sought.every((word) => text.includes(word))
      );
      shown += row.hidden ? 0 : 1;
    }
    count.value = `${shown} of ${rows.length} shown`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
}
