"use strict";

// Sorting: each method is a tbody, ordered by the values of its first row; empty ones stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", (event) => {
      const first = event.currentTarget.dataset.first;
      const other = first === "ascending" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? other : first;
      for (const h of heads) h.setAttribute("aria-sort", h === head ? order : "none");
      const up = order === "ascending" ? 1 : -1;
      const bodies = [...table.tBodies].map((body) => [body, value(body.rows[0].cells[column])]);
      bodies.sort(([, a], [, b]) => (a === null) - (b === null) || up * compare(a, b));
      table.append(...bodies.map(([body]) => body));
    });
  });
}

function value(cell) {
  const text = cell.dataset.value;
  if (text === "") return null;
  const number = Number(text.replace(/inf$/, "Infinity"));
  return Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  if (a === null || a === b) return 0;
  return typeof a === "string" || typeof b === "string" ? String(a).localeCompare(String(b)) : a < b ? -1 : 1;
}

// The cells behind a method's line.
function unfold(opener, open) {
  opener.setAttribute("aria-expanded", String(open));
  for (const row of opener.closest("tbody").querySelectorAll("tr.detail")) row.hidden = !open;
}
for (const opener of document.querySelectorAll(".opener")) {
  unfold(opener, false);
  opener.addEventListener("click", () => unfold(opener, opener.getAttribute("aria-expanded") === "false"));
}
function follow() {
  const opener = document.getElementById(decodeURIComponent(location.hash.slice(1)))?.querySelector(".opener");
  if (opener) unfold(opener, true);
}
addEventListener("hashchange", follow);
follow();

// Commands are copied; where the browser does not allow it, they are shown to be copied by hand.
for (const button of document.querySelectorAll(".copy")) {
  button.addEventListener("click", async () => {
    const words = button.textContent;
    try {
      await navigator.clipboard.writeText(button.dataset.command);
      button.textContent = "copied";
      setTimeout(() => (button.textContent = words), 1500);
    } catch {
      prompt("The command that reproduces this cell:", button.dataset.command);
    }
  });
}

// The gallery: one method at a time.
const chosen = document.getElementById("chosen");
function choose() {
  for (const wall of document.querySelectorAll(".wall")) wall.hidden = wall.dataset.method !== chosen.value;
}
if (chosen) {
  chosen.addEventListener("change", choose);
  choose(); // a reloaded page keeps its choice
}

// Enlarged pictures; the arrow keys go through those of the same scene.
const zoom = document.getElementById("zoom");
const picture = document.createElement("img");
const caption = document.createElement("p");
const figure = document.createElement("a");
figure.textContent = "the run's whole figure";
const bar = document.createElement("div");
bar.append(press("←", () => move(-1), "picture before"), press("→", () => move(1), "next picture"), figure);
bar.append(press("close", () => zoom.close()));
zoom.append(picture, caption, bar);
let place = null;

function press(words, action, label = words) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = words;
  button.setAttribute("aria-label", label);
  button.addEventListener("click", action);
  return button;
}
function show(button) {
  place = button;
  const small = button.querySelector("img");
  picture.src = small.src;
  picture.alt = small.alt;
  caption.textContent = button.dataset.caption;
  figure.href = button.dataset.figure;
  if (!zoom.open) zoom.showModal();
}
function move(step) {
  const all = [...place.closest(".scene").querySelectorAll(".enlarge")];
  show(all[(all.indexOf(place) + step + all.length) % all.length]);
}
for (const button of document.querySelectorAll(".enlarge")) button.addEventListener("click", () => show(button));
zoom.addEventListener("click", (event) => event.target === zoom && zoom.close());
zoom.addEventListener("close", () => place?.focus());
zoom.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    event.preventDefault();
    move(event.key === "ArrowLeft" ? -1 : 1);
  }
});
