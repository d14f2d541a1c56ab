//! `hydrant status`, and the console of a run file: what runs is seen and moved from outside.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use serde_json::{Value, json};

use crate::common::feed::{Feed, Taker};
use crate::common::hydrant::{Finished, hydrant, read_all};
use crate::common::peers::{Place, connect, end};
use crate::common::scratch::Scratch;
use crate::common::tools::{Tool, have};
use crate::common::within;
use crate::rig::{File, ask, clients_of};

fn relay(name: &str, src: SocketAddr, more: &str) -> String {
    format!(
        "[[relay]]\nname = \"{name}\"\nsrc = \"{src}\"\ndst = \"127.0.0.1:0\"\nretry = \"20ms\"\n{more}\n"
    )
}

fn status(home: &Scratch, words: &str) -> Finished {
    hydrant(&format!("status {words}"))
        .env("XDG_RUNTIME_DIR", home.path())
        .run()
}

/// What was said, where it has to succeed.
#[track_caller]
fn told(home: &Scratch, words: &str) -> String {
    let said = status(home, words);
    assert_eq!(
        (said.code, said.stderr.len()),
        (0, 0),
        "{words}: {:?}",
        said.stderr
    );
    said.stdout
}

/// Why it was not done.
#[track_caller]
fn refused(home: &Scratch, words: &str) -> String {
    let said = status(home, words);
    assert_eq!(
        (said.code, said.stderr.len()),
        (1, 1),
        "{words}: {:?}",
        said.stderr
    );
    said.stderr[0].clone()
}

