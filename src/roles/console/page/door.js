// The door of a page: the login, where hydrant asks for a token, and the way out.

import { get, post } from "./api.js";
import { byId, setText, show } from "./dom.js";

export class Door {
  #page;
  #enter;
  #turnAway;

  // `page` is what is behind it, `enter` what begins once somebody is let in. `turnAway` is done with whoever may not see
  // the page though they are let in.
  constructor({ page, enter, turnAway }) {
    this.#page = byId(page);
    this.#enter = enter;
    this.#turnAway = turnAway;
    byId("login-form").addEventListener("submit", (event) => this.#knock(event));
  }

  get isShut() {
    return !byId("login").hidden;
  }

  open() {
    show(byId("login"), false);
    show(this.#page, true);
  }

  // Whoever types there already is not disturbed.
  shut() {
    show(this.#page, false);
    show(byId("logout"), false);
    if (this.isShut) return;
    show(byId("login"), true);
    byId("token").focus();
  }

  // What an error of the API means here. Whether it means anything.
  minds(error) {
    if (error.status === 401) this.shut();
    else if (error.status === 403 && this.#turnAway) this.#turnAway();
    else return false;
    return true;
  }

  // A stream that is refused does not say why: ask for something that this page is to have.
  async check(path) {
    try {
      await get(path);
    } catch (error) {
      this.minds(error);
    }
  }

  async #knock(event) {
    event.preventDefault();
    setText(byId("login-error"), "");
    try {
      await post("login", { token: byId("token").value });
      byId("token").value = "";
      await this.#enter();
    } catch (error) {
      setText(byId("login-error"), error.status === 401 ? "That is not the token." : error.message);
      byId("token").select();
    }
  }
}

// Gives back what this browser was let in by; `fail` is told why it could not.
export function onLogout(fail) {
  byId("logout").addEventListener("click", async () => {
    try {
      await post("logout");
      location.reload();
    } catch (error) {
      fail(error.message);
    }
  });
}
