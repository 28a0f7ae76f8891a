// Sorts tables by the buttons in their headers, saves them as CSV, and lets keys scroll what is wider
// than the page. Without it, pages are whole.
(() => {
  "use strict";
  const texts = new Intl.Collator(document.documentElement.lang, { numeric: true });
  const formula = /^'*[=+\-@\t\r\n]/; // as QUOTED in badc_core/csv_tables.py

  function valueOf(cell) {
    if (cell.dataset.v !== undefined) return cell.dataset.v;
    const text = cell.innerText.replace(/\s+/g, " ").trim();
    return cell.classList.contains("n") && cell.tagName === "TD" ? text.replaceAll(",", "") : text;
  }

  function compare(one, other, isNumber) {
    return isNumber ? Number(one) - Number(other) : texts.compare(one, other);
  }

  function sort(table, header, index) {
    const isNumber = header.classList.contains("n");
    const first = isNumber ? "descending" : "ascending";
    const second = isNumber ? "ascending" : "descending";
    const order = header.getAttribute("aria-sort") === first ? second : first;
    const sign = order === "ascending" ? 1 : -1;
    for (const one of header.parentNode.cells) one.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", order);
    const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row.cells[index]), row]);
    rows.sort(([one], [other]) => {
      if (one === "" || other === "") return (one === "") - (other === ""); // unknown comes last
      return sign * compare(one, other, isNumber);
    });
    table.tBodies[0].append(...rows.map(([, row]) => row));
  }

  function makeSortable(table) {
    [...table.tHead.rows[0].cells].forEach((header, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => sort(table, header, index));
    });
  }

  function quote(cell) {
    const value = valueOf(cell);
    const text = formula.test(value) && Number.isNaN(Number(value)) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function save(table, name) {
    const lines = [...table.rows].map((row) => [...row.cells].map(quote).join(",") + "\r\n");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(lines, { type: "text/csv" }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  }

  document.querySelectorAll("table.sortable").forEach(makeSortable);
  for (const one of document.querySelectorAll(".chart, .scroll")) {
    if (one.scrollWidth > one.clientWidth) one.tabIndex = 0;
  }
  for (const button of document.querySelectorAll("button[data-csv]")) {
    const table = document.getElementById(button.dataset.table);
    button.addEventListener("click", () => save(table, button.dataset.csv));
    button.hidden = false;
  }
})();
