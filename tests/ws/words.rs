//! What is said on the command line, and in the environment.

use crate::common::hydrant::hydrant;
use crate::common::scratch::Scratch;

/// What is said to a command line that can't be carried out, by exit code 2.
#[track_caller]
fn refused(line: &str, part: &str) {
    let finished = hydrant(line).run();
    let said = finished.stderr.join("\n");
    assert_eq!(finished.code, 2, "{line}: {said}");
    assert!(said.contains(part), "{line}: {said}");
    assert_eq!(finished.stderr.len(), 1, "{line}: {said}");
}

#[test]
fn what_can_not_be_is_said_in_one_line() {
    refused("ws", "ws needs one of relay, host, client");
    refused(
        "ws relay :8080",
        "refusing :8080 without authentication: add --tokens FILE, or --no-auth",
    );
    refused("ws relay 8080 --tokens F --no-auth", "contradict");
    refused("ws relay 8080 --origin a.example", "--origin");
    refused("ws relay 8080 --allow here", "no network");
    refused("ws relay 8080 9090", "9090");
    refused("ws host", "URL is missing: hydrant ws host URL TARGET");
    refused("ws host ws://a", "TARGET is missing");
    refused("ws client ws://a", "LISTEN is missing");
    refused("ws host http://a 22", "ws://HOST:PORT/PATH");
    refused("ws host http://me:secret@a 22", "http://...@a is no");
    refused("ws relay 8080 --memory 1K", "--memory");
    refused("ws client ws://a 22 --memory 1K", "--memory");
    refused("ws host ws://a/client 22", "ws host connects to /host");
    refused(
        "ws client ws://a/host/web 22",
        "ws client connects to /client",
    );
    refused("ws host ws://me:secret@a 22", "--token-file");
    refused("ws host ws://a 0", "port 0 is only for listening");
    refused("ws host ws://a:0 22", "port 0 is only for listening");
    refused(
        "ws host ws://a 22 --proxy http://me:secret@p:1",
        "HYDRANT_PROXY",
    );
    refused("ws host ws://a 22 --proxy socks5://p:1", "not supported");
    refused("ws host ws://a 22 --ping 0", "--ping");
    refused("ws host ws://a 22 --allow 10.0.0.0/8", "--allow");
}

#[test]
fn files_of_tokens_are_looked_at() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Scratch::new();
    let tokens = folder.at("tokens");
    std::fs::write(&tokens, "web 0123456789abcdef\n").expect("a file");
    std::fs::set_permissions(&tokens, PermissionsExt::from_mode(0o644)).expect("it is ours");
    let run = || hydrant(&format!("ws relay 0 --tokens {tokens}")).run();
    let finished = run();
    assert_eq!(finished.code, 1);
    assert!(finished.stderr[0].contains("chmod 600"), "{finished:?}");
    std::fs::set_permissions(&tokens, PermissionsExt::from_mode(0o600)).expect("it is ours");
    std::fs::write(&tokens, "web secret\n").expect("a file");
    let finished = run();
    assert_eq!(finished.code, 1);
    assert!(
        finished.stderr[0].ends_with("line 1: the token has fewer than 16 bytes"),
        "{finished:?}"
    );
}

#[test]
fn the_environment_says_the_port() {
    let run = hydrant("ws relay --no-auth").env("PORT", "0").start();
    run.wait_log("listening on 0.0.0.0:");
    let finished = hydrant("ws relay").env("PORT", "0").run();
    assert_eq!(finished.code, 2);
    assert!(
        finished.stderr[0].contains("refusing 0.0.0.0:0 without authentication"),
        "{finished:?}"
    );
    let finished = hydrant("ws relay").env("PORT", "http").run();
    assert_eq!(finished.code, 2);
    assert!(
        finished.stderr[0].contains("PORT is set to http, which is no port"),
        "{finished:?}"
    );
    // An address on the command line counts more.
    let run = hydrant("ws relay 127.0.0.1:0").env("PORT", "1").start();
    run.wait_log("listening on 127.0.0.1:");
}
