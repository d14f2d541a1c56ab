// The console: tabs, what the chosen one does, and the connection to hydrant.

import { ApiError, Events, get, meet, post } from "./api.js";
import { Chart, onColours } from "./chart.js";
import { Clients, LATE } from "./clients.js";
import { ask, byId, element, isWell, reconsider, setFigure, setText, shape, show, toast } from "./dom.js";
import { Door, onLogout } from "./door.js";
import { drawFacts, kindOf } from "./facts.js";
import { Dump, Log } from "./feed.js";
import { Form } from "./form.js";
import { bytes, clock, count, parts, plural, rate, span } from "./units.js";

let state = null;
let selected = Number(location.hash.slice(1)) || null;
let received = 0;
let isUp = false;
let isBack = false;
// What was before could not be had, and is asked for again with the next state.
let isPastOwed = false;
// Why there is nothing to show yet.
let trouble = null;
// The one that this page is closing.
let closing = null;

const form = new Form();
const clients = new Clients();
const log = new Log();
const dump = new Dump();
// Whoever may only look has the wall for that.
const door = new Door({ page: "console", enter: begin, turnAway: () => location.replace("/wall") });
const charts = {
  in: new Chart(byId("in-chart"), { name: "In", format: rate, colour: "--in", base: 1024, floor: 1024 }),
  out: new Chart(byId("out-chart"), { name: "Out", format: rate, colour: "--out", base: 1024, floor: 1024 }),
  lag: new Chart(byId("lag-chart"), { name: "Worst lag", format: span, colour: "--lag", floor: 0.2 }),
  clients: new Chart(byId("clients-chart"), { name: "Clients", format: (n) => count(Math.round(n)), colour: "--people", floor: 5 }),
};

const events = new Events({
  up() {
    isUp = true;
    document.body.classList.remove("stale");
    show(byId("lost"), false);
    setText(byId("lost-what"), "");
    door.open();
    loadHistory();
    isBack = true;
  },
  down() {
    isUp = false;
    document.body.classList.add("stale");
    drawLink();
    door.check("options").then(drawLink);
  },
  state(next) {
    take(next);
    // Only now the relays are known that what was typed meanwhile is for.
    if (isBack) form.settled(selected);
    isBack = false;
    pushHistory();
    if (isPastOwed) loadHistory();
    clients.refresh();
  },
  log: (line) => log.add(line),
  dump: (piece) => dump.add(piece),
});

const role = () => state?.roles.find((one) => one.id === selected) ?? null;

// Everything as it is now.
function take(next) {
  // Another page of this browser has logged in as somebody who may only look, and so has this one.
  if (next.view_only) return location.replace("/wall");
  // What is pushed and what is asked for come over two connections, and may overtake each other.
  if (state?.started === next.started && next.look < state.look) return;
  const before = role();
  const past = state?.roles ?? [];
  const isAnother = state !== null && state.started !== next.started;
  meet(next.started);
  state = next;
  received = Date.now();
  if (isAnother) {
    // It counts its relays and its lines afresh: what was in view goes on by its name.
    reconsider([]);
    log.restart();
    form.move((id) => named(past.find((one) => one.id === id)?.name)?.id);
    select(named(before?.name)?.id ?? null);
  } else {
    form.move((id) => (state.roles.some((one) => one.id === id) ? id : undefined));
    announce(past);
  }
  reconsider(state.roles);
  if (!role()) leave(before);
  draw();
}

// Whose state is another now is said to those who can't see the tabs change.
function announce(past) {
  const before = new Map(past.map((one) => [one.id, one.state]));
  const changed = state.roles.filter((one) => before.has(one.id) && before.get(one.id) !== one.state);
  if (!changed.length) return;
  const said = changed.slice(0, SAID_MAX).map((one) => `${one.name}: ${one.word}`);
  if (changed.length > SAID_MAX) said.push(`and ${count(changed.length - SAID_MAX)} more`);
  setText(byId("said"), said.join(", "));
}

// What was in view has gone, by no hand of this page. Whoever was at it is told, and types nothing into what comes
// into view instead.
function leave(before) {
  const at = document.activeElement;
  const isAtWork = byId("panel").contains(at);
  if (isAtWork) {
    // A keyboard on the screen, or one that composes, writes where the caret was.
    at.blur();
    getSelection()?.removeAllRanges();
  }
  select(state.roles[0]?.id ?? null);
  if (!before || closing === before.id) return;
  toast(`${before.name} is gone: it was closed elsewhere.`);
  if (isAtWork) byId(`tab-${selected}`)?.focus();
}

const named = (name) => state.roles.find((one) => one.name === name);

