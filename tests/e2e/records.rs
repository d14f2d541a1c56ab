//! Feeds of records, as they are met in the field: whoever joins or stays gets whole ones only, in order, whatever
//! becomes of the upstream.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::common::peers::{connect, leave, reset};
use crate::common::records::{Kind, Reader, scattered};
use crate::rig::Rig;

/// A relay of such a feed.
pub(crate) fn rig(kind: Kind, mode: &str, flags: &str) -> Rig {
    Rig::with(mode, &format!("--framing {} {flags}", kind.framing()))
}

impl Rig {
    /// A client that the relay knows of.
    #[track_caller]
    pub(crate) fn reader(&mut self, kind: Kind) -> Reader<TcpStream> {
        Reader::new(kind, self.downstream().stream)
    }
}

/// An upstream that sends records until it is told to stop, in pieces that end anywhere.
pub(crate) struct Flow {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<(TcpStream, u64)>,
}

impl Flow {
    pub(crate) fn start(kind: Kind, first: u64, mut upstream: TcpStream) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let sender = thread::spawn(move || {
            let (mut next, mut bytes) = (first, Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                let piece = 1 + scattered(next) as usize % 3000;
                while bytes.len() < piece {
                    bytes.extend(kind.record(next));
                    next += 1;
                }
                upstream
                    .write_all(&bytes[..piece])
                    .expect("the relay takes it");
                bytes.drain(..piece);
            }
            upstream.write_all(&bytes).expect("the relay takes it");
            (upstream, next)
        });
        Self { stop, sender }
    }

    /// Stops after a whole record. The upstream and the number of the record that would be next.
    pub(crate) fn stop(self, clients_at: SocketAddr) -> (TcpStream, u64) {
        self.stop.store(true, Ordering::Relaxed);
        // A relay that may lose nothing reads no more while nobody is there, and what is under way has to pass.
        let mut rest = connect(clients_at);
        let taken = rest.try_clone().expect("a socket can be cloned");
        thread::spawn(move || io::copy(&mut rest, &mut io::sink()));
        let sent = self.sender.join().expect("everything is sent");
        leave(&taken);
        sent
    }
}

/// Clients that join one after the other, each while the one before may still be reading. What each got.
#[track_caller]
pub(crate) fn join_at_random(kind: Kind, at: SocketAddr) {
    let clients: Vec<_> = (0..12)
        .map(|client| {
            let mut reader = Reader::new(kind, connect(at));
            let first = reader.next().expect("the feed goes on");
            let meet = first + 1 + scattered(client) % 100;
            reader.take(first + 1..meet);
            // It goes on beside those who come next.
            let stays = thread::spawn(move || reader.take(meet..meet + 500));
            (first, stays)
        })
        .collect();
    for (_, stays) in clients {
        stays.join().expect("whole records, in order");
    }
}

#[test]
fn whoever_joins_gets_whole_records_in_order() {
    for kind in Kind::ALL {
        let mut rig = rig(kind, "connect-listen", "--slow block");
        let flow = Flow::start(kind, 0, rig.upstream());
        join_at_random(kind, rig.clients_at());
        flow.stop(rig.clients_at());
        assert!(
            !rig.hydrant.has_logged("upstream's bytes are no"),
            "{kind:?}"
        );
    }
}

#[test]
fn a_record_that_a_lost_upstream_left_unfinished_goes_to_nobody() {
    for kind in Kind::ALL {
        let mut rig = rig(kind, "connect-listen", "");
        let mut stays = rig.reader(kind);
        for round in 0..6 {
            let mut upstream = rig.upstream();
            let first = 1000 * round;
            upstream
                .write_all(&kind.records(first..first + 10))
                .unwrap();
            let torn = kind.record(first + 10);
            let cut = 1 + scattered(round) as usize % (torn.len() - 1);
            upstream.write_all(&torn[..cut]).unwrap();
            // By then nothing but the unfinished one is in any kernel on the way, so that a reset takes no more.
            stays.take(first..first + 10);
            let mut joins = rig.reader(kind);
            if round % 2 == 0 {
                leave(&upstream);
            } else {
                reset(upstream);
            }
            let mut next = rig.upstream();
            next.write_all(&kind.records(first + 500..first + 502))
                .unwrap();
            for reader in [&mut stays, &mut joins] {
                reader.take(first + 500..first + 502);
            }
            leave(&next);
            reset(joins.stream);
            rig.hydrant.wait_log(" left");
        }
    }
}

