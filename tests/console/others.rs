//! A page beside others, who move the same relays: what somebody does elsewhere is said, and takes no key and no answer
//! of whoever looks at it here.

use std::fs;

use serde_json::{Value, json};

use crate::browser::{Browser, CLOSED};
use crate::common::hydrant::hydrant;
use crate::common::peers::Place;
use crate::common::scratch::Scratch;
use crate::common::tools::have;
use crate::form::until_told_again;
use crate::rig::Console;

#[test]
fn a_tab_that_goes_elsewhere_takes_no_key_with_it() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let second = console.does("relays", &json!({}))["id"]
        .as_u64()
        .expect("an id");
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://{}/#{second}", console.at));
    page.until(&format!(
        "document.getElementById('tab-{second}')?.ariaSelected === 'true'"
    ));
    assert_eq!(
        page.eval("document.getElementById('lag-note').textContent"),
        ""
    );
    page.fill("#field-retry", "7");
    console.role_until(second, "saved", |role| role["fields"]["retry"] == "7");
    let name = page.eval("document.getElementById('field-name').value");
    let name = name.as_str().expect("it has one");
    page.eval("document.getElementById('field-retry').focus()");
    console.does(&format!("relays/{second}/remove"), &json!({}));
    page.until_text("#toast", &format!("{name} is gone"));
    page.until("document.querySelectorAll('#tabs [role=tab]').length === 1");
    assert_eq!(page.eval("document.activeElement.id"), "tab-1");
    // A keyboard on a screen, or one that composes, writes where the caret is, and not where the focus is.
    page.call("Input.insertText", &json!({ "text": "9" }));
    until_told_again(&mut page);
    assert_eq!(
        page.eval("document.getElementById('field-retry').value"),
        "5"
    );
    assert_eq!(console.roles()[0]["fields"]["retry"], json!("5"));
    page.complains_only_of(&[CLOSED]);
}

#[test]
fn what_is_refused_without_a_field_is_said_beside_the_field() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://{}/", console.at));
    page.until_text("#state-word", "Stopped");
    page.eval(
        "const fetches = window.fetch;
         window.fetch = async (path, options) =>
            options.method === 'POST' && path.endsWith('/relays/1')
                ? new Response('{\"error\": \"not right\", \"errors\": {\"\": \"not today\"}}', { status: 422 })
                : fetches(path, options);
         0",
    );
    page.fill("#field-retry", "7");
    page.until_text("#field-retry-error", "not today");
    until_told_again(&mut page);
    assert_eq!(
        page.eval(
            "[document.getElementById('field-retry').value,
              document.getElementById('field-retry-error').textContent]"
        ),
        json!(["7", "not today"])
    );
    page.complains_only_of(&[]);
}

#[test]
fn what_does_not_run_can_be_closed_at_leisure() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let text = "[console]\nbind = \"127.0.0.1:0\"\nsave = true\n\
        [[hub]]\nname = \"scores\"\nlisten = \"127.0.0.1:0\"\nenabled = false\n\
        [[relay]]\nname = \"r101\"\nsrc = \"127.0.0.1:1\"\ndst = \"127.0.0.1:0\"\nenabled = false\n\
        [[relay]]\nname = \"r11\"\nsrc = \"127.0.0.1:1\"\ndst = \"127.0.0.1:0\"\nenabled = false\n";
    fs::write(home.at("f.toml"), text).expect("the folder can be written");
    let hydrant = hydrant("run").arg(home.at("f.toml")).start();
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://{}/", hydrant.address_of("browsers")));
    page.until_text("#state-word", "Stopped");
    page.click("#close");
    page.until_text("#ask-title", "Close scores?");
    until_told_again(&mut page);
    page.click("#ask-yes");
    page.until("document.querySelectorAll('#tabs [role=tab]').length === 2");
    page.click("nav a");
    page.until("document.querySelectorAll('#wall article').length === 2");
    assert_eq!(
        page.eval("[...document.querySelectorAll('#wall h2')].map((name) => name.textContent)"),
        json!(["r11", "r101"])
    );
    page.complains_only_of(&[CLOSED]);
    hydrant.stop();
}

/// The page is told nothing while `isDeaf`.
const DEAF: &str = "
    window.EventSource = class extends EventSource {
        addEventListener(kind, act) {
            super.addEventListener(kind, (event) => window.isDeaf || act(event));
        }
    };";

/// One that is stopped and started again before the page hears of it, and has run for longer by then than it had when
/// the question was asked, is another one all the same.
#[test]
fn a_question_about_a_relay_that_was_started_anew_is_taken_back() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let place = Place::opened();
    let browser = Browser::start();
    let mut page = browser.open("about:blank");
    page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        &json!({ "source": DEAF }),
    );
    page.goto(&format!("http://{}/", console.at));
    page.until_text("#state-word", "Stopped");
    console.relay(place.at, "127.0.0.1:0");
    page.click("#stop");
    page.until_text("#ask-title", "Stop ");
    page.eval("window.isDeaf = true");
    let age = |role: &Value| role["age"].as_f64().expect("a number");
    let asked = console.role_until(1, "it runs", |role| role["running"] == true);
    console.does("relays/1/stop", &json!({}));
    console.role_until(1, "it has stopped", |role| role["running"] == false);
    console.does("relays/1/start", &json!({}));
    console.role_until(1, "it runs for as long", |role| age(role) > age(&asked));
    page.eval("window.isDeaf = false");
    page.until_text("#toast", "is not what it was when you were asked");
    page.until("!document.getElementById('ask').open");
    let role = &console.roles()[0];
    assert_eq!(role["running"], true, "{role}");
    console.program.stop();
}
