//! The same cases on the real network and on the simulated one: what the roles rely on in the simulator holds on the
//! machine, and the other way round.

mod common {
    pub(crate) mod bench;
}

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::time::Duration;

use common::bench::{Bench, Loopback, Rig, Simulated, fresh_path, local};
use hydrant::reactor::net::{Addr, Close, Io, Keepalive, Lookup, Net, Peer, SockId};

/// Makes each case a test of both nets.
macro_rules! cases {
    ($($case:ident,)*) => {
        mod on_loopback {
            $(#[test] fn $case() { super::$case(&mut super::Rig::<super::Loopback>::new()); })*
        }
        mod on_simulation {
            $(#[test] fn $case() { super::$case(&mut super::Rig::<super::Simulated>::new()); })*
        }
    };
}

cases! {
    bytes_go_both_ways,
    slices_go_in_their_order,
    slices_are_filled_in_their_order,
    a_dialled_peer_is_known,
    each_end_knows_its_own_address,
    a_fresh_stream_is_announced,
    would_block_is_followed_by_an_event,
    nothing_new_is_no_event,
    what_is_left_unread_is_not_announced_again,
    a_short_read_promises_an_event,
    a_filled_buffer_promises_nothing,
    what_is_thrown_away_is_gone,
    an_end_behind_bytes_is_seen,
    the_end_can_be_read_again,
    a_reset_is_an_error_once_and_then_the_end,
    bytes_before_a_reset_are_read,
    a_write_to_a_reset_peer_fails,
    a_write_to_a_closed_peer_fails_in_the_end,
    a_refused_attempt_is_told_once,
    a_closed_id_finds_nothing,
    a_listener_is_no_stream,
    a_full_stream_is_announced_when_there_is_room,
    room_that_nobody_waits_for_is_no_event,
    a_write_that_was_taken_whole_says_more,
    after_a_shutdown_the_other_way_stays_open,
    port_zero_becomes_a_real_one,
    an_address_in_use_is_said_to_be,
    accepting_ends_with_would_block,
    a_closed_listener_resets_those_who_wait,
    what_a_reset_has_lost_is_known,
    what_the_peer_has_not_taken_is_known,
    what_a_vanished_peer_owes_is_known,
    a_peer_that_pauses_owes_nothing_for_long,
    a_reset_close_is_a_reset_at_the_peer,
    an_orderly_close_is_the_end_behind_all_bytes,
    an_orderly_close_reads_away_what_came_in,
    unix_sockets_carry_bytes_and_know_no_reset,
    nobody_at_a_unix_socket_is_told_at_once,
    names_are_answered_later,
    a_zero_timeout_only_looks,
    a_timeout_is_not_cut_short,
}

fn bytes_go_both_ways<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    rig.bench.send(&mut far, b"ping");
    let mut into = [0; 16];
    assert_eq!(rig.read(ours, &mut into).unwrap().bytes, 4);
    assert_eq!(&into[..4], b"ping");
    assert_eq!(rig.net.write(ours, [b"po", b"ng"]).unwrap().bytes, 4);
    assert_eq!(rig.bench.receive(&mut far, 4).unwrap(), b"pong");
}

fn slices_go_in_their_order<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    let words: [&[u8]; 5] = [b"one ", b"", b"two ", b"three ", b"four"];
    let mut left: Vec<IoSlice<'_>> = words.iter().map(|word| IoSlice::new(word)).collect();
    let mut left = &mut left[..];
    while !left.is_empty() {
        let io = rig.net.write_slices(ours, left).unwrap();
        assert!(io.bytes > 0 && io.more, "there is room: {io:?}");
        IoSlice::advance_slices(&mut left, io.bytes);
    }
    let all = words.concat();
    assert_eq!(rig.bench.receive(&mut far, all.len()).unwrap(), all);
}

