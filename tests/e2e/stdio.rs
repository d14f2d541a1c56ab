//! Standard streams as source and as destination.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::feed::{Ending, Feed, Taker, pattern};
use crate::common::hydrant::{Hydrant, Launch, hydrant, read_all};
use crate::common::peers::{Place, connect, connect_narrow};
use crate::common::scratch::Scratch;
use crate::common::{DEADLINE, within};

#[test]
fn stdin_to_stdout_is_cat() {
    for len in [0, 1, 3_000_000] {
        let mut cat = hydrant("- -").stdin_pipe().start();
        send_and_close(&mut cat, len);
        let stdout = cat.stdout();
        let got = within("reading stdout", move || read_all(stdout));
        assert!(got == pattern(0, len), "{} bytes of {len}", got.len());
        assert_eq!(cat.wait_exit(), 0);
    }
}

#[test]
fn a_record_that_stdin_ends_in_is_not_dropped_without_a_word() {
    let mut cat = hydrant("- - --framing line").stdin_pipe().start();
    cat.stdin().write_all(b"a\nb").unwrap();
    let stdout = cat.stdout();
    assert_eq!(within("reading stdout", move || read_all(stdout)), b"a\n");
    cat.wait_log("stdin ended in the middle of a record: 1 B discarded");
    assert_eq!(cat.wait_exit(), 0);
}

#[test]
fn files_work_as_stdin_and_stdout() {
    let scratch = Scratch::new();
    let (from, to) = (scratch.at("from"), scratch.at("to"));
    fs::write(&from, pattern(0, 2_000_000)).unwrap();
    let mut copy = hydrant("- -")
        .stdin(File::open(&from).unwrap())
        .stdout(File::create(&to).unwrap())
        .start();
    assert_eq!(copy.wait_exit(), 0);
    assert!(fs::read(&to).unwrap() == pattern(0, 2_000_000));
}

/// The fastest source there is and the slowest receiver: nothing is lost, and the end waits for it.
#[test]
fn a_big_file_reaches_a_slow_receiver_whole() {
    let scratch = Scratch::new();
    let file = scratch.at("big");
    fs::write(&file, pattern(0, BIG)).unwrap();
    // That it pauses is not what this is about, so a busy machine may.
    let mut hydrant = hydrant("- 127.0.0.1:0 --ring 64K --hold 5m")
        .stdin(File::open(&file).unwrap())
        .start();
    let mut slow = Taker::new(connect_narrow(hydrant.address_of("clients")), 0);
    for _ in 0..BIG / 4096 {
        slow.take(4096);
    }
    assert_eq!(slow.take_rest(), Ending::Orderly);
    assert_eq!(slow.at, BIG as u64);
    assert_eq!(hydrant.wait_exit(), 0);
    hydrant.wait_log("source ended: 1 client drained, 0 cut; up ");
}

/// One that takes nothing keeps hydrant there, and so it is said who that is.
#[test]
fn the_end_of_stdin_says_whom_it_waits_for() {
    let mut hydrant = hydrant("- 127.0.0.1:0").stdin_pipe().start();
    let frozen = connect_narrow(hydrant.address_of("clients"));
    let who = frozen.local_addr().expect("it is connected");
    hydrant.wait_log(&format!("client {who} connected"));
    send_and_close(&mut hydrant, 12 << 20);
    hydrant.wait_log(&format!(
        "the source has ended; {who} has taken nothing for "
    ));
    let mut frozen = Taker::new(frozen, 0);
    frozen.take(12 << 20);
    assert_eq!(hydrant.wait_exit(), 0);
}

/// One that was never there keeps hydrant there as well.
#[test]
fn the_end_of_stdin_says_which_destination_was_never_there() {
    let (mut here, mut away) = (Place::opened(), Place::new());
    let line = format!("- connect:{} connect:{} --retry 10ms", here.at, away.at);
    let mut hydrant = hydrant(&line).stdin_pipe().start();
    let mut taker = Taker::new(here.accept(), 0);
    send_and_close(&mut hydrant, 1000);
    assert_eq!((taker.take_rest(), taker.at), (Ending::Orderly, 1000));
    let said = format!(
        "[INFO] relay: the source has ended; not connected and waited for: {} (1000 B left for it)",
        away.at
    );
    hydrant.wait_log(&said);
    drop(taker);
    let mut late = Taker::new(away.accept(), 0);
    assert_eq!((late.take_rest(), late.at), (Ending::Orderly, 1000));
    drop(late);
    assert_eq!(hydrant.wait_exit(), 0);
    hydrant.wait_log("source ended: 2 clients drained, 0 cut; up ");
    let log = hydrant.log();
    let times = log.iter().filter(|line| line.contains("waited for"));
    assert_eq!(times.count(), 1);
}

