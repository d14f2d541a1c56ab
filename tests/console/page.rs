//! The page in a browser, as a person uses it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::browser::{Browser, CLOSED, CUT_OFF, ENDING, Page, UNKNOWN, WRONG};
use crate::common::DEADLINE;
use crate::common::peers::{Place, connect};
use crate::common::scratch::Scratch;
use crate::common::tools::have;
use crate::rig::{Console, keep};

pub(crate) fn open(browser: &Browser, console: &Console) -> Page {
    let mut page = browser.open(&format!("http://{}/", console.at));
    page.until("!document.getElementById('panel').hidden && document.getElementById('link').dataset.up === 'true'");
    page
}

fn value(page: &mut Page, id: &str) -> String {
    let value = page.eval(&format!("document.getElementById('field-{id}').value"));
    value.as_str().unwrap_or_default().to_owned()
}

/// Keeps what is announced, as somebody hears it who does not see the page.
const HEARS: &str = "
    window.aloud = [];
    for (const one of document.querySelectorAll('[role=alert], [role=status]')) {
        const said = () => one.textContent && window.aloud.push(one.textContent);
        new MutationObserver(said).observe(one, { childList: true, characterData: true, subtree: true });
    }";

/// What is announced is announced once: while a connection is lost, the age of what is shown counts on in silence.
fn is_quiet(page: &mut Page) {
    page.eval(
        "window.announced = 0;
         for (const one of document.querySelectorAll('[role=alert], [role=status]')) {
            const all = { childList: true, characterData: true, subtree: true };
            new MutationObserver(() => (window.announced += 1)).observe(one, all);
         }
         window.first = document.getElementById('lost').textContent",
    );
    page.until("document.getElementById('lost').textContent !== window.first");
    assert_eq!(page.eval("window.announced"), 0);
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
    let mut place = Place::opened();
    // The next tab takes the next port, of which there has to be one.
    let out = std::iter::repeat_with(Place::new).find(|out| out.at.port() < u16::MAX);
    let out = out.expect("one in a few has another port behind it");
    let browser = Browser::start();
    let mut page = open(&browser, &console);
    page.fill("#field-name", "timing");
    start(&mut page, place.at, out.at);
    page.until_text("#state-word", "No clients");
    // Where short notices are announced there is a place for them before the first one.
    assert_eq!(
        page.eval("getComputedStyle(document.getElementById('toast')).display !== 'none'"),
        true
    );
    let mut upstream = place.accept();
    let feed = console.program.address_of("clients");
    let mut client = connect(feed);
    console.program.wait_logs(&["client", "connected"]);
    upstream.write_all(b"car 06\n").unwrap();
    page.until_text("#facts", "7 B in, 7 B out");
    page.until_text("#clients-count", "1 client");
    page.until_text("#clients-scroll", &client.local_addr().unwrap().to_string());
    page.until_text("#log", "client 127.0.0.1");
    let state = "document.querySelector('#tabs [role=tab]').dataset.state === 'up'";
    let words = "document.getElementById('tabs').textContent.startsWith('timingRelaying')";
    until_as_it_flows(&mut page, &mut upstream, &format!("{state} && {words}"));

    the_dump_is_switched(&mut page, &mut upstream);
    the_next_tab_goes_on(&mut page, out.at);
    page.eval("document.querySelector('#tabs [role=tab]').click()");
    somebody_is_disconnected(&mut page, &mut client);
    stopping_asks(&mut page, feed, &mut upstream);

    // Closing the last tab leaves a fresh one.
    page.click("#close");
    page.until("document.querySelectorAll('#tabs [role=tab]').length === 1");
    page.click("#close");
    page.until("document.getElementById('field-src').value === '127.0.0.1:9999'");
    page.complains_only_of(&[WRONG, CLOSED]);
}

