"use strict";
// Comfort for a page that is complete without it: tables are sorted and saved, and what is folded opens
// where a link or the printer needs it.

const text = (cell) => cell.textContent.trim().replace(/\s+/g, " ");
const figure = (words) => parseFloat(words.replace(/−/g, "-"));

function element(kind, attributes, ...children) {
  const made = Object.assign(document.createElement(kind), attributes);
  made.append(...children);
  return made;
}

// Numbers by their value, an interval by what it is of; words by the alphabet.
function comparison(words) {
  if (words.every((word) => !Number.isNaN(figure(word)))) return (one, other) => figure(one) - figure(other);
  return (one, other) => one.localeCompare(other, "en", { numeric: true });
}

function sort(table, heading) {
  const down = heading.getAttribute("aria-sort") === "ascending";
  const body = table.tBodies[0];
  const words = new Map([...body.rows].map((row) => [row, text(row.cells[heading.cellIndex])]));
  const unknown = (row) => ["", "–"].includes(words.get(row));
  const known = [...body.rows].filter((row) => !unknown(row));
  const compare = comparison(known.map((row) => words.get(row)));
  known.sort((one, other) => (down ? -1 : 1) * compare(words.get(one), words.get(other)));
  body.append(...known, ...[...body.rows].filter(unknown)); // what isn't known comes last either way
  for (const cell of heading.parentElement.cells) cell.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
}

function addSorting(table) {
  if (table.tHead.rows.length !== 1 || table.tBodies[0].rows.length < 2) return;
  for (const heading of table.tHead.rows[0].cells) {
    const button = element("button", { type: "button", className: "sort", ariaLabel: `Sort by ${text(heading)}` });
    button.addEventListener("click", () => sort(table, heading));
    heading.append(" ", button);
  }
}

// A spreadsheet would take words that begin so for a formula.
const harmless = (words) => (/^[=+@\t]/.test(words) ? `'${words}` : words);
const quoted = (cell) => `"${harmless(text(cell)).replace(/^−/, "-").replace(/"/g, '""')}"`;

function save(table, name) {
  const lines = [...table.rows].map((row) => [...row.cells].map(quoted).join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff", lines.join("\r\n"), "\r\n"], { type: "text/csv" }));
  link.download = `${name.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function addSaving(table) {
  const region = table.closest(".scroll");
  const name = region.getAttribute("aria-label");
  const button = element("button", { type: "button", className: "save", ariaLabel: `Save as CSV: ${name}` }, "Save as CSV");
  button.addEventListener("click", () => save(table, name));
  region.after(button);
}

// An image without the artifact below the same image with it, of which a slider shows a part.
function comparing(without, marked) {
  const over = marked.cloneNode();
  const slider = element("input", { type: "range", min: 0, max: 100, value: 50, ariaLabel: "Share of the image with the artifact" });
  const show = () => (over.style.clipPath = `inset(0 ${100 - slider.value}% 0 0)`);
  slider.addEventListener("input", show);
  show();
  const legend = element("p", { className: "sides" }, element("span", {}, "without"), element("span", {}, "with the artifact"));
  return [element("div", { className: "wipe" }, without.cloneNode(), over), slider, legend];
}

// A strip of pictures at its largest, in a dialog that Escape closes.
function enlarge(strip) {
  const close = element("button", { type: "button", className: "close", autofocus: true }, "Close");
  const [without, marked] = strip.querySelectorAll(".pair img");
  const rest = [...strip.children].filter((one) => !one.matches(".pair")).map((one) => one.cloneNode(true));
  for (const copied of rest) copied.querySelector(".enlarge")?.remove();
  const dialog = element("dialog", { ariaLabel: `Enlarged: ${strip.getAttribute("aria-label")}` }, close, ...comparing(without, marked), ...rest);
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function addEnlarging(strip) {
  const button = element("button", { type: "button", className: "enlarge", ariaLabel: `Enlarge: ${strip.getAttribute("aria-label")}` }, "Enlarge");
  button.addEventListener("click", () => enlarge(strip));
  strip.querySelector("p").append(" ", button);
}

function unfold() {
  let place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!place) return;
  const target = place;
  const own = place.querySelector(":scope > details");
  if (own) own.open = true;
  for (; place; place = place.parentElement) if (place.tagName === "DETAILS") place.open = true;
  target.scrollIntoView();
}

for (const table of document.querySelectorAll("table:not(.quadrants, .answers)")) {
  addSaving(table);
  addSorting(table);
}
for (const strip of document.querySelectorAll(".strip:has(.pair)")) addEnlarging(strip);
const folded = [];
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details:not([open])")) folded.push(one), (one.open = true);
});
addEventListener("afterprint", () => {
  while (folded.length) folded.pop().open = false;
});
addEventListener("hashchange", unfold);
if (location.hash) unfold();
