// The way to hydrant: requests, and the stream of events that keeps the page current.

export class ApiError extends Error {
  constructor(status, body) {
    super(body.error ?? `hydrant answered ${status}`);
    this.status = status;
    this.errors = body.errors ?? {};
  }
}

// When the hydrant was started whose relays the page shows.
let started = null;

// From now on it is this one whose relays are meant by their ids. Another one, at the same address, refuses.
export function meet(when) {
  started = when;
}

async function request(method, path, body) {
  // One that is never answered would hold up what waits for it, for ever.
  const signal = AbortSignal.timeout(ANSWER_MS);
  const options = { method, cache: "no-store", credentials: "same-origin", redirect: "error", signal };
  if (method === "POST") {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify({ ...body, ...(path.startsWith("relays") && { started }) });
  }
  let answer;
  let text;
  try {
    answer = await fetch(`/api/v1/${path}`, options);
    text = await answer.text();
  } catch {
    const why = signal.aborted ? `does not answer for ${ANSWER_MS / 1000} s` : "can't be reached";
    throw new ApiError(0, { error: `hydrant ${why}` });
  }
  const json = parsed(text);
  if (!answer.ok) throw new ApiError(answer.status, json);
  return json;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

export const get = (path) => request("GET", path);
export const post = (path, body) => request("POST", path, body);

// Keeps one stream open and opens it again when it ends. `handlers` has one for each kind of event, `up` and `down`.
//
// A page that is hidden has none, since a browser has six connections for all pages of one hydrant: it asks for the state
// now and then, which its title tells.
export class Events {
  #source = null;
  #query = null;
  // The last line of the log that has come, and from which run of hydrant.
  #line = 0;
  #from = null;
  #timer = 0;
  #watch = 0;
  // The question that a page asks which is hidden, until it is seen.
  #looking = null;
  #handlers;
  #isUp = false;

  constructor(handlers) {
    this.#handlers = handlers;
    document.addEventListener("visibilitychange", () => this.#open());
  }

  // `query` says what is followed besides the state of all. A change opens another stream.
  follow(query) {
    if (query === this.#query && this.#source) return;
    this.#query = query;
    this.#open();
  }

  #open() {
    this.#close();
    if (this.#query === null) return;
    if (document.hidden) return this.#look();
    const known = this.#from !== null && this.#from === started ? `&line=${this.#line}&started=${started}` : "";
    const source = new EventSource(`/api/v1/events?${this.#query}${known}`);
    this.#source = source;
    this.#expect();
    for (const kind of ["state", "log", "dump"]) {
      source.addEventListener(kind, (event) => {
        if (source !== this.#source) return;
        this.#expect();
        if (!this.#isUp) {
          this.#isUp = true;
          this.#handlers.up();
        }
        const data = JSON.parse(event.data);
        this.#handlers[kind](data);
        if (kind === "log") [this.#line, this.#from] = [data.seq, started];
      });
    }
    source.onerror = () => {
      if (source === this.#source) this.#fail();
    };
  }

  // A stream that says nothing is as dead as one that is closed: the state comes each second.
  #expect() {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#fail(), SILENCE_MS);
  }

  #fail() {
    this.#close();
    this.#handlers.down();
    this.#timer = setTimeout(() => this.#open(), RETRY_MS);
  }

  #close() {
    this.#source?.close();
    this.#source = null;
    clearTimeout(this.#watch);
    clearTimeout(this.#timer);
    this.#looking = null;
    this.#isUp = false;
  }

  // For a page that is hidden.
  async #look() {
    const look = (this.#looking = {});
    let state = null;
    try {
      state = await get("state");
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
    // Meanwhile it is seen, and its stream knows better.
    if (look !== this.#looking) return;
    this.#timer = setTimeout(() => this.#open(), HIDDEN_MS);
    if (state) this.#handlers.state(state);
    else this.#handlers.down();
  }
}

const SILENCE_MS = 5000;
const RETRY_MS = 1000;
const HIDDEN_MS = 5000;
// Names that a relay listens at are looked up before it has begun, which takes a while where their server is dead.
const ANSWER_MS = 30000;
