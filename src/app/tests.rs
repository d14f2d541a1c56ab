//! How the process ends; and what tests of several folders have in common: somebody who asks a console for something,
//! and the end of the loop.

use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{AT_ONCE, LAST_SAVE, RoleSet, cut_by};
use crate::reactor::mio_net::blocking::Conn;
use crate::reactor::net::{Addr, Signal};
use crate::reactor::{End, Reactor, RoleId, Turn};

/// Where a console listens.
pub(super) fn place_of(reactor: &Reactor<RoleSet>, console: RoleId) -> SocketAddr {
    match reactor.role(console) {
        Some(RoleSet::Console(console)) => match console.listens_at() {
            [Addr::Tcp(at)] => *at,
            other => panic!("one place: {other:?}"),
        },
        _ => panic!("it is no console"),
    }
}

/// Asks a console for something. What is answered until the connection ends comes later.
pub(super) fn request(at: SocketAddr, path: &str, body: &str) -> JoinHandle<String> {
    let text = format!(
        "POST /api/v1/{path} HTTP/1.1\r\nHost: {at}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n\
         {body}",
        body.len()
    );
    let mut conn = Conn::to(at).expect("it listens");
    conn.patience(DEADLINE).expect("a time");
    let written = conn.write(&[IoSlice::new(text.as_bytes())]);
    assert_eq!(written.expect("there is room"), text.len());
    thread::spawn(move || {
        let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            match conn.read(&mut piece) {
                Ok(0) => return String::from_utf8(answer).expect("it is text"),
                Ok(count) => answer.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("no end: {error}"),
            }
        }
    })
}

/// Turns until no role is left.
#[track_caller]
pub(super) fn until_over(
    reactor: &mut Reactor<RoleSet>,
    mut between: impl FnMut(&mut Reactor<RoleSet>, &Turn, &mut Vec<(RoleId, End)>) -> Result<(), String>,
) {
    let end = reactor.clock() + DEADLINE;
    loop {
        assert!(reactor.clock() < end, "there is no end");
        let mut ended = Vec::new();
        let turn = reactor.turn(&mut ended).expect("it can wait");
        between(reactor, &turn, &mut ended).expect("nothing fails");
        if turn == Turn::Over {
            return;
        }
    }
}

/// However long it takes here.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// A second signal that comes as it ends is what its code tells, unless there is an error to tell. Where it is, nothing
/// is waited for.
#[test]
fn a_second_signal_as_it_ends_takes_no_error_away() {
    let failed = || Err("can't write".to_owned());
    let hurried = Ok(128 + 15);
    for (code, second, expected) in [
        (Ok(0), None, (Ok(0), LAST_SAVE)),
        (Ok(1), None, (Ok(1), LAST_SAVE)),
        (failed(), None, (failed(), LAST_SAVE)),
        (Ok(0), Some(Signal::Terminate), (hurried.clone(), AT_ONCE)),
        (Ok(1), Some(Signal::Terminate), (hurried, AT_ONCE)),
        (failed(), Some(Signal::Terminate), (failed(), LAST_SAVE)),
    ] {
        let said = cut_by(code.clone(), || second);
        assert_eq!(said, expected, "{code:?} {second:?}");
    }
}
