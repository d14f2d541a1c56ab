//! What a service manager is told, and what is printed for the system around hydrant.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Instant;

use crate::common::DEADLINE;
use crate::common::hydrant::hydrant;
use crate::common::peers::{Place, connect};
use crate::common::scratch::Scratch;
use crate::common::tools::have;
use crate::rig::File;

fn heard(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let count = manager
        .recv(&mut buffer)
        .expect("it is told something in time");
    String::from_utf8_lossy(&buffer[..count]).into_owned()
}

/// Waits until it is told this, beside signs of life.
#[track_caller]
fn hears(manager: &UnixDatagram, expected: &str) {
    let end = Instant::now() + DEADLINE;
    while heard(manager) != expected {
        assert!(Instant::now() < end, "it is never told {expected}");
    }
}

#[test]
fn the_service_manager_is_told_how_it_goes() {
    let folder = Scratch::new();
    let manager = UnixDatagram::bind(folder.path().join("notify")).expect("it is free");
    manager.set_read_timeout(Some(DEADLINE)).expect("a time");
    let source = Place::new();
    let text = format!(
        "[[relay]]\nsrc = \"{}\"\ndst = \"127.0.0.1:0\"\n",
        source.at
    );
    let file = File::new(&text);
    let script = "export NOTIFY_SOCKET=\"$1\" WATCHDOG_USEC=3000000; shift; exec \"$0\" \"$@\"";
    let hydrant = hydrant("")
        .shell(script)
        .arg(folder.at("notify"))
        .arg("run")
        .arg(file.path())
        .start();
    assert_eq!(heard(&manager), "READY=1");
    assert!(hydrant.has_logged("listening on") || !hydrant.wait_log("listening on").is_empty());
    // The first signs of life, a second apart and more.
    assert_eq!(
        [heard(&manager), heard(&manager)],
        ["WATCHDOG=1", "WATCHDOG=1"]
    );
    hydrant.signal("HUP");
    hears(&manager, "RELOADING=1");
    hears(&manager, "READY=1");
    hydrant.wait_log("run file read again");
    hydrant.signal("TERM");
    hears(&manager, "STOPPING=1");
}

/// There is no role that would have the loop turn, and no place for a socket.
#[test]
fn a_process_in_which_nothing_runs_gives_signs_of_life() {
    let folder = Scratch::new();
    let manager = UnixDatagram::bind(folder.path().join("notify")).expect("it is free");
    manager.set_read_timeout(Some(DEADLINE)).expect("a time");
    let text = "[[hub]]\nlisten = \"127.0.0.1:0\"\n";
    let off = text.to_owned() + "enabled = false\n";
    let file = File::new(&off);
    let hydrant = hydrant("run")
        .arg(file.path())
        .env("NOTIFY_SOCKET", folder.at("notify"))
        .env("WATCHDOG_USEC", "3000000")
        .env("XDG_RUNTIME_DIR", "/dev/null")
        .start();
    let told = [(); 4].map(|()| heard(&manager));
    assert_eq!(told[0], "READY=1");
    assert!(told[1..].iter().all(|it| it == "WATCHDOG=1"), "{told:?}");
    // It lives for whoever is to run after a reload, and ends as others do.
    assert!(file.reload(&hydrant, text).contains("1 begun"));
    assert!(file.reload(&hydrant, &off).contains("1 stopped"));
    hydrant.wait_log("hub: stopped");
    hydrant.stop();
}