fn slices_are_filled_in_their_order<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    let [mut first, mut second, mut third] = [[b'-'; 3]; 3];
    let mut read = |rig: &mut Rig<B>| {
        let mut slices = [
            IoSliceMut::new(&mut first),
            IoSliceMut::new(&mut []),
            IoSliceMut::new(&mut second),
            IoSliceMut::new(&mut third),
        ];
        let io = rig.net.read_slices(ours, &mut slices);
        (io, [first, second, third].concat())
    };
    let (nothing, _) = read(rig);
    assert_eq!(nothing.unwrap_err().kind(), ErrorKind::WouldBlock);
    rig.bench.send(&mut far, b"1234567");
    rig.readable(ours);
    let (io, filled) = read(rig);
    let short = Io {
        bytes: 7,
        more: false,
    };
    assert_eq!((io.unwrap(), &filled[..]), (short, &b"1234567--"[..]));
    rig.forget(ours);
    assert!(rig.is_quiet(ours));
    rig.bench.send(&mut far, b"abcdefghijk");
    rig.readable(ours);
    let (io, filled) = read(rig);
    let full = Io {
        bytes: 9,
        more: true,
    };
    assert_eq!((io.unwrap(), &filled[..]), (full, &b"abcdefghi"[..]));
    assert_eq!(read(rig).0.unwrap().bytes, 2);
    rig.bench.finish(&mut far);
    rig.readable(ours);
    assert_eq!(read(rig).0.unwrap(), END);
}

fn a_dialled_peer_is_known<B: Bench>(rig: &mut Rig<B>) {
    let (mut door, at) = rig.bench.open_door();
    let (ours, peer) = rig.connect(&at).unwrap();
    assert_eq!(Addr::Tcp(tcp(peer)), at);
    let mut far = rig.bench.take(&mut door);
    rig.net.write(ours, [b"hello", b""]).unwrap();
    assert_eq!(rig.bench.receive(&mut far, 5).unwrap(), b"hello");
    rig.bench.send(&mut far, b"there");
    let mut into = [0; 5];
    assert_eq!(rig.read(ours, &mut into).unwrap().bytes, 5);
    assert_eq!(&into, b"there");
}

fn each_end_knows_its_own_address<B: Bench>(rig: &mut Rig<B>) {
    let (listener, at) = rig.net.listen(&local()).unwrap();
    assert_eq!(rig.net.local(listener), None);
    let (ours, theirs) = rig.connect(&at).unwrap();
    let (accepted, caller) = rig.accept(listener);
    assert_eq!(rig.net.local(ours), Some(tcp(caller)));
    assert_eq!(rig.net.local(accepted), Some(tcp(theirs)));
    rig.net.close(ours, Close::Orderly);
    assert_eq!(rig.net.local(ours), None);
}

fn a_fresh_stream_is_announced<B: Bench>(rig: &mut Rig<B>) {
    let (listener, at) = rig.net.listen(&local()).unwrap();
    let mut far = rig.bench.dial(&at);
    rig.bench.send(&mut far, b"early");
    let (ours, _) = rig.accept(listener);
    rig.writable(ours);
    rig.readable(ours);
}

fn would_block_is_followed_by_an_event<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    rig.writable(ours);
    assert_eq!(
        rig.net.read(ours, &mut [0]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert!(rig.is_quiet(ours));
    rig.bench.send(&mut far, b"x");
    rig.readable(ours);
    assert_eq!(rig.net.read(ours, &mut [0]).unwrap().bytes, 1);
}

fn nothing_new_is_no_event<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    for _ in 0..3 {
        rig.bench.send(&mut far, b"word");
        rig.readable(ours);
        assert!(!rig.net.read(ours, &mut [0; 16]).unwrap().more);
        rig.forget(ours);
        assert!(rig.is_quiet(ours));
    }
}

fn what_is_left_unread_is_not_announced_again<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    rig.bench.send(&mut far, b"word");
    rig.readable(ours);
    assert_eq!(
        rig.net.read(ours, &mut [0; 3]).unwrap(),
        Io {
            bytes: 3,
            more: true
        }
    );
    rig.forget(ours);
    assert!(rig.is_quiet(ours));
    assert_eq!(
        rig.net.read(ours, &mut [0; 3]).unwrap(),
        Io {
            bytes: 1,
            more: false
        }
    );
}

fn a_short_read_promises_an_event<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    for _ in 0..20 {
        rig.bench.send(&mut far, b"word");
        rig.readable(ours);
        assert_eq!(
            rig.net.read(ours, &mut [0; 16]).unwrap(),
            Io {
                bytes: 4,
                more: false
            }
        );
    }
}

