//! SIGHUP with a run file of a hub, a tunnel and a relay of WebSockets: as with relays, what has not changed does not
//! notice.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::common::feed::{Ending, Feed, Taker};
use crate::common::hydrant::{Hydrant, hydrant};
use crate::common::peers::{Place, connect, connect_narrow, echo};
use crate::rig::{File, clients_of, get};

/// All of them in one file, with what differs from test to test.
#[derive(Default)]
struct Text {
    hub: &'static str,
    serve: &'static str,
    ws: &'static str,
    more: String,
    /// Where the tunnel and the relay of WebSockets are met.
    places: Option<[Place; 2]>,
    service: Option<SocketAddr>,
}

impl Text {
    fn new() -> Self {
        Self {
            places: Some([Place::new(), Place::new()]),
            service: Some(echo()),
            ..Self::default()
        }
    }

    fn text(&self) -> String {
        let places = self.places.as_ref().expect("they were made");
        let [tunnel, ws] = places.each_ref().map(|place| place.at);
        let service = self.service.expect("it was made");
        let Self {
            hub,
            serve,
            ws: ws_more,
            more,
            ..
        } = self;
        format!(
            r#"{more}
[[hub]]
listen = "127.0.0.1:0"
name-timeout = "1m"
{hub}
[[tunnel.serve]]
name = "public"
listen = "{tunnel}"
tokens = "tunnel.tokens"
{serve}
[[tunnel.expose]]
name = "web"
server = "{tunnel}"
target = "{service}"
token-file = "key"
retry = "20ms"
[[ws.relay]]
name = "meet"
listen = "{ws}"
tokens = "ws.tokens"
{ws_more}
[[ws.host]]
name = "host"
url = "ws://{ws}/host/game"
target = "{service}"
token-file = "key"
retry = "20ms"
[[ws.client]]
name = "client"
url = "ws://{ws}/client/game"
listen = "127.0.0.1:0"
token-file = "key"
retry = "20ms"
"#
        )
    }
}

fn keep(file: &File, name: &str, text: &str) {
    let path = file.folder().join(name);
    fs::write(&path, text).expect("the folder can be written");
    fs::set_permissions(path, PermissionsExt::from_mode(0o600)).expect("it is ours");
}

/// One who talks through each of them.
struct Users {
    hub: (TcpStream, TcpStream),
    tunnel: TcpStream,
    ws: TcpStream,
}

impl Users {
    fn come(hub: SocketAddr, tunnel: SocketAddr, ws: SocketAddr) -> Self {
        let member = |name: &str| {
            let mut stream = connect(hub);
            write!(stream, "{name}|").expect("the hub reads");
            stream
        };
        let mut all = Self {
            hub: (member("a"), member("b")),
            tunnel: echoes(tunnel),
            ws: echoes(ws),
        };
        // Only then both have their names.
        write!(all.hub.1, "b|2|me").expect("the hub reads");
        expect(&mut all.hub.1, "me");
        all
    }

    /// None of them has noticed anything.
    #[track_caller]
    fn go_on(&mut self) {
        write!(self.hub.0, "b|5|hello").expect("the hub reads");
        expect(&mut self.hub.1, "hello");
        self.go_on_without_hub();
    }

    #[track_caller]
    fn go_on_without_hub(&mut self) {
        for stream in [&mut self.tunnel, &mut self.ws] {
            stream.write_all(b"again").expect("it reads");
            expect(stream, "again");
        }
    }
}

#[track_caller]
fn expect(stream: &mut TcpStream, text: &str) {
    let mut got = vec![0; text.len()];
    stream.read_exact(&mut got).expect("it answers");
    assert_eq!(String::from_utf8_lossy(&got), text);
}

/// A connection through which a service answers.
#[track_caller]
fn echoes(at: SocketAddr) -> TcpStream {
    let mut stream = connect(at);
    stream.write_all(b"once").expect("it reads");
    expect(&mut stream, "once");
    stream
}

