// The table of clients. There may be ten thousand: hydrant sorts and searches, the page holds what is in view.

import { get, post, ApiError } from "./api.js";
import { ask, byId, element, setText, toast } from "./dom.js";
import { bytes, count, plural, span } from "./units.js";

// A relay's clients only take, and what counts is how late; others have a name, or a port that they came by, and send.
const RELAY_COLUMNS = [
  { key: "peer", title: "Address" },
  { key: "lag", title: "Lag", number: true, text: (row) => (row.lag > 0 ? span(row.lag) : "-") },
  { key: "behind", title: "Behind", number: true, text: (row) => (row.behind > 0 ? bytes(row.behind) : "-") },
  { key: "bytes", title: "Taken", number: true, text: (row) => bytes(row.bytes) },
  { key: "joined", title: "For", number: true, text: (row) => span(row.joined) },
];
const ADDRESS = { key: "peer", title: "Address", text: (row) => (row.label ? `${row.peer} (${row.label})` : row.peer) };
const NAMED_COLUMNS = [
  { key: "peer", title: "Address" },
  { key: "label", title: "Name or port", text: (row) => row.label || "-" },
  { key: "sent", title: "Sent", number: true, text: (row) => (row.sent == null ? "-" : bytes(row.sent)) },
  { key: "bytes", title: "Received", number: true, text: (row) => bytes(row.bytes) },
  { key: "joined", title: "For", number: true, text: (row) => span(row.joined) },
];
// Those at a tunnel's own end came by no name.
const PLAIN_COLUMNS = [ADDRESS, ...NAMED_COLUMNS.slice(2)];
const NAMELESS = ["hub tunnel", "tunnel expose", "ws host", "ws client"];

function columnsOf({ kind }) {
  if (kind === "relay") return RELAY_COLUMNS;
  return NAMELESS.includes(kind) ? PLAIN_COLUMNS : NAMED_COLUMNS;
}

export class Clients {
  #role = null;
  #columns = RELAY_COLUMNS;
  #sort = "lag";
  #descending = true;
  #search = "";
  #total = 0;
  #rows = new Map();
  // What a row of the table shows, as it was said last.
  #shown = new WeakMap();
  #asked = 0;
  #isAsking = false;
  // Where the view was when it was asked last.
  #askedAt = 0;
  // What was searched when it was announced what was found.
  #announced = "";
  #timer = 0;
  #scroll = byId("clients-scroll");
  #sizer = element("div", { class: "sizer" });
  #nobody = element("span", { role: "cell" });
  #empty = element("div", { class: "empty", role: "row" }, this.#nobody);