/// Waits until something is so while bytes flow. An upstream from which nothing comes for a while is silent.
#[track_caller]
fn until_as_it_flows(page: &mut Page, upstream: &mut TcpStream, is_so: &str) {
    let end = Instant::now() + DEADLINE;
    while page.eval(is_so) != true {
        assert!(Instant::now() < end, "never: {is_so}");
        upstream
            .write_all("car 11 Zo\u{eb} \u{1}\n".as_bytes())
            .unwrap();
        page.eval("new Promise((resolve) => requestAnimationFrame(resolve))");
    }
}

/// What flows is shown from the moment on when that is switched on, as text and as hex.
fn the_dump_is_switched(page: &mut Page, upstream: &mut TcpStream) {
    page.click("#feed-dump");
    page.until_text("#dump", "The dump is off");
    page.click("#dump-switch");
    page.until_text("#dump-switch", "Dump is on");
    page.until("!document.getElementById('dump').textContent.includes('The dump is off')");
    page.until("document.getElementById('field-dump').checked");
    // The dump begins at the newest once the page has asked for it: what comes later is in it.
    let shows = "document.getElementById('dump').textContent.includes('car 11')";
    until_as_it_flows(page, upstream, shows);
    page.until_text("#dump", "car 11 Zo\u{eb} \\x01");
    page.eval("const s = document.getElementById('dump-form'); s.value = 'hex'; s.dispatchEvent(new Event('input'))");
    page.until_text("#dump", "63 61 72 20 31 31 20 5a  6f c3 ab 20 01 0a");
    // On a phone half as much stands in a row, which is not broken.
    page.resize(390, 844, true);
    page.eval("document.getElementById('dump-form').dispatchEvent(new Event('input'))");
    page.until_text("#dump", "63 61 72 20 31 31 20 5a  |car 11 Z|");
    page.until(
        "(() => {
            const dump = document.getElementById('dump');
            const { lineHeight } = getComputedStyle(dump);
            const range = document.createRange();
            range.selectNodeContents(dump);
            const rows = dump.textContent.split('\\n').length;
            return range.getBoundingClientRect().height <= parseFloat(lineHeight) * rows + 2;
         })()",
    );
    page.call("Emulation.clearDeviceMetricsOverride", &json!({}));
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
    page.eval(HEARS);
    page.fill("#field-src", "nowhere");
    page.click("#start");
    page.until("document.getElementById('field-src-error').checkVisibility()");
    page.until("document.activeElement.id === 'field-src'");
    page.fill("#field-src", "127.0.0.1:1");
    page.fill("#field-dst", &out.to_string());
    page.until("!document.getElementById('field-src-error').checkVisibility()");
    page.click("#start");
    page.until_text("#field-dst-error", "port in use");
    page.until_text("#state-word", "Failed");
    let name = page.text("#tabs [aria-selected=true] .name");
    page.until(&format!(
        "window.aloud.some((text) => text.includes('{name}: Failed'))"
    ));

    // From wherever one is, what is not well is a key away.
    page.click("#tab-1");
    page.until("document.getElementById('tab-1').ariaSelected === 'true'");
    page.until_text("#unwell", "not well");
    page.click("#unwell");
    page.until_text("#state-word", "Failed");
}

/// A client is disconnected, with a question before.
fn somebody_is_disconnected(page: &mut Page, client: &mut TcpStream) {
    page.click("#clients-scroll .row button");
    page.until_text("#ask-text", "It may connect again");
    page.click("#ask-no");
    page.eval("document.querySelector('#clients-scroll .row button').focus()");
    page.key("Enter");
    page.until("document.getElementById('ask').open");
    page.click("#ask-yes");
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest);
    page.until_text("#clients-count", "0 clients");
    // The button has gone with its row: who goes on by keys goes on from the table.
    page.until("document.activeElement.id === 'clients-scroll'");
}

