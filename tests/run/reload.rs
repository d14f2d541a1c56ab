//! SIGHUP with a run file: the difference is applied, and what has not changed does not notice.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use socket2::{Domain, Socket, Type};

use crate::common::feed::{Ending, Feed, Taker};
use crate::common::hydrant::{hydrant, read_all};
use crate::common::peers::{Place, connect};
use crate::common::within;
use crate::rig::{File, ask, clients_of};

fn relay(name: &str, src: SocketAddr, more: &str) -> String {
    format!(
        "[[relay]]\nname = \"{name}\"\nsrc = \"{src}\"\ndst = \"127.0.0.1:0\"\nretry = \"20ms\"\n{more}\n"
    )
}

/// A relay beside them goes, one comes, one changes; and the clients of those that stay lose no byte.
#[test]
fn clients_of_what_stays_lose_no_byte() {
    let (mut a, mut b) = (Place::new(), Place::new());
    let file = File::new(&(relay("a", a.at, "") + &relay("b", b.at, "")));
    let hydrant = file.run();
    let (at_a, at_b) = (
        clients_of(&hydrant, "relay[a]"),
        clients_of(&hydrant, "relay[b]"),
    );
    let (mut up_a, mut up_b) = (a.accept(), b.accept());
    hydrant.wait_logs(&["relay[a]: upstream", "connected"]);
    hydrant.wait_logs(&["relay[b]: upstream", "connected"]);
    let mut on_a = Taker::new(connect(at_a), 0);
    hydrant.wait_logs(&["relay[a]: client", "connected"]);
    let mut on_b = Taker::new(connect(at_b), 0);
    hydrant.wait_logs(&["relay[b]: client", "connected"]);
    let (mut feed_a, mut feed_b) = (Feed::default(), Feed::default());
    let steps = [
        // An option that is live, and a newcomer.
        (
            relay("a", a.at, "max-lag = \"10s\"\nmax-clients = 1")
                + &relay("b", b.at, "")
                + &relay("c", a.at, ""),
            "1 begun, 1 changed, 0 stopped, 1 untouched",
        ),
        // The newcomer goes.
        (
            relay("b", b.at, "") + &relay("a", a.at, "max-clients = 1"),
            "0 begun, 1 changed, 1 stopped, 1 untouched",
        ),
        // Nothing.
        (
            relay("b", b.at, "# a comment") + &relay("a", a.at, "max-clients = 1"),
            "0 begun, 0 changed, 0 stopped, 2 untouched",
        ),
    ];
    for (text, said) in steps {
        feed_a.send(&mut up_a, 300_000);
        feed_b.send(&mut up_b, 300_000);
        let line = file.reload(&hydrant, &text);
        assert!(line.ends_with(said), "{line}");
        feed_a.send(&mut up_a, 300_000);
        on_a.take(600_000);
        feed_b.send(&mut up_b, 300_000);
        on_b.take(600_000);
    }
    // The limit holds, for those who come.
    let mut second = connect(at_a);
    hydrant.wait_logs(&["relay[a]: client", "refused"]);
    assert_eq!(std::io::Read::read(&mut second, &mut [0]).unwrap_or(0), 0);
    hydrant.stop();
}

/// The ring of a relay without clients is memory that nobody has used, also where another one was there before.
#[test]
fn relays_that_begin_anew_take_no_more_memory() {
    let away = Place::new();
    let all = |ring: &str| -> String {
        let one = |at| relay(&format!("r{at}"), away.at, &format!("ring = \"{ring}\""));
        (0..8).map(one).collect()
    };
    let file = File::new(&all("16M"));
    let hydrant = file.run();
    hydrant.wait_logs(&["relay[r7]: listening"]);
    for ring in ["15M", "14M", "13M", "12M", "11M", "10M"] {
        let line = file.reload(&hydrant, &all(ring));
        assert!(line.contains("8 begun"), "{line}");
    }
    let resident = hydrant.resident_kib();
    assert!(resident < 64 << 10, "{resident} KiB, of rings of 10 MiB");
    hydrant.stop();
}

