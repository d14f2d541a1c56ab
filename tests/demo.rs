//! `hydrant demo` as a program, off a terminal: what it shows, and the ways in which it ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A program that runs, its lines as they come, and what it writes to stderr, which ends when it does.
struct Running {
    child: Child,
    lines: Receiver<String>,
    complaints: Receiver<String>,
    deadline: Instant,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hydrant"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut stderr = child.stderr.take().expect("it is piped");
        let (line, lines) = channel();
        thread::spawn(move || {
            // Who wants no more lines closes the pipe.
            let texts = stdout.split(b'\n').map_while(Result::ok);
            for text in texts.map(|text| String::from_utf8_lossy(&text).into_owned()) {
                if line.send(text).is_err() {
                    return;
                }
            }
        });
        let (complaint, complaints) = channel();
        thread::spawn(move || {
            let mut text = String::new();
            let read = stderr.read_to_string(&mut text);
            let _ = complaint.send(read.map_or_else(|error| error.to_string(), |_| text));
        });
        Self {
            child,
            lines,
            complaints,
            deadline: Instant::now() + DEADLINE,
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Its next line; `None` at the end.
    fn line(&self) -> Option<String> {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        match self.lines.recv_timeout(self.left()) {
            Ok(line) => Some(line),
            Err(Disconnected) => None,
            Err(Timeout) => panic!("no line and no end in {DEADLINE:?}"),
        }
    }

    /// Reads on to a line that has `part` in it, and returns it.
    fn line_with(&self, part: &str) -> String {
        let mut seen = Vec::new();
        while let Some(line) = self.line() {
            if line.contains(part) {
                return line;
            }
            seen.push(line);
        }
        panic!("no {part:?} in {seen:#?}");
    }

    fn rest(&self) -> Vec<String> {
        std::iter::from_fn(|| self.line()).collect()
    }

    fn interrupt(&self) {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-INT", &pid]).status();
        assert!(killed.expect("there is a kill").success());
    }

    /// Waits for the end. Returns how it ended, and what stood on stderr.
    fn end(&mut self) -> (ExitStatus, String) {
        let complaint = self.complaints.recv_timeout(self.left());
        let complaint = complaint.unwrap_or_else(|_| panic!("it goes on after {DEADLINE:?}"));
        (self.child.wait().expect("it is our child"), complaint)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, or a test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The demo itself takes ten seconds.
const DEADLINE: Duration = Duration::from_secs(60);

/// How many records a summary counts.
fn records(summary: &str) -> u64 {
    let (records, rest) = summary.split_once(' ').expect(summary);
    assert!(rest.starts_with("records, 0 lost; delay p50 "), "{summary}");
    records.parse().expect(summary)
}

/// HOST:PORT out of "  PROGRAM HOST:PORT -".
fn address(attach: &str) -> String {
    let words: Vec<_> = attach.split(' ').collect();
    let [.., address, "-"] = words.as_slice() else {
        panic!("{attach}");
    };
    (*address).to_owned()
}

#[test]
fn off_a_terminal_it_shows_everything_and_ends() {
    let mut demo = Running::start(&["demo"]);
    let lines = demo.rest();
    let (status, complaint) = demo.end();
    assert_eq!((status.code(), complaint.as_str()), (Some(0), ""));
    let place = |part: &str| {
        let place = lines.iter().position(|line| line.contains(part));
        place.unwrap_or_else(|| panic!("no {part:?} in {lines:#?}"))
    };
    assert_eq!(place("Ends after 10 s."), 0);
    let stalled = place("! a demo client stops reading");
    let dropped = place("! dropped (lagging) after ");
    assert!(place("car ") < stalled && stalled < dropped, "{lines:#?}");
    let shown = lines.iter().filter(|line| line.contains("   delay "));
    assert!((2..=10).contains(&shown.count()), "{lines:#?}");
    let [.., summary, hint] = lines.as_slice() else {
        panic!("{lines:#?}");
    };
    // Five a second for ten seconds, of which a busy machine may swallow some.
    assert!((10..=50).contains(&records(summary)), "{summary}");
    assert_eq!(hint, "Your own feed: hydrant HOST:PORT :6000");
}

#[test]
fn sigint_ends_it_early_with_the_summary() {
    let mut demo = Running::start(&["demo"]);
    demo.line_with("delay");
    demo.interrupt();
    let lines = demo.rest();
    let (status, complaint) = demo.end();
    assert_eq!((status.code(), complaint.as_str()), (Some(0), ""));
    let [.., summary, _] = lines.as_slice() else {
        panic!("{lines:#?}");
    };
    assert!((1..45).contains(&records(summary)), "{summary}");
}

#[test]
fn a_closed_stdout_ends_it_without_a_word() {
    let mut demo = Running::start(&["demo"]);
    demo.line_with("relay");
    demo.lines = channel().1;
    let (status, complaint) = demo.end();
    assert_eq!((status.code(), complaint.as_str()), (Some(0), ""));
}

#[test]
fn others_can_attach_wherever_it_listens() {
    // Taken by this, or by another test's demo.
    let _usual = TcpListener::bind("127.0.0.1:7070");
    let demo = Running::start(&["demo"]);
    // The page knows its relay's lines in the log for its tab's.
    let page = demo.line_with("console http://");
    let page = page
        .split(['/', ' '])
        .find(|part| part.contains(':') && !part.starts_with("http"));
    let page = page.expect("an address");
    let mut state = String::new();
    let mut stream = TcpStream::connect(page).expect("it listens");
    let ask = format!("GET /api/v1/state HTTP/1.1\r\nHost: {page}\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).expect("it reads");
    stream.read_to_string(&mut state).expect("it is text");
    assert!(state.contains(r#""label":"relay","#), "{state}");
    demo.line_with("Attach");
    let at = address(&demo.line().expect("a command line"));
    assert!(
        at.starts_with("127.0.0.1:") && !at.ends_with(":7070"),
        "{at}"
    );
    let guest = Running::start(&[&at, "-"]);
    guest.line_with("car ");
    let came = demo.line_with("+ you: 127.0.0.1:");
    assert!(came.ends_with(" (3 clients)"), "{came}");
    drop(guest);
    let left = demo.line_with("- 127.0.0.1:");
    assert!(left.contains(" left ("), "{left}");
    demo.interrupt();
    demo.line_with("records, 0 lost");
}