/// The relay of WebSockets has both its ends.
fn wait_meeting(hydrant: &Hydrant) {
    for end in ["ws host[host]", "ws client[client]"] {
        hydrant.wait_logs(&[end, ": relay ", " connected"]);
    }
}

fn start(file: &File) -> (Hydrant, Users, [SocketAddr; 3]) {
    keep(file, "tunnel.tokens", "web 0123456789abcdef\n");
    keep(file, "ws.tokens", "game 0123456789abcdef\n");
    keep(file, "key", "0123456789abcdef\n");
    let hydrant = file.run();
    let all = [
        hydrant.address_by("hub", "clients"),
        hydrant.address_by("tunnel[public]", "clients of web"),
        hydrant.address_by("ws client[client]", "programs"),
    ];
    wait_meeting(&hydrant);
    let users = Users::come(all[0], all[1], all[2]);
    (hydrant, users, all)
}

#[test]
fn a_hub_a_tunnel_and_a_ws_relay_change_in_place() {
    let mut text = Text::new();
    let file = File::new(&text.text());
    let (hydrant, mut users, [hub, ..]) = start(&file);
    let line = file.reload(&hydrant, &text.text());
    assert!(
        line.ends_with("0 begun, 0 changed, 0 stopped, 6 untouched"),
        "{line}"
    );
    users.go_on();
    // What may change: a limit of the hub, and who may come to the others.
    text.hub = "max-clients = 2";
    let tokens = "web 0123456789abcdef\nother 0123456789abcdeg\n";
    keep(&file, "tunnel.tokens", tokens);
    keep(&file, "ws.tokens", &tokens.replace("web", "game"));
    let line = file.reload(&hydrant, &text.text());
    assert!(
        line.ends_with("0 begun, 3 changed, 0 stopped, 3 untouched"),
        "{line}"
    );
    users.go_on();
    let mut third = connect(hub);
    third.write_all(b"c|").expect("it is sent");
    assert_eq!(
        third.read(&mut [0]).unwrap_or(0),
        0,
        "there are two already"
    );
    users.go_on();
    // Who is not in the file any more is not let in again, and the others stay.
    keep(&file, "tunnel.tokens", "other 0123456789abcdeg\n");
    let line = file.reload(&hydrant, &text.text());
    assert!(
        line.ends_with("0 begun, 1 changed, 0 stopped, 5 untouched"),
        "{line}"
    );
    assert_eq!(users.tunnel.read(&mut [0]).unwrap_or(0), 0);
    users.ws.write_all(b"stays").expect("it reads");
    expect(&mut users.ws, "stays");
    hydrant.stop();
}

#[test]
fn a_place_that_is_taken_changes_nothing_of_them() {
    let (taken, mut text) = (Place::opened(), Text::new());
    let file = File::new(&text.text());
    let (hydrant, mut users, _) = start(&file);
    // It would begin all three anew, and can't.
    (text.hub, text.serve, text.ws) = ("queue = \"2M\"", "linger = \"9s\"", "max-connections = 99");
    text.more = format!("[[hub]]\nname = \"new\"\nlisten = \"{}\"\n", taken.at);
    file.write(&text.text());
    hydrant.signal("HUP");
    let line = hydrant.wait_log("port in use");
    assert!(line.contains("hub[new]"), "{line}");
    hydrant.wait_log("nothing has changed");
    users.go_on();
    assert!(!hydrant.has_logged("stopped"), "{:?}", hydrant.log());
    hydrant.stop();
}

