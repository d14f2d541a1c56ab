// What is counted of a relay, a hub or a tunnel while it runs, in words and figures.

import { byId, element, setText } from "./dom.js";
import { bytes, count, span } from "./units.js";

// What each kind is called by those who never read the manual.
const KINDS = {
  "hub serve": "hub",
  "hub tunnel": "tunnel through a hub",
  "tunnel serve": "tunnel server",
  "tunnel expose": "tunnel to a service",
  "ws relay": "WebSocket relay",
  "ws host": "WebSocket host",
  "ws client": "WebSocket client",
};

export const kindOf = ({ kind }) => KINDS[kind] ?? kind;

function facts(one) {
  const { upstream } = one;
  const doors = one.doors.map(({ at, for: whom }) => (one.kind === "relay" ? at : `${at} (${whom})`));
  return [
    upstream && one.kind === "relay" && ["Last byte", upstream.last_byte == null ? "none yet" : `${span(upstream.last_byte)} ago`],
    (doors.length || one.kind === "relay") && ["Listens at", doors.join(", ") || "nowhere"],
    ["In all", `${bytes(one.bytes_in)} in, ${bytes(one.bytes_out)} out`],
    upstream && ["Reconnects", count(one.reconnects)],
    ["Drops", drops(one)],
    ["Refused", reasons(one.refused) || "0"],
    ...Object.entries(one.figures).map(([name, value]) => figure(name, value)),
  ].filter(Boolean);
}

// `skipped_bytes` as a person reads it.
function figure(name, value) {
  const words = name.replaceAll("_", " ").replace("websocket", "WebSocket");
  const term = words[0].toUpperCase() + words.slice(1);
  if (name.endsWith("_bytes")) return [term.replace(/ bytes$/, ""), bytes(value)];
  if (name.endsWith("_seconds")) return [term.replace(/ seconds$/, ""), span(value)];
  return [term, count(value)];
}

export function drawFacts(one) {
  const all = one.running ? facts(one) : [];
  const list = byId("facts");
  if (list.children.length !== all.length * 2) {
    list.replaceChildren(...all.flatMap(() => [element("dt"), element("dd")]));
  }
  all.forEach(([term, text], index) => {
    setText(list.children[index * 2], term);
    setText(list.children[index * 2 + 1], text);
  });
}

const reasons = (counts) =>
  Object.entries(counts).filter(([, many]) => many > 0).map(([reason, many]) => `${reason} ${count(many)}`).join(", ");

function drops(one) {
  const by = reasons(one.drops);
  return by ? `${count(one.drops_total)} (${by})` : "0";
}