fn a_filled_buffer_promises_nothing<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    rig.bench.send(&mut far, &[1; 16]);
    assert_eq!(
        rig.read(ours, &mut [0; 16]).unwrap(),
        Io {
            bytes: 16,
            more: true
        }
    );
    assert_eq!(
        rig.net.read(ours, &mut [0; 16]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert_eq!(
        rig.net.read(ours, &mut []).unwrap(),
        Io {
            bytes: 0,
            more: true
        }
    );
}

fn what_is_thrown_away_is_gone<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    rig.bench.send(&mut far, b"thrown away, kept");
    rig.readable(ours);
    let away = Io {
        bytes: 13,
        more: true,
    };
    assert_eq!(rig.net.discard(ours, 13).unwrap(), away);
    let mut kept = [0; 4];
    rig.read(ours, &mut kept).unwrap();
    assert_eq!(&kept, b"kept");
    rig.bench.send(&mut far, b"word");
    rig.readable(ours);
    let rest = Io {
        bytes: 4,
        more: false,
    };
    assert_eq!(rig.net.discard(ours, 1 << 30).unwrap(), rest);
    assert_eq!(
        rig.net.discard(ours, 1).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    rig.bench.finish(&mut far);
    rig.readable(ours);
    assert_eq!(rig.net.discard(ours, 1).unwrap().bytes, 0);
}

fn an_end_behind_bytes_is_seen<B: Bench>(rig: &mut Rig<B>) {
    for bytes in 0..20 {
        let (ours, mut far) = rig.pair();
        let sent = vec![3; bytes];
        rig.bench.send(&mut far, &sent);
        rig.bench.finish(&mut far);
        assert_eq!(rig.read_to_end(ours, 10).unwrap(), sent);
    }
}

fn the_end_can_be_read_again<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    rig.bench.finish(&mut far);
    assert_eq!(rig.read(ours, &mut [0; 8]).unwrap(), END);
    assert_eq!(rig.net.read(ours, &mut [0; 8]).unwrap(), END);
}