/// There is one stdout: the format changes on it, and another relay may have it, whatever happens to the first.
#[test]
fn the_dump_changes_its_format_and_its_relay() {
    let (mut a, mut b) = (Place::new(), Place::new());
    let both = |on_a: &str, on_b: &str| relay("a", a.at, on_a) + &relay("b", b.at, on_b);
    let steps = [
        (
            both("dump = true\ndump-format = \"hex\"", ""),
            "0 begun, 1 changed",
        ),
        (both("", "dump = true"), "0 begun, 2 changed"),
        (both("dump = true", "ring = \"1M\""), "1 begun, 1 changed"),
        (
            both("dump = true\nring = \"1M\"", "ring = \"1M\""),
            "1 begun, 0 changed",
        ),
        (
            both("dump = true\nring = \"2M\"", "ring = \"1M\""),
            "1 begun, 0 changed",
        ),
    ];
    let file = File::new(&both("dump = true", ""));
    let mut hydrant = file.run();
    let (_up_a, _up_b) = (a.accept(), b.accept());
    hydrant.wait_logs(&["relay[a]: upstream", "connected"]);
    for (text, said) in steps {
        let line = file.reload(&hydrant, &text);
        assert!(line.contains(said), "{line}");
        let line = file.reload(&hydrant, &text);
        assert!(
            line.ends_with("0 begun, 0 changed, 0 stopped, 2 untouched"),
            "{line}"
        );
    }
    assert!(!hydrant.has_logged("stdout"), "{:?}", hydrant.log());
    let mut stdout = hydrant.stdout();
    // It was begun anew twice.
    let (_gone, mut up) = (a.accept(), a.accept());
    hydrant.wait_logs(&["relay[a]: upstream", "connected"]);
    hydrant.wait_logs(&["relay[a]: upstream", "connected"]);
    std::io::Write::write_all(&mut up, b"shown").expect("it is read");
    // What has not been read when the signal comes is nobody's.
    let (shown, stdout) = within("reading stdout", move || {
        let mut shown = [0; 5];
        let read = std::io::Read::read_exact(&mut stdout, &mut shown);
        (read.map(|()| shown), stdout)
    });
    assert_eq!(shown.expect("it is shown"), *b"shown");
    hydrant.signal("TERM");
    let rest = within("reading stdout", move || read_all(stdout));
    assert_eq!(String::from_utf8_lossy(&rest), "");
    assert_eq!(hydrant.wait_exit(), 0);
}

#[test]
fn another_source_is_dialled_while_the_clients_stay() {
    let (mut old, mut new) = (Place::new(), Place::new());
    let file = File::new(&relay("a", old.at, ""));
    let hydrant = file.run();
    let at = clients_of(&hydrant, "relay[a]");
    let mut up = old.accept();
    hydrant.wait_log("upstream");
    let mut taker = Taker::new(connect(at), 0);
    hydrant.wait_logs(&["client", "connected"]);
    let mut feed = Feed::default();
    feed.send(&mut up, 10_000);
    taker.take(10_000);
    let line = file.reload(&hydrant, &relay("a", new.at, ""));
    assert!(line.contains("1 changed"), "{line}");
    let mut up = new.accept();
    feed.send(&mut up, 10_000);
    taker.take(10_000);
    hydrant.stop();
}

/// One whose ring is another is begun anew, alone, and its port is never without a listener.
#[test]
fn what_can_t_change_in_place_is_begun_anew() {
    let (mut a, mut b) = (Place::new(), Place::new());
    let file = File::new(&(relay("a", a.at, "") + &relay("b", b.at, "")));
    let hydrant = file.run();
    let (at_a, at_b) = (
        clients_of(&hydrant, "relay[a]"),
        clients_of(&hydrant, "relay[b]"),
    );
    let (_up_a, mut up_b) = (a.accept(), b.accept());
    let _on_a = connect(at_a);
    hydrant.wait_logs(&["relay[a]: client", "connected"]);
    let mut on_b = Taker::new(connect(at_b), 0);
    hydrant.wait_logs(&["relay[b]: client", "connected"]);
    let line = file.reload(
        &hydrant,
        &(relay("a", a.at, "ring = \"1M\"") + &relay("b", b.at, "")),
    );
    assert!(
        line.ends_with("1 begun, 0 changed, 1 stopped, 1 untouched"),
        "{line}"
    );
    // The same port, though any would have done.
    assert_eq!(clients_of(&hydrant, "relay[a]"), at_a);
    hydrant.wait_log("relay[a]: stopped by a reload");
    let mut again = a.accept();
    hydrant.wait_logs(&["relay[a]: upstream", "connected"]);
    let mut taker = Taker::new(connect(at_a), 0);
    hydrant.wait_logs(&["relay[a]: client", "connected"]);
    Feed::default().send(&mut again, 10_000);
    taker.take(10_000);
    Feed::default().send(&mut up_b, 10_000);
    on_b.take(10_000);
    hydrant.stop();
}

