//! Who may be who: proofs, takeovers, and the file of tokens.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hydrant::proto::mailbox::{NONCE_LEN, Nonce, Notice, Request, prove};

use crate::common::hydrant::{Finished, hydrant};
use crate::common::scratch::Scratch;
use crate::rig::{Client, Hub};

const ALICE: &str = "alice-has-this-token";
const BOB: &str = "bob-has-another-one!";

fn write(path: &str, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn guarded(scratch: &Scratch, flags: &str) -> Hub {
    let path = scratch.at("tokens");
    write(&path, &format!("alice {ALICE}\nbob {BOB}\n"), 0o600);
    Hub::start(&format!("--tokens {path} {flags}"))
}

/// Says a name, and answers the nonce.
#[track_caller]
fn try_as(hub: &Hub, name: &str, token: &str) -> Client {
    let mut client = hub.connect();
    client.send(format!("|8|envelope{name}|"));
    let (from, body) = client.message();
    assert_eq!((from.as_str(), body.len()), ("", 6 + 2 * NONCE_LEN));
    let Some(Notice::Nonce(nonce)) = Notice::read(&body) else {
        panic!("{}", body.escape_ascii());
    };
    let mut proof = Vec::new();
    Request::Proof(prove(token.as_bytes(), &nonce, name.as_bytes())).write(&mut proof);
    client.send([&b"|70|"[..], &proof].concat());
    client
}

#[track_caller]
fn enter(hub: &Hub, name: &str, token: &str) -> Client {
    let mut client = try_as(hub, name, token);
    client.gets("|2|ok");
    client
}

#[test]
fn a_proof_lets_in_and_takes_over() {
    let scratch = Scratch::new();
    let hub = guarded(&scratch, "");
    let alice = enter(&hub, "alice", ALICE);
    let mut bob = enter(&hub, "bob", BOB);
    let us = alice.us();
    let mut again = enter(&hub, "alice", ALICE);
    alice.goes();
    hub.logs(&[&format!(
        "[WARN] hub: client alice ({us}) dropped: taken-over; "
    )]);
    bob.send("alice|5|hello");
    again.gets("bob|5|hello");
    let report = hub.run.report();
    assert!(report.contains("hub 2 clients | "), "{report}");
    assert!(report.contains("(taken-over 1)"), "{report}");
}

#[test]
fn no_proof_no_entry() {
    let scratch = Scratch::new();
    for (name, token, why) in [
        ("alice", BOB, "alice is not proven by its token"),
        ("carol", ALICE, "carol has no token"),
    ] {
        let hub = guarded(&scratch, "");
        let mut client = try_as(&hub, name, token);
        client.gets("|13|refused proof");
        client.ends();
        hub.logs(&["refused: proof; ", why]);
    }
    let hub = guarded(&scratch, "--name-timeout 60");
    let mut alice = enter(&hub, "alice", ALICE);
    let mut plain = hub.connect();
    plain.send("alice|");
    plain.ends();
    hub.logs(&["refused: proof; alice came without the envelope and a proof"]);
    // Somebody who heard an earlier proof has nothing of it.
    let old = prove(ALICE.as_bytes(), &Nonce([0; NONCE_LEN]), b"alice");
    let mut proof = Vec::new();
    Request::Proof(old).write(&mut proof);
    let replayed = [&b"|70|"[..], &proof].concat();
    for answer in [
        &replayed[..],
        b"|3|who",
        b"bob|5|hello",
        b"|71|",
        b"||",
        b"alice|0|",
        b"|0|",
    ] {
        let mut client = hub.connect();
        client.send("|8|envelopealice|");
        client.message();
        client.send(answer);
        client.gets("|13|refused proof");
        client.ends();
    }
    alice.send("alice|1|.");
    alice.gets("alice|1|.");
    let report = hub.run.report();
    assert!(report.contains("| refused: proof 8 |"), "{report}");
    assert!(hub.run.log().iter().all(|line| !line.contains(ALICE)));
}

#[test]
fn a_proof_has_to_come_in_time() {
    let scratch = Scratch::new();
    // The name has to come in time as well, however busy the machine is.
    let hub = guarded(&scratch, "--name-timeout 4");
    let mut client = hub.connect();
    client.send("|8|envelopealice|");
    client.message();
    client.ends();
    hub.logs(&["refused: name-timeout; no proof within 4 s"]);
}

#[test]
fn tokens_are_read_again_on_sighup() {
    let scratch = Scratch::new();
    let hub = guarded(&scratch, "");
    let path = scratch.at("tokens");
    let mut alice = enter(&hub, "alice", ALICE);
    write(&path, &format!("bob {BOB}\ncarol {ALICE}\n"), 0o600);
    hub.run.signal("HUP");
    hub.logs(&["hub: tokens read again: 2 names"]);
    let mut carol = enter(&hub, "carol", ALICE);
    let mut late = try_as(&hub, "alice", ALICE);
    late.gets("|13|refused proof");
    alice.send("carol|2|hi");
    carol.gets("alice|2|hi");
    // What is wrong with the file changes nothing.
    write(&path, "carol short\n", 0o600);
    hub.run.signal("HUP");
    hub.logs(&["line 1: the token is shorter than 16 bytes; the tokens that it had are kept"]);
    drop(carol);
    enter(&hub, "carol", ALICE);
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let scratch = Scratch::new();
    let path = scratch.at("tokens");
    let told = |text: String| Finished {
        code: 1,
        stdout: String::new(),
        stderr: vec![format!("hydrant: --tokens {path}{text}")],
    };
    for mode in [0o604, 0o640, 0o602, 0o777] {
        write(&path, &format!("alice {ALICE}\n"), mode);
        let text = format!(" can be read or changed by others (mode {mode:03o}): chmod 600 {path}");
        assert_eq!(
            hydrant(&format!("hub serve 0 --tokens {path}")).run(),
            told(text)
        );
    }
    for (text, why) in [
        ("", " is empty"),
        (
            "alice\n",
            ": line 1: a name without a token: write NAME TOKEN",
        ),
        ("# nobody\n", ": no line of the form NAME TOKEN"),
    ] {
        write(&path, text, 0o600);
        let run = hydrant(&format!("hub serve 0 --tokens {path}")).run();
        assert_eq!(run, told(why.to_owned()));
    }
    let none = hydrant("hub serve 0 --tokens /no/such/file").run();
    assert_eq!(
        none.stderr,
        [
            "hydrant: can't read --tokens: no such file; its path is not shown, since it may be the secret itself"
        ]
    );
}