#[test]
fn each_of_them_is_begun_anew_alone() {
    let mut text = Text::new();
    let file = File::new(&text.text());
    let (hydrant, mut users, [hub, tunnel, ws]) = start(&file);
    let one = "1 begun, 0 changed, 1 stopped, 5 untouched";
    text.hub = "queue = \"2M\"";
    let line = file.reload(&hydrant, &text.text());
    assert!(line.ends_with(one), "{line}");
    assert_eq!(
        users.hub.1.read(&mut [0]).unwrap_or(0),
        0,
        "its clients come again"
    );
    users.go_on_without_hub();
    // At the same places, whatever the system chose once.
    let mut users = Users::come(hub, tunnel, ws);
    text.serve = "linger = \"9s\"";
    let line = file.reload(&hydrant, &text.text());
    assert!(line.ends_with(one), "{line}");
    users.ws.write_all(b"stays").expect("it reads");
    expect(&mut users.ws, "stays");
    // Its public port is there again once its backend is.
    assert_eq!(
        hydrant.address_by("tunnel[public]", "clients of web"),
        tunnel
    );
    let mut users = Users {
        tunnel: echoes(tunnel),
        ..users
    };
    users.go_on();
    text.ws = "max-connections = 99";
    let line = file.reload(&hydrant, &text.text());
    assert!(line.ends_with(one), "{line}");
    wait_meeting(&hydrant);
    let mut users = Users {
        ws: echoes(ws),
        ..users
    };
    users.go_on();
    hydrant.stop();
}

/// One of each kind, and none with a name: each goes by another word, in the log as on the page and in metrics.
#[test]
fn those_without_a_name_are_told_apart() {
    let places = [(); 3].map(|()| Place::new());
    let [tunnel, ws, src] = places.each_ref().map(|place| place.at);
    let service = echo();
    let text = format!(
        r#"[console]
bind = "127.0.0.1:0"
[metrics]
listen = "127.0.0.1:0"
[[relay]]
src = "{src}"
dst = "127.0.0.1:0"
[[hub]]
listen = "127.0.0.1:0"
[[tunnel.serve]]
listen = "{tunnel}"
[[tunnel.expose]]
server = "{tunnel}"
target = "{service}"
[[ws.relay]]
listen = "{ws}"
[[ws.host]]
url = "ws://{ws}/host"
target = "{service}"
[[ws.client]]
url = "ws://{ws}/client"
listen = "127.0.0.1:0"
"#
    );
    let file = File::new(&text);
    let hydrant = file.run();
    let page = hydrant.address_of("browsers");
    let (_, state) = get(page, "/api/v1/state");
    let state: Value = serde_json::from_str(&state).expect("it is JSON");
    let roles = state["roles"].as_array().expect("a list").iter();
    let names: Vec<&str> = roles.filter_map(|role| role["name"].as_str()).collect();
    let words = [
        "relay",
        "hub",
        "tunnel",
        "tunnel expose",
        "ws",
        "ws host",
        "ws client",
    ];
    assert_eq!(names, words);
    let (_, metrics) = get(hydrant.address_of("metrics"), "/metrics");
    for (role, word) in state["roles"].as_array().expect("a list").iter().zip(words) {
        assert_eq!(role["label"], word);
        hydrant.wait_log(&format!("] {word}: "));
        assert!(
            metrics.contains(&format!("role=\"{word}\",kind=")),
            "{metrics}"
        );
    }
    hydrant.stop();
}