#[test]
fn a_terminal_sees_and_moves_what_runs() {
    let (home, mut a) = (Scratch::new(), Place::new());
    let file = File::new(&(relay("a", a.at, "") + &relay("b", a.at, "")));
    let mut hydrant = hydrant("run")
        .arg(file.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .start();
    let at = clients_of(&hydrant, "relay[a]");
    clients_of(&hydrant, "relay[b]");
    let _ups = (a.accept(), a.accept());
    let client = connect(at);
    let peer = client.local_addr().expect("it is connected");
    hydrant.wait_logs(&["relay[a]: client", "connected"]);
    let shown = told(&home, "");
    assert!(
        shown.contains(&format!("process {}", hydrant.pid())),
        "{shown}"
    );
    assert!(
        shown.contains("relay[a]  ") && shown.contains("relay[b]  "),
        "{shown}"
    );
    let json: Value = serde_json::from_str(&told(&home, "--json")).expect("it is JSON");
    assert_eq!(json["roles"][0]["fields"]["retry"], json!("20ms"));
    assert!(told(&home, "clients a").contains(&peer.to_string()));
    assert_eq!(
        told(&home, &format!("kick {peer} a")),
        format!("{peer} disconnected\n")
    );
    hydrant.wait_logs(&["relay[a]: client", &peer.to_string()]);
    drop(client);
    let why = refused(&home, &format!("kick {peer} a"));
    // For a moment it may stand among those that were gathered for the question before.
    assert!(
        why.contains("no client") || why.contains("gone already"),
        "{why}"
    );
    assert!(refused(&home, "stop").contains("several roles run here"));
    assert!(refused(&home, "stop c").contains("no role c runs here"));
    assert_eq!(told(&home, "stop b"), "b is told to stop\n");
    hydrant.wait_log("relay[b]: stopped");
    assert!(refused(&home, "stop b").contains("it does not run"));
    // What was stopped by hand is not begun by a reload, and all of it may be.
    assert_eq!(told(&home, "reload"), "read again\n");
    hydrant.wait_log("0 begun, 0 changed, 0 stopped, 2 untouched");
    assert_eq!(told(&home, "stop a"), "a is told to stop\n");
    hydrant.wait_log("relay[a]: stopped");
    let (places, mut ups): (Vec<_>, Vec<_>) = ["a", "b"]
        .map(|name| {
            assert_eq!(
                told(&home, &format!("start {name}")),
                format!("{name} started\n")
            );
            (clients_of(&hydrant, &format!("relay[{name}]")), a.accept())
        })
        .into_iter()
        .unzip();
    file.write("[[relay]]\nrong = 1\n");
    let said = status(&home, "reload");
    let place = |line: &&String| line.contains("unknown key rong");
    assert!(said.code == 1 && said.stderr.iter().any(|line| place(&line)));
    let below = said
        .stderr
        .iter()
        .find(|line| line.trim_end().ends_with("^^^^"));
    assert!(below.is_some(), "the caret has a line of its own: {said:?}");
    let stdout = hydrant.stdout();
    told(&home, "dump on a");
    told(&home, "dump off b");
    for (place, (up, text)) in places.iter().zip(ups.iter_mut().zip(["shown!", "hidden"])) {
        let mut client = connect(*place);
        hydrant.wait_logs(&[
            "client",
            &client.local_addr().expect("it is").to_string(),
            "connected",
        ]);
        up.write_all(text.as_bytes()).expect("it is read");
        client.read_exact(&mut [0; 6]).expect("it comes through");
    }
    hydrant.signal("TERM");
    assert_eq!(hydrant.wait_exit(), 0);
    let shown = within("reading stdout", move || read_all(stdout));
    assert_eq!(String::from_utf8_lossy(&shown), "shown!");
    assert!(refused(&home, "").contains("no hydrant of yours runs here"));
}

/// Those of a Unix socket all have one name.
#[test]
fn clients_of_one_name_are_told_apart_by_their_ids() {
    let (home, mut place) = (Scratch::new(), Place::new());
    let at = home.at("feed");
    let running = hydrant(&format!("{} unix:{at} --name x", place.at))
        .env("XDG_RUNTIME_DIR", home.path())
        .start();
    running.wait_log("listening on");
    let _up = place.accept();
    let mut clients: Vec<UnixStream> = Vec::new();
    for _ in 0..3 {
        clients.push(UnixStream::connect(&at).expect("it listens"));
        running.wait_logs(&["client", "connected"]);
    }
    let shown = told(&home, "clients");
    let mut rows = shown.lines().map(|line| line.split_whitespace());
    let mut column = |_| {
        rows.next()
            .and_then(|mut row| row.next().map(str::to_owned))
    };
    let ids: Vec<String> = (0..4).filter_map(&mut column).collect();
    assert_eq!((ids.len(), ids[0].as_str()), (4, "ID"), "{shown}");
    let why = refused(&home, "kick unix");
    for id in &ids[1..] {
        assert!(why.contains(&format!("{id} unix")), "{why}");
    }
    assert_eq!(
        told(&home, &format!("kick {}", ids[2])),
        format!("{} disconnected\n", ids[2])
    );
    running.wait_logs(&["client", "kicked"]);
    let why = refused(&home, &format!("kick {}", ids[2]));
    assert!(why.contains("gone already"), "{why}");
    assert!(refused(&home, "kick 987654321").contains("gone already"));
    assert!(refused(&home, "kick nobody").contains("no client nobody is there"));
}

/// One role without a file has a socket too, which nobody else can reach; and a dead one's is no obstacle.
#[test]
fn the_socket_is_its_user_s_alone() {
    let (home, place) = (Scratch::new(), Place::new());
    let start = || {
        let line = format!("{} 127.0.0.1:0 --name x", place.at);
        let hydrant = hydrant(&line).env("XDG_RUNTIME_DIR", home.path()).start();
        hydrant.wait_log("listening on");
        hydrant
    };
    let first = start();
    let folder = home.path().join("hydrant");
    let socket = folder.join(format!("{}.sock", first.pid()));
    let mode = |path| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode(&folder), mode(&socket)), (0o700, 0o600));
    assert!(refused(&home, "reload --pid 1").contains("no hydrant of yours"));
    assert!(told(&home, "").contains("relay[x]"));
    let second = start();
    let shown = told(&home, "");
    assert_eq!(shown.matches("relay[x]").count(), 2, "{shown}");
    assert!(refused(&home, "stop x").contains("add --pid PID"));
    told(&home, &format!("stop x --pid {}", second.pid()));
    let mut second = second;
    assert_eq!(second.wait_exit(), 0);
    // It is killed.
    drop(first);
    assert!(refused(&home, "").contains("no hydrant of yours"));
    // One that lives where its number is another one.
    let elsewhere = folder.join("4194305.sock");
    let alive = UnixListener::bind(&elsewhere).expect("a socket");
    let _third = start();
    assert!(
        !socket.exists() && elsewhere.exists(),
        "what is left of the dead is cleared away, and nothing else"
    );
    end(&alive);
    let _fourth = start();
    assert!(!elsewhere.exists());
}