async function begin() {
  try {
    const { groups } = await get("options");
    form.setOptions(groups);
    door.open();
    // Whose relay the page shows is known before its stream begins: another one would need another stream.
    const { roles } = await get("state");
    if (!roles.some(({ id }) => id === selected)) point(roles[0]?.id ?? null);
    events.follow(query());
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (door.minds(error)) return drawLink();
    trouble = error.message;
    drawLink();
    setTimeout(begin, 1000);
  }
}

function query() {
  return selected === null ? "" : `relay=${selected}`;
}

function point(id) {
  selected = id;
  history.replaceState(null, "", id === null ? "#" : `#${id}`);
}

function select(id) {
  if (id === selected && !byId("panel").hidden) return;
  point(id);
  dump.clear();
  for (const chart of Object.values(charts)) chart.set([]);
  draw();
  events.follow(query());
  loadHistory();
}

async function loadHistory() {
  const id = selected;
  isPastOwed = false;
  if (id === null) return;
  try {
    const past = await get(`relays/${id}/history`);
    if (id !== selected) return;
    for (const [key, chart] of Object.entries(charts)) chart.set(past[key]);
    drawTiles();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (id === selected) isPastOwed = true;
  }
}

function pushHistory() {
  const one = role();
  if (!one) return;
  charts.in.push(one.in);
  charts.out.push(one.out);
  charts.lag.push(one.lag?.seconds ?? 0);
  charts.clients.push(one.clients);
}

function draw() {
  if (!state) return;
  drawTabs();
  drawLink();
  const one = role();
  show(byId("panel"), one !== null);
  show(byId("none"), one === null);
  if (!one) {
    document.title = "hydrant";
    return setText(byId("none"), state.settings.kept ? "Nothing is set up here. + makes a relay." : "Nothing is set up here.");
  }
  document.title = `${one.name}: ${one.word} - hydrant`;
  byId("panel").setAttribute("aria-labelledby", `tab-${one.id}`);
  drawState(one);
  drawTiles();
  const hasForm = one.fields !== null && one.kind === "relay";
  show(byId("settings"), hasForm);
  byId("panel").classList.toggle("is-fixed", !hasForm);
  // A hub, or a tunnel, keeps nobody waiting that it could measure.
  show(byId("lag-tile"), one.kind === "relay" || one.has_lag);
  if (hasForm) form.set(one);
  else form.showErrors(one.errors, one.id);
  clients.select(one);
  log.select(one.label);
  show(byId("feed-tabs"), one.kind === "relay");
  show(byId("feed-title"), one.kind !== "relay");
  if (one.kind !== "relay" && !byId("dump").hidden) showFeed("log");
  const isDumping = one.dump;
  setText(byId("dump-switch"), isDumping ? "Dump is on" : "Dump is off");
  byId("dump-switch").setAttribute("aria-pressed", isDumping);
  dump.switched(isDumping);
}

function drawTabs() {
  const strip = byId("tabs");
  const known = new Map([...strip.children].map((tab) => [Number(tab.dataset.id), tab]));
  state.roles.forEach((one, index) => {
    const tab = known.get(one.id) ?? newTab(one.id);
    known.delete(one.id);
    if (tab.dataset.state !== one.state) {
      tab.dataset.state = one.state;
      tab.querySelector(".shape").replaceChildren(shape(one.state));
    }
    setText(tab.querySelector(".name"), one.name);
    // What flows into one that is not well is not the first thing to know of it.
    setText(tab.querySelector(".word"), one.state === "up" && one.in > 0 ? `${one.word}, ${rate(one.in)}` : one.word);
    const whole = `${one.name} (${kindOf(one)}): ${one.word}`;
    if (tab.title !== whole) tab.title = whole;
    if (strip.children[index] !== tab) strip.insertBefore(tab, strip.children[index] ?? null);
  });
  for (const gone of known.values()) gone.remove();
  for (const tab of strip.children) choose(tab, Number(tab.dataset.id) === selected);
  show(byId("add"), state.settings.kept);
  const many = state.roles.filter((one) => !isWell(one)).length;
  setText(byId("unwell"), many > 0 ? `${count(many)} not well` : "");
}

