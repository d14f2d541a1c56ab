//! The program on a terminal, which socat makes.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout};
use std::thread;

use crate::common::feed::{Ending, Feed, Taker};
use crate::common::hydrant::signal;
use crate::common::peers::{Place, connect};
use crate::common::tools::{Tool, have};
use crate::common::within;

/// A relay on a terminal, and what the terminal has been sent so far.
struct Screen {
    keys: ChildStdin,
    output: Option<ChildStdout>,
    text: String,
    socat: Tool,
    /// The relay's process, once it has said something.
    relay: Option<u32>,
}

impl Screen {
    fn start(line: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_hydrant");
        let exec = format!("EXEC:\"{program} {line}\",pty,ctty,setsid,stderr,echo=0");
        let mut socat = Tool::start("socat", &["STDIO", &exec]);
        Self {
            keys: socat.0.stdin.take().expect("a pipe"),
            output: socat.0.stdout.take(),
            text: String::new(),
            socat,
            relay: None,
        }
    }

    /// Waits until `part` has been sent, or for the end of all.
    #[track_caller]
    fn until(&mut self, part: &'static str) {
        let mut output = self.output.take().expect("the last call has put it back");
        let (output, text) = within(part, move || {
            let mut text = Vec::new();
            let mut byte = [0];
            // At the end of all, a terminal says that it has failed.
            while output.read(&mut byte).is_ok_and(|n| n > 0) {
                text.push(byte[0]);
                if !part.is_empty() && text.ends_with(part.as_bytes()) {
                    break;
                }
            }
            (output, text)
        });
        self.output = Some(output);
        self.text += &String::from_utf8_lossy(&text);
        assert!(
            self.text.contains(part),
            "{part:?} is not in {:?}",
            self.text
        );
    }

    /// Where clients connect.
    fn clients_at(&mut self) -> SocketAddr {
        self.until(" for clients");
        let id = self.socat.0.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        self.relay = children.ok().and_then(|ids| ids.trim().parse().ok());
        let at = self.text.rsplit("listening on ").next();
        let at = at.and_then(|rest| rest.split(' ').next());
        at.and_then(|at| at.parse().ok())
            .unwrap_or_else(|| panic!("no address in {:?}", self.text))
    }

    /// Closes the terminal, under whatever runs on it.
    fn hang_up(&mut self) {
        self.socat.0.kill().expect("socat runs");
    }

    /// The lines that can be read on it, as far as they are not drawn over.
    fn lines(&self) -> Vec<&str> {
        let lines = self.text.split("\r\n");
        lines
            .map(|line| line.rsplit("\r\u{1b}[K").next().unwrap_or_default())
            .collect()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A relay that should have ended with its terminal must not stay behind when it has not.
        if let Some(relay) = self.relay.filter(|_| thread::panicking()) {
            signal(relay, "KILL");
        }
    }
}

#[test]
fn stats_are_one_live_line_that_leaves_a_clean_screen() {
    if !have("socat") {
        return;
    }
    let mut place = Place::opened();
    let line = format!("{} 127.0.0.1:0 --stats --stats-interval 100ms", place.at);
    let mut screen = Screen::start(&line);
    let mut taker = Taker::new(connect(screen.clients_at()), 0);
    let mut upstream = place.accept();
    screen.until("| 1 client |");
    Feed::default().send(&mut upstream, 1000);
    taker.take(1000);
    for _ in 0..5 {
        screen.until("\r\u{1b}[Krelay UP ");
    }
    assert!(screen.lines().last().unwrap().starts_with("relay UP "));
    // What Ctrl-C sends.
    screen.keys.write_all(b"\x03").unwrap();
    assert_eq!(taker.take_rest(), Ending::Orderly);
    screen.until("stopped by SIGINT: 1 client drained, 0 cut; up ");
    screen.until("");
    let lines = screen.lines();
    assert!(
        lines.iter().all(|line| !line.contains("relay UP ")),
        "{lines:#?}"
    );
    let [.., last, end] = lines.as_slice() else {
        panic!("{lines:#?}");
    };
    assert!(
        last.contains("stopped by SIGINT") && end.is_empty(),
        "{lines:#?}"
    );
}

/// A terminal that is closed takes its programs with it.
#[test]
fn a_terminal_that_goes_away_stops_it() {
    if !have("socat") {
        return;
    }
    let mut place = Place::opened();
    let mut screen = Screen::start(&format!("{} 127.0.0.1:0", place.at));
    let mut taker = Taker::new(connect(screen.clients_at()), 0);
    let mut upstream = place.accept();
    screen.until("client ");
    screen.until(" (1 now)");
    Feed::default().send(&mut upstream, 1000);
    taker.take(1000);
    screen.hang_up();
    assert_eq!(taker.take_rest(), Ending::Orderly);
    let mut upstream = Taker::new(upstream, 0);
    assert_eq!(upstream.take_rest(), Ending::Orderly);
}