fn a_reset_is_an_error_once_and_then_the_end<B: Bench>(rig: &mut Rig<B>) {
    let (ours, far) = rig.pair();
    rig.bench.reset(far);
    assert_eq!(
        rig.read(ours, &mut [0; 8]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert_eq!(rig.net.read(ours, &mut [0; 8]).unwrap(), END);
    assert_eq!(write_byte(rig, ours).unwrap_err(), ErrorKind::BrokenPipe);
}

fn bytes_before_a_reset_are_read<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    rig.bench.send(&mut far, b"last words");
    rig.readable(ours);
    rig.bench.reset(far);
    rig.readable(ours);
    assert_eq!(
        rig.net.read(ours, &mut [0; 16]).unwrap(),
        Io {
            bytes: 10,
            more: true
        }
    );
    assert_eq!(
        rig.net.read(ours, &mut [0; 16]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
}

fn a_write_to_a_reset_peer_fails<B: Bench>(rig: &mut Rig<B>) {
    let (ours, far) = rig.pair();
    rig.bench.reset(far);
    rig.readable(ours);
    assert_eq!(
        write_byte(rig, ours).unwrap_err(),
        ErrorKind::ConnectionReset
    );
    assert_eq!(write_byte(rig, ours).unwrap_err(), ErrorKind::BrokenPipe);
}

fn a_write_to_a_closed_peer_fails_in_the_end<B: Bench>(rig: &mut Rig<B>) {
    let (ours, far) = rig.pair();
    rig.bench.close(far);
    assert_eq!(rig.read(ours, &mut [0; 8]).unwrap(), END);
    // An end alone may be half of a conversation, so this is taken; then the answer comes that nobody is there.
    write_byte(rig, ours).unwrap();
    let error = rig.until("an error", |rig| write_byte(rig, ours).err());
    assert_eq!(error, ErrorKind::BrokenPipe);
    assert_eq!(rig.net.read(ours, &mut [0; 8]).unwrap(), END);
}

fn a_refused_attempt_is_told_once<B: Bench>(rig: &mut Rig<B>) {
    let nobody = rig.bench.nobody();
    let ours = rig.net.connect(&nobody).unwrap();
    rig.writable(ours);
    let refused = rig.net.connected(ours).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(rig.net.connected(ours).unwrap(), None);
    rig.net.close(ours, Close::Orderly);
    assert_eq!(
        rig.net.connected(ours).unwrap_err().kind(),
        ErrorKind::NotConnected
    );
}

fn a_closed_id_finds_nothing<B: Bench>(rig: &mut Rig<B>) {
    let (listener, at) = rig.net.listen(&local()).unwrap();
    let far = rig.bench.dial(&at);
    let (old, _) = rig.accept(listener);
    rig.net.close(old, Close::Orderly);
    let mut new_far = rig.bench.dial(&at);
    let (new, _) = rig.accept(listener);
    assert_eq!(new.key, old.key, "places are used again");
    assert_ne!(new, old);
    let gone = ErrorKind::NotConnected;
    assert_eq!(rig.net.read(old, &mut [0]).unwrap_err().kind(), gone);
    assert_eq!(write_byte(rig, old).unwrap_err(), gone);
    assert_eq!(rig.net.shutdown(old).unwrap_err().kind(), gone);
    assert_eq!(rig.net.connected(old).unwrap_err().kind(), gone);
    assert_eq!(rig.net.accept(old).unwrap_err().kind(), gone);
    assert_eq!(
        rig.net.set_keepalive(old, KEEPALIVE).unwrap_err().kind(),
        gone
    );
    assert_eq!(rig.net.unacknowledged(old), None);
    rig.net.close(old, Close::Reset);
    rig.bench.send(&mut new_far, b"still here");
    assert_eq!(rig.read(new, &mut [0; 16]).unwrap().bytes, 10);
    rig.forget(old);
    rig.bench.close(far);
    assert!(rig.is_quiet(old));
}

fn a_listener_is_no_stream<B: Bench>(rig: &mut Rig<B>) {
    let (listener, _) = rig.net.listen(&local()).unwrap();
    let (stream, _far) = rig.pair();
    let wrong = ErrorKind::NotConnected;
    assert_eq!(rig.net.read(listener, &mut [0]).unwrap_err().kind(), wrong);
    assert_eq!(write_byte(rig, listener).unwrap_err(), wrong);
    assert_eq!(rig.net.shutdown(listener).unwrap_err().kind(), wrong);
    assert_eq!(
        rig.net
            .set_keepalive(listener, KEEPALIVE)
            .unwrap_err()
            .kind(),
        wrong
    );
    assert_eq!(rig.net.unacknowledged(listener), None);
    assert_eq!(rig.net.accept(stream).unwrap_err().kind(), wrong);
    rig.net.set_keepalive(stream, KEEPALIVE).unwrap();
}

fn a_full_stream_is_announced_when_there_is_room<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    rig.writable(ours);
    for _ in 0..3 {
        // What is taken may be on its way for a while, and make room once more.
        let mut written = rig.fill(ours);
        while !rig.is_quiet(ours) {
            rig.forget(ours);
            written += rig.fill(ours);
        }
        assert!(written > 0);
        assert_eq!(rig.bench.receive(&mut far, written).unwrap().len(), written);
        rig.writable(ours);
    }
}

fn room_that_nobody_waits_for_is_no_event<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    let mut written = rig.fill(ours);
    while !rig.is_quiet(ours) {
        rig.forget(ours);
        written += rig.fill(ours);
    }
    rig.bench.receive(&mut far, written).unwrap();
    rig.writable(ours);
    assert!(rig.is_quiet(ours));
    write_byte(rig, ours).unwrap();
    rig.bench.receive(&mut far, 1).unwrap();
    assert!(rig.is_quiet(ours));
}

fn a_write_that_was_taken_whole_says_more<B: Bench>(rig: &mut Rig<B>) {
    let (ours, _far) = rig.pair();
    assert_eq!(
        rig.net.write(ours, [b"both", b"parts"]).unwrap(),
        Io {
            bytes: 9,
            more: true
        }
    );
    assert_eq!(
        rig.net.write(ours, [b"", b"one"]).unwrap(),
        Io {
            bytes: 3,
            more: true
        }
    );
    let large = vec![0; 64 << 20];
    let io = rig.net.write(ours, [&large, b""]).unwrap();
    assert!(io.bytes < large.len() && !io.more, "{io:?}");
}

fn after_a_shutdown_the_other_way_stays_open<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    rig.net.write(ours, [b"that is all", b""]).unwrap();
    rig.net.shutdown(ours).unwrap();
    rig.net.shutdown(ours).unwrap();
    assert_eq!(rig.bench.receive(&mut far, 100).unwrap(), b"that is all");
    assert_eq!(write_byte(rig, ours).unwrap_err(), ErrorKind::BrokenPipe);
    rig.bench.send(&mut far, b"I see");
    rig.bench.close(far);
    assert_eq!(rig.read_to_end(ours, 64).unwrap(), b"I see");
}

fn port_zero_becomes_a_real_one<B: Bench>(rig: &mut Rig<B>) {
    let (_, one) = rig.net.listen(&local()).unwrap();
    let (_, other) = rig.net.listen(&local()).unwrap();
    assert_ne!(one, other);
    for at in [one, other] {
        let Addr::Tcp(at) = at else {
            panic!("{at} was asked for as TCP")
        };
        assert!(at.ip().is_loopback() && at.port() != 0);
    }
}

