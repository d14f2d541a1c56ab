//! The page in a browser, as a person uses it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use serde_json::json;

use crate::browser::{Browser, Page};
use crate::common::peers::{Place, connect};
use crate::common::scratch::Scratch;
use crate::common::tools::have;
use crate::rig::Console;

fn open(browser: &Browser, console: &Console) -> Page {
    let mut page = browser.open(&format!("http://{}/", console.at));
    page.until("!document.getElementById('panel').hidden && document.getElementById('link').dataset.up === 'true'");
    page
}

fn value(page: &mut Page, id: &str) -> String {
    let value = page.eval(&format!("document.getElementById('field-{id}').value"));
    value.as_str().unwrap_or_default().to_owned()
}

/// Sets up the relay that is shown, and starts it.
fn start(page: &mut Page, src: SocketAddr, dst: SocketAddr) {
    page.fill("#field-src", &src.to_string());
    page.fill("#field-dst", &dst.to_string());
    page.click("#start");
}

#[test]
fn a_person_runs_relays() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let (mut place, out) = (Place::opened(), Place::new());
    let browser = Browser::start();
    let mut page = open(&browser, &console);
    page.fill("#field-name", "timing");
    start(&mut page, place.at, out.at);
    page.until_text("#state-word", "No clients");
    let mut upstream = place.accept();
    let feed = console.program.address_of("clients");
    let mut client = connect(feed);
    upstream.write_all(b"car 06\n").unwrap();
    page.until_text("#state-word", "Relaying");
    page.until_text("#facts", "7 B in, 7 B out");
    page.until_text("#clients-count", "1 client");
    page.until_text("#clients-scroll", &client.local_addr().unwrap().to_string());
    page.until_text("#log", "client 127.0.0.1");
    assert_eq!(
        page.eval("document.querySelector('#tabs [role=tab]').dataset.state"),
        "up"
    );
    assert!(page.text("#tabs").starts_with("timingRelaying"));

    the_dump_is_switched(&mut page, &mut upstream);
    the_next_tab_goes_on(&mut page, out.at);
    page.eval("document.querySelector('#tabs [role=tab]').click()");
    somebody_is_disconnected(&mut page, &mut client);
    stopping_asks(&mut page, feed);

    // Closing the last tab leaves a fresh one.
    page.click("#close");
    page.until("document.querySelectorAll('#tabs [role=tab]').length === 1");
    page.click("#close");
    page.until("document.getElementById('field-src').value === '127.0.0.1:9999'");
    assert_eq!(
        page.complaints
            .iter()
            .filter(|text| !text.contains("422"))
            .count(),
        0,
        "{:?}",
        page.complaints
    );
}

/// What flows is shown from the moment on when that is switched on, as text and as hex.
fn the_dump_is_switched(page: &mut Page, upstream: &mut TcpStream) {
    page.click("#feed-dump");
    page.click("#dump-switch");
    page.until_text("#dump-switch", "Dump is on");
    let feed_on = "car 11 Zo\u{eb} \u{1}\n";
    page.until("document.getElementById('field-dump').checked");
    // By the third change of the clock the page has asked where the stream is.
    page.eval(
        "new Promise((resolve) => {
            let changes = 0;
            const watch = new MutationObserver(() => (changes += 1) === 3 && resolve());
            watch.observe(document.getElementById('clock'), { childList: true, characterData: true, subtree: true });
        })",
    );
    upstream.write_all(feed_on.as_bytes()).unwrap();
    page.until_text("#dump", "car 11 Zo\u{eb} \\x01");
    page.eval("const s = document.getElementById('dump-form'); s.value = 'hex'; s.dispatchEvent(new Event('input'))");
    page.until_text("#dump", "63 61 72 20 31 31 20 5a  6f c3 ab 20 01 0a");
}

/// A new tab goes on where the one before ends; what is wrong with it stands beside the field.
fn the_next_tab_goes_on(page: &mut Page, out: SocketAddr) {
    page.click("#add");
    page.until("document.querySelectorAll('#tabs [role=tab]').length === 2");
    page.until(&format!(
        "document.getElementById('field-src').value === '{}'",
        out
    ));
    let next = SocketAddr::new(out.ip(), out.port() + 1);
    assert_eq!(value(page, "dst"), next.to_string());
    assert_eq!(value(page, "mode"), "connect-listen");
    assert_eq!(
        page.eval("document.getElementById('field-dump').checked"),
        true
    );

    // Mistakes stand beside their fields; so does a port that is taken.
    page.fill("#field-src", "nowhere");
    page.click("#start");
    page.until("document.getElementById('field-src-error').checkVisibility()");
    page.until("document.activeElement.id === 'field-src'");
    page.fill("#field-src", &out.to_string());
    page.fill("#field-dst", &out.to_string());
    page.until("!document.getElementById('field-src-error').checkVisibility()");
    page.click("#start");
    page.until_text("#field-dst-error", "port in use");
    page.until_text("#state-word", "Failed");
}

