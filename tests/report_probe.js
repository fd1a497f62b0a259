// Put into a page of a report before its own script: uses it as a reader would, and tells the frame around it.

window.problems = [];
addEventListener("error", (e) => problems.push(e.message || e.target.src), true);
addEventListener("unhandledrejection", (e) => problems.push(String(e.reason)));
console.error = (...words) => problems.push(words.join(" "));

addEventListener("load", async () => {
  const seen = {page: document.title, width: innerWidth};
  seen.overflow = document.documentElement.scrollWidth - innerWidth;
  const board = document.querySelector("table.sortable");
  const names = () => [...board.tBodies].map((b) => b.rows[0].cells[0].dataset.value);
  const sort = (column) => {
    board.tHead.rows[0].cells[column].querySelector("button").click();
    return names();
  };
  seen.start = names();
  seen.by_name = sort(0);
  seen.by_name_again = sort(0);
  seen.by_first = sort(1);
  seen.by_first_again = sort(1);
  seen.aria = [...board.tHead.rows[0].cells].map((c) => c.getAttribute("aria-sort")).slice(0, 2);
  const opener = document.querySelector(".opener");
  if (opener) {
    const details = [...opener.closest("tbody").querySelectorAll("tr.detail")];
    const height = () => details.reduce((sum, row) => sum + row.offsetHeight, 0);
    seen.closed = height();
    opener.click();
    seen.opened = height();
    seen.overflow_opened = document.documentElement.scrollWidth - innerWidth;
  }
  const chosen = document.getElementById("chosen");
  if (chosen) {
    const walls = [...document.querySelectorAll(".wall")];
    const shown = () => walls.filter((w) => w.offsetHeight).map((w) => w.dataset.method);
    seen.wall = shown();
    chosen.selectedIndex = 1;
    chosen.dispatchEvent(new Event("change"));
    seen.wall_after = shown();
    const pictures = [...document.querySelectorAll(".wall:not([hidden]) img")];
    for (const picture of pictures) picture.loading = "eager";
    await Promise.all(pictures.map((picture) => picture.decode()));
    seen.pictures = pictures.map((picture) => picture.naturalWidth);
    const first = document.querySelector(".wall:not([hidden]) .enlarge");
    first.click();
    const zoom = document.getElementById("zoom");
    const large = () => zoom.querySelector("img").src.split("/").pop();
    seen.zoom = [zoom.open, large(), zoom.querySelector("p").textContent];
    zoom.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight"}));
    seen.next = large();
    zoom.close();
    navigator.clipboard.writeText = async (text) => { seen.copied = text; };
    const copy = document.querySelector(".copy");
    copy.click();
    await new Promise((done) => setTimeout(done, 20));
    seen.copied = seen.copied === copy.dataset.command && copy.textContent === "copied";
  }
  seen.problems = problems;
  parent.postMessage(JSON.stringify(seen), "*");
});
