//! `hydrant check`, whose words and places people read.

use std::fs;
use std::process::Command;
use std::thread;

use crate::common::hydrant::{Finished, hydrant};
use crate::rig::File;

fn check(text: &str) -> Finished {
    let file = File::new(text);
    let path = file.path();
    let mut said = hydrant("check").arg(&path).run();
    let short = |line: &String| line.replace(&path, "F");
    said.stderr = said.stderr.iter().map(short).collect();
    said.stdout = said.stdout.replace(&path, "F");
    said
}

/// Every mistake is found, not only the first, each with its place.
#[test]
fn every_mistake_is_told_with_its_place() {
    let text = r#"# a run file
[[relay]]
name = "sports"
src = "127.0.0.1:5000"
dst = [":6000", "foo"]
rety = 5
max-clients = "many"

[[relay]]
name = "sports"
src = "a:1"
dst = ":6000"
dump = 3

[[relay]]
dst = ":6001"

[[relay]]
name = "x"
src = "127.0.0.1:1"
dst = "127.0.0.1:6001"
backlog = "4M"
ring = "64K"
[[relay.output]]
dst = "127.0.0.1:7001"
slow = "sometimes"
foo = 1

[[hub]]
listen = "127.0.0.1:6001"

[[hubb]]
[tunnel]
serve = 1

[metrics]
listen = "127.0.0.1:7001"
"#;
    let expected = r#"F:5:17: dst: foo has no port: write foo:PORT
 5 | dst = [":6000", "foo"]
   |                 ^^^^^
F:6:1: unknown key rety of relay: did you mean retry?
 6 | rety = ...
   | ^^^^
F:7:15: max-clients: many is not a whole number: write one, or off
 7 | max-clients = "many"
   |               ^^^^^^
F:10:8: the name sports is taken, on line 2: give this one another
 10 | name = "sports"
    |        ^^^^^^^^
F:12:7: :6000 is taken: :6000 stands on line 5
 12 | dst = ":6000"
    |       ^^^^^^^
F:13:8: dump is true or false
 13 | dump = 3
    |        ^
F:15:1: this relay has no src
 15 | [[relay]]
    | ^^^^^^^^^
F:21:7: 127.0.0.1:6001 is taken: :6001 stands on line 16
 21 | dst = "127.0.0.1:6001"
    |       ^^^^^^^^^^^^^^^^
F:22:11: backlog 4M is more than half of ring 64K: raise that to 8M or more
 22 | backlog = "4M"
    |           ^^^^
F:26:8: slow: sometimes is none of drop, skip, block
 26 | slow = "sometimes"
    |        ^^^^^^^^^^^
F:27:1: unknown key foo of an output: see dst and slow
 27 | foo = ...
    | ^^^
F:30:10: 127.0.0.1:6001 is taken: :6001 stands on line 16
 30 | listen = "127.0.0.1:6001"
    |          ^^^^^^^^^^^^^^^^
F:32:3: unknown section hubb: did you mean hub?
 32 | [[hubb]]
    |   ^^^^
F:34:1: there may be several of these: write [[tunnel.serve]]
 34 | serve = ...
    | ^^^^^
F:37:10: 127.0.0.1:7001 is taken: 127.0.0.1:7001 stands on line 25
 37 | listen = "127.0.0.1:7001"
    |          ^^^^^^^^^^^^^^^^
"#;
    let said = check(text);
    assert_eq!(said.stderr.join("\n") + "\n", expected);
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
}

/// What an output says of its own is about no other, and of an output that is none there is nothing to say.
#[test]
fn an_output_without_a_place_is_told() {
    let relay = "[[relay]]\nsrc = \"127.0.0.1:5000\"\ndst = \"127.0.0.1:6000\"\n";
    let output = "[[relay.output]]\ndts = \"127.0.0.1:7000\"\nslow = \"block\"\n";
    let unknown = "F:5:1: unknown key dts of an output: did you mean dst?";
    let none = "F:4:1: an output needs a dst";
    let behind = "[[relay.output]]\ndst = \"127.0.0.1:7001\"\n";
    let broken = "[[hub]\nlisten = \"127.0.0.1:7002\"\n";
    for (text, told) in [
        (format!("{relay}{output}"), vec![unknown]),
        (format!("{relay}{output}{behind}"), vec![unknown]),
        (
            format!("{relay}[[relay.output]]\nslow = \"block\"\n"),
            vec![none],
        ),
        (
            format!("{relay}{output}{broken}"),
            vec![
                unknown,
                "F:7:7: this header is not closed as it is opened: write [[hub]]",
            ],
        ),
    ] {
        let said = check(&text);
        let all: Vec<&str> = said.stderr.iter().step_by(3).map(String::as_str).collect();
        assert_eq!(all, told, "{text}");
        assert_eq!(said.code, 1, "{text}");
    }
}

