//! The end of the process while somebody waits for what they have changed of a run file: they hear what came of it,
//! over connections of their own.

use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::app::fleet::tests::{Rig, relay};
use crate::app::saving::kept_file::hold_text;
use crate::app::tests::{place_of, request, until_over};
use crate::reactor::Turn;

/// A file of two roles that is kept, and nothing of it is written before the test says so.
fn kept() -> (Rig, SocketAddr, Sender<()>) {
    let mut rig = Rig::new(&(relay("a", "drain = \"1ms\"") + &relay("b", "drain = \"1ms\"")));
    let go = rig.hold();
    let at = place_of(&rig.reactor, rig.fleet.console().expect("there is a page"));
    let scribe = rig.fleet.scribe.as_mut().expect("the file is kept");
    // However long it takes here.
    scribe.waiters.last = Duration::from_secs(3600);
    (rig, at, go)
}

/// Turns until so many changes hold, and wait to be saved.
#[track_caller]
fn until_waiting(rig: &mut Rig, count: usize) {
    rig.until("made", |rig| {
        let scribe = rig.fleet.scribe.as_ref().expect("the file is kept");
        scribe.waiters.count() == count
    });
}

fn stop(rig: &mut Rig) {
    rig.reactor.stop();
    rig.between(&Turn::Going);
}

fn end(rig: &mut Rig) {
    let fleet = &mut rig.fleet;
    until_over(&mut rig.reactor, |reactor, turn, ended| {
        fleet.between_turns(reactor, turn, ended)
    });
}

/// Neither the signal nor the end of all roles comes between a change and its answer.
#[test]
fn who_waits_for_a_save_as_it_stops_hears_of_it() {
    // What somebody has stopped may be begun again; where there is no such one, nobody is left to be served.
    for stops in [true, false] {
        let (mut rig, at, go) = kept();
        let mut asked = vec![request(at, "relays/1", "{\"max-lag\":\"3s\"}")];
        until_waiting(&mut rig, 1);
        if stops {
            asked.push(request(at, "relays/2/stop", "{}"));
            until_waiting(&mut rig, 2);
        }
        stop(&mut rig);
        go.send(()).expect("it waits");
        end(&mut rig);
        for answer in asked {
            let answer = answer.join().expect("an end");
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
            assert!(!answer.contains("unsaved"), "{answer}");
        }
        let text = rig.saved();
        assert!(text.contains("max-lag = \"3s\""), "{text}");
        assert_eq!(text.contains("enabled = false"), stops, "{text}");
    }
}

/// A change that does not hold yet never does. What was stopped has stopped, and is written.
#[test]
fn what_is_not_made_as_it_stops_is_refused() {
    let (mut rig, at, go) = kept();
    let scribe = rig.fleet.scribe.as_ref().expect("the file is kept");
    // Whoever makes one waits for that.
    let known = scribe.keeper.known();
    let hangs = hold_text(&known);
    let mut asked = vec![request(at, "relays/1", "{\"max-lag\":\"3s\"}")];
    rig.until("begun", |rig| !rig.is_idle());
    let count = |rig: &Rig| {
        let scribe = rig.fleet.scribe.as_ref().expect("the file is kept");
        scribe.waiting.len()
    };
    asked.push(request(at, "relays", "{}"));
    rig.until("asked", |rig| count(rig) == 1);
    asked.push(request(at, "relays/2/stop", "{}"));
    rig.until("asked", |rig| count(rig) == 2);
    let reloads = request(at, "reload", "{}");
    rig.until("read", |rig| rig.fleet.reading.is_some());
    stop(&mut rig);
    drop(hangs);
    go.send(()).expect("it waits");
    end(&mut rig);
    let stopped = asked.pop().expect("it was asked").join().expect("an end");
    assert!(stopped.starts_with("HTTP/1.1 200 OK\r\n"), "{stopped:?}");
    assert!(!stopped.contains("unsaved"), "{stopped}");
    asked.push(reloads);
    for answer in asked {
        let answer = answer.join().expect("an end");
        assert!(
            answer.starts_with("HTTP/1.1 409 Conflict\r\n"),
            "{answer:?}"
        );
        assert!(answer.contains("hydrant stops"), "{answer}");
    }
    let text = rig.saved();
    assert!(
        !text.contains("max-lag") && text.contains("enabled = false"),
        "{text}"
    );
}