/// A console is a service as well: no role has to run in it.
#[test]
fn the_service_manager_is_told_how_a_console_goes() {
    let folder = Scratch::new();
    let manager = UnixDatagram::bind(folder.path().join("notify")).expect("it is free");
    manager.set_read_timeout(Some(DEADLINE)).expect("a time");
    let hydrant = hydrant("console --no-browser --bind 127.0.0.1:0")
        .env("XDG_CONFIG_HOME", folder.at("config"))
        .env("NOTIFY_SOCKET", folder.at("notify"))
        .env("WATCHDOG_USEC", "3000000")
        .start();
    let told = [(); 3].map(|()| heard(&manager));
    assert_eq!(told, ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
    hydrant.signal("HUP");
    hears(&manager, "RELOADING=1");
    hears(&manager, "READY=1");
    hydrant.signal("TERM");
    hears(&manager, "STOPPING=1");
}

#[test]
fn bash_takes_the_completions() {
    let said = hydrant("completions bash").run();
    assert_eq!((said.code, said.stderr.len()), (0, 0));
    if !have("bash") {
        return;
    }
    let complete = |words: &str, count: usize| {
        let script = format!(
            "{}\nCOMP_WORDS=({words}); COMP_CWORD={count}; _hydrant; echo \"${{COMPREPLY[@]}}\"",
            said.stdout
        );
        let said = Command::new("bash")
            .arg("-c")
            .arg(script)
            .output()
            .expect("it runs");
        let wrong = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(wrong.is_empty(), "{wrong}");
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    };
    assert_eq!(complete("hydrant rel", 1), "relay");
    assert_eq!(complete("hydrant hub se", 2), "serve send");
    assert_eq!(complete("hydrant hub serve --to", 3), "--tokens");
    assert_eq!(complete("hydrant a:1 :2 --ret", 3), "--retry");
    assert_eq!(complete("hydrant a:1 :2 --slow dr", 4), "drop");
}

#[test]
fn what_is_printed_is_made_of_the_same_tables() {
    let man = hydrant("man").run();
    assert!(man.stdout.starts_with(".TH HYDRANT 1 "), "{}", man.stdout);
    assert!(man.stdout.contains("\\-\\-max\\-lag"));
    let unit = hydrant("systemd-unit /srv/x.toml").run();
    assert!(
        unit.stdout.contains(" run /srv/x.toml\n"),
        "{}",
        unit.stdout
    );
    let flags = hydrant("systemd-unit /srv/x.toml --metrics 127.0.0.1:9100 -v").run();
    let run = " run /srv/x.toml --metrics 127.0.0.1:9100 -v\n";
    assert!(flags.stdout.contains(run), "{}", flags.stdout);
    let said = hydrant("completions csh").run();
    assert_eq!(said.code, 2);
    assert_eq!(
        said.stderr,
        ["hydrant: completions needs a shell: one of bash, zsh, fish"]
    );
}

/// Sockets that were opened before the program began are found by their names, and go on after a reload.
#[test]
fn a_listener_that_was_passed_is_taken_over() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("it is free");
    let at = listener.local_addr().expect("it listens");
    let source = Place::new();
    let text = |dst: &str, more: &str| {
        format!(
            "[[relay]]\nsrc = \"{}\"\ndst = \"{dst}\"\n{more}\n",
            source.at
        )
    };
    let file = File::new(&text("fd:feed", ""));
    // As the manager does it: the socket is descriptor 3, and the process is the one that is meant.
    let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=feed; exec \"$0\" \"$@\"";
    let hydrant = hydrant("run")
        .shell(script)
        .arg(file.path())
        .stdin(OwnedFd::from(listener))
        .start();
    hydrant.wait_log(&format!("listening on {at} for clients"));
    let _client = connect(at);
    hydrant.wait_logs(&["client", "connected"]);
    let line = file.reload(&hydrant, &text("fd:feed", "ring = \"8M\""));
    assert!(line.contains("1 begun"), "{line}");
    let _client = connect(at);
    hydrant.wait_logs(&["client", "connected"]);
    file.write(&text("fd:food", ""));
    hydrant.signal("HUP");
    hydrant.wait_log("passed no listening socket as food");
    let _client = connect(at);
    hydrant.stop();
}

/// A mistake in a name leaves a socket that nobody serves.
#[test]
fn a_listener_that_was_passed_for_nobody_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("it is free");
    let at = listener.local_addr().expect("it listens");
    let file = File::new("[[hub]]\nlisten = \"127.0.0.1:0\"\n");
    let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=feed; exec \"$0\" \"$@\"";
    let hydrant = hydrant("run")
        .shell(script)
        .arg(file.path())
        .stdin(OwnedFd::from(listener))
        .start();
    hydrant.wait_log(&format!(
        "[WARN] hydrant: the service manager has passed {at} as feed, and nothing listens there: say fd:feed"
    ));
    hydrant.wait_log("listening on");
    // The manager keeps it, and a reload may name it.
    let line = file.reload(&hydrant, "[[hub]]\nlisten = \"fd:feed\"\n");
    assert!(line.contains("1 begun"), "{line}");
    let _client = connect(at);
    hydrant.stop();
}

#[test]
fn a_name_without_a_socket_is_a_mistake_only_where_it_would_run() {
    let file = File::new("[[hub]]\nlisten = \"fd:mail\"\n");
    let checked = hydrant("check").arg(file.path()).run();
    assert_eq!((checked.code, checked.stderr.len()), (0, 0));
    let said = hydrant("run").arg(file.path()).run();
    let expected = ":2:10: listen: the service manager has passed no listening socket as mail: \
                    FileDescriptorName= names one";
    assert!(said.stderr[0].ends_with(expected), "{:?}", said.stderr);
    assert_eq!(said.code, 1);
}

/// Who reads the log has the file before them, and no command line.
#[test]
fn a_hint_names_the_key_of_the_file() {
    let nobody = Place::new();
    let text = format!(
        "[[relay]]\nname = \"a\"\nsrc = \"{}\"\ndst = \"127.0.0.1:0\"\nretry = \"20ms\"\n",
        nobody.at
    );
    let file = File::new(&text);
    let hydrant = file.run();
    hydrant.wait_log("to have the upstream connect there: mode listen-listen");
    assert!(!hydrant.has_logged("--mode"));
    hydrant.stop();
}

/// Whoever trusts everybody's word for an address is told so.
#[test]
fn a_proxy_that_is_everybody_is_warned_of() {
    let file = File::new(
        "[[ws.relay]]\nlisten = \"127.0.0.1:0\"\ntrust-proxy = \"0.0.0.0/0\"\n\
         [[ws.relay]]\nname = \"near\"\nlisten = \"127.0.0.1:0\"\ntrust-proxy = \"10.0.0.0/8\"\n\
         [console]\nbind = \"127.0.0.1:0\"\ntrust-proxy = [\"10.0.0.0/8\", \"::/0\"]\n",
    );
    let hydrant = file.run();
    let warned = "trust-proxy is everybody: whoever connects says in X-Forwarded-For from which address it comes; \
                  name the proxies alone";
    hydrant.wait_logs(&["ws: ", warned]);
    hydrant.wait_logs(&["console: ", warned]);
    hydrant.wait_logs(&["ws[near]: ", "listening on"]);
    let of_near = |line: &String| line.contains("ws[near]: ") && line.contains(warned);
    assert!(!hydrant.log().iter().any(of_near));
    hydrant.stop();
}