#[test]
fn a_mistake_or_a_place_that_is_taken_changes_nothing() {
    let (mut a, taken) = (Place::new(), Place::opened());
    let file = File::new(&relay("a", a.at, ""));
    let hydrant = file.run();
    let at = clients_of(&hydrant, "relay[a]");
    let mut up = a.accept();
    hydrant.wait_logs(&["upstream", "connected"]);
    let mut taker = Taker::new(connect(at), 0);
    hydrant.wait_logs(&["client", "connected"]);
    let mut feed = Feed::default();
    let wrong = relay("a", a.at, "rong = 1");
    let taken = relay("new", a.at, "").replace("127.0.0.1:0", &taken.at.to_string());
    let clash = relay("a", a.at, "ring = \"1M\"") + &relay("ok", a.at, "") + &taken;
    for (text, why) in [(wrong, "unknown key rong"), (clash, "port in use")] {
        file.write(&text);
        hydrant.signal("HUP");
        hydrant.wait_log(why);
        hydrant.wait_log("the run file was not applied; nothing has changed");
        feed.send(&mut up, 10_000);
        taker.take(10_000);
    }
    assert!(!hydrant.has_logged("relay[ok]"), "{:?}", hydrant.log());
    assert!(!hydrant.has_logged("stopped"), "{:?}", hydrant.log());
    hydrant.stop();
}

/// A place that takes in the one before, or is a part of it, is listened at before that goes; who is connected gets
/// what is theirs.
#[test]
fn a_place_is_widened_and_narrowed() {
    let (mut a, place) = (Place::new(), Place::everywhere());
    let port = place.at.port();
    let src = a.at;
    let with = |dst: String| relay("a", src, "").replace("127.0.0.1:0", &dst);
    let (narrow, wide) = (with(format!("127.0.0.1:{port}")), with(format!(":{port}")));
    let other = with(format!("127.0.0.2:{port}"));
    let file = File::new(&narrow);
    let hydrant = file.run();
    let mut ups = vec![a.accept()];
    let steps = [
        (&wide, "127.0.0.2"),
        (&narrow, "127.0.0.1"),
        (&wide, "127.0.0.1"),
        (&other, "127.0.0.2"),
    ];
    let mut before: Option<Taker<_>> = None;
    for (text, reached) in steps {
        let line = file.reload(&hydrant, text);
        assert!(
            line.ends_with("1 begun, 0 changed, 1 stopped, 0 untouched"),
            "{line}"
        );
        hydrant.wait_log("relay[a]: stopped by a reload");
        if let Some(mut before) = before.take() {
            assert_eq!(before.take_rest(), Ending::Orderly);
        }
        let mut up = a.accept();
        hydrant.wait_logs(&["relay[a]: upstream", "connected"]);
        let at = format!("{reached}:{port}").parse().expect("an address");
        let mut newcomer = Taker::new(connect(at), 0);
        hydrant.wait_logs(&["relay[a]: client", "connected"]);
        Feed::default().send(&mut up, 10_000);
        newcomer.take(10_000);
        before = Some(newcomer);
        ups.push(up);
    }
    let gone = std::net::TcpStream::connect(("127.0.0.1", port));
    assert!(gone.is_err(), "it was left behind");
    hydrant.stop();
}

/// Where something else can't be had, the wider place is given up again, and the old one serves as before.
#[test]
fn a_place_that_was_widened_in_vain_is_as_it_was() {
    let (mut a, taken) = (Place::new(), Place::opened());
    let place = Place::everywhere();
    let port = place.at.port();
    let src = a.at;
    let with = |dst: String| relay("a", src, "").replace("127.0.0.1:0", &dst);
    let file = File::new(&with(format!("127.0.0.1:{port}")));
    let hydrant = file.run();
    let mut up = a.accept();
    hydrant.wait_logs(&["relay[a]: upstream", "connected"]);
    let second = relay("b", a.at, "").replace("127.0.0.1:0", &taken.at.to_string());
    file.write(&(with(format!(":{port}")) + &second));
    hydrant.signal("HUP");
    let line = hydrant.wait_log("port in use");
    assert!(line.contains("relay[b]"), "{line}");
    hydrant.wait_log("nothing has changed");
    assert!(std::net::TcpStream::connect(("127.0.0.2", port)).is_err());
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    let mut taker = Taker::new(connect(at), 0);
    hydrant.wait_logs(&["relay[a]: client", "connected"]);
    Feed::default().send(&mut up, 10_000);
    taker.take(10_000);
    // Nobody who asks for the same stands beside it: by now it alone has the port.
    drop(place);
    let beside = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let wide = SocketAddr::from(([0, 0, 0, 0], port));
    assert!(beside.bind(&wide.into()).is_err());
    hydrant.stop();
}

