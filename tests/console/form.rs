//! The page of a run file that is kept, in a browser: tabs come and go, and what was refused stays in its field, beside
//! the reason, until something else is typed there.

use std::fs;

use serde_json::json;

use crate::browser::{Browser, CLOSED, Page, WRONG};
use crate::common::hydrant::hydrant;
use crate::common::peers::Place;
use crate::common::scratch::Scratch;
use crate::common::tools::have;
use crate::rig::Console;

/// Waits until the page has been sent the state again, twice: what it shows by then it does not show for a moment only.
pub(crate) fn until_told_again(page: &mut Page) {
    page.eval(
        "window.told = 0;
         window.listening = new EventSource('/api/v1/events');
         window.listening.addEventListener('state', () => (window.told += 1));
         0",
    );
    page.until("window.told >= 3");
    page.eval("window.listening.close()");
}

/// Waits until hydrant has this in a field of the relay that is shown.
fn until_saved(page: &mut Page, field: &str, value: &str) {
    page.eval(&format!(
        "new Promise((resolve, reject) => {{
            const end = performance.now() + 25000;
            const look = async () => {{
                const {{ roles }} = await (await fetch('/api/v1/state')).json();
                const one = roles.find(({{ id }}) => id === Number(location.hash.slice(1)));
                if (one.fields['{field}'] === '{value}') resolve(true);
                else if (performance.now() > end) reject(new Error(JSON.stringify(one.fields)));
                else setTimeout(look, 20);
            }};
            look();
         }})"
    ));
}

#[test]
fn a_run_file_is_changed_tab_by_tab() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let mut place = Place::opened();
    let text = "[console]\nbind = \"127.0.0.1:0\"\nsave = true\n[[hub]]\nname = \"scores\"\nlisten = \"127.0.0.1:0\"\n";
    fs::write(home.at("f.toml"), text).expect("the folder can be written");
    let hydrant = hydrant("run").arg(home.at("f.toml")).start();
    let browsers = hydrant.address_of("browsers");
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://{browsers}/"));
    page.until_text("#state-word", "Running");

    // Where there is no relay yet there can be one, and what is no relay can be closed.
    page.click("#add");
    page.until("document.querySelectorAll('#tabs [role=tab]').length === 2");
    page.until_text("#state-word", "Stopped");
    page.click("#tab-1");
    page.click("#close");
    page.until_text("#ask-title", "Close scores?");
    page.click("#ask-yes");
    page.until("document.querySelectorAll('#tabs [role=tab]').length === 1");
    page.until("!document.getElementById('settings').hidden");

    what_is_refused_stays(&mut page, &mut place);
    what_came_too_late_stays(&mut page, &home.at("f.toml"));
    let saved = fs::read_to_string(home.at("f.toml")).expect("it is there");
    assert!(!saved.contains("[[hub]]"), "{saved}");
    page.complains_only_of(&[WRONG, CLOSED, "status of 409"]);
    hydrant.stop();
}

/// Somebody else has changed the file meanwhile: what was typed is still there, beside the reason, and is said again.
fn what_came_too_late_stays(page: &mut Page, file: &str) {
    let text = fs::read_to_string(file).expect("it is there");
    fs::write(file, text + "# theirs\n").expect("it can be written");
    page.fill("#field-src", "tls://127.0.0.1:3");
    page.until("document.getElementById('field-src-error').textContent.includes('changed by somebody else')");
    until_told_again(page);
    let shown = "[document.getElementById('field-src').value,
         document.getElementById('field-src-error').checkVisibility()]";
    assert_eq!(
        page.eval(shown),
        serde_json::json!(["tls://127.0.0.1:3", true])
    );
    page.eval(
        "fetch('/api/v1/reload', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' })
            .then((answer) => answer.json())",
    );
    until_told_again(page);
    assert_eq!(
        page.eval(shown),
        serde_json::json!(["tls://127.0.0.1:3", true])
    );
    page.fill("#field-retry", "30ms");
    until_saved(page, "src", "tls://127.0.0.1:3");
    until_saved(page, "retry", "30ms");
    page.until("!document.getElementById('field-src-error').checkVisibility()");
}

