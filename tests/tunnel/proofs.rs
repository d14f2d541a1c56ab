//! Names, tokens, and whom either side trusts.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;

use crate::clients::is_turned_away;
use crate::common::hydrant::hydrant;
use crate::common::peers::{Place, connect};
use crate::common::scratch::Scratch;
use crate::common::service::ask;
use crate::peer::{Peer, greet};
use crate::rig::{Backend, Server, echo};

const TOKEN: &str = "3b1f9d0c7e5a4286";
const OTHER: &str = "91c4e07dba5f3362";

/// A folder with a file of tokens, and one with the token of `web`.
fn tokens(lines: &str) -> (Scratch, String, String) {
    let folder = Scratch::new();
    let (file, token) = (folder.at("tokens"), folder.at("token"));
    private(&file, lines);
    private(&token, &format!("{TOKEN}\n"));
    (folder, file, token)
}

fn private(file: &str, text: &str) {
    fs::write(file, text).expect("a file");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("it is ours");
}

#[test]
fn a_name_is_proven_by_its_token_and_nothing_of_it_is_logged() {
    let (_folder, file, token) = tokens(&format!("web {TOKEN}\n"));
    let server = Server::start(&format!("--tokens {file}"));
    let words = format!("--echo --name web --token-file {token}");
    let backend = Backend::start(server.at, &words);
    assert_eq!(ask(backend.public(), b"x"), b"x");
    let lines = [server.run.stop(), backend.run.stop()].concat();
    assert!(lines.iter().all(|line| !line.contains(TOKEN)));
}

#[test]
fn a_wrong_token_and_an_unknown_name_are_told_the_same() {
    let (_folder, file, _) = tokens(&format!("web {TOKEN}\n"));
    let server = Server::start(&format!("--tokens {file}"));
    let wrong = |name, token| greet(&mut connect(server.at), name, 0, token);
    let expected = Err("Proof: the name or its token is wrong".to_owned());
    assert_eq!(wrong(Some("web"), Some(OTHER)), expected);
    assert_eq!(wrong(Some("db"), Some(TOKEN)), expected);
    assert_eq!(wrong(None, Some(TOKEN)), expected);
    assert_eq!(wrong(Some("web"), None), Err("NoToken".to_owned()));
    for who in ["web (127.0.0.1)", "db (127.0.0.1)", "127.0.0.1"] {
        let line = format!("backend {who} refused: the name or its token is wrong");
        server.run.wait_log(&line);
    }
}

/// They take the name from each other in turns, and reset each other's clients.
#[test]
fn two_backends_with_one_name_and_token_are_told_in_the_log() {
    let (_folder, file, token) = tokens(&format!("web {TOKEN}\n"));
    let server = Server::start(&format!("--tokens {file}"));
    let words = format!("--echo --name web --token-file {token}");
    let _both = [(); 2].map(|()| Backend::start(server.at, &words));
    server
        .run
        .wait_log("is replaced again: do two have its name and token?");
}

#[test]
fn with_tokens_the_seeds_backends_are_refused() {
    let (_folder, file, _) = tokens(&format!("web {TOKEN}\n"));
    let server = Server::start(&format!("--tokens {file}"));
    let mut plain = connect(server.at);
    plain
        .write_all(&[0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0])
        .expect("it is read");
    assert!(is_turned_away(plain));
    server
        .run
        .wait_log("it speaks no hello, and --tokens asks for a proof");
}

#[test]
fn a_backend_with_a_token_talks_to_nobody_who_has_none() {
    let (_folder, _, token) = tokens("");
    let server = Server::start("");
    let words = format!("--echo --name web --token-file {token}");
    let backend = Backend::start(server.at, &words);
    backend
        .run
        .wait_log("asks for no proof, though --token-file is given");
    assert!(!server.run.has_logged("connected, public at"));
}

#[test]
fn a_name_gets_the_ports_of_its_line() {
    let place = Place::new();
    let port = place.at.port();
    let (_folder, file, _) = tokens(&format!("web {TOKEN} {port}\n"));
    let server = Server::start(&format!("--tokens {file}"));
    let mut stream = connect(server.at);
    let refused = greet(&mut stream, Some("web"), port - 1, Some(TOKEN));
    assert_eq!(
        refused,
        Err(format!("Port: port {} is not among {port}", port - 1))
    );
    let public = greet(&mut connect(server.at), Some("web"), 0, Some(TOKEN));
    assert_eq!(public, Ok(format!("127.0.0.1:{port}")));
}

#[test]
fn a_token_that_is_taken_away_ends_its_session() {
    let (_folder, file, token) = tokens(&format!("web {TOKEN}\n"));
    let server = Server::start(&format!("--tokens {file}"));
    let words = format!("--echo --name web --token-file {token}");
    let backend = Backend::start(server.at, &words);
    backend.public();
    private(&file, &format!("web {OTHER}\n"));
    server.run.signal("HUP");
    server
        .run
        .wait_log("lost: its token is not in --tokens any more");
    backend
        .run
        .wait_log("refuses: the name or its token is wrong");
    // The backend has its own read again too.
    private(&token, OTHER);
    backend.run.signal("HUP");
    backend.run.wait_log("token read again");
    for _ in 0..2 {
        server.run.wait_log("connected, public at ");
    }
    private(&file, "rubbish");
    server.run.signal("HUP");
    server.run.wait_log("the tokens that it had are kept");
}