/// A process that hangs: its socket takes whoever comes, and nothing is ever read.
#[test]
fn a_process_that_does_not_answer_is_named() {
    let (home, place) = (Scratch::new(), Place::new());
    let running = hydrant(&format!("{} 127.0.0.1:0 --name x", place.at))
        .env("XDG_RUNTIME_DIR", home.path())
        .start();
    running.wait_log("listening on");
    let own = std::process::id();
    let socket = home.path().join(format!("hydrant/{own}.sock"));
    let _hung = UnixListener::bind(socket).expect("the folder is there");
    let words = [
        String::new(),
        "--json".to_owned(),
        format!("--pid {own}"),
        "reload".to_owned(),
        "clients".to_owned(),
        "clients x".to_owned(),
        "dump off x".to_owned(),
    ];
    let said: Vec<Finished> = std::thread::scope(|scope| {
        let asked = words
            .each_ref()
            .map(|words| scope.spawn(|| status(&home, words)));
        asked.map(|asked| asked.join().expect("it ends")).into()
    });
    let codes: Vec<_> = said.iter().map(|said| said.code).collect();
    assert_eq!(codes, [1, 1, 1, 1, 1, 0, 0], "{:?}", said[6].stderr);
    for one in &said[..3] {
        assert_eq!(one.stderr.len(), 1, "{:?}", one.stderr);
        let named = format!("process {own} does not answer");
        assert!(one.stderr[0].ends_with(&named), "{:?}", one.stderr);
    }
    assert!(said[0].stdout.contains("relay[x]"), "{}", said[0].stdout);
    let json: Value = serde_json::from_str(&said[1].stdout).expect("it is JSON");
    assert_eq!(json["roles"][0]["name"], json!("x"));
    for one in &said[3..5] {
        let both = format!("{own}, which does not answer): add --pid PID");
        assert!(one.stderr[0].ends_with(&both), "{:?}", one.stderr);
    }
    // Who watches has the others at once each second, and is told of this one.
    let mut watching = hydrant("status --watch")
        .env("XDG_RUNTIME_DIR", home.path())
        .start();
    let mut shown = watching.stdout();
    let read = within("reading two frames", move || {
        let mut text = String::new();
        while text.matches("does not answer").count() < 2 {
            let mut some = [0; 4096];
            let count = shown.read(&mut some).expect("it goes on");
            assert!(count > 0, "it ended: {text}");
            text += &String::from_utf8_lossy(&some[..count]);
        }
        text
    });
    assert!(read.contains("relay[x]"), "{read}");
    watching.signal("INT");
    assert_eq!(watching.wait_exit(), 0);
}

/// What can't be read is no reason to show the others alone, as if that were all.
#[test]
fn a_process_whose_answer_can_t_be_read_is_named() {
    let (home, place) = (Scratch::new(), Place::new());
    let running = hydrant(&format!("{} 127.0.0.1:0 --name x", place.at))
        .env("XDG_RUNTIME_DIR", home.path())
        .start();
    running.wait_log("listening on");
    let own = std::process::id();
    let socket = home.path().join(format!("hydrant/{own}.sock"));
    let listener = UnixListener::bind(socket).expect("the folder is there");
    for (bytes, why) in [
        ("garbage\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\nContent-", "it is cut short"),
        ("HTTP/1.1 200 OK\r\n\r\n{\"roles\": [", "it is cut short"),
        ("HTTP/1.1 200 OK\r\n\r\n[1]", "it says nothing of roles"),
    ] {
        let said = std::thread::scope(|scope| {
            scope.spawn(|| answer_with(&listener, bytes));
            status(&home, "")
        });
        let named = format!("the answer of process {own} can't be read: {why}");
        assert!(said.stderr.concat().contains(&named), "{bytes}: {said:?}");
        assert!(said.stdout.contains("relay[x]"), "{}", said.stdout);
        assert_eq!((said.code, said.stderr.len()), (1, 1));
    }
}

