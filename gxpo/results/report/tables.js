// Tables: a header's button sorts (up, down, as it was), the text box keeps rows with all its words.
(() => {
  "use strict";
  const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => {
      header.setAttribute("aria-sort", "none");
      header.querySelector("button").addEventListener("click", () => {
        const order = NEXT[header.getAttribute("aria-sort")];
        headers.forEach((other) => other.setAttribute("aria-sort", "none"));
        header.setAttribute("aria-sort", order);
        body.append(...sorted(rows, column, order));
      });
    });
    connectFilter(table, rows);
  }

  function sorted(rows, column, order) {
    if (order === "none") return rows;
    const keyed = rows.map((row) => ({ row, key: keyOf(row.cells[column]) }));
    const sign = order === "ascending" ? 1 : -1;
    // holes come last in both directions
    keyed.sort((a, b) => (a.key === null) - (b.key === null) || sign * compare(a.key, b.key));
    return keyed.map(({ row }) => row);
  }

  function keyOf(cell) {
    if (!cell.classList.contains("n")) return cell.textContent;
    const value = parseFloat(cell.dataset.v ?? cell.textContent);
    return Number.isNaN(value) ? null : value;
  }

  function compare(a, b) {
    if (typeof a === "string") return a.localeCompare(b, "en", { numeric: true });
    return a === b ? 0 : a < b ? -1 : 1; // not a - b: of two infinities that is NaN
  }

  function connectFilter(table, rows) {
    const box = document.querySelector(`input[aria-controls="${CSS.escape(table.id)}"]`);
    const count = box.closest(".filter").querySelector(".count");
    const texts = rows.map((row) => [...row.cells].map((c) => c.textContent).join(" ").toLowerCase());
    const show = () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, i) => {
        row.hidden = !words.every((word) => texts[i].includes(word));
        shown += !row.hidden;
      });
      count.textContent = `${shown} of ${rows.length} rows`;
    };
    box.addEventListener("input", show);
    show();
  }
})();