/// A client is disconnected, with a question before.
fn somebody_is_disconnected(page: &mut Page, client: &mut TcpStream) {
    page.click("#clients-scroll .row button");
    page.until_text("#ask-text", "It may connect again");
    page.click("#ask-yes");
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest);
    page.until_text("#clients-count", "0 clients");
}

/// Stop says who would feel it.
fn stopping_asks(page: &mut Page, feed: SocketAddr) {
    let _other = connect(feed);
    page.until_text("#clients-count", "1 client");
    page.until_text("#clients-now", "1");
    page.click("#stop");
    page.until_text(
        "#ask-text",
        "1 client is connected and will be disconnected",
    );
    page.click("#ask-no");
    page.until("!document.getElementById('ask').open");
    page.until_text("#state-word", "Relaying");
    page.click("#stop");
    page.click("#ask-yes");
    page.until_text("#state-word", "Stopped");
}

#[test]
fn a_question_goes_with_the_relay_that_it_is_about() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let place = Place::opened();
    console.does("relays", &json!({ "after": 1 }));
    for id in [1, 2] {
        let fields = json!({ "src": place.at.to_string(), "dst": "127.0.0.1:0" });
        console.does(&format!("relays/{id}"), &fields);
        console.does(&format!("relays/{id}/start"), &json!({}));
    }
    let browser = Browser::start();
    let mut page = open(&browser, &console);
    for button in ["#stop", "#close"] {
        page.click(button);
        page.until("document.getElementById('ask').open");
        console.does("relays/1/stop", &json!({}));
        page.until("!document.getElementById('ask').open");
        page.until_text("#toast", "Nothing was done");
        page.click("#start");
        page.until("!document.getElementById('stop').hidden");
    }
    page.click("#close");
    page.until("document.getElementById('ask').open");
    console.does("relays/1/remove", &json!({}));
    page.until("!document.getElementById('ask').open");
    page.until_text("#state-word", "No clients");
    let roles = console.roles();
    assert_eq!(
        (roles.len(), &roles[0]["running"]),
        (1, &json!(true)),
        "the other one goes on: {roles:?}"
    );
}

#[test]
fn a_closed_tab_gives_way_to_its_neighbour() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let place = Place::opened();
    for after in [1, 2, 3] {
        console.does("relays", &json!({ "after": after }));
    }
    let fields = json!({ "src": place.at.to_string(), "dst": "127.0.0.1:0" });
    console.does("relays/3", &fields);
    console.does("relays/3/start", &json!({}));
    let browser = Browser::start();
    let mut page = open(&browser, &console);
    page.click("#tab-3");
    page.click("#close");
    page.click("#ask-yes");
    page.until(
        "document.activeElement.id === 'tab-4' && document.activeElement.ariaSelected === 'true'",
    );
    page.click("#close");
    page.until(
        "document.activeElement.id === 'tab-2' && document.activeElement.ariaSelected === 'true'",
    );
}

#[test]
fn the_page_says_when_it_is_cut_off_and_returns_by_itself() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let browser = Browser::start();
    let mut page = open(&browser, &console);
    page.fill("#field-src", "127.0.0.1:1");
    page.fill("#field-name", "timing");
    page.until_text("#tabs", "timing");
    let at = console.at;
    console.program.stop();
    page.until("document.body.classList.contains('stale')");
    page.until_text("#lost", "No connection to hydrant. What you see is");
    let console = Console::start_with(&home, &format!("--bind {at}"));
    page.until(
        "!document.body.classList.contains('stale') && document.getElementById('lost').hidden",
    );
    page.until_text("#link", "live");
    assert_eq!(
        (
            value(&mut page, "src").as_str(),
            value(&mut page, "name").as_str()
        ),
        ("127.0.0.1:1", "timing")
    );
    drop(console);
}

