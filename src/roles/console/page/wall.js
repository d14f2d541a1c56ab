// The screen on the wall: a tile for each relay, hub and tunnel, worst first. It changes nothing.

import { ApiError, Events, get, post } from "./api.js";
import { Chart } from "./chart.js";
import { byId, element, setText, shape, show } from "./dom.js";
import { bytes, clock, count, plural, rate, span } from "./units.js";

// Worst first; among equals, who has been silent longest.
const BADNESS = { failed: 0, down: 1, silent: 2, idle: 3, ending: 4, up: 5, stopped: 6 };
// What is as somebody wants it.
const WELL = ["ending", "up", "stopped"];

// r9 comes before r10.
const BY_NAME = new Intl.Collator("en", { numeric: true });

let state = null;
let received = 0;
let isUp = false;
const tiles = new Map();

const events = new Events({
  up() {
    isUp = true;
    document.body.classList.remove("stale");
    show(byId("lost"), false);
    setText(byId("lost-what"), "");
    showWall();
    for (const tile of tiles.values()) tile.load();
  },
  down() {
    isUp = false;
    document.body.classList.add("stale");
    begin.check();
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
      word: element("p", { class: "word" }),
      age: element("p", { class: "age" }),
      ageNote: element("p", { class: "note" }),
      rate: element("dd"), clients: element("dd"), lag: element("dd"), drops: element("dd"),
    };
    const { parts } = this;
    const canvas = element("canvas", { role: "img" });
    const facts = element("dl", {});
    for (const [term, value] of [["In", parts.rate], ["Clients", parts.clients], ["Worst lag", parts.lag], ["Drops, 10 min", parts.drops]]) {
      facts.append(element("div", {}, element("dt", {}, term), value));
    }
    this.node = element("article", { class: "card" },
      element("header", {}, parts.shape, parts.name, parts.word), parts.age, parts.ageNote, canvas, facts);
    this.chart = new Chart(canvas, { name: "In", format: rate, colour: "--in", base: 1024, floor: 1024 });
    this.load();
  }

  async load() {
    try {
      this.chart.set((await get(`relays/${this.id}/history`)).in);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }

  set(one) {
    const { parts } = this;
    if (this.node.dataset.state !== one.state) {
      this.node.dataset.state = one.state;
      parts.shape.replaceChildren(shape(one.state));
    }
    setText(parts.name, one.name);
    setText(parts.word, one.running && one.since != null ? `${one.word} ${span(one.since)}` : one.word);
    const [large, note] = headline(one);
    setText(parts.age, large);
    setText(parts.ageNote, note);
    setText(parts.rate, one.running ? rate(one.in) : "-");
    setText(parts.clients, one.running ? `${count(one.clients)} now, ${count(one.clients_most)} at most` : "-");
    const isTimed = one.running && (one.kind === "relay" || one.has_lag);
    const lag = one.lag && `${span(one.lag.seconds)}, ${bytes(one.lag.bytes)}, ${one.lag.peer}`;
    setText(parts.lag, lag ?? (isTimed ? "none" : "-"));
    setText(parts.drops, one.running ? count(one.drops_10m) : "-");
    this.chart.push(one.in);
  }
}

// What is to be read from afar, and what it is.
function headline(one) {
  if (!one.running) return ["-", one.why];
  if (one.kind !== "relay" || one.upstream === null) return [count(one.clients), one.clients === 1 ? "client" : "clients"];
  const age = one.upstream.last_byte;
  return age == null ? ["none yet", "no byte from the upstream so far"] : [span(age), "since the last upstream byte"];
}

function draw() {
  const board = byId("wall");
  const worst = (one) => BADNESS[one.state] * 1e9 - (one.upstream?.last_byte ?? 0);
  const sorted = [...state.roles].sort((a, b) => worst(a) - worst(b) || BY_NAME.compare(a.name, b.name));
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
  const bad = sorted.filter((one) => !WELL.includes(one.state)).length;
  const people = running.reduce((sum, one) => sum + one.clients, 0);
  const what = sorted.every((one) => one.kind === "relay") ? plural(running.length, "relay") : count(running.length);
  setText(byId("running"), `${what} running, `);
  setText(byId("well"), bad === 0 ? "all well" : `${bad} not well`);
  setText(byId("people"), `, ${plural(people, "client")}`);
  byId("summary").classList.toggle("bad", bad > 0);
  tick();
}

function tick() {
  byId("link").dataset.up = isUp;
  setText(byId("link"), isUp ? "live" : state ? "connection lost" : "connecting");
  setText(byId("clock"), isUp && state ? clock(state.utc + (Date.now() - received)) : "--:--:--");
  if (isUp || !state) return;
  show(byId("lost"), true);
  setText(byId("lost-what"), "No connection to hydrant.");
  setText(byId("lost-age"), `What you see is ${span((Date.now() - received) / 1000)} old.`);
}

async function begin() {
  try {
    await get("state");
    showWall();
    events.follow("wall=1");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 401) return showLogin();
    setTimeout(begin, 1000);
  }
}

// A stream that is refused does not say why: ask.
begin.check = async () => {
  try {
    await get("state");
  } catch (error) {
    if (error.status === 401) showLogin();
  }
};

function showWall() {
  show(byId("login"), false);
  show(byId("wall"), true);
}

function showLogin() {
  show(byId("wall"), false);
  show(byId("logout"), false);
  if (!byId("login").hidden) return;
  show(byId("login"), true);
  byId("token").focus();
}

byId("logout").addEventListener("click", async () => {
  try {
    await post("logout");
    location.reload();
  } catch (error) {
    show(byId("lost"), true);
    setText(byId("lost-what"), error.message);
  }
});

byId("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  setText(byId("login-error"), "");
  try {
    await post("login", { token: byId("token").value });
    byId("token").value = "";
    await begin();
  } catch (error) {
    setText(byId("login-error"), error.status === 401 ? "That is not the token." : error.message);
    byId("token").select();
  }
});

setInterval(tick, 1000);
begin();