/// As it is for a moment while an editor writes it.
#[test]
fn an_empty_list_of_tokens_takes_none_away() {
    let (_folder, file, token) = tokens(&format!("web {TOKEN}\n"));
    let server = Server::start(&format!("--tokens {file}"));
    let words = format!("--echo --name web --token-file {token}");
    let backend = Backend::start(server.at, &words);
    let public = backend.public();
    let mut client = connect(public);
    for (lines, why) in [
        ("", "is empty"),
        ("# web\n\n", "no line of the form NAME TOKEN"),
    ] {
        private(&file, lines);
        server.run.signal("HUP");
        server
            .run
            .wait_logs(&[why, "; the tokens that it had are kept"]);
        client.write_all(b"x").expect("it is read");
        client.read_exact(&mut [0]).expect("it comes back");
    }
    assert!(!server.run.has_logged(" lost: "));
}

#[test]
fn a_proof_replaces_a_stale_session_at_once() {
    let (_folder, file, token) = tokens(&format!("web {TOKEN}\n"));
    let server = Server::start(&format!("--tokens {file}"));
    let mut stale = connect(server.at);
    let public = greet(&mut stale, Some("web"), 0, Some(TOKEN)).expect("it is proven");
    let words = format!("--echo --name web --token-file {token}");
    let backend = Backend::start(server.at, &words);
    assert_eq!(backend.public().to_string(), public, "it keeps its port");
    server.run.wait_log("lost: it is back, from ");
    assert_eq!(ask(public.parse().expect("HOST:PORT"), b"x"), b"x");
}

#[test]
fn without_proof_a_name_is_its_holders_until_that_is_dead() {
    let server = Server::start("--alive-timeout 3s");
    let holder = Backend::start(server.at, "--echo --name web");
    let public = holder.public();
    let refused = greet(&mut connect(server.at), Some("web"), 0, None);
    assert_eq!(
        refused,
        Err("NameInUse: another backend has this name".to_owned())
    );
    holder.run.signal("STOP");
    let took = greet(&mut connect(server.at), Some("web"), 0, None);
    assert_eq!(took, Ok(public.to_string()));
    holder.run.signal("CONT");
}

#[test]
fn a_server_that_knows_no_hello_is_spoken_to_in_its_own_way() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("it is bound");
    let _backend = Backend::start(at, "--echo");
    let (mut first, _) = listener.accept().expect("it dials");
    first.read_exact(&mut [0; 4]).expect("a hello");
    drop(first);
    let (second, _) = listener.accept().expect("it dials again");
    let mut relay = Peer(second);
    let (header, _) = relay.stream_frame();
    assert_eq!(header.stream, 1, "it opens a stream");
    use hydrant::proto::yamux::{Flags, Kind};
    relay.send(Kind::WindowUpdate, Flags::ACK, 1, 0);
    relay.data(1, b"127.0.0.1:");
    relay.data(1, b"7001");
    relay.send(Kind::WindowUpdate, Flags::FIN, 1, 0);
    assert_eq!(
        _backend.public(),
        "127.0.0.1:7001".parse::<SocketAddr>().expect("it is one")
    );
    relay.send(Kind::WindowUpdate, Flags::SYN, 2, 0);
    relay.data(2, b"hello");
    loop {
        let (header, payload) = relay.stream_frame();
        if header.kind == Kind::Data && header.stream == 2 {
            assert_eq!(payload, b"hello");
            break;
        }
    }
}

#[test]
fn with_a_name_a_server_that_knows_no_hello_is_not_trusted() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let at = listener.local_addr().expect("it is bound");
    let backend = Backend::start(at, "--echo --name web");
    for _ in 0..2 {
        let (mut stream, _) = listener.accept().expect("it dials");
        let mut magic = [0; 4];
        stream.read_exact(&mut magic).expect("it greets");
        assert_eq!(magic, *b"HYD\x01", "it begins with a hello each time");
    }
    backend.run.wait_log("is not hydrant");
}

#[test]
fn files_that_others_can_read_are_refused() {
    let (_folder, file, _) = tokens(&format!("web {TOKEN}\n"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("it is ours");
    let run = hydrant(&format!("tunnel serve 0 --tokens {file}")).run();
    assert_eq!(run.code, 1);
    assert!(run.stderr[0].contains("can be read or changed by others"));
    private(&file, "web short\n");
    let run = hydrant(&format!("tunnel serve 0 --tokens {file}")).run();
    assert!(run.stderr[0].ends_with("line 1: the token is shorter than 16 bytes"));
}

#[test]
fn a_backend_that_is_refused_says_why_and_tries_again() {
    let (server, _backend, public) = echo("--linger 1s");
    let words = format!("--echo --port {}", public.port());
    let refused = Backend::start(server.at, &words);
    refused.run.wait_log(&format!(
        "refuses: port {} is another backend's",
        public.port()
    ));
}
