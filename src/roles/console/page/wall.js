// The screen on the wall: a tile for each relay, hub and tunnel, worst first. It changes nothing.

import { ApiError, Events, get } from "./api.js";
import { Chart, onColours } from "./chart.js";
import { byId, element, isWell, setText, shape, show, toast } from "./dom.js";
import { Door, onLogout } from "./door.js";
import { bytes, clock, count, plural, rate, span } from "./units.js";

// Worst first; among those that nothing comes from, who has been silent longest. All others stand by their names: a wall
// whose tiles change places with every byte can't be read.
const BADNESS = { failed: 0, down: 1, silent: 2, idle: 3, ending: 4, up: 5, stopped: 6 };
const MUTE = ["down", "silent"];
// Nobody scrolls a screen on the wall: tiles are as large as all have room, and where there are many they say less. Sizes
// are those of letters in CSS pixels.
const SIZES = Object.entries({ full: [28, 24, 21, 18, 16, 14, 13, 12, 11], dense: [15, 13, 11], tiny: [17, 15, 13, 11] })
  .flatMap(([kind, sizes]) => sizes.map((size) => [kind, size]));
// In somebody's hand, who scrolls: a few say all, and many no more than is worth the way.
const IN_HAND = SIZES.findIndex(([kind, size]) => kind === "full" && size === 14);
const MANY_IN_HAND = SIZES.findIndex(([kind, size]) => kind === "dense" && size === 15);
const MANY = 12;
// r9 comes before r10.
const BY_NAME = new Intl.Collator("en", { numeric: true });

let state = null;
let sorted = [];
let received = 0;
let isUp = false;
const tiles = new Map();
const door = new Door({ page: "wall", enter: begin });

const events = new Events({
  up() {
    isUp = true;
    document.body.classList.remove("stale");
    show(byId("lost"), false);
    setText(byId("lost-what"), "");
    door.open();
    for (const tile of tiles.values()) tile.load();
  },
  down() {
    isUp = false;
    document.body.classList.add("stale");
    tick();
    door.check("state").then(tick);
  },
  state(next) {
    state = next;
    received = Date.now();
    show(byId("logout"), state.guarded);
    draw();
  },
  log() {},
  dump() {},
});

class Tile {
  constructor(id) {
    this.id = id;
    this.parts = {
      shape: element("span", { class: "shape" }),
      name: element("h2"),
      word: element("span"),
      since: element("span", { class: "since" }),
      age: element("p", { class: "age" }),
      ageNote: element("p", { class: "note" }),
      why: element("p", { class: "why" }),
      rate: element("dd"), clients: element("dd"), lag: element("dd"), drops: element("dd"),
    };
    const { parts } = this;
    const canvas = element("canvas", { role: "img" });
    const facts = element("dl", {});
    for (const [term, value] of [["In", parts.rate], ["Clients", parts.clients], ["Worst lag", parts.lag], ["Drops, 10 min", parts.drops]]) {
      facts.append(element("div", {}, element("dt", {}, term), value));
    }
    this.node = element("article", { class: "card" },
      element("header", {}, parts.shape, parts.name, element("p", { class: "word" }, parts.word, parts.since)),
      element("div", { class: "headline" }, parts.age, parts.ageNote), parts.why, canvas, facts);
    this.chart = new Chart(canvas, { name: "In", format: rate, colour: "--in", base: 1024, floor: 1024 });
    this.isOwed = false;
    this.load();
  }

  // What was before. Where there was no answer, it is asked for again with the next state.
  async load() {
    this.isOwed = false;
    try {
      this.chart.set((await get(`relays/${this.id}/history`)).in);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.isOwed = true;
    }
  }

  set(one) {
    const { parts } = this;
    if (this.isOwed) this.load();
    if (this.node.dataset.state !== one.state) {
      this.node.dataset.state = one.state;
      parts.shape.replaceChildren(shape(one.state));
    }
    setText(parts.name, one.name);
    setText(parts.word, one.word);
    setText(parts.since, one.running && one.since != null ? ` ${span(one.since)}` : "");
    const [large, note] = headline(one);
    setText(parts.age, large);
    setText(parts.ageNote, note);
    show(parts.why, !isWell(one));
    setText(parts.why, isWell(one) ? "" : one.why);
    parts.why.title = one.why;
    setText(parts.rate, one.running ? rate(one.in) : "-");
    setText(parts.clients, one.running ? `${count(one.clients)}, at most ${count(one.clients_most)}` : "-");
    const isTimed = one.running && (one.kind === "relay" || one.has_lag);
    const lag = one.lag && `${span(one.lag.seconds)}, ${bytes(one.lag.bytes)}, ${one.lag.peer}`;
    setText(parts.lag, lag ?? (isTimed ? "none" : "-"));
    parts.lag.classList.toggle("late", Boolean(one.lag) && one.lag.seconds >= LATE);
    setText(parts.drops, one.running ? count(one.drops_10m) : "-");
    parts.drops.classList.toggle("late", one.running && one.drops_10m > 0);
    this.chart.push(one.in);
  }
}