/// What is watched in a terminal that is too small for all of it has its top, what is not well, and its end in sight.
#[test]
fn a_terminal_shows_as_much_as_it_has_room_for() {
    if !have("socat") || !have("stty") {
        return;
    }
    let home = Scratch::new();
    let idle = |n: u16| {
        format!(
            "[[relay]]\nname = \"camera {n}\"\nsrc = \"127.0.0.1:1\"\ndst = \":0\"\nenabled = false\n"
        )
    };
    let all: String = (1..=30).map(idle).collect();
    let nobody = Place::new();
    let file = File::new(&(all + &relay("worst", nobody.at, "")));
    let hydrant = hydrant("run")
        .arg(file.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .start();
    clients_of(&hydrant, "relay[worst]");
    let line = format!(
        "EXEC:\"env XDG_RUNTIME_DIR={} sh -c 'stty rows 12 cols 70; exec {} status --watch'\",pty,ctty,setsid,stderr",
        home.path().display(),
        env!("CARGO_BIN_EXE_hydrant")
    );
    let mut socat = Tool::start("socat", &["STDIO", &line]);
    let mut shown = socat.0.stdout.take().expect("a pipe");
    let text = within("three frames", move || {
        let mut text = String::new();
        while text.matches(HOME).count() < 3 {
            let mut some = [0; 4096];
            let count = shown.read(&mut some).expect("it goes on");
            assert!(count > 0, "it ended: {text}");
            text += &String::from_utf8_lossy(&some[..count]);
        }
        text
    });
    let frame = text.split(HOME).nth(2).expect("there are three");
    let lines: Vec<&str> = frame.lines().collect();
    assert_eq!(lines.len(), 11, "{frame}");
    assert!(
        lines.iter().all(|line| line.chars().count() <= 70),
        "{frame}"
    );
    assert!(
        lines[2].starts_with("relay[worst] ") && lines[2].contains("No upstream"),
        "{frame}"
    );
    assert_eq!(lines[8], "... 23 more lines", "{frame}");
    assert!(lines[10].starts_with("relay[camera 30]"), "{frame}");
}

/// Answers whoever asks next.
fn answer(listener: &UnixListener, body: &str) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    answer_with(listener, &(head + body));
}

fn answer_with(listener: &UnixListener, said: &str) {
    let (mut stream, _) = listener.accept().expect("somebody asks");
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        let mut some = [0; 4096];
        let count = stream.read(&mut some).expect("it asks");
        asked.extend_from_slice(&some[..count]);
        // What is to be done has a body, of two bytes.
        if count == 0 || asked.ends_with(b"{}") {
            break;
        }
    }
    stream.write_all(said.as_bytes()).expect("it listens");
}

