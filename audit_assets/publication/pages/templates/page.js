"use strict";
// Sorting, filtering and nothing else: without this script the page says the same.
(() => {
  const rank = (cell, numeric) => {
    const text = cell.textContent.trim();
    if (!numeric) return text;
    const value = parseFloat(text);
    return Number.isNaN(value) ? Infinity : value;
  };
  const compare = (a, b) => (typeof a === "number" ? a - b || 0 : a.localeCompare(b));

  const sort = (table, head, index) => {
    const down = head.getAttribute("aria-sort") === "ascending";
    const numeric = head.classList.contains("number");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [rank(row.cells[index], numeric), row]);
    rows.sort(([a], [b]) => {
      if (a === Infinity || b === Infinity) return a === b ? 0 : a === Infinity ? 1 : -1;
      return down ? compare(b, a) : compare(a, b);
    });
    body.append(...rows.map(([, row]) => row));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.addEventListener("click", () => sort(table, head, index));
      head.replaceChildren(button);
    });
  }

  for (const form of document.querySelectorAll(".filter")) {
    const [words, verdict] = [form.querySelector("input"), form.querySelector("select")];
    const said = form.querySelector("output");
    const items = [...document.querySelectorAll(".filtered [data-key]")];
    const apply = () => {
      const wanted = words.value.trim().toLocaleLowerCase();
      let shown = 0;
      for (const item of items) {
        const text = item.textContent.toLocaleLowerCase();
        const own = item.tagName === "TR" ? item.cells[1].textContent : item.dataset.verdict;
        item.hidden = !(text.includes(wanted) && (!verdict.value || own === verdict.value));
        if (item.tagName === "TR" && !item.hidden) shown += 1;
      }
      said.textContent = `${shown} shown`;
    };
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
  }

  // Only what scrolls needs a stop of the keyboard.
  const stops = () => {
    for (const box of document.querySelectorAll(".wide")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };
  addEventListener("resize", stops);
  stops();
})();