  constructor() {
    this.#drawHead();
    this.#scroll.append(this.#sizer, this.#empty);
    this.#scroll.addEventListener("scroll", () => this.#draw());
    new ResizeObserver(() => this.#draw()).observe(this.#scroll);
    byId("clients-search").addEventListener("input", (event) => {
      this.#search = event.target.value.trim();
      this.#restart();
    });
  }

  select(one) {
    const before = this.#role;
    this.#role = one;
    if (before?.id === one.id && before.kind === one.kind) return;
    if (this.#columns !== columnsOf(one)) this.#show(columnsOf(one));
    // Those of another tab would be disconnected in this one's name.
    this.#total = 0;
    setText(byId("clients-count"), "");
    setText(this.#nobody, "Asking who is connected.");
    this.#draw();
    this.#restart();
  }

  #show(columns) {
    this.#columns = columns;
    this.#sort = columns === RELAY_COLUMNS ? "lag" : "bytes";
    this.#descending = true;
    byId("clients-grid").classList.toggle("named", columns === NAMED_COLUMNS);
    byId("clients-grid").classList.toggle("plain", columns === PLAIN_COLUMNS);
    this.#drawHead();
  }

  refresh() {
    if (this.#timer === 0 && !this.#isAsking && this.#role !== null && !document.hidden) this.#load();
  }

  #restart() {
    this.#rows.clear();
    this.#scroll.scrollTop = 0;
    this.#asked += 1;
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#load();
  }

  // Asks for what is in view and a little around it.
  async #load() {
    const asked = ++this.#asked;
    const search = this.#search;
    this.#isAsking = true;
    this.#askedAt = this.#firstInView();
    this.#timer = setTimeout(() => (this.#timer = 0), AGAIN_MS);
    const first = Math.max(0, this.#askedAt - MARGIN);
    const query = new URLSearchParams({
      sort: this.#sort,
      order: this.#descending ? "desc" : "asc",
      search,
      offset: first,
      limit: Math.min(PAGE_MAX, this.#inView() + 2 * MARGIN),
    });
    try {
      const page = await get(`relays/${this.#role.id}/clients?${query}`);
      if (asked !== this.#asked) return;
      this.#isAsking = false;
      this.#rows = new Map(page.rows.map((row, index) => [page.offset + index, row]));
      this.#total = page.matched;
      const all = this.#role.kind === "ws relay" ? `${count(page.total)} with hosts` : plural(page.total, "client");
      const found = search ? `${count(page.matched)} of ${all}` : all;
      setText(byId("clients-count"), found);
      if (search !== this.#announced) setText(byId("clients-found"), search ? found : "");
      this.#announced = search;
      setText(this.#nobody, search ? "Nobody by that address or name." : "Nobody is connected.");
      this.#draw();
    } catch (error) {
      if (asked === this.#asked) this.#isAsking = false;
      if (!(error instanceof ApiError)) throw error;
      if (asked === this.#asked && this.#rows.size === 0) this.#say(error);
    }
  }

  // Nobody is known of those who were asked for.
  #say(error) {
    this.#total = 0;
    setText(byId("clients-count"), "");
    setText(this.#nobody, `Not known: ${error.message}.`);
    this.#draw();
  }

  #firstInView() {
    return Math.floor(this.#scroll.scrollTop / rowHeight());
  }

  #inView() {
    return Math.ceil(this.#scroll.clientHeight / rowHeight()) + 1;
  }

  #draw() {
    this.#empty.hidden = this.#total > 0;
    this.#sizer.style.height = `${this.#total * rowHeight()}px`;
    byId("clients-grid").setAttribute("aria-rowcount", this.#total + 1);
    const first = this.#firstInView();
    const last = Math.min(this.#total, first + this.#inView());
    const known = new Map([...this.#sizer.children].map((child) => [child.dataset.id, child]));
    const drawn = [];
    let misses = false;
    for (let index = first; index < last; index += 1) {
      const row = this.#rows.get(index);
      if (row) drawn.push(this.#row(row, index, known.get(String(row.id))));
      else misses = true;
    }
    for (const child of [...this.#sizer.children]) {
      if (drawn.includes(child)) continue;
      // Who goes on by keys goes on from the table, not from the top of the page.
      if (child.contains(document.activeElement)) this.#scroll.focus({ preventScroll: true });
      child.remove();
    }
    this.#order(drawn);
    // Scrolled on while an answer is on its way: that draws, and misses what is missing then.
    if (misses && !this.#isAsking && first !== this.#askedAt) this.#load();
  }

  // Keys and screen readers go through the rows as they stand there; who moves keeps the focus.
  #order(drawn) {
    const focused = document.activeElement;
    drawn.forEach((child, place) => {
      const there = this.#sizer.children[place];
      if (there !== child) this.#sizer.insertBefore(child, there ?? null);
    });
    if (focused !== document.activeElement && this.#sizer.contains(focused)) focused.focus({ preventScroll: true });
  }

  #row(row, index, old) {
    const made = old ?? this.#newRow(row);
    made.style.transform = `translateY(${index * rowHeight()}px)`;
    made.setAttribute("aria-rowindex", index + 2);
    this.#columns.forEach(({ text }, column) => setText(made.children[column], text ? text(row) : row.peer));
    made.children[0].title = row.peer;
    made.querySelector("button").setAttribute("aria-label", `Disconnect ${row.peer}`);
    this.#shown.set(made, row);
    made.classList.toggle("late", row.lag >= LATE);
    return made;
  }

  #newRow(row) {
    const made = element("div", { class: "row", role: "row", "data-id": row.id });
    for (const { key, number } of this.#columns) {
      made.append(element("span", { role: "cell", class: `${key} ${number ? "number" : ""}` }));
    }
    const disconnect = element("button", {
      type: "button",
      class: "quiet",
      title: "Disconnect this client",
      onclick: () => this.#disconnect(this.#shown.get(made)),
    }, "Disconnect");
    made.append(element("span", { role: "cell", class: "do" }, disconnect));
    return made;
  }

  async #disconnect(row) {
    const role = this.#role;
    const text = `${row.peer} has taken ${bytes(row.bytes)}. It may connect again.`;
    if (!(await ask(role, "Disconnect this client?", text, "Disconnect"))) return;
    try {
      await post(`relays/${role.id}/kick`, { client: row.id });
      toast(`${row.peer} disconnected`);
      if (this.#role.id === role.id) this.#restart();
    } catch (error) {
      toast(error.message);
    }
  }

  #drawHead() {
    const head = byId("clients-head");
    head.replaceChildren();
    for (const { key, title, number } of this.#columns) {
      const isSort = key === this.#sort;
      const arrow = isSort ? (this.#descending ? " ▾" : " ▴") : "";
      head.append(element("span", {
        role: "columnheader",
        class: `${key} ${number ? "number" : ""}`,
        "aria-sort": isSort ? (this.#descending ? "descending" : "ascending") : "none",
      }, element("button", { type: "button", class: "quiet", onclick: () => this.#sortBy(key) }, title + arrow)));
    }
    head.append(element("span", { role: "columnheader", class: "do" }, element("span", { class: "hidden" }, "Actions")));
  }

  #sortBy(key) {
    this.#descending = key === this.#sort ? !this.#descending : key !== "peer" && key !== "label";
    this.#sort = key;
    this.#drawHead();
    byId("clients-head").querySelectorAll("button")[this.#columns.findIndex((column) => column.key === key)].focus();
    this.#restart();
  }
}

// How high a row is: on a phone it is as high as a finger is broad. The sheet says the same.
const HELD = matchMedia("(max-width: 720px)");
const rowHeight = () => (HELD.matches ? 40 : 28);
const MARGIN = 20;
const PAGE_MAX = 200;
const AGAIN_MS = 900;
// Seconds behind from which a client stands out.
export const LATE = 1;
