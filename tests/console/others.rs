//! A page beside others, who move the same relays: what somebody does elsewhere is said, and takes no key and no answer
//! of whoever looks at it here.

use std::fs;

use serde_json::json;

use crate::browser::Browser;
use crate::common::hydrant::hydrant;
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
    let name = page.eval("document.getElementById('field-name').value");
    let name = name.as_str().expect("it has one");
    page.eval("document.getElementById('field-retry').focus()");
    console.does(&format!("relays/{second}/remove"), &json!({}));
    page.until("document.querySelectorAll('#tabs [role=tab]').length === 1");
    page.until_text("#toast", &format!("{name} is gone"));
    assert_eq!(page.eval("document.activeElement.id"), "tab-1");
    // A keyboard on a screen, or one that composes, writes where the caret is, and not where the focus is.
    page.call("Input.insertText", &json!({ "text": "9" }));
    until_told_again(&mut page);
    assert_eq!(
        page.eval("document.getElementById('field-retry').value"),
        "5"
    );
    assert_eq!(console.roles()[0]["fields"]["retry"], json!("5"));
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
    hydrant.stop();
}
