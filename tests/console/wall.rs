//! The screen on the wall, and what it asks for besides the state.

use serde_json::json;

use crate::browser::Browser;
use crate::common::peers::Place;
use crate::common::scratch::Scratch;
use crate::common::tools::have;
use crate::form::until_told_again;
use crate::rig::Console;

/// The first requests for the past are refused, as by a hydrant that has its hands full. `asked` counts them all.
const REFUSING: &str = "
    window.asked = 0;
    const fetches = window.fetch;
    window.fetch = async (path, options) => {
        if (!path.endsWith('/history')) return fetches(path, options);
        window.asked += 1;
        return window.asked <= 2 ? new Response('{}', { status: 503 }) : fetches(path, options);
    };";

#[test]
fn what_was_before_is_asked_for_until_it_is_there() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let browser = Browser::start();
    for (path, shown) in [
        (
            "wall",
            "document.querySelectorAll('.board article').length === 1",
        ),
        ("", "!document.getElementById('panel').hidden"),
    ] {
        let mut page = browser.open("about:blank");
        page.call(
            "Page.addScriptToEvaluateOnNewDocument",
            &json!({ "source": REFUSING }),
        );
        page.goto(&format!("http://{}/{path}", console.at));
        page.until(shown);
        page.until("window.asked === 3");
        // It is there, and is not asked for again.
        until_told_again(&mut page);
        assert_eq!(page.eval("window.asked"), 3, "{path}");
    }
    console.program.stop();
}

/// Tiles that say little still say whose they are, to the end of the name.
#[test]
fn names_are_whole_however_many_there_are() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let rename = |id: u64| {
        let name = format!("the timing of the northern hall, camera {id}");
        console.does(&format!("relays/{id}"), &json!({ "name": name }));
    };
    rename(1);
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://{}/wall", console.at));
    page.resize(390, 844, false);
    page.until("document.getElementById('wall').dataset.kind === 'full'");
    for _ in 0..39 {
        let id = console.does("relays", &json!({ "after": 1 }))["id"].as_u64();
        rename(id.expect("an id"));
    }
    page.resize(1280, 800, false);
    page.until("document.querySelectorAll('.board article').length === 40");
    page.until("document.getElementById('wall').dataset.kind === 'tiny'");
    let names = "[...document.querySelectorAll('.board h2')]";
    page.until(&format!(
        "{names}.every((name) => name.textContent.includes('northern') && name.scrollWidth <= name.clientWidth)"
    ));
    // They have the tile's whole width, and the age stands below them.
    page.until(&format!(
        "{names}.every((name) => {{
            const box = (one) => one.getBoundingClientRect();
            const [own, age] = [box(name), box(name.closest('article').querySelector('.age'))];
            return own.right >= age.right && own.bottom <= age.top + 1;
         }})"
    ));
    console.program.stop();
}

/// Rows have as many tiles each as there are, and a tile that says little has room for what it says.
#[test]
fn tiles_stand_in_even_rows() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let nobody = Place::new();
    let away = json!({ "src": nobody.at.to_string(), "dst": "127.0.0.1:0" });
    console.does("relays/1", &away);
    console.does("relays/1/start", &json!({}));
    for _ in 0..5 {
        console.does("relays", &json!({ "after": 1 }));
    }
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://{}/wall", console.at));
    page.resize(1440, 900, false);
    page.until("document.querySelectorAll('.board article').length === 6");
    page.until(
        "(() => {
            const tops = [...document.querySelectorAll('.board article')].map((one) => one.offsetTop);
            const rows = tops.filter((top, index) => top !== tops[index - 1]).length;
            return rows === 2 && tops[2] === tops[0] && tops[3] === tops[5];
         })()",
    );
    for _ in 0..54 {
        console.does("relays", &json!({ "after": 1 }));
    }
    page.until("document.querySelectorAll('.board article').length === 60");
    page.until("document.getElementById('wall').dataset.kind === 'tiny'");
    page.until_text(".board article", "No upstream");
    page.until_text(".board article .age", "none");
    // One line, however high a line is.
    page.until(
        "(() => {
            const lines = document.createRange();
            lines.selectNodeContents(document.querySelector('.board .word'));
            return new Set([...lines.getClientRects()].map((one) => one.top)).size === 1;
         })()",
    );
    console.program.stop();
}