#[test]
fn the_end_of_stdin_waits_for_every_client() {
    let mut hydrant = hydrant("- 127.0.0.1:0 --wait-clients 3 --drain 1ms --hold off")
        .stdin_pipe()
        .start();
    let at = hydrant.address_of("clients");
    let takers: Vec<_> = (0..3).map(|_| connect_narrow(at)).collect();
    // Less than the ring holds, so that the others need not read while one does, nor are they taken for stalled then.
    send_and_close(&mut hydrant, 12_000_000);
    for stream in takers {
        assert!(!hydrant.has_logged("source ended"));
        let mut taker = Taker::new(stream, 0);
        assert_eq!((taker.take_rest(), taker.at), (Ending::Orderly, 12_000_000));
    }
    assert_eq!(hydrant.wait_exit(), 0);
    hydrant.wait_log("source ended: 3 clients drained, 0 cut; up ");
}

/// Stdin is not read before so many clients are there as were asked for, so all of them get it from its first byte on.
#[test]
fn stdin_waits_for_clients() {
    for wanted in [1, 3] {
        let line = format!("- 127.0.0.1:0 --wait-clients {wanted}");
        let line = if wanted == 1 { "- 127.0.0.1:0" } else { &line };
        let mut hydrant = hydrant(line).stdin_pipe().start();
        let at = hydrant.address_of("clients");
        send_and_close(&mut hydrant, 10_000);
        let takers: Vec<_> = (0..wanted)
            .map(|_| {
                hydrant.report();
                Taker::new(connect(at), 0)
            })
            .collect();
        for mut taker in takers {
            assert_eq!((taker.take_rest(), taker.at), (Ending::Orderly, 10_000));
        }
        assert_eq!(hydrant.wait_exit(), 0);
    }
}

#[test]
fn a_network_source_waits_for_clients_too() {
    let mut place = Place::opened();
    let hydrant = hydrant(&format!("{} 127.0.0.1:0 --wait-clients 2", place.at)).start();
    let mut upstream = place.accept();
    Feed::default().send(&mut upstream, 10_000);
    let at = hydrant.address_of("clients");
    let mut first = Taker::new(connect(at), 0);
    hydrant.report_until("| 1 client | ");
    let mut second = Taker::new(connect(at), 0);
    first.take(10_000);
    second.take(10_000);
}

#[test]
fn a_feed_goes_to_stdout() {
    let mut place = Place::opened();
    let mut hydrant = hydrant(&format!("{} -", place.at)).start();
    let mut upstream = place.accept();
    let stdout = hydrant.stdout();
    let taker = thread::spawn(move || {
        let mut taker = Taker::new(stdout, 0);
        taker.take(BIG);
        taker
    });
    Feed::default().send(&mut upstream, BIG);
    let mut taker = taker.join().expect("stdout brings it all");
    hydrant.signal("TERM");
    assert_eq!(hydrant.wait_exit(), 0);
    assert_eq!(taker.take_rest(), Ending::Orderly);
    assert_eq!(taker.at, BIG as u64);
}