/// Stop says who would feel it.
fn stopping_asks(page: &mut Page, feed: SocketAddr, upstream: &mut TcpStream) {
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
    let relays = "document.getElementById('state-word').textContent.includes('Relaying')";
    until_as_it_flows(page, upstream, relays);
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
        // What is said is not said for ever.
        page.until_text("#toast", "Nothing was done");
        page.until("!document.getElementById('ask').open");
        page.click("#start");
        page.until("!document.getElementById('stop').hidden");
    }
    // Where Stop was there is Start now, and no key that was meant for the one goes to the other.
    page.eval("document.getElementById('stop').focus()");
    console.does("relays/1/stop", &json!({}));
    page.until("document.activeElement.id === 'tab-1'");
    page.click("#start");
    page.until("!document.getElementById('stop').hidden");
    page.click("#close");
    page.until("document.getElementById('ask').open");
    console.does("relays/1/remove", &json!({}));
    page.until("!document.getElementById('ask').open");
    page.until("document.getElementById('tab-2').ariaSelected === 'true'");
    page.until("!document.getElementById('stop').hidden");
    let roles = console.roles();
    assert_eq!(
        (roles.len(), &roles[0]["running"]),
        (1, &json!(true)),
        "the other one goes on: {roles:?}"
    );
    page.complains_only_of(&[CLOSED]);
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
    page.complains_only_of(&[CLOSED]);
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
    page.eval(HEARS);
    console.program.stop();
    page.until("document.body.classList.contains('stale')");
    page.until_text("#lost", "No connection to hydrant. What you see is");
    assert_eq!(
        page.eval("window.aloud"),
        json!(["No connection to hydrant."])
    );
    is_quiet(&mut page);
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
    page.complains_only_of(&[CUT_OFF, ENDING]);
    drop(console);
}

#[test]
fn what_is_typed_is_not_lost() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    for name in ["first", "second"] {
        console.does("relays", &json!({ "after": 1 }));
        let id = console.roles().len();
        console.does(&format!("relays/{id}"), &json!({ "name": name }));
    }
    console.does("relays/1/remove", &json!({}));
    let browser = Browser::start();
    let mut page = open(&browser, &console);
    page.click("#tab-3");
    // One relay's answer is late, and by then the same field of another one has been typed into.
    page.eval(
        "window.held = new Promise((resolve) => (window.release = resolve));
         const real = window.fetch;
         window.fetch = async (path, options) => {
           if (path.endsWith('relays/3')) await window.held;
           return real(path, options);
         }",
    );
    page.fill("#field-src", "127.0.0.1:3");
    page.click("#tab-2");
    page.fill("#field-src", "127.0.0.1:2");
    page.eval("window.release()");
    for (id, src) in [(2, "127.0.0.1:2"), (3, "127.0.0.1:3")] {
        console.role_until(id, "saved", |role| role["fields"]["src"] == src);
    }
    assert_eq!(value(&mut page, "src"), "127.0.0.1:2");

    // Hydrant goes and comes back, where the same relays have other ids.
    let at = console.at;
    console.program.stop();
    page.until("document.body.classList.contains('stale')");
    page.fill("#field-src", "127.0.0.1:4");
    page.click("#tab-3");
    page.fill("#field-src", "127.0.0.1:5");
    let console = Console::start_with(&home, &format!("--bind {at}"));
    console.role_until(1, "saved", |role| {
        role["name"] == "first" && role["fields"]["src"] == "127.0.0.1:4"
    });
    console.role_until(2, "saved", |role| {
        role["name"] == "second" && role["fields"]["src"] == "127.0.0.1:5"
    });
    page.until("document.getElementById('field-name').value === 'second'");
    assert_eq!(value(&mut page, "src"), "127.0.0.1:5");
    a_dead_request_is_given_up(&mut page, &console);
    // What was meant for relays of the run before is refused.
    page.complains_only_of(&[CUT_OFF, ENDING, CLOSED, "status of 412"]);
}

