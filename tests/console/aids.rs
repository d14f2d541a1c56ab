//! The page for those who use it otherwise than with a mouse and good eyes: axe-core (a test-only tool, fetched by
//! `.ci/run`) looks at it in every look that it has.

use std::env;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::browser::{Browser, CUT_OFF, ENDING, Page, UNKNOWN};
use crate::common::peers::{Place, connect};
use crate::common::scratch::Scratch;
use crate::common::tools::{have, skip};
use crate::rig::{Console, keep};

/// The checker; `None`, and it is said, where it is not there.
pub(crate) fn axe() -> Option<String> {
    const FILE: &str = "target/axe-core-4.10.3/axe.min.js";
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE));
    if text.is_err() && env::var_os("HYDRANT_TEST_WITHOUT").is_some_and(|it| it == "axe-core") {
        println!("skipped: axe-core could not be fetched");
    } else if text.is_err() {
        skip(&format!("there is no {FILE} (.ci/run fetches it)"));
    }
    text.ok()
}

/// Has the page looked at: nothing may be in anybody's way.
#[track_caller]
fn audit(page: &mut Page, axe: &str, look: &str) {
    page.eval(&format!("{axe}; true"));
    let rules =
        "{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }";
    let found = page.eval(&format!(
        "axe.run(document, {rules}).then(({{ violations }}) => violations.map((one) =>
            [one.impact, one.id, one.help, one.nodes.map((node) => [node.target.join(' '), node.failureSummary])]))"
    ));
    assert_eq!(found, json!([]), "{look}");
}

/// Has it looked at in every colour and width.
#[track_caller]
pub(crate) fn looks(page: &mut Page, axe: &str, what: &str) {
    for (width, is_phone) in [(1280, false), (390, true)] {
        page.resize(width, 844, is_phone);
        for colours in ["light", "dark"] {
            let media =
                json!({ "features": [{ "name": "prefers-color-scheme", "value": colours }] });
            page.call("Emulation.setEmulatedMedia", &media);
            audit(page, axe, &format!("{what}, {width} wide, {colours}"));
        }
    }
}

#[test]
fn a_checker_finds_nothing_in_anybodys_way() {
    if !have("chromium") {
        return;
    }
    let Some(axe) = axe() else { return };
    let home = Scratch::new();
    keep(&home, "token", "right-and-long-enough");
    let console = Console::start(&home);
    let mut place = Place::opened();
    let feed = console.relay(place.at, "127.0.0.1:0");
    let _upstream = place.accept();
    let _client = connect(feed);
    console.does("relays", &json!({ "after": 1 }));
    let taken = json!({ "src": "127.0.0.1:1", "dst": feed.to_string() });
    console.does("relays/2", &taken);
    let failed = console.post("/api/v1/relays/2/start", &json!({}));
    assert_eq!(failed.status, 422);
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://{}/", console.at));
    page.until_text("#clients-count", "1 client");
    looks(&mut page, &axe, "a relay that runs");
    page.eval("document.getElementById('feed-dump').click()");
    looks(&mut page, &axe, "its dump");
    page.eval("document.getElementById('stop').click()");
    page.until("document.getElementById('ask').open");
    looks(&mut page, &axe, "a question");
    page.click("#ask-no");
    page.click("#tab-2");
    page.until_text("#state-word", "Failed");
    page.eval("document.getElementById('settings-fold').open = true; document.getElementById('more').open = true");
    looks(
        &mut page,
        &axe,
        "one that could not start, with all its options",
    );
    page.goto(&format!("http://{}/wall", console.at));
    page.until("document.querySelectorAll('.board article').length === 2");
    looks(&mut page, &axe, "the wall");
    console.program.stop();
    page.until("document.body.classList.contains('stale')");
    page.until("!document.getElementById('lost').hidden");
    assert_eq!(
        page.eval("document.getElementById('clock').textContent"),
        Value::from("--:--:--")
    );
    let console = Console::start_with(
        &home,
        &format!("--bind 127.0.0.1:0 --token-file {}", home.at("token")),
    );
    for path in ["", "wall"] {
        page.goto(&format!("http://{}/{path}", console.at));
        page.until("document.activeElement.id === 'token'");
        looks(&mut page, &axe, "a login");
    }
    page.complains_only_of(&[UNKNOWN, CUT_OFF, ENDING]);
}