/// `hydrant HOST:PORT - | head`
#[test]
fn a_reader_of_stdout_that_has_enough_ends_it_well() {
    let mut place = Place::opened();
    let mut hydrant = hydrant(&format!("{} -", place.at)).start();
    let mut upstream = place.accept();
    let mut feed = Feed::default();
    feed.send(&mut upstream, 1000);
    let mut stdout = hydrant.stdout();
    let head = within("reading stdout", move || {
        let mut head = vec![0; 1000];
        stdout.read_exact(&mut head).expect("so much is there");
        head
    });
    assert!(head == pattern(0, 1000));
    // Its end of the pipe is closed now; the next bytes find that out. A child that another test is just starting may
    // still have a copy of it for a moment.
    let end = Instant::now() + DEADLINE;
    while !hydrant.has_logged("stdout closed by its reader") {
        assert!(Instant::now() < end, "it is never found out");
        // Once it has been, nobody reads this.
        let _ = upstream.write_all(&pattern(feed.at, 1000));
        feed.at += 1000;
        thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(hydrant.wait_exit(), 0);
}

/// A disk that is full is no reader who has had enough.
#[test]
fn a_stdout_that_can_not_be_written_fails() {
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else {
        eprintln!("skipped: there is no /dev/full here");
        return;
    };
    let mut place = Place::opened();
    let line = format!("{} -", place.at);
    let mut hydrant = hydrant(&line).stdout(full).start();
    let mut upstream = place.accept();
    Feed::default().send(&mut upstream, 1000);
    assert_eq!(hydrant.wait_exit(), 1);
    hydrant.wait_log("relay: stdout failed: 0 clients drained, ");
    hydrant.wait_log("can't write to stdout: ");
    assert!(!hydrant.has_logged("closed by its reader"));
}

#[test]
fn stdin_that_never_ends_ends_with_its_reader() {
    let mut hydrant = hydrant("- -")
        .stdin(File::open("/dev/zero").unwrap())
        .start();
    let mut stdout = hydrant.stdout();
    within("reading stdout", move || {
        stdout.read_exact(&mut [0; 1000]).expect("so much is there");
    });
    assert_eq!(hydrant.wait_exit(), 0);
}

/// A closed stdout is no reason for anybody else to miss a byte.
#[test]
fn other_outputs_go_on_without_stdout() {
    let mut place = Place::opened();
    let mut hydrant = hydrant(&format!("{} - 127.0.0.1:0", place.at)).start();
    let at = hydrant.address_of("clients");
    let mut upstream = place.accept();
    let mut taker = Taker::new(connect(at), 0);
    hydrant.wait_log(&format!("{} connected", taker.stream.local_addr().unwrap()));
    drop(hydrant.stdout());
    let mut feed = Feed::default();
    for _ in 0..10 {
        feed.send(&mut upstream, 100_000);
        taker.take(100_000);
    }
    hydrant.wait_log("stdout left");
    hydrant.stop();
}

/// Stdin's end is the end of the feed for a dialled destination as well, which is waited for.
#[test]
fn a_file_is_sent_to_a_server_that_comes_late() {
    let mut place = Place::new();
    let mut hydrant = hydrant(&format!(
        "- {} --mode connect-connect --retry 20ms",
        place.at
    ))
    .stdin_pipe()
    .start();
    send_and_close(&mut hydrant, 1_000_000);
    hydrant.wait_log(&format!("downstream {} refused the connection", place.at));
    let mut taker = Taker::new(place.accept(), 0);
    assert_eq!(taker.take_rest(), Ending::Orderly);
    assert_eq!(taker.at, 1_000_000);
    assert_eq!(hydrant.wait_exit(), 0);
}

/// Helper threads sit in a read that never returns, and in a write that nobody takes: neither keeps it from ending.
#[test]
fn stuck_standard_streams_do_not_hold_it() {
    let (_nobody_reads, stdout) = io::pipe().unwrap();
    let (stdin, mut never_closed) = io::pipe().unwrap();
    let mut hydrant = hydrant("- - --drain 100ms")
        .stdin(stdin)
        .stdout(stdout)
        .start();
    hydrant.wait_log("client - connected");
    never_closed.write_all(&pattern(0, 500_000)).unwrap();
    hydrant.signal("TERM");
    assert_eq!(hydrant.wait_exit(), 0);
    hydrant.wait_log("stopped by SIGTERM: ");
}

/// Sends this much of the stream to its stdin, and then the end, beside the test.
fn send_and_close(hydrant: &mut Hydrant, len: usize) {
    let mut stdin = hydrant.stdin();
    thread::spawn(move || {
        // Whoever reads may have had enough before the end.
        let _ = stdin.write_all(&pattern(0, len));
    });
}

impl Launch {
    fn stdin_pipe(self) -> Self {
        self.stdin(std::process::Stdio::piped())
    }
}

/// More than pipes and sockets hold.
const BIG: usize = 16 << 20;
