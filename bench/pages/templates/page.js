"use strict";
(() => {
  const SHOWN = 25; // rows of a ranking before "show all": ten thousand laid out at once are slow to filter

  // ---------------------------------------------------------------- leaderboard

  const form = document.getElementById("filters");
  const count = document.getElementById("count");
  const bodies = [...document.querySelectorAll("table[data-board] tbody")].map((body) => {
    const rows = [...body.rows].slice(1);
    return { body, heading: body.rows[0], rows, more: null, all: false };
  });

  function matches(row, body, wanted) {
    return (
      (!wanted.tier || (row.dataset.tier ?? body.dataset.tier) === wanted.tier) &&
      (!wanted.source || body.dataset.source === wanted.source) &&
      (!wanted.grade || row.dataset.grade === wanted.grade)
    );
  }

  function hide(element, hidden) {
    if (element.hidden !== hidden) element.hidden = hidden;
  }

  function filter() {
    const wanted = Object.fromEntries(new FormData(form));
    let matched = 0;
    let total = 0;
    for (const part of bodies) {
      let own = 0;
      for (const row of part.rows) {
        const match = matches(row, part.body, wanted);
        if (match) own += 1;
        hide(row, !match || (own > SHOWN && !part.all));
      }
      hide(part.heading, own === 0);
      offerMore(part, own);
      matched += own;
      total += part.rows.length;
    }
    count.textContent = `${matched} of ${total} entries`;
  }

  function offerMore(part, own) {
    const needed = own > SHOWN && !part.all;
    if (needed && !part.more) {
      const cell = document.createElement("td");
      cell.colSpan = part.heading.cells[0].colSpan;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "more";
      button.addEventListener("click", () => {
        part.all = true;
        const next = part.rows.find((row) => row.hidden);
        filter();
        next?.querySelector("a")?.focus();
      });
      cell.append(button);
      part.more = document.createElement("tr");
      part.more.append(cell);
      part.body.append(part.more);
    }
    if (part.more) {
      hide(part.more, !needed);
      part.more.querySelector("button").textContent = `Show all ${own}`;
    }
  }

  function key(row, column, kind) {
    const text = row.cells[column].textContent.trim();
    return kind === "number" ? Number.parseFloat(text.replaceAll(",", "").replace("−", "-")) : text;
  }

  function compare(a, b) {
    if (typeof a === "string") return a < b ? -1 : a > b ? 1 : 0;
    return a - b;
  }

  function sort(head, descending) {
    const column = head.cellIndex;
    for (const part of bodies) {
      if (part.body.parentElement !== head.closest("table")) continue;
      const keyed = part.rows.map((row) => [key(row, column, head.dataset.kind), row]);
      const known = keyed.filter(([value]) => value === value); // what has no number stays last
      const unknown = keyed.filter(([value]) => value !== value);
      known.sort(([a], [b]) => (descending ? compare(b, a) : compare(a, b)));
      part.rows = [...known, ...unknown].map(([, row]) => row);
      part.body.append(...part.rows, ...(part.more ? [part.more] : []));
    }
    for (const other of head.parentElement.cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    filter();
  }

  for (const head of document.querySelectorAll("table[data-board] thead th")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(head, head.getAttribute("aria-sort") === "ascending"));
    head.replaceChildren(button);
    head.setAttribute("aria-sort", head.cellIndex === 0 ? "ascending" : "none");
  }
  form.hidden = false;
  form.addEventListener("change", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();

  // ---------------------------------------------------------------- mask strips, cut up by epoch

  function part(file, [x, y, width, height], className) {
    const box = document.createElement("div");
    box.className = className;
    box.style.aspectRatio = `${width} / ${height}`;
    const image = document.createElement("img");
    image.src = file.src;
    image.alt = "";
    image.style.width = `${(100 * file.width) / width}%`;
    image.style.left = `${(-100 * x) / width}%`;
    image.style.top = `${(-100 * y) / height}%`;
    box.append(image);
    return box;
  }

  function view(figure) {
    const strips = JSON.parse(figure.dataset.strips);
    const whole = figure.querySelector("img");
    const file = { src: whole.getAttribute("src"), width: Number(whole.getAttribute("width")) };
    const height = Number(whole.getAttribute("height"));
    const caption = whole.alt;
    const tile = (column, row) =>
      [strips.left + column * strips.pitch, strips.top + row * strips.pitch, strips.side, strips.side];

    const viewer = document.createElement("div");
    viewer.className = "viewer";
    const tiles = document.createElement("div");
    tiles.className = "tiles";
    const heads = ["image", "truth", ""].map((said) => {
      const head = document.createElement("b");
      head.textContent = said;
      return head;
    });
    tiles.append(...heads);
    const predicted = [];
    for (let row = 0; row < strips.images; row += 1) {
      const boxes = [0, 1, 2].map((column) => part(file, tile(column, row), "tile"));
      predicted.push(boxes[2].firstChild);
      tiles.append(...boxes);
    }

    const label = document.createElement("label");
    const slider = document.createElement("input");
    slider.type = "range";
    slider.min = 0;
    slider.max = strips.epochs.length - 1;
    slider.value = slider.max;
    const said = document.createElement("output");
    label.append("Epoch", slider, said);
    const move = () => {
      const epoch = `epoch ${strips.epochs[slider.value]}`;
      const [x] = tile(2 + Number(slider.value), 0);
      for (const image of predicted) image.style.left = `${(-100 * x) / strips.side}%`;
      heads[2].textContent = said.textContent = epoch;
      slider.setAttribute("aria-valuetext", epoch);
      slider.setAttribute("aria-label", `Epoch of the predicted masks: ${caption}`);
    };
    slider.addEventListener("input", move);
    move();

    const key = part(file, [0, height - strips.legend, file.width, strips.legend], "key");
    viewer.append(label, tiles, key);
    const shown = document.createElement("div");
    shown.setAttribute("role", "img");
    shown.setAttribute("aria-label", caption);
    tiles.replaceWith(shown);
    shown.append(tiles, key);
    whole.replaceWith(viewer);
  }

  function cut(opened) {
    for (const figure of opened.querySelectorAll("figure[data-strips]")) {
      if (!figure.querySelector(".viewer")) view(figure);
    }
  }

  document.addEventListener("toggle", (event) => event.target.open && cut(event.target), true);

  // ---------------------------------------------------------------- links into closed claims

  function open() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) {
      target.open = true;
      target.scrollIntoView();
      target.querySelector("summary").focus({ preventScroll: true });
    }
  }
  window.addEventListener("hashchange", open);
  open();
})();