function choose(tab, isChosen) {
  const wasChosen = tab.getAttribute("aria-selected") === "true";
  tab.setAttribute("aria-selected", isChosen);
  tab.tabIndex = isChosen ? 0 : -1;
  // Of many, or on a phone, not all have room.
  if (isChosen && !wasChosen) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function newTab(id) {
  return element("button", {
    type: "button", role: "tab", id: `tab-${id}`, "data-id": id, "aria-controls": "panel",
    onclick: () => select(id),
  },
  element("span", { class: "shape" }),
  element("span", { class: "name" }),
  element("span", { class: "word" }));
}

function drawState(one) {
  const card = byId("state");
  if (card.dataset.state !== one.state) {
    card.dataset.state = one.state;
    byId("state-shape").replaceChildren(shape(one.state));
  }
  const since = one.running && one.since != null ? ` ${span(one.since)}` : "";
  // What is no relay has no settings here that would say its whole name, and what it is.
  show(byId("who"), one.kind !== "relay");
  setText(byId("state-name"), one.name);
  setText(byId("state-kind"), kindOf(one));
  setText(byId("state-word"), `${one.word}${since}`);
  setText(byId("state-why"), one.why);
  const pressed = [byId("start"), byId("stop")].find((button) => button === document.activeElement);
  show(byId("start"), !one.running);
  show(byId("stop"), one.running);
  // The button is gone from under somebody's fingers, and the one in its place does the opposite.
  if (pressed?.hidden) byId(`tab-${one.id}`).focus();
  show(byId("close"), state.settings.kept);
  show(byId("copy"), one.command !== null);
  show(byId("unsaid"), one.unsaid.length > 0);
  setText(byId("unsaid"), `A command line has one --slow for all, and so leaves out: ${one.unsaid.join(", ")}.`);
  drawFacts(one);
}

function drawTiles() {
  const one = role();
  if (!one) return;
  const none = ["-", ""];
  setFigure(byId("in-now"), one.running ? parts(rate(one.in)) : none);
  setFigure(byId("out-now"), one.running ? parts(rate(one.out)) : none);
  const lag = one.lag;
  setFigure(byId("lag-now"), one.running ? (lag ? parts(span(lag.seconds)) : ["none", ""]) : none);
  setFigure(byId("clients-now"), one.running ? [count(one.clients), ""] : none);
  byId("lag-now").classList.toggle("late", one.running && lag?.seconds >= LATE);
  setText(byId("in-note"), peak(one, charts.in));
  setText(byId("out-note"), peak(one, charts.out));
  const nobody = one.running ? "nobody is behind" : "";
  setText(byId("lag-note"), lag ? `${bytes(lag.bytes)} behind: ${lag.peer}` : nobody);
  setText(byId("clients-note"), one.running ? `at most ${count(one.clients_most)}` : "");
}

// Of one that does not run and has not run there is nothing to say.
const peak = (one, chart) => (one.running || chart.highest() > 0 ? `peak ${rate(chart.highest())}` : "");

function drawLink() {
  const isShown = state !== null && !door.isShut;
  byId("link").dataset.up = isUp;
  // That it is lost is said once, below.
  const waiting = state || door.isShut ? "" : trouble ?? "connecting";
  setText(byId("link"), isUp ? "live" : waiting);
  setText(byId("clock"), isUp && state ? clock(state.utc + (Date.now() - received)) : "--:--:--");
  if (state) {
    const { settings } = state;
    show(byId("logout"), state.guarded && isShown);
    const note = settings.note ? `Settings: ${settings.note}` : "";
    setText(byId("saved"), settings.error ? `Not saved: ${settings.error}` : note);
    byId("saved").classList.toggle("bad", Boolean(settings.error || note));
    const isKept = settings.kept && settings.path && !settings.error;
    setText(byId("kept"), isKept ? `kept in ${settings.path.split("/").slice(-2).join("/")}` : "");
    byId("kept").title = settings.path ?? "";
    show(byId("unwell"), isShown && byId("unwell").textContent !== "");
  }
  show(byId("lost"), !isUp && isShown);
  if (!isUp && isShown) {
    setText(byId("lost-what"), "No connection to hydrant.");
    setText(byId("lost-age"), `What you see is ${span((Date.now() - received) / 1000)} old. Trying again each second.`);
  }
}

// Runs an action of a relay; what was wrong is said beside the field.
async function act({ id }, path, body) {
  try {
    const answer = await post(`relays/${id}/${path}`, body);
    await refresh();
    return answer;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (Object.keys(error.errors).length && id === selected) {
      form.showErrors(error.errors, id);
      showMistake();
    } else {
      toast(error.message);
    }
    return null;
  }
}

function showMistake() {
  byId("settings-fold").open = true;
  form.focusError();
}

async function refresh() {
  take(await get("state"));
}

byId("start").addEventListener("click", async () => {
  const one = role();
  if (!(await form.settled(one.id))) {
    const isWrong = form.hasMistakes(one.id);
    toast(`Not started: ${isWrong ? "what is wrong is said in the settings." : "hydrant does not have the settings yet."}`);
    if (selected === one.id) showMistake();
    return;
  }
  if ((await act(one, "start")) && selected === one.id) byId("stop").focus();
});

byId("stop").addEventListener("click", async () => {
  const one = role();
  const who = one.clients === 1 ? "1 client is" : `${count(one.clients)} clients are`;
  const text = one.clients > 0 ? `${who} connected and will be disconnected.` : "Nobody is connected.";
  if ((await ask(one, `Stop ${one.name}?`, text, "Stop")) && (await act(one, "stop")) && selected === one.id) {
    byId("start").focus();
  }
});

byId("close").addEventListener("click", async () => {
  const one = role();
  // What is no relay can't be added here again.
  if (one.running || one.kind !== "relay") {
    const now = one.running
      ? `It is running, with ${plural(one.clients, "client")} connected. It is stopped, and they are disconnected.`
      : "";
    const then = one.kind === "relay"
      ? "Its settings are removed."
      : "Its section is removed from the run file, and can be put back there only.";
    const text = `${now} ${then}`.trim();
    if (!(await ask(one, `Close ${one.name}?`, text, "Close"))) return;
  }
  const index = state.roles.findIndex(({ id }) => id === one.id);
  const next = state.roles[index + 1] ?? state.roles[index - 1];
  const wasShown = selected === one.id;
  closing = one.id;
  const answer = await act(one, "remove");
  closing = null;
  if (!answer || !wasShown) return;
  select(answer.id ?? (state.roles.some(({ id }) => id === next?.id) ? next.id : selected));
  byId(`tab-${selected}`)?.focus();
});

byId("add").addEventListener("click", async () => {
  await form.settled(selected);
  try {
    const { id } = await post("relays", { after: selected });
    await refresh();
    select(id);
    byId("field-src").focus();
  } catch (error) {
    toast(error.message);
  }
});

// The next one behind the one that is shown, round and round.
byId("unwell").addEventListener("click", () => {
  const at = state.roles.findIndex(({ id }) => id === selected);
  const next = [...state.roles.slice(at + 1), ...state.roles.slice(0, at + 1)].find((one) => !isWell(one));
  if (next) select(next.id);
});

byId("copy").addEventListener("click", async () => {
  const { command, unsaid } = role();
  try {
    await navigator.clipboard.writeText(command);
    toast(unsaid.length ? `Copied without ${unsaid.join(", ")}: ${command}` : `Copied: ${command}`);
  } catch {
    // No clipboard off localhost without TLS: the line is shown, to be marked by hand.
    window.prompt("The command line", command);
  }
});

byId("dump-switch").addEventListener("click", () => {
  const one = role();
  act(one, "dump", { on: !one.dump });
});

// The keys of a tab list: arrows, Home, End.
for (const list of [byId("tabs"), byId("feed-tabs")]) {
  list.addEventListener("keydown", (event) => {
    const tabs = [...list.querySelectorAll("[role=tab]")];
    const at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    const tab = tabs[(to + tabs.length) % tabs.length];
    tab.click();
    tab.focus();
  });
}

function showFeed(which) {
  for (const name of ["log", "dump"]) {
    const isChosen = name === which;
    const tab = byId(`feed-${name}`);
    tab.setAttribute("aria-selected", isChosen);
    tab.tabIndex = isChosen ? 0 : -1;
    show(byId(name), isChosen);
    show(byId(`${name}-tools`), isChosen);
  }
  dump.draw();
}
byId("feed-log").addEventListener("click", () => showFeed("log"));
byId("feed-dump").addEventListener("click", () => showFeed("dump"));

onLogout(toast);

// On a phone that is turned the chosen tab stays in the strip; nothing else is scrolled.
window.addEventListener("resize", () => {
  const strip = byId("tabs");
  const tab = byId(`tab-${selected}`);
  if (!tab) return;
  const from = tab.offsetLeft - strip.offsetLeft;
  const least = from + tab.offsetWidth - strip.clientWidth;
  strip.scrollLeft = Math.min(from, Math.max(least, strip.scrollLeft));
});

onColours(() => Object.values(charts).forEach((chart) => chart.draw()));

window.addEventListener("hashchange", () => {
  const id = Number(location.hash.slice(1));
  if (state?.roles.some((one) => one.id === id)) select(id);
});

// As many as can be listened to at once.
const SAID_MAX = 3;
// On a narrow screen what runs comes first, and its settings when they are asked for.
if (matchMedia("(max-width: 720px)").matches) byId("settings-fold").open = false;
setInterval(() => drawLink(), 1000);
showFeed("log");
begin();