#[test]
fn what_is_wrong_with_the_whole_is_told_where_it_stands() {
    let relay = "[[relay]]\nsrc = \"127.0.0.1:1\"\ndst = \":0\"\n";
    let cases = [
        (
            "backlog = \"4M\"\nring = \"64K\"",
            "F:4:11: backlog 4M is more than half of ring 64K: raise that to 8M or more",
        ),
        (
            "takeover = \"refuse\"",
            "F:4:12: takeover needs a src that listens",
        ),
        (
            "dump-format = \"hex\"",
            "F:4:15: dump-format alone shows nothing: add dump",
        ),
        (
            "upstream-send = \"none\"",
            "F:4:17: can't read upstream-send: no such file; its path is not shown, since it may be the secret itself",
        ),
        (
            "retry = \"soon\"",
            "F:4:9: retry: soon is not a wait: write 5, 250ms or 2m, or a range such as 1s..30s",
        ),
        (
            "retry = true",
            "F:4:9: retry: this is neither a text nor a number",
        ),
        (
            "allow = [\"x\"]",
            "F:4:10: allow: x is no network: write 10.0.0.0/8, 2001:db8::/32 or one address",
        ),
        ("a = ", "F:4:4: this has no value"),
        (
            "verbose = true",
            "F:4:1: unknown key verbose of relay: see hydrant relay --help",
        ),
    ];
    for (setting, expected) in cases {
        let file = File::new(&format!("{relay}{setting}\n"));
        let path = file.path();
        let folder = path.trim_end_matches("/f.toml");
        let said = hydrant("check").arg(&path).run();
        let first = said.stderr.first().expect(setting);
        let first = first.replace(&path, "F").replace(folder, "<folder>");
        assert_eq!(first, expected, "{setting}");
        assert_eq!(said.code, 1);
    }
}

/// There is one of each, and what wants it is where it stands that it does.
#[test]
fn a_stream_for_two_is_told_where_it_stands() {
    let relay = |name: &str, src: &str, dst: &str, more: &str| {
        format!("[[relay]]\nname = \"{name}\"\nsrc = \"{src}\"\ndst = {dst}\n{more}\n")
    };
    let text = relay("a", "-", "[\"127.0.0.1:0\", \"-\"]", "")
        + &relay("b", "-", "[\"127.0.0.1:0\", \"-\"]", "")
        + &relay("c", "127.0.0.1:1", "0", "dump = true");
    let said = check(&text).stderr;
    let all: Vec<&str> = said.iter().step_by(3).map(String::as_str).collect();
    let expected = [
        "F:8:7: stdin is in use by the relay of line 1: there is one",
        "F:9:23: stdout is in use by the relay of line 1: there is one",
        "F:15:8: stdout is in use by the relay of line 1: there is one",
    ];
    assert_eq!(all, expected, "{text}");
}

/// What a tunnel's public side takes for certain is taken; of a range with another port left, nothing is.
#[test]
fn public_ports_that_others_take_are_told() {
    let serve = |name: &str, at: &str, more: &str| {
        format!("[[tunnel.serve]]\nname = \"{name}\"\nlisten = \"{at}\"\n{more}\n")
    };
    let relay = |dst: &str| format!("[[relay]]\nsrc = \"127.0.0.1:1\"\ndst = \"{dst}\"\n");
    let a = "127.0.0.1:9801";
    for (text, told) in [
        (
            relay("127.0.0.1:9802") + &serve("a", a, "ports = \"9802\""),
            &["F:7:9: 127.0.0.1:9802 is taken: 127.0.0.1:9802 stands on line 3"][..],
        ),
        (
            serve("a", a, "ports = 6003") + &serve("b", "127.0.0.1:9803", "ports = 6003"),
            &["F:8:9: 127.0.0.1:6003 is taken: 127.0.0.1:6003 stands on line 4"],
        ),
        (
            serve("a", a, "ports = 9801"),
            &["F:4:9: 127.0.0.1:9801 is taken: 127.0.0.1:9801 stands on line 3"],
        ),
        (
            serve("a", a, "ports = \"9802-9803\"")
                + &relay(":9802")
                + &relay(":9803").replace("]]\n", "]]\nname = \"c\"\n"),
            &["F:4:9: none of the ports 9802-9803 is free: :9802 stands on line 7"],
        ),
        // The first takes what the second leaves, of which then none is left.
        (
            serve("a", a, "ports = \"6003-6004\"")
                + &serve("b", "127.0.0.1:9803", "ports = 6003")
                + &serve("c", "127.0.0.1:9804", "ports = 6004"),
            &["F:4:9: none of the ports 6003-6004 is free: 127.0.0.1:6003 stands on line 8"],
        ),
        (
            serve("a", a, "ports = \"9802-9803\"") + &relay("127.0.0.1:9802"),
            &[],
        ),
        (
            serve("a", a, "ports = \"6003-6004\"")
                + &serve("b", "127.0.0.1:9803", "ports = \"6003-6004\""),
            &[],
        ),
        (
            serve("a", a, "ports = 9802\npublic-bind = \"127.0.0.2\"") + &relay("127.0.0.1:9802"),
            &[],
        ),
        (
            serve("a", a, "ports = 9802\npublic-bind = \"*\"") + &relay("127.0.0.1:9802"),
            &["F:4:9: :9802 is taken: 127.0.0.1:9802 stands on line 8"],
        ),
        (serve("a", a, "ports = 0"), &[]),
        (
            serve("a", "127.0.0.1:0", "ports = 9802") + &serve("b", a, ""),
            &[],
        ),
    ] {
        let said = check(&text);
        let all: Vec<&str> = said.stderr.iter().step_by(3).map(String::as_str).collect();
        assert_eq!(all, told, "{text}");
    }
}

