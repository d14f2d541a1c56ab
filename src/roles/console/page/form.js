// The fields of a relay: the five of everyday, and every other option out of hydrant's own table.

import { post } from "./api.js";
import { byId, element, setText, show, toast } from "./dom.js";

// What each mode is, in a sentence.
const MODES = {
  "connect-listen": "hydrant connects to the upstream; clients connect to hydrant",
  "listen-connect": "the upstream connects to hydrant; hydrant connects to the downstream",
  "connect-connect": "hydrant connects to both",
  "listen-listen": "both connect to hydrant",
};

// Those of everyday. Which of them may change while a relay runs, and what there is to choose, comes with the options.
const FIELDS = [
  { key: "name", label: "Name", hint: "stands in the log and on the tab" },
  { key: "src", label: "Upstream", hint: "HOST:PORT; or several with commas, tried in turn", placeholder: "HOST:PORT" },
  { key: "dst", label: "Downstream", hint: "HOST:PORT or :PORT; or several with spaces", placeholder: "HOST:PORT" },
  { key: "mode", label: "Mode", choices: [], preset: "connect-listen" },
  { key: "retry", label: "Retry", hint: "seconds between attempts to connect, or MIN..MAX", placeholder: "5" },
  { key: "dump", label: "Dump what flows", check: true, live: true },
];

export class Form {
  #role = null;
  #inputs = new Map();
  // Several destinations have a `slow` of their own each: those that have a field now, and what there is to choose.
  #outputs = [];
  #slows = [];
  #timer = 0;
  // What was typed and hydrant does not have yet: of each relay, by its id, the fields and what stands in them.
  #typed = new Map();
  // What hydrant has refused, likewise, each with the reason: it stays until something else is typed there. Where the
  // reason is none of the field's own, like a run file that somebody else has changed, it is said again with the next
  // change, and before a start.
  #refused = new Map();
  #saving = Promise.resolve();
  // Something could not be said, and is to be said again.
  #isOwed = false;

