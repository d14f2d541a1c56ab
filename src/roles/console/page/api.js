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
  const options = { method, cache: "no-store", credentials: "same-origin", redirect: "error" };
  if (method === "POST") {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify({ ...body, ...(path.startsWith("relays") && { started }) });
  }
  let answer;
  try {
    answer = await fetch(`/api/v1/${path}`, options);
  } catch {
    throw new ApiError(0, { error: "hydrant can't be reached" });
  }
  const json = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(answer.status, json);
  return json;
}

export const get = (path) => request("GET", path);
export const post = (path, body) => request("POST", path, body);

// Keeps one stream open and opens it again when it ends. `handlers` has one for each kind of event, `up` and `down`.
export class Events {
  #source = null;
  #query = "";
  // The last line of the log that has come, and from which run of hydrant.
  #line = 0;
  #from = null;
  #timer = 0;
  #watch = 0;
  #handlers;
  #isUp = false;

  constructor(handlers) {
    this.#handlers = handlers;
  }

  // `query` says what is followed besides the state of all. A change opens another stream.
  follow(query) {
    if (query === this.#query && this.#source) return;
    this.#query = query;
    this.#open();
  }

  #open() {
    this.#source?.close();
    clearTimeout(this.#timer);
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
    this.#source?.close();
    clearTimeout(this.#watch);
    clearTimeout(this.#timer);
    this.#isUp = false;
    this.#handlers.down();
    this.#timer = setTimeout(() => this.#open(), RETRY_MS);
  }
}

const SILENCE_MS = 5000;
const RETRY_MS = 1000;
