//! `hub client`, `hub send` and `hub recv`, with a real hub, with one that is the seed's, and with none.

use std::fs;
use std::io::{Read, Write};
use std::process::{ChildStdin, ChildStdout, Stdio};

use crate::common::hydrant::{Finished, Hydrant, hydrant, read_all};
use crate::common::peers::Place;
use crate::common::scratch::Scratch;
use crate::common::tools::{Tool, have};
use crate::common::within;
use crate::rig::Hub;

/// `hub client` with pipes.
struct Typist {
    run: Hydrant,
    keys: Option<ChildStdin>,
    screen: Option<ChildStdout>,
}

impl Typist {
    fn start(at: impl std::fmt::Display, name: &str) -> Self {
        let line = format!("hub client {at} {name}");
        let mut run = hydrant(&line).stdin(Stdio::piped()).start();
        let keys = Some(run.stdin());
        let screen = Some(run.stdout());
        Self { run, keys, screen }
    }

    #[track_caller]
    fn sees(&mut self, text: &str) {
        let mut screen = self.screen.take().expect("put back by the last call");
        let mut got = vec![0; text.len()];
        let (screen, got) = within("the screen", move || {
            let _ = screen.read_exact(&mut got);
            (screen, got)
        });
        self.screen = Some(screen);
        assert_eq!(String::from_utf8_lossy(&got), text);
    }

    fn types(&mut self, text: &str) {
        let keys = self.keys.as_mut().expect("stdin is open");
        keys.write_all(text.as_bytes()).expect("it reads");
    }

    fn hangs_up(&mut self) {
        self.keys = None;
    }
}

fn said(code: i32, stdout: &str, stderr: &[&str]) -> Finished {
    Finished {
        code,
        stdout: stdout.to_owned(),
        stderr: stderr.iter().map(|line| (*line).to_owned()).collect(),
    }
}

#[test]
fn two_people_talk_as_in_the_seed() {
    let hub = Hub::start("");
    let mut a = Typist::start(hub.at, "device_a");
    a.sees("Command > ");
    let mut b = Typist::start(hub.at, "device_b");
    b.sees("Command > ");
    a.types("recv\n");
    b.types("send\n");
    b.sees("Dest name > ");
    b.types("device_a\n");
    b.sees("Data > ");
    b.types("hello\n");
    b.sees("Command > ");
    a.sees("b'hello'\n");
    b.types("send\ndevice_a\nit's\\\n");
    a.sees("b\"it's\\\\\"\n");
    a.types("\n");
    a.sees("Command > ");
    // What comes meanwhile is shown later.
    b.sees("Dest name > Data > Command > ");
    b.types("send\ndevice_a\nlater\n");
    b.sees("Dest name > Data > Command > ");
    b.types("what\n");
    b.sees("send or recv\nCommand > ");
    b.types("send\na|b\n");
    b.sees("Dest name > the name a|b has a | in it\nCommand > ");
    a.types("recv\n");
    a.sees("b'later'\n");
    b.hangs_up();
    b.sees("\n");
    assert_eq!(b.run.wait_exit(), 0);
    // A script that asks for messages gets them beyond the end of its stdin.
    a.hangs_up();
    hub.plain("x").send("device_a|1|!");
    a.sees("b'!'\n");
    hub.run.signal("TERM");
    assert_eq!(a.run.wait_exit(), 1);
    let gone = format!("hydrant: the hub {} has closed the connection", hub.at);
    assert_eq!(a.run.log(), [gone]);
}

#[test]
fn a_script_may_type() {
    let hub = Hub::start("");
    let mut to = hub.plain("to");
    let mut typist = Typist::start(hub.at, "script");
    typist.types("send\nto\nhello\nsend\nto\nagain");
    typist.hangs_up();
    to.gets("helloagain");
    assert_eq!(typist.run.wait_exit(), 0);
}