#[test]
fn one_that_can_t_begin_keeps_all_from_beginning() {
    let (a, taken) = (Place::new(), Place::opened());
    let second = relay("b", a.at, "").replace("127.0.0.1:0", &taken.at.to_string());
    let file = File::new(&(relay("a", a.at, "") + &second));
    let said = hydrant("run").arg(file.path()).run();
    assert_eq!(said.code, 1);
    let [line] = said.stderr.as_slice() else {
        panic!("{:?}", said.stderr)
    };
    let start = format!(
        "hydrant: relay[b]: can't listen on {}: port in use",
        taken.at
    );
    assert!(line.starts_with(&start), "{line}");
}

/// Nobody is told that something listens which is gone at once.
#[test]
fn nothing_says_that_it_listens_where_a_watcher_can_t() {
    let taken = Place::opened();
    let at = taken.at;
    let file = File::new(&format!(
        "[[relay]]\nsrc = \"127.0.0.1:1\"\ndst = 0\n[metrics]\nlisten = 0\n[console]\nbind = \"{at}\"\n"
    ));
    let said = hydrant("run").arg(file.path()).run();
    let wrong = format!("hydrant: console: can't listen on {at}: port in use");
    assert!(said.stderr[0].starts_with(&wrong), "{:?}", said.stderr);
    assert_eq!((said.code, said.stderr.len()), (1, 1), "{:?}", said.stderr);
}

/// One that came to its end, or could not begin again, is begun by the next reload though its section is the same.
#[test]
fn what_is_over_is_begun_anew() {
    let mut a = Place::new();
    let text = relay("a", a.at, "upstream-loss = \"exit\"") + &relay("b", a.at, "");
    let file = File::new(&text);
    let hydrant = file.run();
    drop((a.accept(), a.accept()));
    hydrant.wait_log("relay[a]: source ended");
    let line = file.reload(&hydrant, &text);
    assert!(
        line.ends_with("1 begun, 0 changed, 0 stopped, 1 untouched"),
        "{line}"
    );
    hydrant.wait_logs(&["relay[a]: upstream", "connected"]);
    hydrant.stop();
}

/// One goes with its source; the other is not touched by that.
#[test]
fn the_end_of_one_is_not_the_end_of_others() {
    let (mut a, mut b) = (Place::new(), Place::new());
    let file = File::new(&(relay("a", a.at, "upstream-loss = \"exit\"") + &relay("b", b.at, "")));
    let mut hydrant = file.run();
    let at_b = clients_of(&hydrant, "relay[b]");
    drop(a.accept());
    hydrant.wait_log("relay[a]: source ended");
    let mut up = b.accept();
    hydrant.wait_logs(&["relay[b]: upstream", "connected"]);
    let mut taker = Taker::new(connect(at_b), 0);
    hydrant.wait_logs(&["relay[b]: client", "connected"]);
    Feed::default().send(&mut up, 10_000);
    taker.take(10_000);
    hydrant.signal("TERM");
    assert_eq!(hydrant.wait_exit(), 0);
}

/// It listens where it did until the next start, so whoever could not look then can't now.
#[test]
fn a_page_that_loses_its_token_asks_for_it_all_the_same() {
    let a = Place::new();
    let console = "[console]\nbind = \"127.0.0.1:0\"\n";
    let file = File::new(&(relay("a", a.at, "") + console + "token-file = \"key\"\n"));
    let key = file.folder().join("key");
    fs::write(&key, "0123456789abcdef").expect("the folder can be written");
    fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).expect("it is ours");
    let hydrant = file.run();
    let at = hydrant.address_of("browsers");
    let status = |with: &str| {
        let request =
            format!("GET /api/v1/state HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n{with}\r\n");
        ask(at, &request).0
    };
    let bearer = "Authorization: Bearer 0123456789abcdef\r\n";
    assert_eq!((status(""), status(bearer)), (401, 200));
    for _ in 0..2 {
        file.reload(&hydrant, &(relay("a", a.at, "") + console));
        assert_eq!((status(""), status(bearer)), (401, 200));
    }
    hydrant.wait_log("no token is given any more");
    hydrant.stop();
}
