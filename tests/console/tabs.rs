//! The tabs of what is no relay, in a browser: a hub, a tunnel and a relay of WebSockets out of a run file.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::aids::{axe, looks};
use crate::browser::{Browser, Page};
use crate::common::hydrant::{Hydrant, hydrant};
use crate::common::peers::{Place, connect, echo};
use crate::common::scratch::Scratch;
use crate::common::tools::have;
use crate::rig::Console;

/// One of each kind, and where some of them meet.
fn start(home: &Scratch) -> (Hydrant, [Place; 2]) {
    let (places, service) = ([Place::new(), Place::new()], echo());
    let [tunnel, ws] = places.each_ref().map(|place| place.at);
    let text = format!(
        r#"[console]
bind = "127.0.0.1:0"
[[hub]]
name = "scores"
listen = "127.0.0.1:0"
[[tunnel.serve]]
name = "public"
listen = "{tunnel}"
[[tunnel.expose]]
name = "web"
server = "{tunnel}"
target = "{service}"
retry = "20ms"
[[ws.relay]]
name = "meet"
listen = "{ws}"
[[ws.host]]
name = "game"
url = "ws://{ws}/host/game"
target = "{service}"
retry = "20ms"
[[ws.client]]
name = "play"
url = "ws://{ws}/client/game"
listen = "127.0.0.1:0"
retry = "20ms"
"#
    );
    fs::write(home.at("f.toml"), text).expect("the folder can be written");
    (hydrant("run").arg(home.at("f.toml")).start(), places)
}

/// Says so many bytes, and hears them again.
fn says(stream: &mut TcpStream, count: usize) {
    stream.write_all(&vec![b'x'; count]).expect("it reads");
    stream.read_exact(&mut vec![0; count]).expect("it answers");
}

/// A tab is opened. Nobody of the one before is left in its table, where they could be disconnected.
#[track_caller]
fn opens(page: &mut Page, tab: usize) {
    let left = page.eval(&format!(
        "(() => {{
            const tab = document.getElementById('tab-{tab}');
            if (tab.ariaSelected === 'true') return 0;
            tab.click();
            return document.querySelectorAll('#clients-scroll .sizer .row').length;
        }})()"
    ));
    assert_eq!(left, 0, "others are in the table of tab {tab}");
    page.until(&format!(
        "document.getElementById('tab-{tab}').ariaSelected === 'true'"
    ));
}

/// A tab is opened, and shows somebody so.
#[track_caller]
fn shows(page: &mut Page, tab: usize, peer: &str, parts: &[&str]) {
    opens(page, tab);
    let row = "[...document.querySelectorAll('#clients-scroll .row')]";
    let all = parts
        .iter()
        .map(|part| format!("row.innerText.includes('{part}')"));
    let all: Vec<String> = all.collect();
    page.until(&format!(
        "{row}.some((row) => row.innerText.includes('{peer}') && {})",
        all.join(" && ")
    ));
}

/// The one whose row has this is disconnected by the button in it.
#[track_caller]
fn disconnects(page: &mut Page, part: &str, gone: &mut TcpStream) {
    page.until(&format!(
        "(() => {{
            const rows = [...document.querySelectorAll('#clients-scroll .row')];
            const button = rows.find((row) => row.innerText.includes('{part}'))?.querySelector('button');
            button?.click();
            return button;
         }})()"
    ));
    page.until_text("#ask-text", "It may connect again");
    page.until(&format!(
        "[...document.querySelectorAll('#clients-scroll .row')].some((row) => row.innerText.includes('{part}')
             && document.getElementById('ask-text').textContent.startsWith(row.querySelector('.peer').title))"
    ));
    page.click("#ask-yes");
    assert!(matches!(gone.read(&mut [0]), Ok(0) | Err(_)));
    page.until(&format!(
        "[...document.querySelectorAll('#clients-scroll .row')].every((row) => !row.innerText.includes('{part}'))"
    ));
}

/// What flows changes each second, and a tab stays where it was: nobody is to hit the one beside it. However many there
/// are, what makes another one keeps its size.
#[test]
fn tabs_stay_where_they_are() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://{}/", console.at));
    page.resize(1280, 800, false);
    page.until_text("#tab-1 .word", "Stopped");
    let width = "document.getElementById('tab-1').offsetWidth";
    let narrow = page.eval(width);
    // At once, since the page writes another word each second.
    let long = "document.querySelector('#tab-1 .word').textContent = 'Relaying, 999 KiB/s and more than has room'";
    assert_eq!(page.eval(&format!("({long}, {width})")), narrow);
    let add = "document.getElementById('add').offsetWidth";
    let broad = page.eval(add);
    for _ in 1..20 {
        console.does("relays", &json!({ "after": 1 }));
    }
    page.until("document.querySelectorAll('#tabs [role=tab]').length === 20");
    page.until(
        "document.getElementById('tabs').scrollWidth > document.getElementById('tabs').clientWidth",
    );
    assert_eq!(page.eval(add), broad);
    console.program.stop();
}

