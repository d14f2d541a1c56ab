//! What tests of the process's end have in common: a disk that answers when they say so, and somebody who asks.

use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::RoleSet;
use super::saving::keeper::{Keeper, Writer};
use super::saving::kept_file::Kept;
use crate::reactor::mio_net::blocking::Conn;
use crate::reactor::net::{Addr, Wake};
use crate::reactor::{End, Reactor, RoleId, Turn};

/// A keeper that writes nothing before the test says so.
pub(super) fn held_keeper(
    path: PathBuf,
    known: Option<String>,
    kept: Kept,
    wake: Wake,
) -> (Keeper, Sender<()>) {
    let (go, gate) = mpsc::channel();
    let run = move |writer: Writer| {
        gate.recv().expect("the test lives");
        writer.run();
    };
    let keeper = Keeper::start_with(path, known, kept, wake, run);
    (keeper.expect("a thread"), go)
}

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

const DEADLINE: Duration = Duration::from_secs(60);
