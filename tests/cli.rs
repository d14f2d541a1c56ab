//! The real program's command line: what it prints, the exact words about each mistake, exit codes and signals.

mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;

use common::hydrant::{Finished, hydrant};
use common::scratch::Scratch;
use common::tools::skip;

/// A mistake is one line on stderr and nothing else.
#[track_caller]
fn told(line: &str, code: i32, text: &str) {
    assert_eq!(hydrant(line).run(), said(code, text), "hydrant {line}");
}

fn said(code: i32, text: &str) -> Finished {
    Finished {
        code,
        stdout: String::new(),
        stderr: vec![format!("hydrant: {text}")],
    }
}

#[test]
fn bare_shows_five_lines_and_what_to_try() {
    let Finished {
        code,
        stdout,
        stderr,
    } = hydrant("").run();
    assert_eq!((code, stdout.as_str(), stderr.len()), (2, "", 6));
    assert!(stderr[0].starts_with("usage: hydrant SRC DST "));
    assert_eq!(stderr[5], "try: hydrant demo");
}

#[test]
fn help_and_version_are_what_was_asked_for() {
    for line in ["--help", "-h", "help", "relay --help", "a:1 :2 --help"] {
        let Finished {
            code,
            stdout,
            stderr,
        } = hydrant(line).run();
        assert_eq!((code, stderr), (0, Vec::new()), "{line}");
        assert!(stdout.contains("usage: hydrant "), "{line}: {stdout}");
    }
    let help = hydrant("--version").run();
    assert_eq!((help.code, help.stdout.as_str()), (0, "hydrant 0.1.0\n"));
}

/// `hydrant --help | head -1`
#[test]
fn help_into_a_closed_pipe_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut help = hydrant("--help").stdout(writer).start();
    assert_eq!(help.wait_exit(), 0);
    assert_eq!(help.log(), [""; 0]);
}

#[test]
fn mistakes_in_the_command_line_are_told() {
    const MODES: &str = "connect-listen, listen-connect, connect-connect, listen-listen";
    told(
        "localhost :0",
        2,
        "localhost has no port: write localhost:PORT",
    );
    told("127.0.0.1:70000 :0", 2, "port 70000 is above 65535");
    told(
        "127.0.0.1:1 :0 --mode sideways",
        2,
        &format!("--mode: sideways is none of {MODES}"),
    );
    told(
        "127.0.0.1:1 :0 --retry -1",
        2,
        "--retry: -1 is not a wait: write 5, 250ms or 2m, or a range such as 1s..30s",
    );
    told(
        "127.0.0.1:1 :0 --retri 5",
        2,
        "unknown flag --retri: did you mean --retry?",
    );
    told(
        "127.0.0.1:1",
        2,
        "DST is missing: hydrant SRC DST [DST2 ...]",
    );
    told(
        "rellay 127.0.0.1:1 :0",
        2,
        "unknown role rellay: did you mean relay?",
    );
    told(
        "- - --dump",
        2,
        "--dump would mix with the bytes for DST -: leave one of them out",
    );
    told("demo now", 2, "leftover word now: see hydrant demo --help");
}

/// A flag that would do nothing is none of the role's.
#[test]
fn a_role_refuses_what_it_does_not_take() {
    for (line, flag, role) in [
        ("demo --metrics 9100", "--metrics", "demo"),
        ("status --metrics 9100", "--metrics", "status"),
        ("bench --metrics 9100", "--metrics", "bench"),
        ("man --log-file /none/x", "--log-file", "man"),
        ("completions bash -q", "--quiet", "completions"),
    ] {
        told(
            line,
            2,
            &format!("{role} has no flag {flag}: see hydrant {role} --help"),
        );
        let help = hydrant(&format!("{role} --help")).run();
        assert!(!help.stdout.contains(flag), "{}", help.stdout);
    }
    let overview = hydrant("--help").run().stdout;
    let overview: Vec<&str> = overview.split_whitespace().collect();
    let overview = overview.join(" ");
    assert!(
        overview.contains("--metrics not for demo, status, completions, man, bench"),
        "{overview}"
    );
}

#[test]
fn a_socket_that_is_passed_is_for_a_run_file() {
    let only = "fd:NAME, a socket that the service manager passes, is for dst and listen of a run file, as it stands";
    told("127.0.0.1:1 fd:feed", 2, only);
    told("tls://fd:feed :0", 2, only);
}

#[test]
fn a_port_in_use_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let in_use =
        |at: &str| format!("can't listen on {at}: port in use (who: ss -ltnp 'sport = :{port}')");
    for at in [format!("127.0.0.1:{port}"), format!(":{port}")] {
        told(&format!("127.0.0.1:1 {at}"), 1, &in_use(&at));
        told(&format!("{at} :0 --mode listen-listen"), 1, &in_use(&at));
    }
}

