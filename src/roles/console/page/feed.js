// The log and the dump: what came last, as much as a person can look at.

import { byId, element, setText } from "./dom.js";
import { plural } from "./units.js";

const LEVELS = { ERROR: 1, WARN: 2, INFO: 3, DEBUG: 4, TRACE: 5 };

export class Log {
  #lines = [];
  #role = "";
  #view = byId("log");
  #last = 0;
  // What is to be shown with the next picture: many lines may come at once.
  #fresh = [];

  constructor() {
    hold(this.#view);
    for (const id of ["log-level", "log-filter", "log-all"]) {
      byId(id).addEventListener("input", () => this.#redraw());
    }
  }

  // Lines of other relays are hidden unless they are asked for.
  select(label) {
    if (label === this.#role) return;
    this.#role = label;
    this.#redraw();
  }

  // A stream that was opened again begins with lines that may be known.
  add(line) {
    if (line.seq <= this.#last) return;
    const missing = this.#last > 0 ? line.seq - this.#last - 1 : 0;
    if (missing > 0) this.#keep({ ...line, level: "WARN", text: `${plural(missing, "line")} did not reach this page` });
    this.#last = line.seq;
    this.#keep(line);
  }

  #keep(line) {
    this.#lines.push(line);
    if (this.#lines.length > LINES_MAX) this.#lines.shift();
    if (!this.#admits(line)) return;
    if (this.#fresh.push(line) === 1) requestAnimationFrame(() => this.#append(this.#fresh.splice(0)));
  }

  // Another process: its count begins again.
  restart() {
    this.#last = 0;
  }

  #admits(line) {
    if (LEVELS[line.level] > Number(byId("log-level").value)) return false;
    const isOthers = OF_ROLES.test(line.text) && !line.text.startsWith(`${this.#role}: `);
    if (isOthers && !byId("log-all").checked) return false;
    const wanted = byId("log-filter").value.trim().toLowerCase();
    return !wanted || line.text.toLowerCase().includes(wanted);
  }

  #redraw() {
    this.#fresh = [];
    held.add(this.#view);
    this.#view.replaceChildren();
    this.#append(this.#lines.filter((line) => this.#admits(line)).slice(-SHOWN_MAX));
    if (!this.#view.children.length) {
      this.#view.append(element("p", { class: "empty" }, "No line yet that fits."));
    }
  }

  #append(lines) {
    if (!lines.length) return;
    this.#view.querySelector(".empty")?.remove();
    follow(this.#view, () => {
      for (const line of lines.slice(-SHOWN_MAX)) {
        const time = line.time.slice(11, 23);
        const text = byId("log-all").checked ? line.text : line.text.replace(`${this.#role}: `, "");
        this.#view.append(
          element("div", { class: `line ${line.level.toLowerCase()}` },
            element("time", {}, time),
            element("b", {}, line.level === "INFO" ? "" : line.level),
            element("span", {}, text)),
        );
      }
      while (this.#view.children.length > SHOWN_MAX) this.#view.firstChild.remove();
    });
  }
}

export class Dump {
  #pieces = [];
  #held = 0;
  #view = byId("dump");
  #drawn = false;
  #isOn = false;

  constructor() {
    hold(this.#view);
    byId("dump-form").addEventListener("input", () => this.draw());
    byId("dump-clear").addEventListener("click", () => this.clear());
  }

  clear() {
    this.#pieces = [];
    this.#held = 0;
    this.draw();
  }

  // Whether hydrant tells what flows: where nothing is shown, it says why.
  switched(isOn) {
    if (isOn === this.#isOn) return;
    this.#isOn = isOn;
    this.draw();
  }

  add({ offset, data, skipped }) {
    const raw = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    this.#pieces.push({ offset, raw, skipped });
    this.#held += raw.length;
    while (this.#held > DUMP_MAX && this.#pieces.length > 1) this.#held -= this.#pieces.shift().raw.length;
    this.draw();
  }

  // Where it is hidden, it is drawn once it is shown.
  draw() {
    if (this.#drawn || this.#view.hidden) return;
    this.#drawn = true;
    requestAnimationFrame(() => {
      this.#drawn = false;
      const isHex = byId("dump-form").value === "hex";
      const nothing = this.#isOn ? "Nothing has come since the dump is on." : "The dump is off: switch it on to see what flows.";
      const text = this.#pieces.length ? (isHex ? this.#hex() : this.#text()) : nothing;
      follow(this.#view, () => setText(this.#view, text));
    });
  }

  #text() {
    return this.#joined().map(({ skipped, raw }) => note(skipped) + readable(raw)).join("");
  }

  #hex() {
    const width = matchMedia("(max-width: 720px)").matches ? 8 : 16;
    return this.#joined().map(({ skipped, raw, offset }) => note(skipped) + hexLines(offset, raw, width)).join("");
  }

  // Pieces that meet are one, so that neither a letter nor a line is cut where a read was.
  #joined() {
    const runs = [];
    for (const piece of this.#pieces) {
      const last = runs.at(-1);
      if (last && !piece.skipped && last.offset + last.size === piece.offset) {
        last.parts.push(piece.raw);
        last.size += piece.raw.length;
      } else {
        runs.push({ offset: piece.offset, skipped: piece.skipped, parts: [piece.raw], size: piece.raw.length });
      }
    }
    return runs.map(({ offset, skipped, parts, size }) => {
      const raw = new Uint8Array(size);
      let at = 0;
      for (const part of parts) {
        raw.set(part, at);
        at += part.length;
      }
      return { offset, skipped, raw };
    });
  }
}

const note = (skipped) => (skipped ? `\n[${skipped} bytes skipped]\n` : "");

// UTF-8 as it is, anything else as \xNN, as `--dump` shows it.
function readable(raw) {
  let text = "";
  let begun = 0;
  let at = 0;
  while (at < raw.length) {
    const length = sequence(raw, at);
    if (length === 0) {
      text += `${UTF8.decode(raw.subarray(begun, at))}\\x${hex(raw[at])}`;
      begun = at + 1;
    }
    at += length || 1;
  }
  return text + UTF8.decode(raw.subarray(begun));
}

// How long the letter is that begins here, by the table of RFC 3629 section 4; 0 where none does.
function sequence(raw, at) {
  const lead = raw[at];
  if (lead < 0x80) return lead >= 0x20 || lead === 0x0a || lead === 0x09 ? 1 : 0;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  const [least, most] = SECOND[lead] ?? [0x80, 0xbf];
  if (!(raw[at + 1] >= least && raw[at + 1] <= most)) return 0;
  for (let next = at + 2; next < at + length; next += 1) {
    if (!(raw[next] >= 0x80 && raw[next] <= 0xbf)) return 0;
  }
  return length;
}

// `width` bytes a row, in columns of eight: a row that is broken can't be read.
function hexLines(offset, raw, width) {
  let text = "";
  for (let at = 0; at < raw.length; at += width) {
    const row = [...raw.subarray(at, at + width)];
    let columns = "";
    for (let from = 0; from < width; from += 8) {
      columns += `${row.slice(from, from + 8).map(hex).join(" ").padEnd(23)}  `;
    }
    const ascii = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    text += `${(offset + at).toString(16).padStart(8, "0")}  ${columns}|${ascii}|\n`;
  }
  return text;
}

const hex = (byte) => byte.toString(16).padStart(2, "0");

// Views that stay at their end, whatever comes and however much room they have; whoever scrolled back reads on
// undisturbed.
const held = new WeakSet();

function hold(view) {
  let room = "";
  const now = () => `${view.clientWidth} ${view.clientHeight}`;
  held.add(view);
  view.addEventListener("scroll", () => {
    // With less room it is not at its end any more, and nobody has scrolled.
    if (now() !== room) return;
    const isAtEnd = view.scrollHeight - view.scrollTop - view.clientHeight < 24;
    held[isAtEnd ? "add" : "delete"](view);
  });
  new ResizeObserver(() => {
    room = now();
    follow(view, () => {});
  }).observe(view);
}

function follow(view, change) {
  change();
  if (held.has(view)) view.scrollTop = view.scrollHeight;
}

// How the lines of relays, hubs and tunnels begin. All others are about the whole program, and everybody's.
const OF_ROLES = /^(relay|hub|tunnel|ws)( [a-z]+)?(\[.*?\])?: /;
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });
// What the second byte may be behind these: no letter in a longer form than it needs, no surrogate, nothing too high.
const SECOND = { 0xe0: [0xa0, 0xbf], 0xed: [0x80, 0x9f], 0xf0: [0x90, 0xbf], 0xf4: [0x80, 0x8f] };
const LINES_MAX = 5000;
const SHOWN_MAX = 500;
const DUMP_MAX = 64 << 10;
