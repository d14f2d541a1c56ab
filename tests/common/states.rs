//! What is pushed to a page that is open.

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use super::DEADLINE;
use super::peers::connect;

/// Tells of each new state of a console.
pub(crate) struct States(Lines<BufReader<TcpStream>>);

impl States {
    pub(crate) fn of(console: SocketAddr) -> Self {
        let mut stream = connect(console);
        let ask = format!("GET /api/v1/events HTTP/1.1\r\nHost: {console}\r\n\r\n");
        stream.write_all(ask.as_bytes()).expect("it reads");
        Self(BufReader::new(stream).lines())
    }

    /// Waits for the next one.
    #[track_caller]
    fn wait(&mut self) {
        while self.0.next().expect("it goes on").expect("it is read") != "event: state" {}
    }

    /// What `look` finds, which it looks for at each new state. `look` says what there is instead.
    #[track_caller]
    pub(crate) fn until<T>(
        console: SocketAddr,
        what: &str,
        mut look: impl FnMut() -> Result<T, String>,
    ) -> T {
        let end = Instant::now() + DEADLINE;
        let mut states = None;
        loop {
            match look() {
                Ok(found) => return found,
                Err(there) => assert!(Instant::now() < end, "never {what}: {there}"),
            }
            states.get_or_insert_with(|| Self::of(console)).wait();
        }
    }
}
