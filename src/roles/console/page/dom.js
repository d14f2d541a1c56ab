// The page's elements. Whatever comes from outside becomes text, never markup.

export const byId = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

// Writes only what changed: a screen reader is not told the same again, and a selection stays.
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export function show(target, visible) {
  if (target.hidden === visible) target.hidden = !visible;
}

// A figure with its unit small behind it.
export function setFigure(target, [figure, unit]) {
  if (target.dataset.figure === `${figure} ${unit}`) return;
  target.dataset.figure = `${figure} ${unit}`;
  target.replaceChildren(figure, element("small", {}, unit ? ` ${unit}` : ""));
}

const SVG = "http://www.w3.org/2000/svg";
// A state is told apart by its shape as well as by its colour.
const SHAPES = {
  stopped: "M3 3h10v10H3z",
  up: "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13z",
  silent: "M8 .8 15.2 8 8 15.2.8 8z",
  idle: "M8 1.2 15.4 14H.6z",
  down: "M8 1.2 15.4 14H.6z",
  failed: "M4 1.2 8 5.2l4-4L14.8 4l-4 4 4 4-2.8 2.8-4-4-4 4L1.2 12l4-4-4-4z",
  ending: "M3 3h10v10H3z",
};

export function shape(state) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `shape-${state}`);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[state] ?? SHAPES.stopped);
  svg.append(path);
  return svg;
}

// What is as somebody wants it.
const WELL = ["ending", "up", "stopped"];

export const isWell = (one) => WELL.includes(one.state);

let toastTimer = 0;
// Its place is there before and after, empty and out of sight: what comes with a place of its own is not announced.
export function toast(text) {
  const target = byId("toast");
  target.textContent = text;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => (target.textContent = ""), 4000);
}

// The relay that a question is about, as it was when it was asked.
let subject = null;
// Who waits for its answer.
let answered = null;

// The wall asks nothing.
byId("ask")?.addEventListener("close", ({ target: dialog }) => {
  // It is told late: by then something else may be asked, which this is no answer to.
  if (!dialog.open) answer(dialog.returnValue === "yes");
});

function answer(isMeant) {
  const resolve = answered;
  subject = null;
  answered = null;
  resolve?.(isMeant);
}

// Asks before something that others would feel, or that can't be undone here. Resolves to whether it is meant.
export function ask(one, title, text, yes) {
  const dialog = byId("ask");
  answer(false);
  byId("ask-title").textContent = title;
  byId("ask-text").textContent = text;
  byId("ask-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  subject = one;
  return new Promise((resolve) => {
    answered = resolve;
  });
}

// Takes a question back whose relay has gone, or has been stopped or started meanwhile: the answer would mean something
// else than what was asked.
export function reconsider(roles) {
  if (subject === null) return;
  const now = roles.find((one) => one.id === subject.id);
  if (now && now.run === subject.run) return;
  const { name } = subject;
  byId("ask").close("no");
  toast(`${name} is not what it was when you were asked. Nothing was done.`);
}