/// A request that is never answered holds up the ones behind it only until its time is over.
fn a_dead_request_is_given_up(page: &mut Page, console: &Console) {
    page.eval(
        "AbortSignal.timeout = (ms) => {
            const time = new AbortController();
            time.signal.over = () => time.abort(new DOMException(`${ms} ms`, 'TimeoutError'));
            return time.signal;
         };
         window.whole = window.fetch;
         window.fetch = (path, options) =>
            path.endsWith('relays/2')
                ? new Promise((_, reject) => {
                    window.over = options.signal?.over;
                    options.signal?.addEventListener('abort', () => reject(options.signal.reason));
                  })
                : window.whole(path, options);
         0",
    );
    page.fill("#field-src", "127.0.0.1:6");
    page.until("window.over");
    page.click("#start");
    page.eval("window.dead = window.over; window.over = null; window.dead()");
    // What was typed is sent again, and that is given up too.
    page.until("window.over");
    page.eval("window.over()");
    page.until_text("#toast", "Not started");
    page.eval("window.fetch = window.whole; window.over()");
    console.role_until(2, "saved", |role| role["fields"]["src"] == "127.0.0.1:6");
}

/// Each of several destinations has a field for its own `slow`, and what a command line can't say of that is said.
#[test]
fn an_output_has_a_policy_of_its_own() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let browser = Browser::start();
    let mut page = open(&browser, &console);
    page.fill("#field-src", "127.0.0.1:1");
    page.fill("#field-dst", "127.0.0.1:2 127.0.0.1:0");
    let chosen = |page: &mut Page, value: &str| {
        page.until("document.getElementById('outputs').checkVisibility()");
        page.eval(&format!(
            "(() => {{
                const field = document.getElementById('field-output-1');
                field.value = '{value}';
                field.dispatchEvent(new Event('change'));
            }})()"
        ));
    };
    chosen(&mut page, "skip");
    page.until_text("#unsaid", "leaves out: slow of 127.0.0.1:0 = skip.");
    page.until("document.getElementById('unsaid').checkVisibility()");
    assert_eq!(
        page.text("label[for=field-output-1]"),
        "--slow of 127.0.0.1:0"
    );
    let role = &console.roles()[0];
    assert_eq!(role["fields"]["slow of 127.0.0.1:0"], json!("skip"));
    assert_eq!(
        role["command"],
        json!("hydrant 127.0.0.1:1 127.0.0.1:2 127.0.0.1:0")
    );
    chosen(&mut page, "");
    page.until("!document.getElementById('unsaid').checkVisibility()");
    page.fill("#field-dst", "127.0.0.1:0");
    page.until("!document.getElementById('outputs').checkVisibility()");
    // What is wrong with one is beside its field; and there is none for a destination that is not there.
    let both = "127.0.0.1:2 127.0.0.1:0";
    page.fill("#field-dst", both);
    console.role_until(1, "saved", |role| role["fields"]["dst"] == both);
    let wrong = json!({ "slow of 127.0.0.1:0": "never", "slow of :9": "skip" });
    let answer = console.post("/api/v1/relays/1", &wrong).json();
    assert!(answer["errors"]["slow of :9"].is_string(), "{answer}");
    page.until("document.getElementById('field-output-1-error').textContent.includes('never')");
    page.complains_only_of(&[]);
    console.program.stop();
}

/// A console that asks for a token, and knows another one for the wall.
fn guarded(home: &Scratch) -> Console {
    keep(home, "token", "right-and-long-enough");
    keep(home, "wall", "look-only-and-no-more");
    let (token, wall) = (home.at("token"), home.at("wall"));
    let files = format!("--token-file {token} --view-token-file {wall}");
    Console::placed(home, &files)
}

/// One that asks for a token, and a page of it.
fn at_the_door(home: &Scratch) -> (Console, Browser, Page) {
    let console = guarded(home);
    let browser = Browser::start();
    let page = browser.open(&format!("http://{}/", console.at));
    (console, browser, page)
}