/// A process that takes its time over what it is told to do.
#[test]
fn a_deed_that_takes_long_is_waited_for() {
    let home = Scratch::new();
    let folder = home.path().join("hydrant");
    fs::create_dir(&folder).expect("it is new");
    let socket = folder.join(format!("{}.sock", std::process::id()));
    let listener = UnixListener::bind(socket).expect("it is free");
    let mut asking = hydrant("status reload")
        .env("XDG_RUNTIME_DIR", home.path())
        .start();
    let listener = within("being asked for a state", move || {
        answer(&listener, r#"{"roles": []}"#);
        listener
    });
    asking.wait_log("it has not answered for 5 s; still waiting");
    within("being asked to reload", move || answer(&listener, "{}"));
    assert_eq!(asking.wait_exit(), 0);
}

/// As whatever else writes to stdout.
#[test]
fn what_can_t_be_shown_is_said() {
    let (home, place) = (Scratch::new(), Place::new());
    let running = hydrant(&format!("{} 127.0.0.1:0 --name x", place.at))
        .env("XDG_RUNTIME_DIR", home.path())
        .start();
    running.wait_log("listening on");
    let asking =
        |words: &str| hydrant(&format!("status {words}")).env("XDG_RUNTIME_DIR", home.path());
    for words in ["", "--json", "clients", "--watch"] {
        let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else {
            eprintln!("skipped: there is no /dev/full here");
            break;
        };
        let mut asked = asking(words).stdout(full).start();
        assert_eq!(asked.wait_exit(), 1, "{words}");
        let said = "hydrant: can't write to stdout: no space left on device";
        assert_eq!(asked.log(), [said], "{words}");
    }
    // A reader that has seen enough needs no word.
    for words in ["", "--watch"] {
        let (reader, stdout) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut asked = asking(words).stdout(stdout).start();
        assert_eq!(asked.wait_exit(), 0, "{words}");
        assert_eq!(asked.log(), [""; 0], "{words}");
    }
}

/// Who watches waits for whoever begins later, too.
#[test]
fn who_watches_sees_others_come_and_go() {
    let (home, place) = (Scratch::new(), Place::new());
    let mut watching = hydrant("status clients x --watch")
        .env("XDG_RUNTIME_DIR", home.path())
        .start();
    let mut shown = Some(watching.stdout());
    let mut shows = |part: &'static str| {
        let mut stdout = shown.take().expect("it is read by one at a time");
        shown = Some(within(part, move || {
            let mut text = String::new();
            while !text.contains(part) {
                let mut some = [0; 4096];
                let count = stdout.read(&mut some).expect("it goes on");
                assert!(count > 0, "it ended: {text}");
                text += &String::from_utf8_lossy(&some[..count]);
            }
            stdout
        }));
    };
    shows("no hydrant of yours runs here");
    let line = format!("{} 127.0.0.1:0 --name", place.at);
    let start = |name: &str| {
        hydrant(&format!("{line} {name}"))
            .env("XDG_RUNTIME_DIR", home.path())
            .start()
    };
    let other = start("y");
    shows("no role x runs here");
    let meant = start("x");
    shows("CLIENT");
    meant.stop();
    shows("no role x runs here");
    other.stop();
    shows("no hydrant of yours runs here");
    watching.signal("INT");
    assert_eq!(watching.wait_exit(), 0);
}

#[test]
fn a_run_file_has_a_console() {
    let mut a = Place::new();
    let text = relay("a", a.at, "") + "[[hub]]\nlisten = \"127.0.0.1:0\"\n";
    let text = text + "[console]\nbind = \"127.0.0.1:0\"\n";
    let file = File::new(&text);
    let hydrant = file.run();
    let at = hydrant.address_of("browsers");
    let get = |path: &str| {
        ask(
            at,
            &format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n"),
        )
    };
    let post = |path: &str, body: &str| {
        let head = format!(
            "POST /api/v1/{path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        );
        ask(
            at,
            &format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()),
        )
    };
    let to = clients_of(&hydrant, "relay[a]");
    let mut up = a.accept();
    let mut taker = Taker::new(connect(to), 0);
    hydrant.wait_logs(&["relay[a]: client", "connected"]);
    let state: Value = serde_json::from_str(&get("/api/v1/state").1).expect("it is JSON");
    let kinds: Vec<&str> = state["roles"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|role| role["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["relay", "hub serve"]);
    assert_eq!(state["roles"][0]["fixed"], json!(true));
    assert_eq!(state["settings"]["path"], json!(file.path()));
    // They come from the file.
    for (path, body) in [
        ("relays", "{}"),
        ("relays/1", "{\"retry\":\"9\"}"),
        ("relays/1/remove", "{}"),
    ] {
        let (status, said) = post(path, body);
        assert!(
            status == 409 && said.contains("change it there"),
            "{path}: {status} {said}"
        );
    }
    assert_eq!(post("reload", "{}").0, 200);
    hydrant.wait_log("2 untouched");
    // The hub is stopped and begun; the relay beside it does not notice.
    assert_eq!(post("relays/2/stop", "{}").0, 200);
    hydrant.wait_log("hub: stopped");
    assert_eq!(post("relays/2/start", "{}").0, 200);
    assert_eq!(post("relays/2/start", "{}").0, 409);
    file.write(&text.replace("retry = \"20ms\"", "retry = \"x\""));
    assert_eq!(post("reload", "{}").0, 409);
    Feed::default().send(&mut up, 10_000);
    taker.take(10_000);
    assert_eq!(get("/").0, 200);
    hydrant.stop();
}

/// What takes a terminal's cursor home, before each frame.
const HOME: &str = "\x1b[H\x1b[J";