fn an_address_in_use_is_said_to_be<B: Bench>(rig: &mut Rig<B>) {
    let (first, at) = rig.net.listen(&local()).unwrap();
    assert_eq!(
        rig.net.listen(&at).unwrap_err().kind(),
        ErrorKind::AddrInUse
    );
    rig.net.close(first, Close::Orderly);
    assert_eq!(rig.net.listen(&at).unwrap().1, at);
}

fn accepting_ends_with_would_block<B: Bench>(rig: &mut Rig<B>) {
    let (listener, at) = rig.net.listen(&local()).unwrap();
    assert_eq!(
        rig.net.accept(listener).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert!(rig.is_quiet(listener));
    let _fars = [rig.bench.dial(&at), rig.bench.dial(&at)];
    rig.readable(listener);
    let (one, _) = rig.accept(listener);
    let (other, _) = rig.accept(listener);
    assert_ne!(one, other);
    assert_eq!(
        rig.net.accept(listener).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    rig.forget(listener);
    let _third = rig.bench.dial(&at);
    rig.readable(listener);
}

fn a_closed_listener_resets_those_who_wait<B: Bench>(rig: &mut Rig<B>) {
    let (listener, at) = rig.net.listen(&local()).unwrap();
    let mut far = rig.bench.dial(&at);
    rig.net.close(listener, Close::Orderly);
    let reset = rig.bench.receive(&mut far, 1).unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    let refused = rig.connect(&at).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

/// What a destination may have missed is known also once its connection is gone.
fn what_a_reset_has_lost_is_known<B: Bench>(rig: &mut Rig<B>) {
    let (ours, far) = rig.pair();
    rig.fill(ours);
    while !rig.is_quiet(ours) {
        rig.forget(ours);
        rig.fill(ours);
    }
    let left = rig.net.unacknowledged(ours);
    assert!(left > Some(0));
    rig.bench.reset(far);
    let error = rig.read(ours, &mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(rig.net.unacknowledged(ours), left);
}

fn what_the_peer_has_not_taken_is_known<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    assert_eq!(rig.net.unacknowledged(ours), Some(0));
    let mut written = rig.fill(ours);
    while !rig.is_quiet(ours) {
        rig.forget(ours);
        written += rig.fill(ours);
    }
    let left = rig.net.unacknowledged(ours).unwrap() as usize;
    assert!(left > 0 && left < written, "{left} of {written}");
    rig.net.shutdown(ours).unwrap();
    assert_eq!(rig.net.unacknowledged(ours), Some(left as u32 + 1));
    assert_eq!(
        rig.bench.receive(&mut far, usize::MAX).unwrap().len(),
        written
    );
    rig.until("acknowledged", |rig| {
        (rig.net.unacknowledged(ours) == Some(0)).then_some(())
    });
}

fn what_a_vanished_peer_owes_is_known<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    rig.net.write(ours, [b"heard", b""]).unwrap();
    rig.until("acknowledged", |rig| {
        (rig.net.unacknowledged(ours) == Some(0)).then_some(())
    });
    assert_eq!(rig.net.unanswered(ours), None);
    rig.bench.vanish(&mut far);
    rig.net.write(ours, [b"not heard", b""]).unwrap();
    for owed in [0, 500, 1000] {
        let owed = Duration::from_millis(owed);
        rig.until("unanswered for so long", |rig| {
            rig.net.unanswered(ours).filter(|silence| *silence >= owed)
        });
    }
    rig.net.close(ours, Close::Reset);
    assert_eq!(rig.net.unanswered(ours), None);
}

/// Its window is closed, which its kernel goes on to say.
fn a_peer_that_pauses_owes_nothing_for_long<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    let mut written = rig.fill(ours);
    while !rig.is_quiet(ours) {
        rig.forget(ours);
        written += rig.fill(ours);
    }
    // Several probes go out by then.
    let end = rig.net.clock() + Duration::from_secs(2);
    while rig.net.clock() < end {
        rig.until("an answer", |rig| {
            rig.net.unanswered(ours).is_none().then_some(())
        });
        rig.look(Duration::from_millis(50));
    }
    assert_eq!(rig.bench.receive(&mut far, written).unwrap().len(), written);
}

fn a_reset_close_is_a_reset_at_the_peer<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    rig.net.close(ours, Close::Reset);
    let reset = rig.bench.receive(&mut far, 1).unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
}