fn log_in(page: &mut Page, token: &str) {
    page.until("document.activeElement.id === 'token'");
    page.fill("#token", token);
    page.click("#login-form button");
}

#[test]
fn a_token_opens_the_page_until_it_is_given_back() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let (console, _browser, mut page) = at_the_door(&home);
    log_in(&mut page, "wrong-and-long-enough");
    page.until_text("#login-error", "That is not the token");
    log_in(&mut page, "right-and-long-enough");
    page.until("!document.getElementById('panel').hidden");
    assert_eq!(page.eval("document.getElementById('login').hidden"), true);
    assert_eq!(page.eval("document.cookie"), "", "no script reads it");
    // The page of before may ask for a token, too, for as long as it takes to load anew.
    page.eval("window.isOfBefore = true");
    page.click("#logout");
    page.until("!window.isOfBefore && document.activeElement.id === 'token'");
    assert_eq!(page.eval("document.getElementById('panel').hidden"), true);

    // A token that is another by now is asked for again, and again, without taking the keys from whoever types.
    log_in(&mut page, "right-and-long-enough");
    page.until("!document.getElementById('panel').hidden");
    let at = console.at;
    console.program.stop();
    keep(&home, "token", "another-and-long-enough");
    let console = Console::start_with(
        &home,
        &format!("--bind {at} --token-file {}", home.at("token")),
    );
    page.until("document.activeElement.id === 'token'");
    // Whoever has to say who they are is not cut off.
    let said = "[document.getElementById('link').textContent, document.getElementById('lost').checkVisibility()]";
    assert_eq!(page.eval(said), json!(["", false]));
    page.eval(
        "document.querySelector('#login-form button').focus();
         window.refused = 0;
         const real = window.fetch;
         window.fetch = async (...asked) => {
           const answer = await real(...asked);
           window.refused += answer.status === 401;
           return answer;
         }",
    );
    page.until("window.refused >= 2");
    assert_eq!(page.eval("document.activeElement.textContent"), "Enter");
    page.eval("document.getElementById('token').focus()");
    log_in(&mut page, "another-and-long-enough");
    page.until(
        "!document.getElementById('panel').hidden && document.getElementById('login').hidden",
    );
    page.complains_only_of(&[UNKNOWN, CUT_OFF, ENDING]);
    drop(console);
}

#[test]
fn who_may_only_look_gets_the_wall_and_no_more() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let (console, _browser, mut page) = at_the_door(&home);
    log_in(&mut page, "look-only-and-no-more");
    page.until(
        "location.pathname === '/wall' && document.querySelectorAll('.board article').length === 1",
    );
    let tried = page.eval(
        "Promise.all(['options', 'relays/1/clients'].map(async (path) => (await fetch(`/api/v1/${path}`)).status))",
    );
    assert_eq!(tried, json!([403, 403]));

    // The wall says so when it is cut off, and goes on by itself.
    let at = console.at;
    console.program.stop();
    page.until_text("#lost", "No connection to hydrant. What you see is");
    page.until("document.body.classList.contains('stale')");
    is_quiet(&mut page);
    let files = (home.at("token"), home.at("wall"));
    let console = Console::start_with(
        &home,
        &format!(
            "--bind {at} --token-file {} --view-token-file {}",
            files.0, files.1
        ),
    );
    page.until(
        "!document.body.classList.contains('stale') && document.getElementById('lost').hidden",
    );
    page.until_text("#link", "live");
    a_page_that_may_only_look_by_now_gives_way(&mut page, &console);
}