  constructor() {
    const fields = byId("fields");
    for (const field of FIELDS) {
      fields.append(this.#field(field));
      if (field.key === "dst") fields.append(element("div", { id: "outputs", hidden: true }));
    }
    byId("form").addEventListener("submit", (event) => event.preventDefault());
  }

  // The option table comes from hydrant, so that the page can't offer what the program does not know.
  setOptions(groups) {
    const target = byId("options");
    target.replaceChildren();
    for (const { name, options } of groups) {
      this.#slows = options.find(({ key }) => key === "slow")?.choices ?? this.#slows;
      const list = element("fieldset", {}, element("legend", {}, name));
      for (const option of options) {
        if (FIELDS.some(({ key }) => key === option.key)) {
          this.#setOwn(option);
          continue;
        }
        list.append(this.#field({
          key: option.key,
          label: `--${option.key}`,
          hint: option.help,
          placeholder: option.default,
          live: option.live,
          switch: option.kind === "switch",
          choices: option.choices,
        }));
      }
      if (list.children.length > 1) target.append(list);
    }
  }

  // What hydrant says of an option that has a field of its own.
  #setOwn({ key, live, choices }) {
    const field = this.#inputs.get(key);
    field.isLive = live;
    if (!choices || field.input.children.length) return;
    field.input.append(...choices.map((value) => element("option", { value }, value)));
  }

  #field(field) {
    const id = `field-${field.id ?? field.key}`;
    const described = `${id}-hint ${id}-error`;
    const error = element("p", { class: "error", id: `${id}-error`, role: "alert", hidden: true });
    const hint = element("p", { class: "hint", id: `${id}-hint` }, field.hint ?? "");
    let input;
    if (field.choices) {
      const empty = field.placeholder === undefined ? [] : [element("option", { value: "" }, `default: ${field.placeholder}`)];
      input = element("select", { id, "aria-describedby": described }, ...empty,
        ...field.choices.map((value) => element("option", { value }, value)));
    } else if (field.check || field.switch) {
      input = element("input", { id, type: "checkbox", "aria-describedby": described });
    } else {
      input = element("input", { id, type: "text", placeholder: field.placeholder, spellcheck: "false",
        autocapitalize: "off", autocomplete: "off", "aria-describedby": described });
    }
    input.addEventListener("input", () => this.#changed(field.key, TYPING_MS));
    input.addEventListener("change", () => this.#changed(field.key, 0));
    this.#inputs.set(field.key, { input, error, preset: field.preset, isLive: field.live === true });
    const label = element("label", { for: id }, field.label);
    const isCheck = input.type === "checkbox";
    return element("div", { class: `field ${isCheck ? "check" : ""}` },
      ...(isCheck ? [input, label] : [label, input]), error, hint);
  }

  // What hydrant has, but for what is being typed.
  set(role) {
    const isOther = this.#role?.id !== role.id;
    if (isOther || this.#isOwed) this.#flush();
    this.#role = role;
    this.#setOutputs(role.fields);
    const typed = this.#typed.get(role.id) ?? new Map();
    const refused = this.#refused.get(role.id) ?? new Map();
    // A destination has gone, and its field with it.
    for (const key of refused.keys()) if (!this.#inputs.has(key)) this.#forget(role.id, key);
    for (const [key, { input, preset, isLive }] of this.#inputs) {
      const isAtWork = !isOther && input === document.activeElement && input.type === "text";
      const known = key === "name" ? role.name : role.fields[key];
      input.disabled = role.fixed || (role.running && !isLive);
      // Hydrant has taken it all the same, with what is wrong with it; or the relay runs by now, without it.
      const isPast = input.disabled || isSame(known, refused.get(key)?.value);
      if (isPast) this.#forget(role.id, key);
      if (typed.has(key)) write(input, typed.get(key));
      else if (!isAtWork) write(input, refused.has(key) ? refused.get(key).value : known || preset);
      // What can't be edited can't be scrolled to its end either.
      const whole = input.disabled && input.type === "text" ? input.value : "";
      if (input.title !== whole) input.title = whole;
    }
    setText(byId("field-mode-hint"), MODES[read(this.#inputs.get("mode").input)] ?? "");
    byId("form").classList.toggle("is-locked", role.running);
    setText(byId("locked"), role.fixed ? FIXED : LOCKED);
    show(byId("locked"), role.running || role.fixed);
    this.showErrors(role.errors);
  }

  #forget(id, key) {
    this.#refused.get(id)?.delete(key);
    if (!this.#refused.get(id)?.size) this.#refused.delete(id);
  }

  // One field for each destination that may have a `slow` of its own: where there are several, or where one has.
  #setOutputs(fields) {
    const places = [...new Set((fields.dst ?? "").split(/\s+/).filter(Boolean))];
    const isShown = places.length > 1 || places.some((place) => fields[SLOW_OF + place]);
    const wanted = isShown ? places : [];
    if (wanted.join(" ") === this.#outputs.join(" ")) return;
    for (const place of this.#outputs) this.#inputs.delete(SLOW_OF + place);
    this.#outputs = wanted;
    byId("outputs").replaceChildren(...wanted.map((place, index) => this.#field({
      id: `output-${index}`, key: SLOW_OF + place, label: `--slow of ${place}`, placeholder: "as --slow", choices: this.#slows,
    })));
    show(byId("outputs"), isShown);
  }

  // These relays are left: `became` says what each one's id is now, and nothing of one that is gone.
  move(became) {
    const moved = (all) => new Map([...all].map(([id, its]) => [became(id), its]).filter(([id]) => id !== undefined));
    this.#typed = moved(this.#typed);
    this.#refused = moved(this.#refused);
    if (this.#role && became(this.#role.id) !== this.#role.id) this.#role = null;
  }

  // Of the relay that is shown, or of another one, and of what else has no fields.
  showErrors(known = {}, id = this.#role?.id) {
    const refused = [...(this.#refused.get(id) ?? [])].map(([key, { text }]) => [key, text]);
    const errors = { ...known, ...Object.fromEntries(refused.filter(([, text]) => text)) };
    const rest = [];
    for (const [key, { input, error }] of this.#inputs) {
      const text = errors[key] ?? "";
      setText(error, text);
      show(error, text !== "");
      input.setAttribute("aria-invalid", text !== "");
      if (text && error.closest("#more")) byId("more").open = true;
    }
    for (const [key, text] of Object.entries(errors)) if (!this.#inputs.has(key)) rest.push(text);
    setText(byId("failure"), rest.join("; "));
    show(byId("failure"), rest.length > 0);
  }

  focusError() {
    for (const { input } of this.#inputs.values()) {
      if (input.getAttribute("aria-invalid") === "true" && !input.disabled) return input.focus();
    }
  }

  // Resolves to whether hydrant has all that was typed for a relay.
  async settled(id) {
    this.#again(id);
    this.#flush();
    await this.#saving;
    return !this.#typed.has(id) && !this.#refused.has(id);
  }

  hasMistakes(id) {
    return this.#refused.has(id);
  }

  #changed(key, wait) {
    const { id } = this.#role;
    const value = read(this.#inputs.get(key).input);
    this.#again(id);
    this.#type(id, key, value);
    this.#forget(id, key);
    if (key === "mode") setText(byId("field-mode-hint"), MODES[value]);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#flush(), wait);
  }

  #type(id, key, value) {
    if (!this.#typed.has(id)) this.#typed.set(id, new Map());
    this.#typed.get(id).set(key, value);
  }

  #again(id) {
    for (const [key, { value, isOwn }] of this.#refused.get(id) ?? []) {
      if (isOwn) continue;
      this.#type(id, key, value);
      this.#forget(id, key);
    }
  }

  #flush() {
    clearTimeout(this.#timer);
    this.#isOwed = false;
    for (const id of this.#typed.keys()) this.#saving = this.#saving.then(() => this.#send(id));
  }

  async #send(id) {
    const typed = this.#typed.get(id);
    if (!typed) return;
    const sent = Object.fromEntries(typed);
    // What has been typed on since is still to be sent.
    const isKnown = (keys) => {
      for (const key of keys) if (typed.get(key) === sent[key]) typed.delete(key);
      if (!typed.size && this.#typed.get(id) === typed) this.#typed.delete(id);
    };
    try {
      const answer = await post(`relays/${id}`, sent);
      isKnown(Object.keys(sent));
      if (this.#role?.id === id) this.showErrors(answer.errors);
    } catch (error) {
      // No answer, or none to what was said: it is sent again once the page is connected, and logged in.
      if (!(error.status in FINAL)) {
        this.#isOwed = true;
        return;
      }
      const all = Object.keys(sent);
      const wrong = all.filter((key) => key in error.errors);
      const hasReasons = Object.keys(error.errors).length > 0;
      if (!hasReasons) toast(error.message);
      const refused = wrong.length ? wrong : all;
      for (const key of refused.filter((key) => typed.get(key) === sent[key])) {
        // What is wrong with none of them in particular is said beside each.
        const text = error.errors[key] ?? error.errors[""] ?? error.message;
        this.#refuse(id, key, { value: sent[key], text, isOwn: key in error.errors });
      }
      isKnown(refused);
      if (this.#role?.id === id) this.showErrors(error.errors);
      // What was sent beside a mistake may not have been taken because of that.
      if (refused.length < all.length) await this.#send(id);
    }
  }

  #refuse(id, key, what) {
    if (!this.#refused.has(id)) this.#refused.set(id, new Map());
    this.#refused.get(id).set(key, what);
  }
}

// Answers that will be the same again: a relay that runs by now is not changed, and one that is gone is not there. 412
// is none: hydrant was started again, and the page does not know yet.
const FINAL = { 400: true, 403: true, 404: true, 409: true, 413: true, 422: true };

function write(input, value) {
  if (input.type === "checkbox") input.checked = isSame(value, true);
  else if (input.value !== String(value ?? "")) input.value = value ?? "";
}

// Hydrant says what stands in a field as a text, of a switch too.
const isSame = (one, other) => said(one) === said(other);
const said = (value) => (value === false || value === "false" ? "" : String(value ?? ""));

const read = (input) => (input.type === "checkbox" ? input.checked : input.value.trim());

const SLOW_OF = "slow of ";
const TYPING_MS = 600;
const LOCKED = "Running: what is greyed out can be changed once the relay is stopped; the rest holds at once.";
const FIXED = "It comes from a run file, or from a command line, and is changed there.";
