//! Other people's programs as upstream and as client: socat and ncat.

use std::io::Write;
use std::net::SocketAddr;
use std::thread;

use crate::common::feed::{Ending, Feed, Taker, pattern};
use crate::common::hydrant::hydrant;
use crate::common::peers::Place;
use crate::common::tools::{Tool, have};
use crate::rig::Rig;

/// The arguments with which each of them connects: socat, and ncat, whose stdin stays open.
fn to(program: &str, at: SocketAddr) -> Vec<String> {
    match program {
        "socat" => vec!["STDIO".to_owned(), format!("TCP:{at}")],
        _ => vec![at.ip().to_string(), at.port().to_string()],
    }
}

fn start(program: &str, at: SocketAddr) -> Tool {
    let args = to(program, at);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Tool::start(program, &args)
}

fn receives(program: &str) {
    if !have(program) {
        return;
    }
    let mut rig = Rig::with("connect-listen", "--drain 1h");
    let mut upstream = rig.upstream();
    let mut clients: Vec<Tool> = (0..3).map(|_| start(program, rig.clients_at())).collect();
    rig.hydrant.report_until("| 3 clients | ");
    let takers: Vec<_> = clients
        .iter_mut()
        .map(|client| {
            let mut taker = Taker::new(client.0.stdout.take().unwrap(), 0);
            thread::spawn(move || {
                assert_eq!(taker.take_rest(), Ending::Orderly);
                taker.at
            })
        })
        .collect();
    rig.feed.send(&mut upstream, 5_000_000);
    rig.hydrant.report_until("in all 4.7 MiB in");
    rig.hydrant.signal("TERM");
    for taker in takers {
        assert_eq!(taker.join().expect("it checks what it gets"), 5_000_000);
    }
    assert_eq!(rig.hydrant.wait_exit(), 0);
}

fn sends(program: &str) {
    if !have(program) {
        return;
    }
    let mut rig = Rig::new("listen-listen");
    let mut downstream = rig.downstream();
    let at = rig.upstream_at();
    for round in 1..=3 {
        let mut sender = start(program, at);
        let mut stdin = sender.0.stdin.take().unwrap();
        stdin.write_all(&pattern(rig.feed.at, 300_000)).unwrap();
        rig.feed.at += 300_000;
        drop(stdin);
        downstream.take(300_000);
        assert_eq!(downstream.at, round * 300_000);
    }
}

#[test]
fn socat_receives() {
    receives("socat");
}

#[test]
fn ncat_receives() {
    receives("ncat");
}

#[test]
fn socat_sends() {
    sends("socat");
}

#[test]
fn ncat_sends() {
    sends("ncat");
}

/// `ncat HOST PORT </dev/null`: its end of the stream is over before it has begun, and it still receives.
#[test]
fn ncat_with_nothing_to_say_still_receives() {
    if !have("ncat") {
        return;
    }
    let mut rig = Rig::new("connect-listen");
    let mut upstream = rig.upstream();
    let mut client = start("ncat", rig.clients_at());
    drop(client.0.stdin.take());
    rig.hydrant.report_until("| 1 client | ");
    let mut taker = Taker::new(client.0.stdout.take().unwrap(), 0);
    let taker = thread::spawn(move || taker.take(2_000_000));
    rig.feed.send(&mut upstream, 2_000_000);
    taker.join().expect("it gets everything");
}

/// Between two servers of other people's making.
#[test]
fn socat_listens_on_both_sides() {
    if !have("socat") {
        return;
    }
    let (from, to) = (Place::new(), Place::new());
    let mut source = Tool::start("socat", &["STDIO", &listen(&from)]);
    let mut sink = Tool::start("socat", &["-u", &listen(&to), "STDOUT"]);
    let line = format!("{} {} --mode connect-connect --retry 20ms", from.at, to.at);
    let hydrant = hydrant(&line).start();
    hydrant.wait_log(&format!("upstream {} connected", from.at));
    hydrant.wait_log(&format!("downstream {} connected", to.at));
    let mut stdin = source.0.stdin.take().unwrap();
    let sender = thread::spawn(move || {
        Feed::default().send(&mut stdin, 2_000_000);
        stdin
    });
    let mut taker = Taker::new(sink.0.stdout.take().unwrap(), 0);
    let taker = thread::spawn(move || taker.take(2_000_000));
    taker.join().expect("it gets everything");
    drop(sender.join());
}

fn listen(place: &Place) -> String {
    format!("TCP-LISTEN:{},bind=127.0.0.1,reuseaddr", place.at.port())
}