/// Another page of the same browser has logged in with the token of those who may only look, whose cookie this one has
/// from then on.
fn a_page_that_may_only_look_by_now_gives_way(page: &mut Page, console: &Console) {
    let exchange = |page: &mut Page, token: &str| {
        page.eval(&format!(
            "fetch('/api/v1/login', {{
                method: 'POST',
                headers: {{ 'Content-Type': 'application/json' }},
                body: JSON.stringify({{ token: '{token}' }}),
             }}).then(({{ status }}) => {{ if (status !== 200) throw status; }})"
        ));
    };
    exchange(page, "right-and-long-enough");
    page.goto(&format!("http://{}/", console.at));
    page.until("document.getElementById('panel')?.hidden === false");
    page.click("#add");
    page.until("document.querySelectorAll('#tabs [role=tab]').length === 2");
    page.until("document.getElementById('tab-2').ariaSelected === 'true'");
    exchange(page, "look-only-and-no-more");
    page.click("#tab-1");
    page.until("location.pathname === '/wall'");
    page.until("document.querySelectorAll('.board article').length === 2");
    page.complains_only_of(&[UNKNOWN, CUT_OFF, ENDING, "status of 403"]);
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
    page.complains_only_of(&[]);
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
    console.does("relays", &json!({ "after": 1 }));
    let taken = json!({ "name": "failed", "src": "127.0.0.1:1", "dst": console.at.to_string() });
    console.does("relays/3", &taken);
    let failed = console.post("/api/v1/relays/3/start", &json!({}));
    assert_eq!(failed.status, 422);
    let browser = Browser::start();
    let mut page = browser.open("about:blank");
    let kept = "window.EventSource = class extends EventSource {
        constructor(url) { super(url); window.stream ??= this; }
    }";
    page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        &json!({ "source": kept }),
    );
    page.goto(&format!("http://{}/wall", console.at));
    page.until("document.querySelectorAll('.board article').length === 3");
    page.until_text(".board article", "failedFailed");
    page.until_text(".board article + article", "brokenNo upstream");
    page.until_text(
        ".board article + article .why",
        "refused the connection. Next attempt in",
    );
    page.until_text("#summary", "1 relay running, 2 not well");
    assert_eq!(
        page.eval(
            "[...document.querySelectorAll('button')].filter((one) => one.checkVisibility()).length"
        ),
        0
    );
    each_has_its_place(&mut page);
    all_have_room(&mut page, &console);
    page.complains_only_of(&[]);
}

/// Those that are well don't change places with every byte that comes.
fn each_has_its_place(page: &mut Page) {
    page.eval(
        "window.told = new Promise((resolve) => {
            const listening = new EventSource('/api/v1/events?wall=1');
            listening.addEventListener('state', ({ data }) => {
                listening.close();
                resolve(JSON.parse(data));
            });
         })",
    );
    for ages in [[0.1, 0.9], [0.9, 0.1]] {
        let names = page.eval(&format!(
            "window.told.then((state) => {{
                const ages = {ages:?};
                for (const one of state.roles.slice(0, 2)) {{
                    Object.assign(one, {{ state: 'up', running: true, upstream: {{ last_byte: ages.pop() }} }});
                }}
                window.stream.dispatchEvent(new MessageEvent('state', {{ data: JSON.stringify(state) }}));
                return [...document.querySelectorAll('.board h2')].map((name) => name.textContent);
             }})"
        ));
        assert_eq!(names, json!(["failed", "broken", "relay 1"]));
    }
}

/// Nobody scrolls a screen on the wall: many tiles say less each, and what has no room even so is counted.
fn all_have_room(page: &mut Page, console: &Console) {
    page.resize(1920, 1080, false);
    page.until("innerHeight === 1080");
    for _ in 0..27 {
        console.does("relays", &json!({ "after": 1 }));
    }
    page.until("document.querySelectorAll('.board article').length === 30");
    page.until("document.documentElement.scrollHeight <= innerHeight");
    assert_eq!(page.text("#below"), "");
    page.resize(1000, 200, false);
    page.until_text("#below", "below the edge (all well)");
    page.resize(390, 844, false);
    page.until("document.getElementById('wall').dataset.kind === 'dense'");
    page.until("document.getElementById('below').textContent === ''");
}
