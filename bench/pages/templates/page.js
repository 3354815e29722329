"use strict";
(() => {
  const SHOWN = 25; // rows of a ranking before "show all": ten thousand laid out at once are slow to filter

  // ---------------------------------------------------------------- search, and the answer card

  const ask = document.getElementById("find");
  const box = document.getElementById("q");
  const answer = document.getElementById("answer");
  const also = document.getElementById("also");
  const found = document.getElementById("found");
  const example = answer.innerHTML;
  const claims = [...document.querySelectorAll("details.claim")].map((claim) => ({
    id: claim.id,
    value: claim.dataset.value,
    text: [".quote", ".became"]
      .reduce((text, part) => `${text} ${claim.querySelector(part)?.textContent ?? ""}`, claim.dataset.text)
      .toLowerCase(),
    card: claim.querySelector(".card"),
  }));
  const ALSO = 12; // further hits that are named

  function standing(claim, query, words) {
    const number = Number(query.replace("%", ""));
    if (claim.id === query) return 0;
    if (claim.value && (claim.value === query || (query && Number(claim.value) === number))) return 1;
    if (claim.id.startsWith(query)) return 2;
    if (claim.value.startsWith(query)) return 3;
    return words.every((word) => claim.text.includes(word) || claim.value.startsWith(word)) ? 4 : 5;
  }

  function hits(query) {
    const words = query.split(/\s+/);
    const ranked = claims.map((claim) => [standing(claim, query, words), claim]);
    return ranked
      .filter(([place]) => place < 5)
      .sort(([one], [other]) => one - other)
      .map(([, claim]) => claim);
  }

  function link(claim) {
    const to = document.createElement("a");
    to.href = `?q=${encodeURIComponent(claim.id)}`;
    to.textContent = claim.value ? `${claim.id} (${claim.value})` : claim.id;
    to.addEventListener("click", (event) => {
      event.preventDefault();
      box.value = claim.id;
      search();
      box.focus();
    });
    return to;
  }

  function show(query) {
    const list = query ? hits(query) : [];
    document.documentElement.classList.toggle("asked", Boolean(query));
    hide(also, list.length < 2);
    also.replaceChildren("Also: ", ...list.slice(1, 1 + ALSO).map(link));
    if (list.length > 1 + ALSO) also.append(`and ${list.length - 1 - ALSO} more`);
    if (list.length) answer.replaceChildren(list[0].card.cloneNode(true));
    else answer.innerHTML = query ? "" : example;
    found.textContent = query ? `${list.length} of ${claims.length} claims` : `${claims.length} claims`;
  }

  function search() {
    const query = box.value.trim().toLowerCase();
    const place = new URL(location.href);
    if (query) place.searchParams.set("q", query);
    else place.searchParams.delete("q");
    place.hash = "";
    history.replaceState(null, "", place);
    show(query);
  }

  function asked() {
    box.value = new URLSearchParams(location.search).get("q") ?? "";
    show(box.value.trim().toLowerCase());
  }

  hide(ask, claims.length === 0);
  ask.addEventListener("submit", (event) => {
    event.preventDefault();
    search();
  });
  box.addEventListener("input", search);
  window.addEventListener("popstate", asked);
  asked();

  // ---------------------------------------------------------------- a word, explained where it stands

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.(".ask");
    const word = button && document.getElementById(button.getAttribute("popovertarget"));
    if (!word) return;
    const { left, bottom } = button.getBoundingClientRect();
    word.classList.add("placed");
    word.style.top = `${bottom + scrollY + 6}px`;
    word.style.left = `${Math.max(8, Math.min(left, innerWidth - 430)) + scrollX}px`;
  });

  // ---------------------------------------------------------------- leaderboard and rehearsals

  const form = document.getElementById("filters");
  const count = document.getElementById("count");
  const fold = document.getElementById("rehearsals");
  const bodies = [...document.querySelectorAll("table[data-board] tbody")].map((body) => {
    const rows = [...body.rows].slice(1);
    const filtered = Boolean(fold?.contains(body));
    return { body, heading: body.rows[0], rows, filtered, more: null, all: false };
  });
  const KEYS = ["tier", "source", "grade"];

  function traits(row, body) {
    return { tier: row.dataset.tier ?? body.dataset.tier, source: body.dataset.source, grade: row.dataset.grade };
  }

  function hide(element, hidden) {
    if (element.hidden !== hidden) element.hidden = hidden;
  }

  function filter() {
    const wanted = form ? Object.fromEntries(new FormData(form)) : {};
    const offered = Object.fromEntries(KEYS.map((key) => [key, new Set()]));
    let matched = 0;
    let total = 0;
    for (const part of bodies) {
      let own = 0;
      for (const row of part.rows) {
        const is = traits(row, part.body);
        const against = part.filtered ? KEYS.filter((key) => wanted[key] && wanted[key] !== is[key]) : [];
        // with one choice in the way, taking it back to this row's leaves something
        if (part.filtered && against.length === 0) for (const key of KEYS) offered[key].add(is[key]);
        if (against.length === 1) offered[against[0]].add(is[against[0]]);
        if (against.length === 0) own += 1;
        hide(row, against.length > 0 || (own > SHOWN && !part.all));
      }
      hide(part.heading, own === 0);
      offerMore(part, own);
      if (!part.filtered) continue;
      matched += own;
      total += part.rows.length;
    }
    if (!form) return;
    count.textContent = `${matched} of ${total} entries`;
    for (const select of form.querySelectorAll("select")) {
      for (const option of select.options) hide(option, Boolean(option.value) && !offered[select.name].has(option.value));
    }
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
  if (form) {
    form.hidden = false;
    form.addEventListener("change", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    fold.open = false; // without a script everything is to be read
  }
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
    const selected = strips.epochs.indexOf(strips.selected);
    slider.value = selected < 0 ? slider.max : selected;
    const said = document.createElement("output");
    label.append("Epoch", slider, said);
    const move = () => {
      const number = strips.epochs[slider.value];
      const epoch = `epoch ${number}${number === strips.selected ? ", selected" : ""}`;
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
    for (let up = target?.parentElement; up; up = up.parentElement) {
      if (up instanceof HTMLDetailsElement) up.open = true;
    }
    if (target instanceof HTMLDetailsElement) {
      target.open = true;
      target.scrollIntoView();
      target.querySelector("summary").focus({ preventScroll: true });
    }
  }
  window.addEventListener("hashchange", open);
  open();
})();