/// From tab to tab, and to the question about somebody and back, without a mouse.
fn by_keyboard(page: &mut Page) {
    page.eval("document.getElementById('tab-1').focus()");
    page.key("End");
    page.until(
        "document.activeElement.id === 'tab-6' && document.activeElement.ariaSelected === 'true'",
    );
    page.key("Home");
    page.until(
        "document.activeElement.id === 'tab-1' && document.activeElement.ariaSelected === 'true'",
    );
    page.until("document.querySelectorAll('#clients-scroll .row').length === 2");
    page.eval("document.getElementById('clients-search').focus()");
    let mut left = 12;
    while page.eval("document.activeElement.title") != "Disconnect this client" {
        assert!(left > 0, "nobody can be disconnected by the keyboard");
        page.key("Tab");
        left -= 1;
    }
    page.eval("window.from = document.activeElement");
    page.key("Enter");
    page.until("document.getElementById('ask').open && document.activeElement.id === 'ask-no'");
    page.key("Escape");
    page.until("!document.getElementById('ask').open && document.activeElement === window.from");
}

#[test]
fn who_is_connected_is_seen_and_disconnected() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let (hydrant, _places) = start(&home);
    let browsers = hydrant.address_by("console", "browsers");
    let hub = hydrant.address_by("hub[scores]", "clients");
    let public = hydrant.address_by("tunnel[public]", "clients of web");
    let play = hydrant.address_by("ws client[play]", "programs");
    hydrant.wait_logs(&["ws client[play]: ", "connected"]);
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://{browsers}/"));
    page.until("!document.getElementById('panel').hidden");

    // The hub: names, and what each has sent and got.
    let (mut timing, mut tv) = (connect(hub), connect(hub));
    tv.write_all(b"tv-graphics|tv-graphics|2|me")
        .expect("it reads");
    tv.read_exact(&mut [0; 2]).expect("it has its name");
    write!(timing, "timing|tv-graphics|3072|{}", "x".repeat(3072)).expect("it reads");
    tv.read_exact(&mut [0; 3072]).expect("it answers");
    shows(&mut page, 1, "tv-graphics", &["3.0 KiB"]);
    shows(&mut page, 1, "timing", &["3.0 KiB"]);
    assert_eq!(
        page.text("#clients-head"),
        "AddressName or portSentReceived ▾ForActions"
    );
    for hidden in ["settings", "feed-tabs", "close", "add", "lag-tile"] {
        let is_hidden = format!("document.getElementById('{hidden}').hidden");
        assert_eq!(page.eval(&is_hidden), true, "{hidden}");
    }
    let facts = page.text("#facts");
    assert!(facts.contains(&format!("{hub} (clients)")), "{facts}");
    assert_eq!(page.text("#state .who").trim(), "scores hub");
    assert_eq!(
        page.eval("document.getElementById('tab-2').title"),
        "public (tunnel server): Running"
    );
    let log = page.text("#log");
    assert!(!log.contains("ws client"), "lines of others: {log}");
    page.click("#clients-head .label button");
    page.until("document.querySelector('#clients-scroll .row').innerText.includes('timing')");
    page.until("document.querySelectorAll('#clients-scroll .row').length === 2");
    by_keyboard(&mut page);
    disconnects(&mut page, "timing", &mut timing);
    page.until_text("#clients-count", "1 client");

    // The tunnel, at both its ends: under what name they came.
    let (mut one, mut other) = (connect(public), connect(public));
    let who = one.local_addr().expect("it is connected").to_string();
    says(&mut one, 5120);
    says(&mut other, 1);
    shows(&mut page, 2, &who, &["web", "5.0 KiB"]);
    page.until_text("#state-word", "Running");
    says(&mut one, 1024);
    // The bytes are live.
    shows(&mut page, 2, &who, &["6.0 KiB"]);
    shows(&mut page, 3, &who, &["6.0 KiB"]);
    page.until_text("#state-word", "Connected");
    page.until_text("#facts", "6.0 KiB in, 6.0 KiB out");
    page.until_text("#log", "public at");
    shows(&mut page, 2, &who, &["6.0 KiB"]);
    disconnects(&mut page, &who, &mut one);
    says(&mut other, 1);

    // WebSockets: the host and the connections at the relay, and the program at the client's end.
    let mut program = connect(play);
    let who = program.local_addr().expect("it is connected").to_string();
    says(&mut program, 2048);
    shows(&mut page, 6, &who, &["2.0 KiB"]);
    page.until_text("#log", "listening on");
    assert!(
        !page.text("#log").contains("ws "),
        "lines of others, or no own"
    );
    page.until_text("#state-word", "Connected");
    // The host knows the client's WebSocket, which the relay has named to it.
    let line = hydrant.wait_log("client game (");
    let client = line.split(['(', ')']).nth(1);
    shows(&mut page, 5, client.expect("it is named"), &["2.0 KiB"]);
    shows(&mut page, 4, "game, host", &["2.0 KiB"]);
    shows(&mut page, 4, "game, client", &["2.0 KiB"]);
    disconnects(&mut page, "game, client", &mut program);
    let mut program = connect(play);
    says(&mut program, 1);
    let who = program.local_addr().expect("it is connected").to_string();
    shows(&mut page, 6, &who, &["1 B"]);
    disconnects(&mut page, &who, &mut program);
    if let Some(axe) = axe() {
        for (tab, what) in [(1, "a hub"), (2, "a tunnel"), (4, "a relay of WebSockets")] {
            opens(&mut page, tab);
            page.until("document.querySelectorAll('#clients-scroll .row').length >= 1");
            looks(&mut page, &axe, what);
        }
        page.eval("document.querySelector('#clients-scroll .row button').click()");
        page.until("document.getElementById('ask').open");
        looks(&mut page, &axe, "a question about somebody");
        page.click("#ask-no");
    }
    page.goto(&format!("http://{browsers}/wall"));
    page.until("document.querySelectorAll('.board article').length === 6");
    page.until_text("#summary", "6 running, all well");
    page.complains_only_of(&[]);
    hydrant.stop();
}