fn an_orderly_close_is_the_end_behind_all_bytes<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    let written = rig.fill(ours);
    rig.net.close(ours, Close::Orderly);
    assert_eq!(
        rig.bench.receive(&mut far, usize::MAX).unwrap().len(),
        written
    );
}

fn an_orderly_close_reads_away_what_came_in<B: Bench>(rig: &mut Rig<B>) {
    let (ours, mut far) = rig.pair();
    rig.bench.send(&mut far, &[5; 10_000]);
    rig.readable(ours);
    // The tail of what was sent may still be on its way.
    while !rig.is_quiet(ours) {
        rig.forget(ours);
    }
    rig.net.write(ours, [b"the tail", b""]).unwrap();
    rig.net.close(ours, Close::Orderly);
    assert_eq!(rig.bench.receive(&mut far, 100).unwrap(), b"the tail");
}

fn unix_sockets_carry_bytes_and_know_no_reset<B: Bench>(rig: &mut Rig<B>) {
    let (listener, at) = rig.net.listen(&Addr::Unix(fresh_path())).unwrap();
    let mut far = rig.bench.dial(&at);
    let (ours, peer) = rig.accept(listener);
    assert_eq!(peer, Peer::Unix);
    rig.bench.send(&mut far, b"in");
    assert_eq!(rig.read(ours, &mut [0; 8]).unwrap().bytes, 2);
    rig.net.write(ours, [b"out", b""]).unwrap();
    assert_eq!(rig.net.unacknowledged(ours), None);
    rig.net.set_keepalive(ours, KEEPALIVE).unwrap();
    rig.net.close(ours, Close::Reset);
    assert_eq!(rig.bench.receive(&mut far, 100).unwrap(), b"out");

    let (dialled, peer) = rig.connect(&at).unwrap();
    assert_eq!(peer, Peer::Unix);
    let (accepted, _) = rig.accept(listener);
    rig.net.write(dialled, [b"to ourselves", b""]).unwrap();
    rig.net.close(dialled, Close::Orderly);
    assert_eq!(rig.read_to_end(accepted, 64).unwrap(), b"to ourselves");
    rig.net.close(listener, Close::Orderly);
}

fn nobody_at_a_unix_socket_is_told_at_once<B: Bench>(rig: &mut Rig<B>) {
    assert_eq!(
        rig.net
            .connect(&Addr::Unix(fresh_path()))
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
}

fn names_are_answered_later<B: Bench>(rig: &mut Rig<B>) {
    rig.net.resolve(Lookup(1), "localhost");
    rig.net.resolve(Lookup(2), "no-such-name.invalid");
    rig.net.resolve(Lookup(3), "localhost");
    assert!(rig.answer(Lookup(2)).is_err());
    for lookup in [Lookup(1), Lookup(3)] {
        let addresses = rig.answer(lookup).unwrap();
        assert!(!addresses.is_empty() && addresses.iter().all(|ip| ip.is_loopback()));
    }
}

fn a_zero_timeout_only_looks<B: Bench>(rig: &mut Rig<B>) {
    let (listener, at) = rig.net.listen(&local()).unwrap();
    let before = rig.net.clock();
    for _ in 0..100 {
        rig.look(Duration::ZERO);
    }
    assert!(rig.net.clock().since(before) < Duration::from_secs(1));
    let _far = rig.bench.dial(&at);
    rig.look(Duration::ZERO);
    rig.net.accept(listener).unwrap();
}

fn a_timeout_is_not_cut_short<B: Bench>(rig: &mut Rig<B>) {
    for micros in [1, 999, 1_500, 10_000] {
        let timeout = Duration::from_micros(micros);
        let before = rig.net.clock();
        rig.look(timeout);
        assert!(rig.net.now().since(before) >= timeout);
        assert!(rig.net.clock() >= rig.net.now());
    }
}

fn write_byte<B: Bench>(rig: &mut Rig<B>, id: SockId) -> Result<(), ErrorKind> {
    rig.net
        .write(id, [b"x", b""])
        .map(|_| ())
        .map_err(|error| error.kind())
}

fn tcp(peer: Peer) -> std::net::SocketAddr {
    match peer {
        Peer::Tcp(at) => at,
        Peer::Unix | Peer::Stdio => panic!("{peer} is no TCP peer"),
    }
}

const END: Io = Io {
    bytes: 0,
    more: true,
};

const KEEPALIVE: Keepalive = Keepalive {
    idle: Duration::from_secs(30),
    user_timeout: None,
};