/// Roles share the descriptors: what there is of them is one thing to know, however many roles there are.
#[test]
fn a_shortage_of_descriptors_is_told_once_for_all_roles() {
    let relay = |name: usize| {
        format!(
            "[[relay]]\nname = \"r{name}\"\nsrc = \"127.0.0.1:9\"\ndst = \"127.0.0.1:0\"\nmax-clients = 200\n"
        )
    };
    let text: String = (0..30).map(relay).collect();
    let file = File::new(&text);
    let hydrant = hydrant("run")
        .arg(file.path())
        .shell(r#"ulimit -n 256; exec "$0" "$@""#)
        .start();
    let line = hydrant.wait_log("descriptors are enough for ");
    let begin = "[WARN] hydrant: descriptors are enough for ";
    let end = " for the 6000 of all roles at once)";
    assert!(
        line.contains(begin)
            && line.contains(" clients of all roles together, of which one role can have ")
            && line.contains(
                " at most, and not the 200 of max-clients: raise ulimit -n, or LimitNOFILE= of its"
            )
            && line.ends_with(end),
        "{line}"
    );
    // What has not changed is not said again, and what has is.
    file.reload(&hydrant, &text);
    file.reload(&hydrant, &text.replacen("200", "300", 1));
    hydrant.wait_log(" for the 6100 of all roles at once)");
    let log = hydrant.stop();
    let told = log.iter().filter(|line| line.contains("descriptors are"));
    assert_eq!(told.count(), 2, "{log:#?}");
}

/// What a reload has begun and takes back again was never to be there.
#[test]
fn a_reload_that_is_refused_says_nothing_of_descriptors() {
    let relay = |name: usize| {
        format!(
            "[[relay]]\nname = \"r{name}\"\nsrc = \"127.0.0.1:9\"\ndst = \"127.0.0.1:0\"\nmax-clients = 50\n"
        )
    };
    let file = File::new(&relay(0));
    let hydrant = hydrant("run").arg(file.path());
    let hydrant = hydrant.shell(r#"ulimit -n 140; exec "$0" "$@""#).start();
    let _at = clients_of(&hydrant, "relay[r0]");
    file.write(&(0..40).map(relay).collect::<String>());
    hydrant.signal("HUP");
    hydrant.wait_log("too few file descriptors for any client");
    file.reload(&hydrant, &relay(0));
    let log = hydrant.stop();
    let begun = log.iter().filter(|line| line.contains(": listening on "));
    assert!(begun.count() > 1, "{log:#?}");
    let told = log.iter().find(|line| line.contains("descriptors are"));
    assert_eq!(told, None, "{log:#?}");
}

/// What goes by a reload, and serves those who are left for as long as they stay, is not what there has to be room for.
#[test]
fn a_shortage_of_descriptors_is_that_of_what_runs_after_a_reload() {
    let mut up = Place::new();
    let src = up.at;
    let text = |name: &str, most: usize| {
        format!(
            "[[relay]]\nname = \"{name}\"\nsrc = \"{src}\"\ndst = \"127.0.0.1:0\"\nretry = \"20ms\"\n\
             max-clients = {most}\ndrain = \"1h\"\n"
        )
    };
    let run = |most: usize| {
        let file = File::new(&text("a", most));
        let hydrant = hydrant("run").arg(file.path());
        let hydrant = hydrant.shell(r#"ulimit -n 256; exec "$0" "$@""#).start();
        (file, hydrant)
    };
    let number = |line: &str, before: &str| -> usize {
        let (_, rest) = line.split_once(before).expect(line);
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
        digits.unwrap_or_default().parse().expect(line)
    };
    let (_file, first) = run(1000);
    let line = first.wait_log("descriptors are enough for ");
    let most = number(&line, "enough for ");
    assert_eq!(number(&line, " by "), 1000 - most, "{line}");
    first.stop();
    let (file, mut hydrant) = run(most);
    let mut upstream = up.accept();
    let at = clients_of(&hydrant, "relay[a]");
    let (_behind, mut fast) = (connect_narrow(at), Taker::new(connect(at), 0));
    for _ in 0..2 {
        hydrant.wait_logs(&["relay[a]: client", "connected"]);
    }
    let mut feed = Feed::default();
    for _ in 0..100 {
        feed.send(&mut upstream, 100_000);
        fast.take(100_000);
    }
    file.reload(&hydrant, &text("b", most));
    // It has been told to go when it reads its upstream no more, and stays for the one who is behind.
    assert_eq!(Taker::new(upstream, 0).take_rest(), Ending::Orderly);
    assert_eq!(fast.take_rest(), Ending::Orderly);
    let _next = connect(clients_of(&hydrant, "relay[b]"));
    hydrant.wait_logs(&["relay[b]: client", "connected"]);
    assert!(!hydrant.has_logged("relay[a]: stopped"));
    assert!(!hydrant.has_logged("descriptors are"));
    file.reload(&hydrant, &text("c", most + 1));
    let line = hydrant.wait_log("descriptors are enough for ");
    let said = format!(
        "for {most} clients, and not the {} of max-clients: ",
        most + 1
    );
    assert!(
        line.contains(&said) && line.ends_with(" by 1 or more"),
        "{line}"
    );
    hydrant.kill();
}