/// Not in what is said, and not in the line that is shown with it: it goes to logs and to pages, too.
#[test]
fn secrets_that_stand_in_a_file_are_not_shown() {
    for (section, said) in [
        (
            "[[ws.host]]\nurl = \"ws://me:SECRET@h:1/host\"\ntarget = 1",
            "F:2:7: url: a url takes no user and no password: a token goes into token-file or HYDRANT_TOKEN",
        ),
        (
            "[[ws.host]]\nurl = \"http://h/host?t=SECRET\"\ntarget = 1",
            "F:2:7: url: http://h/host?... is no WebSocket's address: write ws://HOST:PORT/PATH or wss://HOST/PATH",
        ),
        (
            "[[hub]]\nlisten = \"127.0.0.1:0\"\ntoken = \"SECRET\"",
            "F:3:1: unknown key token of hub: did you mean tokens?",
        ),
        (
            "[[hub]]\nlisten = \"127.0.0.1:0\"\ntoken = SECRET",
            "F:3:9: a text stands in quotes: \"...\"",
        ),
        (
            "[[hub]]\nlisten = \"127.0.0.1:0\"\ntokens = \"alice SECRET\"",
            "F:3:10: can't read tokens: no such file; its path is not shown, since it may be the secret itself",
        ),
        (
            "[[ws.host]]\nurl = \"ws://h/host\"\ntarget = 1\ntoken-file = \"/SECRET/x\"",
            "F:4:14: can't read token-file: no such file; its path is not shown, since it may be the secret itself",
        ),
        (
            "[[relay]]\nsrc = \"me:SECRET@h:1\"\ndst = 0",
            "F:2:7: src: ...@h is not a host name: write HOST:PORT, ",
        ),
        (
            "[[relay]]\nsrc = \"tls://h:1/x?token=SECRET\"\ndst = 0",
            "F:2:7: src: 1/x?... is not a port, in h:1/x?...: write a number, 0 to 65535",
        ),
        (
            "[[relay]]\nsrc = \"tls://h/x?token=SECRET\"\ndst = 0",
            "F:2:7: src: h/x?... is not an endpoint: for a Unix socket write unix:h/x?...",
        ),
        (
            "[[relay]]\nsrc = \"tls://h:1?a=1,SECRET b,c:SECRET\"\ndst = 0",
            "F:2:7: src: h:1?... is not a host name: write HOST:PORT, ",
        ),
        (
            "[[relay]]\nsrc = \"me:a,SECRET@h:1\"\ndst = 0",
            "F:2:7: src: ...@h is not a host name: write HOST:PORT, ",
        ),
        (
            "[[relay]]\nsrc = 1\ndst = \"wss://h/x?token=SECRET\"",
            "F:3:7: dst: h/x?... is not an endpoint",
        ),
        (
            "[[relay]]\nsrc = 1\ndst = \"connect:ws://h:1/x?token=SECRET SECRET\"",
            "F:3:7: dst: ws://h:1/x?... is not dialled",
        ),
        (
            "[[tunnel.expose]]\nserver = \"tls://h:1?token=SECRET\"\ntarget = 1",
            "F:2:10: server: 1?... is not a port, in h:1?...",
        ),
        (
            "[[ws.client]]\nurl = \"ws://h\"\nlisten = 0\nproxy = \"http://u:SECRET@p:1/x?SECRET\"",
            "F:4:9: proxy",
        ),
        (
            "[[ws.relay]]\nlisten = 0\norigin = \"https://h/?SECRET\"",
            "F:3:10: origin",
        ),
        (
            "[[hub]]\nlisten = 0\nname-timeout = \"tls://h:1?SECRET\"",
            "F:3:16: name-timeout: tls://h:1?... is not a duration",
        ),
        (
            "[[relay]]\nsrc = 1\ndst = 0\nupstream-send = \"SECRET\\n\"",
            "F:4:17: upstream-send: a path has no control characters",
        ),
        (
            "[[relay]]\nsrc = 1\ndst = \"connect:ws://me:SECRET@h:1\"",
            "F:3:7: ",
        ),
    ] {
        let shown = check(&format!("{section}\n")).stderr;
        assert!(shown[0].starts_with(said), "{shown:?}");
        assert!(
            !shown.iter().any(|line| line.contains("SECRET")),
            "{shown:?}"
        );
    }
}