/// What the first output already had is given back, and nobody was told of it.
#[test]
fn nothing_is_left_half_started() {
    let scratch = Scratch::new();
    let first = scratch.at("first");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let text = format!(
        "can't listen on {at}: port in use (who: ss -ltnp 'sport = :{}')",
        at.port()
    );
    told(&format!("127.0.0.1:1 unix:{first} :0 {at}"), 1, &text);
    assert!(!Path::new(&first).exists());
    // Neither is a byte of stdin taken, nor a log file filled.
    let log = scratch.at("log");
    let (stdin, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, b"still here").unwrap();
    drop(writer);
    let ran = hydrant(&format!("- unix:{first} {at} --log-file {log}"))
        .stdin(stdin.try_clone().unwrap())
        .run();
    assert_eq!(ran, said(1, &text));
    assert_eq!(fs::read_to_string(&log).unwrap(), "");
    assert_eq!(std::io::read_to_string(stdin).unwrap(), "still here");
}

#[test]
fn an_address_that_is_not_ours_is_told() {
    // For documentation only, says RFC 5737.
    told(
        "127.0.0.1:1 192.0.2.1:0",
        1,
        "can't listen on 192.0.2.1:0: that address is not this machine's (which are: ip addr)",
    );
}

#[test]
fn a_port_that_needs_a_permission_is_told() {
    let lowest = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if lowest.is_ok_and(|lowest| lowest.trim().parse::<u16>().is_ok_and(|port| port <= 80)) {
        skip("anybody may listen on port 80 here");
        return;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let root = status.lines().any(|line| line.starts_with("Uid:\t0\t"));
    let mut launch = hydrant("127.0.0.1:1 127.0.0.1:80");
    let scratch = Scratch::new();
    if root {
        launch = launch.user(NOBODY).copied_to(&scratch);
    }
    assert_eq!(
        launch.run(),
        said(
            1,
            "can't listen on 127.0.0.1:80: not permitted; ports below 1024 need root or CAP_NET_BIND_SERVICE, others \
             don't"
        )
    );
}

#[test]
fn what_stands_in_the_way_of_a_unix_socket_is_told() {
    let scratch = Scratch::new();
    let file = scratch.at("file");
    fs::write(&file, "precious").unwrap();
    told(
        &format!("127.0.0.1:1 unix:{file}"),
        1,
        &format!(
            "can't listen on unix:{file}: {file} exists and is not a socket; remove it or choose another path"
        ),
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");

    let live = scratch.at("live");
    let _listener = UnixListener::bind(&live).unwrap();
    told(
        &format!("127.0.0.1:1 unix:{live}"),
        1,
        &format!("can't listen on unix:{live}: another program listens there"),
    );
    assert!(Path::new(&live).exists());

    let nowhere = scratch.at("no/such/folder");
    told(
        &format!("127.0.0.1:1 unix:{nowhere}"),
        1,
        &format!("can't listen on unix:{nowhere}: no such file or directory"),
    );
}

#[test]
fn a_log_file_that_cannot_be_opened_is_told() {
    let scratch = Scratch::new();
    let log = scratch.at("no/such/folder");
    let ran = hydrant(&format!("127.0.0.1:1 :0 --log-file {log}")).run();
    assert_eq!((ran.code, ran.stderr.len()), (1, 1), "{ran:?}");
    assert!(ran.stderr[0].contains(&format!("can't open the log file {log}: ")));
}

#[test]
fn a_name_to_listen_at_that_does_not_resolve_is_told() {
    let ran = hydrant("127.0.0.1:1 no-such-name.invalid:0").run();
    assert_eq!((ran.code, ran.stderr.len()), (1, 1), "{ran:?}");
    assert!(
        ran.stderr[0].starts_with("hydrant: can't listen on no-such-name.invalid:0: "),
        "{ran:?}"
    );
}

#[test]
fn words_with_spaces_and_flags_anywhere() {
    let scratch = Scratch::new();
    let path = scratch.at("a path with spaces");
    let hydrant = hydrant("--mode=listen-listen --name")
        .arg("two words")
        .arg(format!("unix:{path}"))
        .arg("-v")
        .arg("--")
        .arg("127.0.0.1:0")
        .start();
    hydrant.wait_log(&format!("relay[two words]: listening on unix:{path} for "));
    hydrant.address_of("clients");
    hydrant.stop();
}

#[test]
fn signals_end_it_with_nobody_there() {
    for (name, line) in [
        ("INT", "0 0 --mode listen-listen"),
        ("TERM", "127.0.0.1:1 :0"),
        ("TERM", "127.0.0.1:1 127.0.0.1:1 --mode connect-connect"),
    ] {
        let mut hydrant = hydrant(line).start();
        if line.contains(" :0") || line.starts_with('0') {
            hydrant.address_of("clients");
        } else {
            hydrant.wait_log("refused the connection");
        }
        hydrant.signal(name);
        assert_eq!(hydrant.wait_exit(), 0, "{line}");
        hydrant.wait_log(&format!("stopped by SIG{name}: 0 clients drained, 0 cut; "));
    }
}

/// A user with no rights at all, on most systems.
const NOBODY: u32 = 65_534;