/// An upstream that comes in takes over in the middle of the old one's record.
#[test]
fn a_takeover_in_the_middle_of_a_record_tears_none() {
    for kind in Kind::ALL {
        let mut rig = rig(kind, "listen-listen", "");
        let mut first = rig.upstream();
        let mut reader = rig.reader(kind);
        first.write_all(&kind.records(0..20)).unwrap();
        let torn = kind.record(20);
        first.write_all(&torn[..torn.len() - 1]).unwrap();
        reader.take(0..20);
        let mut second = rig.second_upstream();
        rig.hydrant.wait_log(" connected too");
        second.write_all(&kind.records(100..120)).unwrap();
        reader.take(100..120);
        rig.hydrant.wait_log("(--takeover replace)");
        let report = rig.hydrant.report();
        let discarded = format!("| discarded {} B | ", torn.len() - 1);
        assert!(report.contains(&discarded), "{report}");
    }
}

/// Nobody knows where the next record begins: nothing is passed on until the next upstream.
#[test]
fn a_malformed_length_is_told_once_and_the_next_upstream_works() {
    let kind = Kind::Market;
    let mut rig = rig(kind, "connect-listen", "--record-max 1K");
    let mut upstream = rig.upstream();
    let mut reader = rig.reader(kind);
    upstream.write_all(&kind.records(0..10)).unwrap();
    upstream.write_all(&2000_u16.to_be_bytes()).unwrap();
    reader.take(0..10);
    rig.hydrant.wait_log(
        "[WARN] relay: the upstream's bytes are no len:u16be: a record claims 2002 bytes, of 1024 accepted",
    );
    for number in 0..100 {
        upstream
            .write_all(&kind.records(number..number + 10))
            .unwrap();
    }
    rig.upstream_goes(upstream);
    rig.hydrant.wait_log(" closed the connection after ");
    let mut next = rig.upstream();
    next.write_all(&kind.records(500..510)).unwrap();
    reader.take(500..510);
    let log = rig.hydrant.log();
    let told = log
        .iter()
        .filter(|line| line.contains("upstream's bytes are no"));
    assert_eq!(told.count(), 1, "{log:#?}");
    rig.hydrant.signal("TERM");
    assert_eq!(reader.take_rest(), [0; 0]);
}

#[test]
fn a_line_that_is_too_long_is_left_out() {
    let kind = Kind::Nmea;
    let mut rig = rig(kind, "connect-listen", "--record-max 1K");
    let mut upstream = rig.upstream();
    let mut reader = rig.reader(kind);
    for round in 0..3 {
        upstream
            .write_all(&kind.records(10 * round..10 * round + 10))
            .unwrap();
        upstream.write_all(&[b'x'; 5000]).unwrap();
        upstream.write_all(b"\r\n").unwrap();
    }
    upstream.write_all(&kind.records(30..40)).unwrap();
    reader.take(0..40);
    rig.hydrant.wait_log(
        "the upstream's bytes are no line: a record is longer than the 1024 bytes accepted",
    );
    assert!(!rig.hydrant.has_logged("claims"));
}

/// What is lost on the way to us leaves packets shifted; they are found again.
#[test]
fn a_transport_stream_is_found_again() {
    let kind = Kind::MpegTs;
    let mut rig = rig(kind, "connect-listen", "");
    let mut upstream = rig.upstream();
    let mut reader = rig.reader(kind);
    // One that does not begin with a packet.
    upstream.write_all(&kind.record(0)[100..]).unwrap();
    upstream.write_all(&kind.records(1..50)).unwrap();
    reader.take(1..50);
    rig.hydrant
        .wait_log("the upstream's bytes are no mpegts: no MPEG-TS packet begins where one should");
    // The one that lacks bytes takes the beginning of the next with it, since nobody can tell which bytes it lacks.
    let torn = kind.record(50);
    upstream.write_all(&torn[..70]).unwrap();
    upstream.write_all(&kind.records(51..100)).unwrap();
    let mut piece = [0; 188];
    io::Read::read_exact(&mut reader.stream, &mut piece).unwrap();
    assert_eq!(piece[..70], torn[..70]);
    reader.take(52..100);
}

#[test]
fn fixed_and_delimited_records_are_whole_too() {
    // The same packets, by other rules.
    let kind = Kind::MpegTs;
    let mut rig = Rig::with("connect-listen", "--framing fixed:188 --slow block");
    let flow = Flow::start(kind, 0, rig.upstream());
    join_at_random(kind, rig.clients_at());
    flow.stop(rig.clients_at());
    let kind = Kind::Nmea;
    let mut rig = Rig::with("connect-listen", "--framing delim:0d0a --slow block");
    let flow = Flow::start(kind, 0, rig.upstream());
    join_at_random(kind, rig.clients_at());
    flow.stop(rig.clients_at());
}