/// A mistake of the kind that no TOML is hides none of the others, and nothing is said that comes of it alone.
#[test]
fn what_is_no_toml_hides_no_other_mistake() {
    let text = r#"[[relay]]
name = "sports
src = 10.0.0.5:5000
dst = [":6000", "foo"]
rety = 5
max lag = "5s"
retry = "1"
retry = "2"

[[relay]
name = "b"
src = ["a:1", "b:1"
dst = ":6000", ":6001"
dump = True

[[relay]]
name = "c"
src: "a:1"
dst = [
  ":6000"
  ":6002,
]

[console
bind = "127.0.0.1:6002"

relay]]
name = "b"
src = "a:1"
dst = """:6003

[log]
quiet = yes
verbos = 2
[log]
verbose =
"#;
    let expected = r#"F:2:8: this text has no end: " is missing
 2 | name = "sports
   |        ^^^^^^^
F:3:11: a text stands in quotes: "..."
 3 | src = 10.0.0.5:5000
   |           ^^^^^^^^^
F:4:17: dst: foo has no port: write foo:PORT
 4 | dst = [":6000", "foo"]
   |                 ^^^^^
F:5:1: unknown key rety of relay: did you mean retry?
 5 | rety = ...
   | ^^^^
F:6:5: a key has no blanks in it: did you mean max-lag?
 6 | max lag = ...
   |     ^
F:8:1: retry stands here twice: the first is on line 7
 8 | retry = "2"
   | ^^^^^
F:10:9: this header is not closed as it is opened: write [[relay]]
 10 | [[relay]
    |         ^
F:12:7: this list has no end: ] is missing
 12 | src = ["a:1", "b:1"
    |       ^
F:13:14: several of them stand in brackets: ["...", "..."]
 13 | dst = ":6000", ":6001"
    |              ^
F:14:8: true and false are written in small letters
 14 | dump = True
    |        ^^^^
F:18:6: write src = VALUE
 18 | ...
    | ^^^
F:20:3: :6000 is taken: :6000 stands on line 4
 20 |   ":6000"
    |   ^^^^^^^
F:21:3: this text has no end: " is missing
 21 |   ":6002,
    |   ^^^^^^^
F:24:9: this header is not closed as it is opened: write [console]
 24 | [console
    |         ^
F:27:6: a header stands in brackets: write [[relay]]
 27 | ...
    | ^^^
F:28:8: the name b is taken, on line 10: give this one another
 28 | name = "b"
    |        ^^^
F:30:7: this text has no end: """ is missing
 30 | dst = ...
    |       ^^^
F:33:9: write true or false
 33 | quiet = yes
    |         ^^^
F:34:1: unknown key verbos of log: did you mean verbose?
 34 | verbos = ...
    | ^^^^^^
F:35:2: [log] stands here twice: the first is on line 32
 35 | [log]
    |  ^^^
F:36:10: verbose has no value
 36 | verbose =
    |          ^
"#;
    let said = check(text);
    assert_eq!(said.stderr.join("\n") + "\n", expected);
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
    // Who runs it is told the same.
    let file = File::new(text);
    let ran = hydrant("run").arg(file.path()).run();
    let short = |line: &String| line.replace(&file.path(), "F");
    let ran: Vec<String> = ran.stderr.iter().map(short).collect();
    assert_eq!(ran, said.stderr);
}

#[test]
fn a_file_in_another_encoding_is_told_with_its_other_mistakes() {
    let relay =
        "[[relay]]\nname = \"sp\u{f6}rts\" # \u{fc}\nsrc = \"a:1\"\ndst = \":6000\"\nrety = 5\n";
    let latin: Vec<u8> = relay.chars().map(|letter| letter as u32 as u8).collect();
    let file = File::new("");
    let said = |bytes: &[u8]| {
        fs::write(file.path(), bytes).expect("the folder can be written");
        let said = hydrant("check").arg(file.path()).run();
        let first = said.stderr.iter().step_by(3);
        let short = first.map(|line| line.replace(&file.path(), "F"));
        short.collect::<Vec<String>>()
    };
    let wrong = "F:2:11: this is not UTF-8: save the file in that encoding";
    let unknown = "F:5:1: unknown key rety of relay: did you mean retry?";
    assert_eq!(said(&latin), [wrong, unknown]);
    let wide: Vec<u8> = relay.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wide = [&[0xff, 0xfe][..], &wide].concat();
    assert_eq!(said(&wide), ["F:1:1: this is UTF-16: save it as UTF-8"]);
    // The mark of an encoding stands in no column, and other ends of lines are as good.
    let dos = format!(
        "\u{feff}{}",
        relay.replace("[[relay]]", "[[relay]").replace('\n', "\r\n")
    );
    let header = "F:1:9: this header is not closed as it is opened: write [[relay]]";
    assert_eq!(said(dos.as_bytes()), [header, unknown]);
    let alone = "F:1:10: a carriage return stands alone here: lines end with LF, or with CR and LF";
    assert_eq!(said(relay.replace('\n', "\r").as_bytes()), [alone]);
}

#[test]
fn relays_that_feed_each_other_are_told() {
    let relay = |name: &str, src: &str, dst: &str, more: &str| {
        format!("[[relay]]\nname = \"{name}\"\nsrc = {src}\ndst = {dst}\n{more}\n")
    };
    let two = |back: &str, more: &str| {
        relay("a", "\"127.0.0.1:6001\"", "\":6000\"", "") + &relay("b", back, "\":6001\"", more)
    };
    let ring = |names: &str| {
        format!(
            "what goes in would go round for ever: these relays feed each other in a ring: {names}"
        )
    };
    let first = |text: &str| check(text).stderr.first().cloned().unwrap_or_default();
    let both = format!("F:8:7: {}", ring("a (line 1), b (line 6)"));
    assert_eq!(first(&two("\"localhost:6000\"", "")), both);
    // One that listens for its source, and sockets by other names.
    let listens = relay("a", "\"unix:s\"", "\"connect:6001\"", "")
        + &relay(
            "b",
            "6001",
            "[\":6002\", \"listen:unix:./s\"]",
            "mode = \"listen-listen\"",
        );
    assert_eq!(
        first(&listens),
        format!("F:4:7: {}", ring("a (line 1), b (line 6)"))
    );
    let three = relay("a", "6003", "6001", "")
        + &relay("b", "6001", "6002", "")
        + &relay("c", "6002", "6003", "");
    assert_eq!(
        first(&three),
        format!("F:13:7: {}", ring("a (line 1), b (line 6), c (line 11)"))
    );
    // Another source, another port, one that is not begun, a chain.
    for text in [
        two("[\"c:1\", \"localhost:6000\"]", ""),
        two("\"localhost:6002\"", ""),
        two("\"localhost:6000\"", "enabled = false"),
    ] {
        assert_eq!(check(&text).stderr, [""; 0], "{text}");
    }
    // In a time that grows with the file.
    let many: String = (0..1500)
        .map(|at| {
            relay(
                &format!("r{at}"),
                &(20_000 + at).to_string(),
                &(20_001 + at).to_string(),
                "",
            )
        })
        .collect();
    assert_eq!(check(&many).stderr, [""; 0]);
    let last = relay("last", "21500", "20000", "");
    let said = first(&(many + &last));
    let names =
        "r0 (line 1), r1 (line 6), r2 (line 11), r3 (line 16), r4 (line 21) and 1496 more relays";
    assert_eq!(said, format!("F:7503:7: {}", ring(names)));
}

/// Wherever the program was started.
#[test]
fn sockets_lie_in_the_folder_of_the_file() {
    let relay =
        |name: &str, dst: &str| format!("[[relay]]\nname = \"{name}\"\nsrc = 1\ndst = \"{dst}\"\n");
    let file = File::new(&(relay("a", "unix:s") + &relay("b", "unix:./s")));
    let folder = file.folder().to_string_lossy().into_owned();
    let said = |folder: &std::path::Path, name: &str| {
        let said = hydrant("check").arg(name).env("IN", folder).shell(IN).run();
        let first = said.stderr.first().cloned().unwrap_or_default();
        first.replace(&*file.folder().to_string_lossy(), "D")
    };
    let taken = "8:7: unix:D/s is taken: unix:D/s stands on line 4";
    assert_eq!(said(file.folder(), "f.toml"), format!("f.toml:{taken}"));
    assert_eq!(
        said(std::path::Path::new("/"), &file.path()),
        format!("D/f.toml:{taken}")
    );
    // One of the metrics, and one whose folder is not there.
    file.write(&(relay("a", "unix:s") + "[metrics]\nlisten = \"unix:s\"\n"));
    assert_eq!(
        said(file.folder(), "f.toml"),
        "f.toml:6:10: unix:D/s is taken: unix:D/s stands on line 4"
    );
    file.write(&relay("a", "unix:none/s"));
    let nowhere = "f.toml:4:7: can't listen on unix:D/none/s: there is no folder D/none";
    assert_eq!(said(file.folder(), "f.toml"), nowhere);
    // Nobody has typed so long a path.
    let room = 107 - folder.len() - 1;
    file.write(&relay("a", &format!("unix:{}", "x".repeat(room))));
    assert_eq!(said(file.folder(), "f.toml"), "");
    file.write(&relay("a", &format!("unix:{}", "x".repeat(room + 1))));
    let long = "f.toml:4:7: dst: with this file's folder before it, the path of this Unix socket has 108 bytes: \
                at most 107 are possible";
    assert_eq!(said(file.folder(), "f.toml"), long);
}

#[test]
fn metrics_of_the_command_line_are_checked_with_the_file() {
    let text = "[[relay]]\nsrc = \"a:1\"\ndst = \":6000\"\n[metrics]\nlisten = 7700\n[console]\n";
    let file = File::new(text);
    let said = |role: &str, at: &str| {
        let said = hydrant(role)
            .arg(file.path())
            .arg("--metrics")
            .arg(at)
            .run();
        let short = |line: &String| line.replace(&file.path(), "F");
        (
            said.code,
            said.stderr.iter().map(short).collect::<Vec<String>>(),
        )
    };
    for (at, wrong) in [
        (
            "127.0.0.1:6000",
            "F:3:7: :6000 is taken: the command line says --metrics 127.0.0.1:6000",
        ),
        (
            ":7700",
            "F:6:1: 127.0.0.1:7700 is taken: the command line says --metrics :7700",
        ),
    ] {
        for role in ["check", "run"] {
            let (code, lines) = said(role, at);
            assert_eq!(
                (code, lines[0].as_str(), lines.len()),
                (1, wrong, 3),
                "{lines:?}"
            );
        }
    }
    // The file's own is not in use then.
    assert_eq!(said("check", "127.0.0.1:0").0, 0);
    assert_eq!(
        said("check", "x"),
        (
            2,
            vec!["hydrant: --metrics: x has no port: write x:PORT".to_owned()]
        )
    );
}

/// As far as that is seen without listening.
#[test]
fn what_could_not_be_started_is_foreseen() {
    let two = |one: &str, other: &str| {
        let relay = |name: &str, dst: &str| {
            format!("[[relay]]\nname = \"{name}\"\nsrc = 1\ndst = \"{dst}\"\n")
        };
        relay("a", one) + &relay("b", other)
    };
    let one = |dst: &str| format!("[[relay]]\nsrc = 1\ndst = \"{dst}\"\n");
    let log = |file: &str| format!("{}[log]\nlog-file = \"{file}\"\n", one("0"));
    let file = File::new("");
    let folder = file.folder().to_string_lossy().into_owned();
    for (text, said) in [
        (
            two("[::]:6901", "0.0.0.0:6901"),
            "F/f.toml:8:7: 0.0.0.0:6901 is taken: [::]:6901 stands on line 4",
        ),
        (
            two("127.0.0.1:6901", "[::]:6901"),
            "F/f.toml:8:7: [::]:6901 is taken: 127.0.0.1:6901 stands on line 4",
        ),
        (
            two("unix:F/s", "unix:F/../F/s"),
            "F/f.toml:8:7: unix:F/../F/s is taken: unix:F/s stands on line 4",
        ),
        (
            two("fd:x", "fd:x"),
            "F/f.toml:8:7: dst: fd:x is taken: it stands on line 4",
        ),
        (
            one("fd:"),
            "F/f.toml:3:7: dst: fd: has no name: write fd:NAME",
        ),
        (
            one("unix:F/none/s"),
            "F/f.toml:3:7: can't listen on unix:F/none/s: there is no folder F/none",
        ),
        (
            one("unix:F/f.toml"),
            "F/f.toml:3:7: can't listen on unix:F/f.toml: something is there that is not a socket",
        ),
        (
            log("none/l"),
            "F/f.toml:5:12: can't log to F/none/l: there is no folder F/none",
        ),
        (log("."), "F/f.toml:5:12: can't log to F/.: it is a folder"),
        (
            one("1"),
            "F/f.toml:3:7: the relay would connect to itself: it dials 127.0.0.1:1 and listens on 127.0.0.1:1",
        ),
    ] {
        let name = folder.rsplit('/').next().expect("it has one");
        let there = text
            .replace("../F", &format!("../{name}"))
            .replace("F/", &format!("{folder}/"));
        file.write(&there);
        let shown = hydrant("check").arg(file.path()).run();
        let first = shown.stderr.first().cloned().unwrap_or_default();
        let first = first
            .replace(&folder, "F")
            .replace(&format!("../{name}"), "../F");
        assert_eq!(first, said);
        assert_eq!(shown.stderr.len(), 3, "{:?}", shown.stderr);
    }
}

/// In a time that grows with the file, and not with its square: a slow check holds up a reload.
#[test]
fn of_very_many_mistakes_the_first_are_told() {
    let text: String = (0..20_000).map(|at| format!("x{at} = 5\n")).collect();
    let said = check(&text);
    assert_eq!(said.stderr.len(), 301);
    assert_eq!(said.stderr[300], "F: and 19900 more mistakes");
}

#[test]
fn mistakes_in_websocket_sections_are_told_with_their_place() {
    let text = r#"[[ws.relay]]
listen = ":8080"

[[ws.host]]
name = "h"
url = "http://a:1/host"
target = "127.0.0.1:0"

[[ws.client]]
name = "c"
url = "ws://a:1/host/x"
listen = ":8080"

[[ws.client]]
name = "d"
url = "ws://a:1"
lisen = 1

[[ws.hosts]]
"#;
    let expected = r#"
F:2:10: listen: refusing :8080 without authentication: add tokens FILE, or no-auth to let anyone in
 2 | listen = ":8080"
   |          ^^^^^^^
F:6:7: url: http://a:1/host is no WebSocket's address: write ws://HOST:PORT/PATH or wss://HOST/PATH
 6 | url = "http://a:1/host"
   |       ^^^^^^^^^^^^^^^^^
F:7:10: target: 127.0.0.1:0 can't be dialled: port 0 is only for listening
 7 | target = "127.0.0.1:0"
   |          ^^^^^^^^^^^^^
F:11:7: url: ws client connects to /client: url ends in the other part's path
 11 | url = "ws://a:1/host/x"
    |       ^^^^^^^^^^^^^^^^^
F:14:1: this ws.client has no listen
 14 | [[ws.client]]
    | ^^^^^^^^^^^^^
F:17:1: unknown key lisen of ws.client: did you mean listen?
 17 | lisen = ...
    | ^^^^^
F:19:6: unknown section ws.hosts: did you mean ws.host?
 19 | [[ws.hosts]]
    |      ^^^^^
"#;
    let said = check(text);
    assert_eq!(format!("\n{}\n", said.stderr.join("\n")), expected);
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
}

#[test]
fn a_file_without_mistakes_is_said_to_have_none() {
    let text = r#"
[[relay]]
src = ["a:1", "b:1"]
dst = "127.0.0.1:0"
retry = "1s..30s"
ring = 1048576
allow = ["10.0.0.0/8", "::1"]
stats = false
[[relay.output]]
dst = "connect:c:2"
slow = "drop"
[[hub]]
listen = "127.0.0.1:0"
[[tunnel.serve]]
name = "t"
listen = "127.0.0.1:0"
[[tunnel.expose]]
server = "a:1"
echo = true
[[ws.relay]]
listen = "127.0.0.1:0"
[[ws.host]]
name = "wh"
url = "ws://a:1/host/x"
target = 25565
[[ws.client]]
name = "wc"
url = "ws://a:1"
listen = "127.0.0.1:0"
[metrics]
listen = 9100
[log]
verbose = 2
log-file = "x.log"
"#;
    let said = check(text);
    assert_eq!(said.stderr, [""; 0]);
    assert_eq!(
        said.stdout,
        "F: no mistakes: 1 relay, 1 hub, 2 tunnels, 3 ws roles\n"
    );
    assert_eq!(said.code, 0);
}

/// Nobody writes to this pipe; one that is written to is as good as a file.
#[test]
fn a_file_that_never_ends_holds_nothing_up_for_ever() {
    let file = File::new("");
    let pipe = file.folder().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo is one of the coreutils").success());
    let relay = "[[relay]]\nsrc = 1\ndst = 0\nupstream-send = \"pipe\"\n";
    file.write(relay);
    let said = hydrant("check").arg(file.path()).run();
    let wrong = "F:4:17: can't read upstream-send P: it has not ended within 5 s; is it a pipe that nobody writes to?";
    let short = said.stderr[0].replace(&*pipe.to_string_lossy(), "P");
    assert_eq!(short.replace(&file.path(), "F"), wrong);
    let writer = thread::spawn(move || fs::write(pipe, "LOGIN"));
    let said = hydrant("check").arg(file.path()).run();
    assert_eq!((said.code, said.stderr), (0, Vec::new()));
    writer
        .join()
        .expect("it does not panic")
        .expect("somebody reads");
}

#[test]
fn what_can_t_be_read_is_said() {
    let cases = [
        ("", "is empty"),
        ("# x\n", "there is nothing to run here"),
        ("x = [", "F:1:5: this list has no end"),
    ];
    for (text, part) in cases {
        let said = check(text);
        assert!(said.stderr.join("\n").contains(part), "{:?}", said.stderr);
        assert_eq!(said.code, 1);
    }
    let said = hydrant("run /nowhere/f.toml").run();
    assert_eq!(
        said.stderr,
        ["hydrant: can't read the run file /nowhere/f.toml: no such file or directory"]
    );
    assert_eq!(hydrant("run").run().code, 2);
    assert_eq!(hydrant("check").run().code, 2);
}

#[test]
fn the_example_has_no_mistakes() {
    let example = hydrant("run --example").run();
    assert_eq!(example.code, 0);
    let file = File::new(&example.stdout);
    let said = hydrant("check").arg(file.path()).run();
    assert_eq!((said.code, said.stderr), (0, Vec::new()));
    assert!(
        example.stdout.contains("# retry = \"5s\""),
        "{}",
        example.stdout
    );
}

#[test]
fn a_console_is_checked_as_on_its_command_line() {
    let relay = "[[relay]]\nsrc = \"a:1\"\ndst = \":6000\"\n";
    let wrong = |text: &str| check(&format!("{relay}[console]\n{text}\n")).stderr[0].clone();
    for (text, said) in [
        (
            "bind = \":7700\"",
            "F:5:8: refusing :7700 without authentication: add token-file FILE",
        ),
        (
            "bind = \"127.0.0.1:6000\"",
            "F:5:8: 127.0.0.1:6000 is taken: :6000 stands on line 3",
        ),
        (
            "bind = \"127.0.0.1:7701\"\n[metrics]\nlisten = \"127.0.0.1:7701\"",
            "F:7:10: 127.0.0.1:7701 is taken: 127.0.0.1:7701 stands on line 5",
        ),
        (
            "bnd = \"127.0.0.1:1\"",
            "F:5:1: unknown key bnd of console: did you mean bind?",
        ),
        (
            "[log]\nquiet = true\nverbose = true",
            "F:6:9: quiet and verbose contradict each other: leave one out",
        ),
        ("save = 1", "F:5:8: save is true or false"),
        (
            "sav = true",
            "F:5:1: unknown key sav of console: did you mean save?",
        ),
        ("import = \"x\"", "F:5:1: unknown key import of console: "),
        (
            "view-token-file = \"nowhere\"",
            "F:5:19: can't read view-token-file: ",
        ),
    ] {
        let line = wrong(text);
        assert!(line.starts_with(said), "{line}");
    }
}

/// What is wrong in one key hides nothing of the others, and nothing is told that only comes of it.
#[test]
fn no_mistake_of_a_section_hides_another() {
    let said = check(SECTIONS);
    let lines = said.stderr.iter().filter(|line| line.starts_with("F:"));
    let short = |line: &String| {
        let mut parts = line.splitn(4, ':');
        let number = parts.nth(1).expect("a line").to_owned();
        let text = parts.nth(1).expect("what is wrong").trim();
        let text: String = text.chars().take(22).collect();
        format!("{number}: {}", text.trim())
    };
    let told: Vec<String> = lines.map(short).collect();
    let expected: Vec<&str> = TOLD.lines().collect();
    assert_eq!(told, expected);
}

const SECTIONS: &str = r#"[[relay]]
src = "a,b:0,c:1"
dst = ["127.0.0.1:99999", ":6000", ":6000"]
max-lag = "7"
framing = "bogus"
dump-format = "hex"
backlog = "1M"
ring = "1K"
resume = "acked"
tls-cert = "none"
tls-key = "none"
upstream-send = "none"
[[hub]]
listen = "nope"
memory = "1K"
queue = "4M"
tokens = "none"
[[tunnel.serve]]
listen = "x"
ports = "9-1"
public-bind = "zz"
tls-client-ca = "none"
[[tunnel.expose]]
server = "127.0.0.1:1"
target = "127.0.0.1:2"
port = 99999
token-file = "none"
[[ws.relay]]
listen = ":7003"
tokens = "none"
ping = "0"
origin = ["o", "https://ops.example", "p"]
[[relay]]
name = "b"
src = "0"
dst = "0"
mode = "listen"
[[relay]]
name = "c"
dst = "0"
stats-interval = "1s"
framing = "bogus"
[console]
bind = "w"
max-connections = 1
allow-host = "https://x"
view-token-file = "none"
"#;

const TOLD: &str = "\
2: src: a has no port: wr
2: src: b:0 can't be dial
3: dst: port 99999 is abo
3: :6000 is given twice t
4: max-lag: 7 could be a
5: framing: bogus is no f
6: dump-format alone show
8: ring: 1K is too little
10: can't read tls-cert /t
11: can't read tls-key: no
12: can't read upstream-se
14: listen: nope has no po
15: memory: 1K is too litt
17: can't read tokens: no
19: listen: x has no port:
20: ports 9-1 is no range
21: public-bind zz is no a
22: can't read tls-client-
23: a token proves a name:
26: port: 99999 is too muc
27: can't read token-file:
30: can't read tokens: no
31: ping: 0 is too little:
32: origin: o is not an or
32: origin: p is not an or
37: mode: listen is none o
38: this relay has no src
41: stats-interval alone s
42: framing: bogus is no f
44: w has no port: write w
45: max-connections: 1 is
46: allow-host https://x:
47: can't read view-token-
47: view-token-file needs
";

/// Starts the program in another folder.
const IN: &str = r#"cd "$IN" && exec "$0" "$@""#;
