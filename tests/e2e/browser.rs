//! The page of the README in a browser: what the upstream sends is on the screen.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use hydrant::proto::http1::{Answer, HeadBuf, Request, Status};

use crate::common::DEADLINE;
use crate::common::hydrant::hydrant;
use crate::common::peers::Place;
use crate::common::scratch::Scratch;
use crate::common::secure::Office;
use crate::common::tools::{Tool, have};

/// The page, as the README shows it.
fn page() -> &'static str {
    let readme = include_str!("../../README.md");
    let page = readme
        .split("```html\n")
        .nth(1)
        .expect("the README has a page");
    page.split("```").next().expect("which ends")
}

/// What the page shows is reported to whoever served it, each time that it grows.
const REPORT: &str = "<script>
  const tell = () => fetch('/seen?' + encodeURIComponent(document.getElementById('feed').textContent));
  new MutationObserver(tell).observe(document.getElementById('feed'), { childList: true });
</script>";

/// Answers a browser: the page, and what it reports is passed on.
fn serve(mut stream: TcpStream, page: &str, seen: &mpsc::Sender<String>) {
    let mut head = HeadBuf::new();
    let mut bytes = [0; 2048];
    while !head.is_complete() {
        match stream.read(&mut bytes) {
            Ok(count @ 1..) => drop(head.feed(&bytes[..count])),
            _ => return, // browsers open connections that they may not need
        }
    }
    let Ok(request) = Request::parse(&head) else {
        return;
    };
    let (status, body) = match request.path {
        "/" => (Status::OK, page),
        "/seen" => {
            let _ = seen.send(request.query.unwrap_or_default().to_owned());
            (Status::OK, "")
        }
        _ => (Status::NOT_FOUND, ""),
    };
    let answer = Answer::new(status, body).bytes();
    let answer = String::from_utf8(answer).expect("it is text");
    let answer = answer.replace("text/plain", "text/html");
    // A browser that has just been closed reads nothing more.
    let _ = stream.write_all(answer.as_bytes());
}

#[test]
fn the_page_shows_the_feed() {
    if have("chromium") {
        shows_the_feed("ws", "");
    }
}

#[test]
fn the_page_shows_the_feed_by_tls() {
    if have("chromium") {
        let office = Office::new();
        // Browsers know no Ed25519.
        office.install(&office.authority.issue_p256(&["127.0.0.1"]));
        shows_the_feed("wss", &office.accepting());
    }
}

fn shows_the_feed(scheme: &str, flags: &str) {
    assert_eq!(page().lines().count(), 10);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().unwrap();
    let mut place = Place::opened();
    let line = format!(
        "{} {scheme}://127.0.0.1:0 --framing line --backlog 1K --origin http://{at} {flags}",
        place.at
    );
    let hydrant = hydrant(&line).start();
    let mut upstream = place.accept();
    upstream
        .write_all("car 06\ncar 11 Zoë\n".as_bytes())
        .unwrap();
    hydrant.report_until("in all 19 B in");
    let feed = hydrant.address_of("WebSocket clients");
    let page = page().replace("ws://127.0.0.1:6001", &format!("{scheme}://{feed}")) + REPORT;
    let (tell, seen) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (page, tell) = (page.clone(), tell.clone());
            thread::spawn(move || serve(stream, &page, &tell));
        }
    });
    let profile = Scratch::new();
    let browser = Tool::start(
        "chromium",
        &[
            "--headless",
            // Its own sandbox does not run as root; the page is ours.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            // It has no place for an issuer of ours.
            "--ignore-certificate-errors",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            &format!("--user-data-dir={}", profile.at("profile")),
            &format!("http://{at}/"),
        ],
    );
    let until = |expected: &str| {
        let mut last = String::new();
        while last != expected {
            last = seen
                .recv_timeout(DEADLINE)
                .unwrap_or_else(|_| panic!("the page never showed {expected:?}, last {last:?}"));
        }
    };
    until("car%2006%0Acar%2011%20Zo%C3%AB%0A");
    upstream.write_all(b"car 23\n").unwrap();
    until("car%2006%0Acar%2011%20Zo%C3%AB%0Acar%2023%0A");
    hydrant.signal("TERM");
    until("car%2006%0Acar%2011%20Zo%C3%AB%0Acar%2023%0A%0AThe%20feed%20is%20over.");
    drop(browser);
}