/// Two fields at once, of which one is wrong: it stays so until it is mended, and nothing is started meanwhile.
fn what_is_refused_stays(page: &mut Page, place: &mut Place) {
    page.eval(
        "for (const [id, value] of [['src', 'nowhere'], ['dst', '127.0.0.1:0']]) {
            const input = document.getElementById(`field-${id}`);
            input.value = value;
            input.dispatchEvent(new Event('input'));
         }",
    );
    page.until("document.getElementById('field-src-error').checkVisibility()");
    until_saved(page, "dst", "127.0.0.1:0");
    until_told_again(page);
    assert_eq!(
        page.eval(
            "[document.getElementById('field-src').value, document.getElementById('field-src').ariaInvalid]"
        ),
        serde_json::json!(["nowhere", "true"])
    );
    page.click("#start");
    page.until_text(
        "#toast",
        "Not started: what is wrong is said in the settings.",
    );
    page.until("document.activeElement.id === 'field-src'");
    page.fill("#field-src", &place.at.to_string());
    page.until("!document.getElementById('field-src-error').checkVisibility()");
    page.click("#start");
    place.accept();

    // While it runs, too: by then the focus has gone where it goes with that.
    page.until("document.activeElement.id === 'stop'");
    page.fill("#field-retry", "soon");
    page.until("document.getElementById('field-retry-error').checkVisibility()");
    until_told_again(page);
    assert_eq!(
        page.eval("document.getElementById('field-retry').value"),
        "soon"
    );
    assert_eq!(
        page.eval("document.getElementById('field-retry-error').checkVisibility()"),
        true
    );
    page.fill("#field-retry", "20ms");
    until_saved(page, "retry", "20ms");
    page.until("!document.getElementById('field-retry-error').checkVisibility()");

    // A switch shows what it is.
    page.click("#stop");
    page.click("#ask-yes");
    page.until_text("#state-word", "Stopped");
    page.until("document.activeElement.id === 'start'");
    page.fill("#field-src", "tls://127.0.0.1:1");
    page.eval("document.getElementById('more').open = true");
    page.click("#field-tls-insecure");
    until_saved(page, "tls-insecure", "true");
    until_told_again(page);
    assert_eq!(
        page.eval("document.getElementById('field-tls-insecure').checked"),
        true
    );
}

/// Several places in one field may be wrong at once, and whoever mends one would meet the next only then.
#[test]
fn all_that_is_wrong_in_a_field_stands_beside_it() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://{}/", console.at));
    page.until_text("#state-word", "Stopped");
    page.fill("#field-dst", ":x :6001 :99999 :6001 udp://a:1");
    for part in [":x", "99999", ":6001 is given twice", "udp"] {
        page.until_text("#field-dst-error", part);
    }
    // Each has a line of its own.
    let lines = "document.getElementById('field-dst-error').innerText.split('\\n').length";
    assert_eq!(page.eval(lines), 4);
    page.fill("#field-src", "nowhere, a:1, b:0");
    page.until_text("#field-src-error", "nowhere");
    page.until_text("#field-src-error", "b:0");
    console.program.stop();
}

/// Settings that nobody looks at take no room; what may be changed while a relay runs says how.
#[test]
fn settings_that_are_folded_leave_their_room() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let place = Place::opened();
    console.relay(place.at, "127.0.0.1:0");
    for _ in 0..7 {
        console.does("relays", &json!({}));
    }
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://{}/", console.at));
    page.resize(1440, 844, false);
    page.until_text("#locked", "Running");
    let hints = "['retry', 'src'].map((key) => document.getElementById(`field-${key}-hint`).checkVisibility())";
    assert_eq!(page.eval(hints), json!([true, false]));
    let width = "document.getElementById('clients').offsetWidth";
    let beside = page.eval(width).as_u64().expect("a number");
    page.click("#settings-fold > summary");
    page.until(&format!("{width} > {beside} + 300"));
    page.click("#settings-fold > summary");
    page.until(&format!("{width} === {beside}"));

    // Where the window becomes narrow, the chosen tab is still to be seen.
    page.click("#tab-8");
    page.resize(390, 844, false);
    page.until(
        "(() => {
            const [strip, tab] = ['tabs', 'tab-8'].map((id) => document.getElementById(id).getBoundingClientRect());
            return innerWidth === 390 && tab.left >= strip.left - 1 && tab.right <= strip.right + 1;
         })()",
    );
    console.program.stop();
}
