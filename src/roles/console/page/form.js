// The fields of a relay: the five of everyday, and every other option out of hydrant's own table.

import { post } from "./api.js";
import { byId, element, setText, show, toast } from "./dom.js";

const MODES = {
  "connect-listen": "hydrant connects to the upstream; clients connect to hydrant",
  "listen-connect": "the upstream connects to hydrant; hydrant connects to the downstream",
  "connect-connect": "hydrant connects to both",
  "listen-listen": "both connect to hydrant",
};

const FIELDS = [
  { key: "name", label: "Name", hint: "stands in the log and on the tab" },
  { key: "src", label: "Upstream", hint: "HOST:PORT; several, with commas between, are tried in turn", placeholder: "HOST:PORT" },
  { key: "dst", label: "Downstream", hint: "HOST:PORT, or :PORT for every interface; several with spaces", placeholder: "HOST:PORT" },
  { key: "mode", label: "Mode", choices: Object.keys(MODES) },
  { key: "retry", live: true, label: "Retry", hint: "seconds between attempts to connect, or MIN..MAX", placeholder: "5" },
  { key: "dump", label: "Dump what flows", check: true, live: true },
];

export class Form {
  #role = null;
  #inputs = new Map();
  #timer = 0;
  #dirty = new Set();
  #saving = Promise.resolve();

  constructor() {
    const fields = byId("fields");
    for (const field of FIELDS) fields.append(this.#field(field));
    byId("form").addEventListener("submit", (event) => event.preventDefault());
  }

  // The option table comes from hydrant, so that the page can't offer what the program does not know.
  setOptions(groups) {
    const target = byId("options");
    target.replaceChildren();
    for (const { name, options } of groups) {
      const list = element("fieldset", {}, element("legend", {}, name));
      for (const option of options) {
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
      target.append(list);
    }
  }

  #field(field) {
    const id = `field-${field.key}`;
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
    this.#inputs.set(field.key, { input, error, isLive: field.live === true });
    const label = element("label", { for: id }, field.label);
    const isCheck = input.type === "checkbox";
    return element("div", { class: `field ${isCheck ? "check" : ""}` },
      ...(isCheck ? [input, label] : [label, input]), error, hint);
  }

  // What hydrant has, but for what is being typed.
  set(role, isReadOnly) {
    const isOther = this.#role?.id !== role.id;
    if (isOther) {
      this.#flush();
      this.#dirty.clear();
    }
    this.#role = role;
    for (const [key, { input, isLive }] of this.#inputs) {
      const value = key === "name" ? role.name : role.fields[key];
      const isTyped = this.#dirty.has(key) || (!isOther && input === document.activeElement && input.type === "text");
      if (!isTyped) write(input, value);
      input.disabled = isReadOnly || (role.running && !isLive);
    }
    setText(byId("field-mode-hint"), MODES[read(this.#inputs.get("mode").input)] ?? "");
    byId("form").classList.toggle("is-locked", role.running);
    show(byId("locked"), role.running && !isReadOnly);
    this.showErrors(role.errors);
  }

  showErrors(errors = {}) {
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

  // Resolves when hydrant has all that was typed.
  settled() {
    this.#flush();
    return this.#saving;
  }

  #changed(key, wait) {
    this.#dirty.add(key);
    if (key === "mode") setText(byId("field-mode-hint"), MODES[read(this.#inputs.get(key).input)]);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#flush(), wait);
  }

  #flush() {
    clearTimeout(this.#timer);
    if (!this.#dirty.size || !this.#role) return;
    const role = this.#role;
    const sent = {};
    for (const key of this.#dirty) sent[key] = read(this.#inputs.get(key).input);
    this.#saving = this.#saving.then(() => this.#send(role, sent));
  }

  async #send(role, sent) {
    try {
      const answer = await post(`relays/${role.id}`, sent);
      // What has been typed on since is still to be sent.
      for (const [key, value] of Object.entries(sent)) {
        if (this.#role === null || this.#role.id !== role.id || read(this.#inputs.get(key).input) === value) this.#dirty.delete(key);
      }
      if (this.#role?.id === role.id) this.showErrors(answer.errors);
    } catch (error) {
      if (error.status === 0) return; // stays dirty, and the page says that the connection is lost
      for (const key of Object.keys(sent)) this.#dirty.delete(key);
      if (Object.keys(error.errors).length) this.showErrors(error.errors);
      else toast(error.message);
    }
  }
}

function write(input, value) {
  if (input.type === "checkbox") input.checked = value === true;
  else if (input.value !== String(value ?? "")) input.value = value ?? "";
}

const read = (input) => (input.type === "checkbox" ? input.checked : input.value.trim());

const TYPING_MS = 600;