// What is to be read from afar, and what it is.
function headline(one) {
  if (!one.running) return ["-", "does not run"];
  if (one.kind !== "relay" && !isWell(one)) return [span(one.since), "not connected"];
  if (one.kind !== "relay" || one.upstream === null) return [count(one.clients), one.clients === 1 ? "client" : "clients"];
  const age = one.upstream.last_byte;
  return age == null ? ["none", "no byte so far"] : [span(age), "since last byte"];
}

function draw() {
  const board = byId("wall");
  const worst = (one) => BADNESS[one.state] * 1e9 - (MUTE.includes(one.state) ? one.upstream?.last_byte ?? 0 : 0);
  sorted = [...state.roles].sort((a, b) => worst(a) - worst(b) || BY_NAME.compare(a.name, b.name));
  sorted.forEach((one, index) => {
    let tile = tiles.get(one.id);
    if (!tile) tiles.set(one.id, (tile = new Tile(one.id)));
    tile.set(one);
    if (board.children[index] !== tile.node) board.insertBefore(tile.node, board.children[index] ?? null);
  });
  for (const [id, tile] of tiles) {
    if (!sorted.some((one) => one.id === id)) {
      tile.node.remove();
      tiles.delete(id);
    }
  }
  const running = sorted.filter((one) => one.running);
  const bad = sorted.filter((one) => !isWell(one)).length;
  const people = running.reduce((sum, one) => sum + one.clients, 0);
  const what = sorted.every((one) => one.kind === "relay") ? plural(running.length, "relay") : count(running.length);
  setText(byId("running"), `${what} running, `);
  setText(byId("well"), bad === 0 ? "all well" : `${bad} not well`);
  setText(byId("people"), `, ${plural(people, "client")}`);
  byId("summary").classList.toggle("bad", bad > 0);
  show(byId("none"), sorted.length === 0);
  tick();
}

// Gives all tiles room, as far as there is any, and says what has none.
let fitted = "";
let chosen = 0;
function fit() {
  const board = byId("wall");
  const isHeld = innerWidth <= 720;
  const isFull = () => !isHeld && document.documentElement.scrollHeight > innerHeight;
  const all = sorted.map((one) => one.state).join(" ");
  const room = `${innerWidth} ${innerHeight} ${byId("lost").hidden} ${all}`;
  if (room !== fitted) choose(isHeld ? inHand() : 0);
  fitted = room;
  while (isFull() && chosen < SIZES.length - 1) choose(chosen + 1);
  const seen = isFull() ? sorted.filter((_, index) => bottom(board.children[index]) <= innerHeight) : sorted;
  const below = sorted.slice(seen.length);
  const bad = below.filter((one) => !isWell(one)).length;
  const how = bad === 0 ? "all well" : `${count(bad)} not well`;
  setText(byId("below"), below.length ? `, ${count(below.length)} below the edge (${how})` : "");
}

const inHand = () => (sorted.length > MANY ? MANY_IN_HAND : IN_HAND);

function choose(next) {
  chosen = next;
  const [kind, size] = SIZES[chosen];
  const board = byId("wall");
  board.dataset.kind = kind;
  board.style.fontSize = `${size}px`;
  // No row has more tiles than it takes for as many rows: six are three and three, not four and two.
  board.style.gridTemplateColumns = "";
  const widths = getComputedStyle(board).gridTemplateColumns.split(" ");
  const columns = widths.filter((width) => width !== "0px").length;
  const rows = Math.ceil(sorted.length / columns);
  if (rows > 1) board.style.gridTemplateColumns = `repeat(${Math.ceil(sorted.length / rows)}, minmax(0, 1fr))`;
}

const bottom = (node) => node.offsetTop + node.offsetHeight;

function tick() {
  const isShown = state !== null && !door.isShut;
  byId("link").dataset.up = isUp;
  // That it is lost is said once, below.
  setText(byId("link"), isUp ? "live" : state || door.isShut ? "" : "connecting");
  setText(byId("clock"), isUp && state ? clock(state.utc + (Date.now() - received)) : "--:--:--");
  show(byId("lost"), !isUp && isShown);
  if (!isUp && isShown) {
    setText(byId("lost-what"), "No connection to hydrant.");
    setText(byId("lost-age"), `What you see is ${span((Date.now() - received) / 1000)} old.`);
  }
  fit();
}

async function begin() {
  try {
    await get("state");
    door.open();
    events.follow("wall=1");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (door.minds(error)) return;
    setTimeout(begin, 1000);
  }
}

// Seconds behind from which a client stands out.
const LATE = 1;

onLogout(toast);
addEventListener("resize", fit);
onColours(() => tiles.forEach((tile) => tile.chart.draw()));
setInterval(tick, 1000);
begin();