#[test]
fn a_terminal_is_at_home() {
    if !have("socat") {
        return;
    }
    let hub = Hub::start("");
    let mut to = hub.plain("to");
    let program = env!("CARGO_BIN_EXE_hydrant");
    let exec = format!(
        "EXEC:\"{program} hub client {} tty\",pty,ctty,setsid,echo=0",
        hub.at
    );
    let mut socat = Tool::start("socat", &["STDIO", &exec]);
    let mut keys = socat.0.stdin.take().expect("a pipe");
    let screen = socat.0.stdout.take().expect("a pipe");
    keys.write_all(b"send\nto\nhello\n").unwrap();
    to.gets("hello");
    to.send("tty|2|hi");
    keys.write_all(b"recv\n").unwrap();
    // Ctrl-D, at the beginning of a line.
    keys.write_all(b"\n\x04").unwrap();
    let text = within("the terminal", move || {
        let mut text = Vec::new();
        let mut screen = screen;
        let mut byte = [0];
        while screen.read(&mut byte).is_ok_and(|count| count > 0) {
            text.push(byte[0]);
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    assert!(
        text.starts_with("Command > Dest name > Data > Command > "),
        "{text:?}"
    );
    hub.logs(&["client tty (", ") left"]);
}

#[test]
fn send_says_whether_anybody_is_there() {
    let hub = Hub::start("");
    let mut to = hub.plain("to");
    let send = |words: &str| hydrant(&format!("hub send {} {words}", hub.at));
    assert_eq!(send("me to hello").run(), said(0, "", &[]));
    to.gets("hello");
    assert_eq!(
        send("me nobody hello").run(),
        said(1, "", &["hydrant: nobody is not registered at the hub"])
    );
    assert_eq!(send("me me hello").run(), said(0, "", &[]), "to oneself");
    let text = format!("hydrant: the hub {} refused to: name-in-use", hub.at);
    assert_eq!(send("to me hello").run(), said(1, "", &[&text]));
    assert_eq!(send("me to").arg("two words").run().code, 0);
    to.gets("two words");
}

#[test]
fn send_finds_a_name_in_an_answer_of_many_messages() {
    let hub = Hub::start("--max-message 1K --queue 4K --max-clients-per-ip off");
    let crowd: Vec<_> = (0..40)
        .map(|number| hub.plain(&format!("m{number:02}{}", "-".repeat(90))))
        .collect();
    for sender in ["a", "z", "m20"] {
        let last = format!("m39{}", "-".repeat(90));
        for (dest, code) in [(last.as_str(), 0), ("b", 1), ("zz", 1), ("m399", 1)] {
            let run = hydrant(&format!("hub send {} {sender} {dest} x", hub.at)).run();
            assert_eq!(run.code, code, "{sender} to {dest}: {run:?}");
        }
    }
    drop(crowd);
}

#[test]
fn stdin_is_one_message_if_it_fits() {
    let hub = Hub::start("--queue 64M");
    let mut to = hub.enveloped("to");
    let send = |line: &str, bytes: &[u8]| {
        let words = format!("hub send {} me to {line}", hub.at);
        let mut run = hydrant(&words).stdin(Stdio::piped()).start();
        run.stdin().write_all(bytes).expect("it reads");
        assert_eq!(run.wait_exit(), 0);
    };
    let body: Vec<u8> = (0..2500u32).map(|at| (at % 251) as u8).collect();
    send("", &body);
    assert_eq!(to.message(), ("me".to_owned(), body.clone()));
    send("--max-message 1000", &body);
    for part in body.chunks(1000) {
        assert_eq!(to.message(), ("me".to_owned(), part.to_vec()));
    }
    send("--max-message 1250", &body);
    for part in body.chunks(1250) {
        assert_eq!(to.message(), ("me".to_owned(), part.to_vec()));
    }
    send("", b"");
    assert_eq!(to.message(), ("me".to_owned(), Vec::new()));
    let large = vec![7; 20 << 20];
    let reader = std::thread::spawn(move || {
        for _ in 0..20 {
            assert_eq!(to.message().1.len(), 1 << 20);
        }
        // To be found by its sender, it has to stay.
        to
    });
    send("", &large);
    within("receiving", move || reader.join().map(drop)).expect("all of it");
}

#[test]
fn recv_writes_what_comes() {
    let hub = Hub::start("");
    let start = |flags: &str| {
        let mut run = hydrant(&format!("hub recv {} to {flags}", hub.at)).start();
        hub.logs(&["client to (", " connected"]);
        let stdout = run.stdout();
        (run, stdout)
    };
    let mut a = hub.plain("a");
    let (mut run, stdout) = start("--count 3");
    let binary: Vec<u8> = (0..=255).collect();
    a.send([&b"to|256|"[..], &binary, b"to|0|to|2|hito|4|more"].concat());
    let got = within("stdout", move || read_all(stdout));
    assert_eq!(got, [&binary[..], b"hi"].concat());
    assert_eq!(run.wait_exit(), 0);
    hub.logs(&["client to (", " left"]);
    let (mut run, stdout) = start("--count 2 --newline");
    a.send("to|2|onto|3|two");
    assert_eq!(within("stdout", move || read_all(stdout)), b"on\ntwo\n");
    assert_eq!(run.wait_exit(), 0);
    hub.logs(&["client to (", " left"]);
    // Without a count: until the hub is gone.
    let (mut run, stdout) = start("");
    a.send("to|3|end");
    a.send("a|1|.");
    a.gets(".");
    hub.run.signal("TERM");
    assert_eq!(within("stdout", move || read_all(stdout)), b"end");
    assert_eq!(run.wait_exit(), 1);
    let gone = format!("hydrant: the hub {} has closed the connection", hub.at);
    assert_eq!(run.log(), [gone]);
}

#[test]
fn a_signal_ends_a_client_well() {
    let hub = Hub::start("");
    let mut run = hydrant(&format!("hub recv {} a", hub.at)).start();
    hub.logs(&["client a ("]);
    run.signal("INT");
    assert_eq!(run.wait_exit(), 0);
}

#[test]
fn no_hub_is_told() {
    let place = Place::new();
    let text = format!("hydrant: the hub {} refused the connection", place.at);
    for line in ["client {} a", "recv {} a", "send {} a b c"] {
        let line = line.replace("{}", &place.at.to_string());
        assert_eq!(hydrant(&format!("hub {line}")).run(), said(1, "", &[&text]));
    }
}

#[test]
fn a_hub_that_does_not_answer_is_told() {
    let place = Place::opened();
    let run = hydrant(&format!(
        "hub send {} a b c --connect-timeout 0.2",
        place.at
    ))
    .run();
    let text = format!("hydrant: the hub {} did not answer within 0.2 s", place.at);
    assert_eq!(run, said(1, "", &[&text]));
}

/// The seed's hub knows no envelope: it closes, and is then spoken to as its own clients do.
#[test]
fn a_hub_that_is_the_seeds_is_understood() {
    let mut place = Place::opened();
    let mut run = hydrant(&format!("hub send {} me to hello", place.at)).start();
    let mut first = place.accept();
    let mut got = [0; 14];
    first.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"|8|envelopeme|");
    drop(first);
    let mut second = place.accept();
    let mut got = Vec::new();
    second.read_to_end(&mut got).unwrap();
    assert_eq!(got, b"me|to|5|hello");
    drop(second);
    assert_eq!(run.wait_exit(), 0);

    let mut typist = Typist::start(place.at, "me");
    drop(place.accept());
    let mut hub = place.accept();
    typist.sees("Command > ");
    typist.types("recv\n");
    let mut got = [0; 3];
    hub.read_exact(&mut got).unwrap();
    assert_eq!(&got, b"me|");
    hub.write_all(b"hello").unwrap();
    typist.sees("b'hello'\n");
    drop(hub);
    assert_eq!(typist.run.wait_exit(), 1);

    let mut counting = hydrant(&format!("hub recv {} me --count 1", place.at)).start();
    drop(place.accept());
    let _hub = place.accept();
    assert_eq!(counting.wait_exit(), 1);
    counting.wait_log("this hub does not tell messages apart, as --count needs it");
}

#[test]
fn tokens_come_from_a_file_or_the_environment() {
    let scratch = Scratch::new();
    let (tokens, own, wrong) = (scratch.at("tokens"), scratch.at("own"), scratch.at("wrong"));
    fs::write(&tokens, "me 0123456789abcdef-me\n").unwrap();
    let mode: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::write(&own, "0123456789abcdef-me\n").unwrap();
    fs::write(&wrong, "0123456789abcdef-you\n").unwrap();
    for file in [&tokens, &own, &wrong] {
        fs::set_permissions(file, mode.clone()).unwrap();
    }
    let hub = Hub::start(&format!("--tokens {tokens}"));
    let send = format!("hub send {} me me hello", hub.at);
    let by_file = hydrant(&format!("{send} --token-file {own}")).run();
    assert_eq!(by_file, said(0, "", &[]));
    let by_env = hydrant(&send)
        .shell("HYDRANT_TOKEN=0123456789abcdef-me exec \"$0\" \"$@\"")
        .run();
    assert_eq!(by_env, said(0, "", &[]));
    let text = format!("hydrant: the hub {} refused me: proof", hub.at);
    let refused = hydrant(&format!("{send} --token-file {wrong}")).run();
    assert_eq!(refused, said(1, "", &[&text]));
    let text = format!(
        "hydrant: the hub {} asks for a token: --token-file FILE, or HYDRANT_TOKEN",
        hub.at
    );
    assert_eq!(hydrant(&send).run(), said(1, "", &[&text]));
    // As with the list of a hub; and what is not there may be the token itself.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(&own, open).unwrap();
    let exposed = hydrant(&format!("{send} --token-file {own}")).run();
    let text = format!(
        "hydrant: --token-file {own} can be read or changed by others (mode 644): chmod 600 {own}"
    );
    assert_eq!(exposed, said(1, "", &[&text]));
    let text = "hydrant: can't read --token-file: no such file; its path is not shown, since it may be the secret \
                itself";
    let taken_for_a_path = hydrant(&format!("{send} --token-file 0123456789abcdef-me")).run();
    assert_eq!(taken_for_a_path, said(1, "", &[text]));
    let short = hydrant(&send)
        .shell("HYDRANT_TOKEN=short exec \"$0\" \"$@\"")
        .run();
    assert_eq!(
        short,
        said(
            1,
            "",
            &["hydrant: HYDRANT_TOKEN: the token is shorter than 16 bytes"]
        )
    );
}