/// A site elsewhere.
fn elsewhere() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\n<p>hi",
                );
            });
        }
    });
    at
}

#[test]
fn a_page_elsewhere_can_do_nothing() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://{}/", elsewhere()));
    page.until("document.body.textContent === 'hi'");
    let base = format!("http://{}", console.at);
    let attack = format!(
        "(async () => {{
            const base = {};
            const tried = [];
            const attempt = async (what, options) => {{
                try {{ const answer = await fetch(base + what, options); tried.push(answer.type + answer.status); }}
                catch {{ tried.push('failed'); }}
            }};
            await attempt('/api/v1/state', {{}});
            await attempt('/api/v1/state', {{ credentials: 'include' }});
            await attempt('/api/v1/relays', {{ method: 'POST', mode: 'no-cors', body: '{{}}' }});
            const headers = {{ 'Content-Type': 'application/json' }};
            await attempt('/api/v1/relays', {{ method: 'POST', headers, body: '{{}}' }});
            const image = new Image();
            image.src = base + '/icon.svg';
            tried.push(await new Promise((resolve) => {{
                image.onload = () => resolve('seen');
                image.onerror = () => resolve('failed');
            }}));
            const events = new EventSource(base + '/api/v1/events');
            tried.push(await new Promise((resolve) => {{
                events.onopen = () => resolve('open');
                events.onerror = () => resolve('failed');
            }}));
            events.close();
            const frame = document.createElement('iframe');
            frame.src = base + '/';
            await new Promise((resolve) => {{ frame.onload = resolve; document.body.append(frame); }});
            tried.push(frame.contentDocument === null ? 'foreign' : 'read');
            return tried;
        }})()",
        json!(base)
    );
    let tried = page.eval(&attack);
    assert_eq!(
        tried,
        json!([
            "failed", "failed", "failed", "failed", "failed", "failed", "foreign"
        ])
    );
    assert_eq!(console.roles().len(), 1, "nothing was done");
}

#[test]
fn hands_that_never_leave_the_keyboard_can_do_it_all() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let mut place = Place::opened();
    console.does(
        "relays/1",
        &json!({ "src": place.at.to_string(), "dst": "127.0.0.1:0" }),
    );
    console.does("relays", &json!({ "after": 1 }));
    let browser = Browser::start();
    let mut page = open(&browser, &console);
    let mut reached = Vec::new();
    for _ in 0..60 {
        page.key("Tab");
        let id = page.eval("document.activeElement.id");
        let id = id.as_str().unwrap_or_default().to_owned();
        if reached.contains(&id) && id == "add" {
            break;
        }
        reached.push(id);
    }
    for id in [
        "tab-1",
        "add",
        "start",
        "copy",
        "close",
        "field-name",
        "field-src",
        "field-dst",
        "field-mode",
        "field-retry",
        "field-dump",
        "clients-search",
        "feed-log",
        "log-filter",
    ] {
        assert!(
            reached.iter().any(|at| at == id),
            "{id} can't be reached: {reached:?}"
        );
    }
    page.eval("document.getElementById('tab-1').focus()");
    page.key("ArrowRight");
    page.until(
        "document.activeElement.id === 'tab-2' && document.activeElement.ariaSelected === 'true'",
    );
    page.key("ArrowRight");
    page.until("document.activeElement.id === 'tab-1'");
    page.eval("document.getElementById('start').focus()");
    page.key("Enter");
    place.accept();
    page.until("document.activeElement.id === 'stop'");
    page.key("Enter");
    page.until("document.getElementById('ask').open && document.activeElement.id === 'ask-no'");
    page.key("Escape");
    page.until("!document.getElementById('ask').open");
    page.until_text("#state-word", "No clients");
}

#[test]
fn the_wall_shows_the_worst_first_and_changes_nothing() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let place = Place::new();
    console.does("relays", &json!({ "after": 1 }));
    console.does(
        "relays/2",
        &json!({ "name": "broken", "src": place.at.to_string(), "dst": "127.0.0.1:0" }),
    );
    console.does("relays/2/start", &json!({}));
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://{}/wall", console.at));
    page.until("document.querySelectorAll('.board article').length === 2");
    page.until_text(".board article", "brokenNo upstream");
    page.until_text("#summary", "1 relay running, 1 not well");
    assert_eq!(
        page.eval("document.querySelectorAll('button:not(#login button)').length"),
        0
    );
    assert!(page.complaints.is_empty(), "{:?}", page.complaints);
}
