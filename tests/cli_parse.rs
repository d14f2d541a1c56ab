//! Command lines: what each one asks for, and the exact words about each mistake.

mod common;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use common::scratch::Scratch;
use hydrant::base::endpoint::Endpoint;
use hydrant::cli::ROLES;
use hydrant::config::{Config, Env, Exit, Run, Verbosity};
use hydrant::roles::relay::config::{DumpFormat, RelayConfig, Slow, Source, Stats, Way};
use hydrant::roles::ws::options::Proxies;
use proptest::prelude::*;

const PIPE: Env = Env {
    stderr_is_terminal: false,
    token: None,
    port: None,
    proxies: Proxies {
        own: None,
        https: None,
        not_for: None,
    },
    config_home: None,
    sockets: None,
    passed: None,
    is_check: false,
    is_dry: false,
};
const TERMINAL: Env = Env {
    stderr_is_terminal: true,
    token: None,
    port: None,
    proxies: Proxies {
        own: None,
        https: None,
        not_for: None,
    },
    config_home: None,
    sockets: None,
    passed: None,
    is_check: false,
    is_dry: false,
};

/// `line` is everything behind `hydrant`, split at spaces.
fn parse(line: &str) -> Result<Config, Exit> {
    Config::from_command_line(
        line.split(' ')
            .filter(|word| !word.is_empty())
            .map(OsString::from),
        PIPE,
    )
}

fn relay(line: &str) -> RelayConfig {
    match parse(line).map(|config| config.run) {
        Ok(Run::Relay(relay)) => *relay,
        other => panic!("{line}: {other:?}"),
    }
}

fn mistake(args: &[&str]) -> String {
    let exit = Config::from_command_line(args.iter().map(OsString::from), PIPE)
        .expect_err("it is a mistake");
    assert_eq!((exit.code, exit.stdout.as_str()), (2, ""), "{args:?}");
    exit.stderr
}

/// A command line may stand in the file of a service, whose log others read.
#[test]
fn what_may_be_a_secret_in_an_address_is_not_said() {
    for address in [
        "tls://h:1?token=SECRET",
        "tls://h/x?token=SECRET",
        "h:1/x?a=b,SECRET",
        "h/x?token=SECRET",
        "h/x?token=:SECRET SECRET",
        "me:SECRET@h:1",
        "me:SECRET@h",
        "ws://me:SECRET@h:1/x",
        "listen:wss://h:1?SECRET",
        "x://h#SECRET",
    ] {
        for before in [
            &[][..],
            &["relay", ":1"],
            &["relay", "--src"],
            &["relay", "-"],
            &["relay", "--mode"],
            &["relay", "-", ":1", "--origin"],
            &["relay", "-", ":1", "--max-lag"],
            &["relay", "-", ":1", "--allow"],
            &["relay", "-", ":1", "--metrics"],
            &["hub"],
            &["hub", "serve"],
            &["hub", "serve", ":1"],
            &["hub", "send"],
            &["tunnel"],
            &["tunnel", "serve", "1", "--ports"],
            &["tunnel", "expose"],
            &["tunnel", "expose", "h:1"],
            &["ws", "relay"],
            &["ws", "client", "ws://h/client"],
            &["ws", "host", "ws://h/host", "1", "--proxy"],
            &["console", "--bind"],
            &["console"],
            &["status"],
            &["status", "--at"],
            &["bench", "fan-out", "--relay"],
            &["demo"],
        ] {
            let args = before.iter().copied().chain([address]);
            let exit = Config::from_command_line(args.map(OsString::from), PIPE);
            if let Err(exit) = exit {
                let said = exit.stderr;
                assert!(!said.contains("SECRET"), "{before:?} {address}: {said}");
            }
        }
    }
}

fn help(line: &str) -> String {
    let exit = parse(line).expect_err("it only prints");
    assert_eq!((exit.code, exit.stderr.as_str()), (0, ""), "{line}");
    exit.stdout
}

fn at(text: &str) -> Endpoint {
    text.parse().expect("an endpoint")
}

#[test]
fn the_seeds_command_lines_work() {
    let cases = [
        (
            "127.0.0.1:5000 0.0.0.0:6000 --mode connect-listen",
            Source::Dial(vec![at("127.0.0.1:5000")]),
            Way::Listen(at("0.0.0.0:6000")),
        ),
        (
            "0.0.0.0:5000 192.168.1.100:6000 --mode listen-connect",
            Source::Listen(at("0.0.0.0:5000")),
            Way::Dial(at("192.168.1.100:6000")),
        ),
        (
            "192.168.1.50:5000 192.168.1.100:6000 --mode connect-connect",
            Source::Dial(vec![at("192.168.1.50:5000")]),
            Way::Dial(at("192.168.1.100:6000")),
        ),
        (
            "0.0.0.0:5000 0.0.0.0:6000 --mode listen-listen",
            Source::Listen(at("0.0.0.0:5000")),
            Way::Listen(at("0.0.0.0:6000")),
        ),
    ];
    for (line, source, way) in cases {
        // Two ends that listen on different ports; a dump and a retry, as the second seed writes them.
        for extra in ["", " --dump", " --dump --retry 3"] {
            let config = relay(&format!("{line}{extra}"));
            assert_eq!(
                (&config.source, &config.outputs[0].way),
                (&source, &way),
                "{line}{extra}"
            );
            assert_eq!(config.outputs.len(), 1);
            assert_eq!(config.dump.is_some(), extra.contains("dump"));
            let wait = Duration::from_secs(if extra.contains("retry") { 3 } else { 5 });
            assert_eq!((config.retry.min, config.retry.max), (wait, wait));
        }
    }
}

#[test]
fn a_first_word_that_can_only_be_src_means_the_relay() {
    for src in ["a:1", "5000", "unix:x", "unix:/run/x", "-", "[::1]:5000"] {
        assert_eq!(
            relay(&format!("{src} :6000")),
            relay(&format!("relay {src} :6000")),
            "{src}"
        );
    }
    assert_eq!(parse("demo").expect("a role").run, Run::Demo);
}

#[test]
fn flags_stand_anywhere() {
    let expected = relay("a:1 :2 --dump --retry 7");
    for line in [
        "--dump --retry 7 a:1 :2",
        "a:1 --dump :2 --retry 7",
        "--retry 7 relay a:1 --dump :2",
        "relay --retry=7 --dump a:1 :2",
        "--dump --retry 7 -- a:1 :2",
        "a:1 --retry=7 --dump -- :2",
        "--dump --retry 7 -- relay a:1 :2",
        "--dump --dump --retry 1 --retry=7 a:1 :2",
    ] {
        assert_eq!(relay(line), expected, "{line}");
    }
}

#[test]
fn the_last_one_wins() {
    for line in [
        "--retry 1 --retry 2",
        "--retry=1 --retry 2",
        "--retry 1 --retry=2",
        "--retry=1 --retry=2",
    ] {
        assert_eq!(
            relay(&format!("a:1 :2 {line}")).retry.max,
            Duration::from_secs(2),
            "{line}"
        );
    }
}

#[test]
fn globals_hold_for_every_role() {
    for run in ["a:1 :2", "relay a:1 :2", "demo"] {
        for (flags, verbosity) in [
            ("", Verbosity::Normal),
            ("-v", Verbosity::Debug),
            ("--verbose", Verbosity::Debug),
            ("-vv", Verbosity::Trace),
            ("-v --verbose", Verbosity::Trace),
            ("-vvv", Verbosity::Trace),
            ("-q", Verbosity::Quiet),
            ("-q --quiet", Verbosity::Quiet),
        ] {
            assert_eq!(
                parse(&format!("{run} {flags}"))
                    .expect(flags)
                    .globals
                    .verbosity,
                verbosity,
                "{flags}"
            );
        }
        let globals = parse(&format!("--log-file /tmp/x.log {run}"))
            .expect("it is right")
            .globals;
        assert_eq!(
            (globals.log_file, globals.busy_poll),
            (Some(PathBuf::from("/tmp/x.log")), false)
        );
    }
    assert!(
        parse("a:1 :2 --busy-poll")
            .expect("it is right")
            .globals
            .busy_poll
    );
}

#[test]
fn what_is_known_of_the_terminal_arrives() {
    for (env, interval) in [(PIPE, 10), (TERMINAL, 1)] {
        let args = ["a:1", ":2", "--stats"].map(OsString::from);
        let Ok(Config {
            run: Run::Relay(relay),
            ..
        }) = Config::from_command_line(args, env.clone())
        else {
            panic!("it is right");
        };
        let live = env.stderr_is_terminal;
        assert_eq!(
            relay.stats,
            Some(Stats {
                interval: Duration::from_secs(interval),
                live
            })
        );
    }
}

#[test]
fn several_ways_out() {
    let config = relay("a:1 :2 connect:b:3 --slow block --dump-format hex --dump");
    assert_eq!(config.dump, Some(DumpFormat::Hex));
    assert!(
        config
            .outputs
            .iter()
            .all(|output| output.slow == Slow::Block)
    );
    let config = relay("a:1 :2 connect:b:3 -");
    let slow: Vec<Slow> = config.outputs.iter().map(|output| output.slow).collect();
    assert_eq!(slow, [Slow::Drop, Slow::Block, Slow::Block]);
}

#[test]
fn bare_shows_five_lines_and_what_to_try() {
    let said = mistake(&[]);
    assert_eq!(mistake(&["--"]), said);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 6);
    assert!(lines[0].starts_with("usage: hydrant SRC DST"));
    assert_eq!(lines[5], "try: hydrant demo");
    assert!(lines.iter().all(|line| line.len() <= 80));
}

/// A command line behind `hydrant`, ` => `, and what it is told; `<...>` stands for one of `PHRASES`.
const MISTAKES: &str = r#"
# Flags.
a:1 :2 --retri 5 => unknown flag --retri: did you mean --retry?
--retri 5 a:1 :2 => unknown flag --retri: did you mean --retry?
--moed listen-listen a:1 :2 => unknown flag --moed: did you mean --mode?
a:1 :2 -retry 5 => unknown flag -retry: did you mean --retry?
a:1 :2 --timeout=5 => unknown flag --timeout: did you mean --connect-timeout, --idle-timeout or --stall-timeout?
a:1 :2 --conect-timeout=5 => unknown flag --conect-timeout: did you mean --connect-timeout?
a:1 :2 --colour => unknown flag --colour: see hydrant relay --help
demo --retri => unknown flag --retri: see hydrant demo --help
--colour => unknown flag --colour: see hydrant --help
a:1 :2 -x => unknown flag -x: see hydrant relay --help
a:1 :2 -vx => unknown flag -vx: see hydrant relay --help
a:1 :2 -5 => unknown flag -5: see hydrant relay --help
demo --retry 5 => demo has no flag --retry: see hydrant demo --help
demo --busy-poll => demo has no flag --busy-poll: see hydrant demo --help
a:1 :2 --dump=yes => --dump takes no value
a:1 :2 --dump= => --dump takes no value
a:1 :2 --mode => --mode needs a value: <modes>
--mode --dump a:1 :2 => --mode needs a value: <modes>
a:1 :2 --mode= => --mode needs a value: <modes>
a:1 :2 --mode -- x => --mode needs a value: <modes>
a:1 :2 --retry => --retry needs a value: --retry TIME|MIN..MAX
a:1 :2 --name -- => --name needs a value: --name NAME
a:1 :2 --name=--x => --name needs a value: --name NAME
a:1 :2 --slow => --slow needs a value: drop, skip, block
a:1 :2 --framing => --framing needs a value: --framing FORMAT
a:1 :2 --max-lag => --max-lag needs a value: --max-lag TIME|SIZE
a:1 :2 --allow => --allow needs a value: --allow CIDR
a:1 :2 --allow-clients ::1 => relay has no flag --allow-clients: see hydrant relay --help
a:1 :2 -q -v => -q and -v contradict each other: leave one of them out
demo -qv => -q and -v contradict each other: leave one of them out
# Words.
localhost :6000 => localhost has no port: write localhost:PORT
localhost => localhost has no port: write localhost:PORT
feed :6000 => feed has no port: write feed:PORT
feed 6000 => feed has no port: write feed:PORT
feed.example.com => feed.example.com has no port: write feed.example.com:PORT
10.0.0.5 :6000 => 10.0.0.5 has no port: write 10.0.0.5:PORT
rellay a:1 :2 => unknown role rellay: did you mean relay?
dmeo => unknown role dmeo: did you mean demo?
hub => hub needs one of serve, client, send, recv, tunnel: see hydrant hub --help
hub 7000 => hub has no 7000: there are serve, client, send, recv, tunnel
hub client => ADDR is missing: hydrant hub client ADDR NAME
hub client 7000 => NAME is missing: hydrant hub client ADDR NAME
hub client 7000 a|b => NAME a|b has a | in it
hub send 7000 a => DEST is missing: hydrant hub send ADDR NAME DEST [DATA]
hub send 7000 a b|c x => DEST b|c has a | in it
hub send 7000 a b c d => leftover word d: see hydrant hub send --help
hub recv 0 a => 127.0.0.1:0 can't be dialled: port 0 is only for listening
hub recv 7000 a --count x => --count: x is not a whole number: write one, or off
hub recv 7000 a --max-message 5 => hub recv has no flag --max-message: see hydrant hub recv --help
hub serv 7000 => hub has no serv: did you mean hub serve?
hub serve => ADDR is missing: hydrant hub serve ADDR
hub serve 7000 7001 => leftover word 7001: see hydrant hub serve --help
hub serve tls://7000 => tls:// to listen on needs a certificate and its key: add --tls-cert FILE and --tls-key FILE
hub send a:7000 x y z --tls-ca F => --tls-ca needs a tls:// that is dialled
tunnel serve tls://7000 => tls:// to listen on needs a certificate and its key: add --tls-cert FILE and --tls-key FILE
tunnel serve 7000 --tls-key F => --tls-key alone proves nothing: add --tls-cert
tunnel serve unix:/a --tls-cert F => --tls-cert needs an ADDR that is no Unix socket
tunnel expose a:7000 80 --tls-insecure => --tls-insecure needs a tls:// that is dialled
tunnel expose tls://a:7000 tls://b:1 => tls:// is not spoken here: leave it out
bench source tls://5000 => tls:// is not spoken here: leave it out
bench sink tls://a:5000 => tls:// is not spoken here: leave it out
hub serve localhost => localhost has no port: write localhost:PORT
hub serve :7000 => refusing :7000 without authentication: add --tokens FILE, or --no-auth to let anyone in
hub serve 0.0.0.0:7000 => refusing 0.0.0.0:7000 without authentication: add --tokens FILE, or --no-auth to let anyone in
hub serve 7000 --tokens F --no-auth => --tokens and --no-auth contradict each other: leave one of them out
hub serve 7000 --queue 1M => --queue 1M is too small for --max-message 1M and its head: raise it to 1048853 or more
hub serve 7000 --memory 1M => --memory 1M is less than --queue 4M: raise it to 4M or more
hub serve 7000 --name-timeout off => --name-timeout: off is not a duration: write 5, 0.2, 250ms, 5s, 2m, 1h or 1d
hub serve 7000 --max-message 1023 => --max-message: 1023 is too little: the least is 1K
hub serve 7000 --retry 5 => hub serve has no flag --retry: see hydrant hub serve --help
tunnel => tunnel needs one of serve, expose: see hydrant tunnel --help
tunnel serv 7000 => tunnel has no serv: did you mean tunnel serve?
tunnel serve => ADDR is missing: hydrant tunnel serve ADDR
tunnel serve 7000 7001 => leftover word 7001: see hydrant tunnel serve --help
tunnel serve :7000 => refusing :7000 without authentication: add --tokens FILE, or --no-auth to let anyone in
tunnel serve 7000 --tokens F --no-auth => --tokens and --no-auth contradict each other: leave one of them out
tunnel serve 7000 --ports 9-8 => --ports 9-8 is no range of ports: write A-B, one port, or 0 for any
tunnel serve 7000 --ports 0-8 => --ports 0-8 is no range of ports: write A-B, one port, or 0 for any
tunnel serve 7000 --public-bind here => --public-bind here is no address: write an IP address, or * for every interface
tunnel serve 7000 --alive-timeout off => --alive-timeout: off is not a duration: write 5, 0.2, 250ms, 5s, 2m, 1h or 1d
tunnel expose => SERVER is missing: hydrant tunnel expose SERVER TARGET
tunnel expose 7000 => TARGET is missing: hydrant tunnel expose SERVER TARGET
tunnel expose 7000 80 --echo => TARGET and --echo contradict each other: leave one of them out
tunnel expose 0 80 => 127.0.0.1:0 can't be dialled: port 0 is only for listening
tunnel expose 7000 0 => 127.0.0.1:0 can't be dialled: port 0 is only for listening
tunnel expose 7000 80 --name Web => --name Web: a name has 1 to 63 characters, of a-z 0-9 . _ -
tunnel expose 7000 80 --port 0 => --port: 0 is too little: the least is 1
tunnel expose 7000 --echo --proxy-protocol v1 => --proxy-protocol tells --echo nothing: leave it out
ws => ws needs one of relay, host, client: see hydrant ws --help
ws hosts ws://a 22 => ws has no hosts: did you mean ws host?
ws relay :8080 => refusing :8080 without authentication: add --tokens FILE, or --no-auth to let anyone in
ws host ws://a => TARGET is missing: hydrant ws host URL TARGET
ws client => URL is missing: hydrant ws client URL LISTEN
ws host relay:8080 22 => relay:8080 is no WebSocket's address: write ws://HOST:PORT/PATH or wss://HOST/PATH
ws host ws://a/client/x 22 => ws host connects to /host: URL ends in the other part's path
ws client ws://u:p@a 22 => a URL takes no user and no password: a token goes into --token-file or HYDRANT_TOKEN
frobnicate => unknown role frobnicate: <roles>
frobnicate --help => unknown role frobnicate: <roles>
help frobnicate => unknown role frobnicate: <roles>
help a:1 => unknown role a:1: <roles>
demo now => leftover word now: see hydrant demo --help
demo -- -v => leftover word -v: see hydrant demo --help
relay => SRC and DST are missing: hydrant SRC DST [DST2 ...]
--dump => SRC and DST are missing: hydrant SRC DST [DST2 ...]
a:1 => DST is missing: hydrant SRC DST [DST2 ...]
relay 5000 --dump => DST is missing: hydrant SRC DST [DST2 ...]
a:1 :2 stray => stray has no port: write stray:PORT
a:1,b:2 => DST is missing: hydrant SRC DST [DST2 ...]
5000,5001 => DST is missing: hydrant SRC DST [DST2 ...]
a:1,b :2 => b has no port: write b:PORT
a:1, :2 => "" is not a host name: <forms>
a:1,- :2 => - is not a host name: <forms>
a:1 :2 -- --dump => --dump is not a host name: <forms>
bnech => unknown role bnech: did you mean bench?
# The bench.
bench speed => unknown scenario speed: <scenarios>
bench throughput 10 => unknown scenario 10: <scenarios>
bench source => ADDR is missing: hydrant bench source ADDR
bench tls-loop a:1 => SRC and DST are missing: hydrant bench tls-loop SRC DST
bench tls-loop a:1 :2 => tls-loop needs a certificate and its key in one file: add --tls-cert FILE
bench tls-loop a:1 :2 :3 => leftover word :3: see hydrant bench --help
bench sink => ADDR is missing: hydrant bench sink ADDR
bench sink a:1 b:2 => leftover word b:2: see hydrant bench --help
bench sink :0 => port 0 can't be dialled: give the relay's port
bench source connect:a:0 => port 0 can't be dialled: give the relay's port
bench source here => here has no port: write here:PORT
bench --clients 0 => --clients: 0 is too little: the least is 1
bench --clients 1,100001 => --clients: 100001 is too much: the most is 100000
bench --clients 1,,2 => --clients: 1,,2 has a comma too many
bench --size ,64K => --size: ,64K has a comma too many
bench --size 64K, => --size: 64K, has a comma too many
bench --clients ten => --clients: ten is not a whole number
bench --size 63 => --size: 63 is too little: the least is 64
bench --size 64K,17M => --size: 17M is too much: the most is 16M
bench tunnel-up ws hub idle --rate 5 => --rate means nothing to bench tunnel-up
bench idle --rate 5 => --rate means nothing to bench idle
bench --svg - => --svg needs a file: - is none, and ./- is a file of this name
bench --rate 0 => --rate: 0 is too little: the least is 1
bench --time 50ms => --time: 50ms is too little: the least is 100ms
bench --repeat 0 => --repeat: 0 is too little: the least is 1
bench --together => --together is for latency alone, not for throughput: hydrant bench latency
bench latency slow --together --relay a{dst} => --together is for latency alone, not for slow: hydrant bench latency
bench latency --together => --together needs two relays at least: give --relay again, each with a command
bench latency --together --relay a{dst} => --together needs two relays at least: give --relay again, each with a command
bench latency --together --relay a{dst} --relay b{dst} --rate 251 => --together: messages to 2 relays at 251/s each \
are 1.99 ms apart, and a source needs 2 ms to itself: --rate 250 would do
bench source :1 --together => --together means nothing to bench source
bench sink a:1 --together => --together means nothing to bench sink
bench tls-loop a:1 :2 --together => --together means nothing to bench tls-loop
bench --relay {src} => --relay {src}: nothing says where clients connect: put {dst} or {dst_port} into it
bench --relay 'a{dst} => --relay 'a{dst}: a ' is not closed
bench --relay a{srcport}{dst} => --relay a{srcport}{dst}: <places>
bench --relay a{foo}{dst} => --relay a{foo}{dst}: <places>
bench --speak hydrant => --speak: hydrant is none of plain, redis, nats
bench --speak nats => hydrant itself does not speak nats: --speak nats needs a --relay
bench --speak plain --speak nats --relay a{dst} => 2 --speak for 1 relay: give one for all, or one for each
bench --speak redis --relay a{src}{dst} => --relay a{src}{dst}: who speaks redis is dialled by the source, too: \
leave {src} out
bench tls --relay redis-server{dst} --speak redis => bench tls can't be done with redis-server{dst}, which speaks redis
bench hub --speak redis --relay a{dst} => bench hub-many can't be done with a{dst}, which speaks redis
bench source :1 --speak nats => who speaks nats is dialled by the source: write connect:HOST:PORT
bench sink a:1 --speak nats --speak redis => 2 --speak for 1 relay: give one for all, or one for each
bench tls-loop a:1 :2 --speak nats => --speak means nothing to bench tls-loop
bench --retry 5 => bench has no flag --retry: see hydrant bench --help
bench source :1 --clients 5 => --clients means nothing to bench source
bench source :1 --size 64,65 => a list as --size means nothing to bench source
bench sink a:1 --clients 1,2 => a list as --clients means nothing to bench sink
bench sink a:1 --relay x{dst} => --relay means nothing to bench sink
bench sink a:1 --once => --once means nothing to bench sink
bench tls --tls-cert x => --tls-cert means nothing to bench scenarios
bench tls-loop a:1 :2 --clients 3 => --clients means nothing to bench tls-loop
a:1 :2 --clients 5 => relay has no flag --clients: see hydrant relay --help
# Endpoints.
70000 :2 => port 70000 is above 65535
a:1 :65536 => port 65536 is above 65535
a:http :2 => http is not a port, in a:http: write a number, 0 to 65535
::1 :2 => ::1 is an IPv6 address without brackets: write [::1]:PORT
::1:5000 :2 => ::1:5000 is an IPv6 address without brackets: write [::1]:5000
[::1 :2 => [::1 is not [IPV6]:PORT
[::1] :2 => [::1] has no port: write [::1]:PORT
10.0.0.256:1 :2 => 10.0.0.256 is not an IPv4 address: it takes four numbers, 0 to 255
a_?:1 :2 => a_? is not a host name: <forms>
http://a:1 :2 => http:// is not known here: <forms>
./x.sock :2 => ./x.sock is not an endpoint: for a Unix socket write unix:./x.sock
unix: :2 => unix: has no path: write unix:PATH
a:0 :2 => a:0 can't be dialled: port 0 is only for listening
a:1 b:0 --mode connect-connect => b:0 can't be dialled: port 0 is only for listening
a:1 connect:b:0 => b:0 can't be dialled: port 0 is only for listening
a:1 listen: => "" is not a host name: <forms>
listen:5000 :6000 => SRC can't say listen: for itself: write 5000 and --mode listen-listen
# What contradicts itself.
a:1 :6000 :6000 => :6000 is given twice to listen on
a:1 :6000 6000 => :6000 and 127.0.0.1:6000 are the same port: give one of them another
:5000 :5000 --mode listen-listen => SRC :5000 and DST :5000 would listen on the same port: give one of them another
a:1 - - => - is given twice as DST: there is one stdout
a:1 - --dump => --dump would mix with the bytes for DST -: leave one of them out
a:1 :2 --dump-format hex => --dump-format alone shows nothing: add --dump
a:1 :2 --stats-interval 5 => --stats-interval alone shows nothing: add --stats
- - --wait-clients 2 => --wait-clients: 2 clients can never be there, at most 1: SRC would not be read
a:1,b:2 :3 --mode listen-listen => SRC a:1,b:2 is a list, which only a dialled SRC can be: --mode connect-listen
a:1,b:2 c:3 --mode listen-connect => SRC a:1,b:2 is a list, which only a dialled SRC can be: --mode connect-connect
a:1 :2 --record-max 4K => --record-max alone limits nothing: add --framing
a:1 :2 --framing fixed:2M => --framing fixed:2097152 has no record within --record-max 1M: raise it to 2M or more
a:1 :2 --framing len:u32be+10 --record-max 13 => --framing len:u32be+10 has no record within --record-max 13: \
raise it to 14 or more
a:1 :2 --framing mpegts --record-max 187 => --framing mpegts has no record within --record-max 187: raise it to 188 \
or more
a:1 :2 --framing line --ring 1M => --framing line with --record-max 1M needs --ring 2M or more
a:1 :2 --framing fixed:64K --ring 64K => --framing fixed:65536 needs --ring 128K or more
a:1 :2 --backlog 9M => --backlog 9M is more than half of --ring 16M: raise that to 18M or more
a:1 :2 --failback 5 => --failback needs several SRCs: write a:5000,b:5000
:1 :2 --failback 5 --mode listen-listen => --failback needs several SRCs: write a:5000,b:5000
:1 :2 --upstream-send x --mode listen-listen => --upstream-send needs a SRC that is dialled
- :2 --upstream-send x => --upstream-send needs a SRC that is dialled
- :2 --idle-timeout 5 => --idle-timeout needs a connection: SRC - is none
- :2 --upstream-loss keep => --upstream-loss needs a connection: SRC - is none
a:1 :2 --allow-upstream ::1 => --allow-upstream needs a SRC that listens for TCP
unix:x :2 --allow-upstream ::1 --mode listen-listen => --allow-upstream needs a SRC that listens for TCP
a:1 unix:x --allow ::1 => --allow needs a DST that listens for TCP
a:1 connect:b:2 --allow ::1 => --allow needs a DST that listens for TCP
a:1 - --max-clients-per-ip 1 => --max-clients-per-ip needs a DST that listens for TCP
a:1 :2 --resume live => --resume needs a DST that is dialled
a:1 - --resume live => --resume needs a DST that is dialled
# Values.
a:1 :2 --mode sideways => --mode: sideways is none of <modes>
a:1 :2 --retry -1 => --retry: -1 <wait>
a:1 :2 --retry=soon => --retry: soon <wait>
a:1 :2 --retry 0 => --retry: 0 is too little: the least is 10ms
a:1 :2 --retry 9..1 => --retry: 9..1 has its longer wait first
a:1 :2 --retry 1..2d => --retry: 1..2d is too much: the most is 1d
a:1 :2 --connect-timeout off => --connect-timeout: off <time>
a:1 :2 --connect-timeout 0 => --connect-timeout: 0 is too little: the least is 10ms
a:1 :2 --keepalive never => --keepalive: never <time>, or off
a:1 :2 --keepalive 10ms => --keepalive: 10ms is too little: the least is 1s
a:1 :2 --keepalive 10h => --keepalive: 10h is too much: the most is 9h
a:1 :2 --takeover yes => --takeover: yes is none of replace, refuse
a:1 :2 --ring 64KB => --ring: 64KB is not a size: write 4096, 64K, 4M or 1G
a:1 :2 --ring 1K => --ring: 1K is too little: the least is 64K
a:1 :2 --ring 5G => --ring: 5G is too much: the most is 4G
a:1 :2 --slow wait => --slow: wait is none of drop, skip, block
a:1 :2 --max-lag 65536 => --max-lag: 65536 could be a time or a size: write 10s or 4M, or off
a:1 :2 --max-lag soon => --max-lag: soon is neither a time nor a size: write 10s or 4M, or off
a:1 :2 --max-lag 4MB => --max-lag: 4MB is neither a time nor a size: write 10s or 4M, or off
a:1 :2 --max-lag 50ms => --max-lag: 50ms is too little: the least is 100ms
a:1 :2 --max-lag 2d => --max-lag: 2d is too much: the most is 1d
a:1 :2 --max-lag 1K => --max-lag: 1K is too little: the least is 4K
a:1 :2 --max-lag 5G => --max-lag: 5G is too much: the most is 4G
a:1 :2 --stall-timeout 10ms => --stall-timeout: 10ms is too little: the least is 100ms
a:1 :2 --stall-timeout never => --stall-timeout: never <time>, or off
a:1 :2 --idle-timeout 10ms => --idle-timeout: 10ms is too little: the least is 100ms
a:1 :2 --idle-timeout 2d => --idle-timeout: 2d is too much: the most is 1d
a:1,b:2 :2 --failback 10ms => --failback: 10ms is too little: the least is 100ms
a:1 :2 --framing lines => --framing: lines is no framing: write raw, line, fixed:N, len:u16be, len:u16le, len:u32be, \
len:u32le, delim:HEX or mpegts
a:1 :2 --framing fixed:0 => --framing: fixed:0 is no length of records: write fixed:N with N bytes, at least 1, as in \
fixed:512
a:1 :2 --framing len:u8 => --framing: len:u8 is no kind of length: write len:u16be, len:u16le, len:u32be or \
len:u32le, with +N behind it if there are N bytes that it doesn't count, as in len:u16be+2
a:1 :2 --framing delim:0 => --framing: delim:0 is no end of a record: write delim:HEX with two hexadecimal digits a \
byte, as in delim:0d0a
a:1 :2 --framing line --record-max 0 => --record-max: 0 is too little: the least is 1
a:1 :2 --framing line --record-max 3G => --record-max: 3G is too much: the most is 2G
a:1 :2 --backlog 3G => --backlog: 3G is too much: the most is 2G
a:1 :2 --backlog all => --backlog: all is not a size: write 4096, 64K, 4M or 1G, or off
a:1 :2 --upstream-loss wait => --upstream-loss: wait is none of keep, close, exit
a:1 connect:b:2 --resume last => --resume: last is none of acked, written, live
a:1 :2 --allow 10.0.0.0/33 => --allow: 10.0.0.0/33 <net>
a:1 :2 --allow 10.0.0.0/8,host => --allow: host <net>
a:1 :2 --allow ::1 --allow here => --allow: here <net>
:1 :2 --allow-upstream any --mode listen-listen => --allow-upstream: any <net>
a:1 :2 --max-clients-per-ip some => --max-clients-per-ip: some is not a whole number: write one, or off
a:1 :2 --hold 2h => --hold: 2h is too much: the most is 1h
a:1 :2 --max-clients all => --max-clients: all is not a whole number: write one, or off
a:1 :2 --max-clients 1000001 => --max-clients: 1000001 is too much: the most is 1000000
a:1 :2 --wait-clients -1 => --wait-clients: -1 is not a whole number
a:1 :2 --drain 2h => --drain: 2h is too much: the most is 1h
a:1 :2 --dump --dump-format json => --dump-format: json is none of text, hex, raw
a:1 :2 --stats --stats-interval 0 => --stats-interval: 0 is too little: the least is 100ms
a:1 :2 --log-file= => --log-file needs a value: --log-file FILE
"#;

const PHRASES: &[(&str, &str)] = &[
    (
        "<forms>",
        "write HOST:PORT, [IPV6]:PORT, :PORT, PORT, tls://HOST:PORT or unix:PATH",
    ),
    (
        "<modes>",
        "connect-listen, listen-connect, connect-connect, listen-listen",
    ),
    (
        "<roles>",
        "there are relay, console, demo, hub, tunnel, ws, run, check, status, completions, man, systemd-unit, bench; \
         SRC would be HOST:PORT",
    ),
    (
        "<scenarios>",
        "there are throughput, tls, latency, slow, idle, churn, tunnel-up, tunnel-down, tunnel-echo, ws-up, ws-down, \
         ws-echo, hub-many, hub-one; or source, or sink, or tls-loop",
    ),
    (
        "<places>",
        "places are {src}, {dst}, {link}, {src_port}, {dst_port}, {link_port}, {cert} and {hydrant}",
    ),
    (
        "<time>",
        "is not a duration: write 5, 0.2, 250ms, 5s, 2m, 1h or 1d",
    ),
    (
        "<net>",
        "is no network: write 10.0.0.0/8, 2001:db8::/32 or one address",
    ),
    (
        "<wait>",
        "is not a wait: write 5, 250ms or 2m, or a range such as 1s..30s",
    ),
];

#[test]
fn every_mistake_is_one_line_that_names_it() {
    let mut tried = 0;
    for line in MISTAKES
        .replace("\\\n", "")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (args, message) = line
            .split_once(" => ")
            .expect("a command line and a message");
        let message = PHRASES
            .iter()
            .fold(message.to_owned(), |text, (short, long)| {
                text.replace(short, long)
            });
        let args: Vec<&str> = args.split(' ').collect();
        assert_eq!(mistake(&args), format!("hydrant: {message}\n"), "{line}");
        tried += 1;
    }
    assert!(tried > 140, "only {tried} were tried");
}

#[test]
fn what_was_typed_is_quoted_where_it_must_be() {
    let roles = "there are relay, console, demo, hub, tunnel, ws, run, check, status, completions, man, \
                 systemd-unit, bench; SRC would be HOST:PORT";
    assert_eq!(
        mistake(&[""]),
        format!("hydrant: unknown role \"\": {roles}\n")
    );
    assert_eq!(
        mistake(&["two words"]),
        format!("hydrant: unknown role \"two words\": {roles}\n")
    );
    assert_eq!(
        mistake(&["a\n\u{1b}[2J"]),
        format!("hydrant: unknown role \"a\\n\\u{{1b}}[2J\": {roles}\n")
    );
    assert_eq!(
        mistake(&["demo", "a b"]),
        "hydrant: leftover word \"a b\": see hydrant demo --help\n"
    );
    assert_eq!(
        mistake(&["a:1", ":2", "--name", "a\nb"]),
        "hydrant: --name: \"a\\nb\" has a control character\n"
    );
    let exit = Config::from_command_line([OsString::from_vec(b"a\xff:1".to_vec())], PIPE)
        .expect_err("not UTF-8");
    assert_eq!(
        (exit.code, exit.stderr.as_str()),
        (2, "hydrant: \"a\\xFF:1\" is not UTF-8\n")
    );
}

/// What `--upstream-send` names is read at once, and never shown.
#[test]
fn what_is_sent_upstream_comes_from_a_file() {
    let scratch = Scratch::new();
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(scratch.at(name), bytes).expect("it can be written");
        scratch.at(name)
    };
    let line = |path: &str| format!("a:1 :2 --upstream-send {path}");
    let longest = file("longest", &[b'x'; 64 << 10]);
    assert_eq!(relay(&line(&longest)).upstream_send.len(), 64 << 10);
    let config = relay(&line(&file("login", b"LOGIN me secret\n")));
    assert_eq!(&config.upstream_send[..], b"LOGIN me secret\n");
    assert!(!format!("{config:?}").contains("secret\\n"), "{config:?}");
    let folder = scratch.at("");
    for (path, wrong) in [
        (
            scratch.at("none"),
            "can't read --upstream-send: no such file; its path is not shown, since it may be the secret itself"
                .to_owned(),
        ),
        (
            folder.clone(),
            format!("can't read --upstream-send {folder}: is a directory"),
        ),
        (
            file("empty", b""),
            format!(
                "--upstream-send {} is empty: nothing to send",
                scratch.at("empty")
            ),
        ),
        (
            file("long", &[b'x'; (64 << 10) + 1]),
            format!(
                "--upstream-send {} is too long: the most is 64K",
                scratch.at("long")
            ),
        ),
    ] {
        let exit = parse(&line(&path)).expect_err("it can't be sent");
        assert_eq!(
            (exit.code, exit.stderr),
            (1, format!("hydrant: {wrong}\n")),
            "{path}"
        );
    }
}

#[test]
fn help_is_had_in_every_way() {
    let overview = help("--help");
    for line in ["-h", "help", "help --help", "--dump --help", "-vh"] {
        assert_eq!(help(line), overview, "{line}");
    }
    let relay = help("relay --help");
    for line in [
        "help relay",
        "-h relay",
        "a:1 --help",
        "a:1 :2 -h",
        "--help a:1 :2 --retry never",
    ] {
        assert_eq!(help(line), relay, "{line}");
    }
    assert_eq!(help("demo -h"), help("help demo"));
    for line in ["--version", "-V", "relay -V", "-hV", "demo --version"] {
        assert_eq!(help(line), "hydrant 0.1.0\n", "{line}");
    }
}

#[test]
fn help_shows_every_flag_and_its_examples_work() {
    let mut texts = vec![help("--help")];
    for role in ROLES {
        let text = help(&format!("{} --help", role.name));
        assert!(text.contains("usage: hydrant"));
        for opt in role.globals().iter().chain(role.options) {
            assert!(
                text.contains(&format!(" {}", opt.flag)),
                "{} of {}",
                opt.flag,
                role.name
            );
        }
        assert!(role.examples.len() >= 2);
        for example in role.examples {
            assert!(text.contains(example.line));
            let line = example
                .line
                .strip_prefix("hydrant ")
                .expect("an example is a command line");
            // What a shell does with what is printed is its own.
            let line = line.split(['>', '|']).next().unwrap_or_default();
            // A file that it names need not be there.
            let works = parse(line).map_or_else(|exit| exit.code != 2, |_| true);
            assert!(works, "{line}");
        }
        texts.push(text);
    }
    for line in texts.iter().flat_map(|text| text.lines()) {
        assert!(
            line.chars().count() <= 80 && line == line.trim_end(),
            "{line}"
        );
    }
    for said in [
        "--retry TIME|MIN..MAX",
        "[default: 5s]",
        "[default: 16M]",
        "[default: 30s, or off]",
        "[default: off]",
        "--slow drop|skip|block",
        "--max-lag TIME|SIZE",
        "--dump-format text|hex|raw",
    ] {
        assert!(texts[1].contains(said), "{said}");
    }
}

proptest! {
    #[test]
    fn any_command_line_is_run_or_answered(
        args in proptest::collection::vec(
            "\\PC{0,8}|a:1|:2|-|demo|help|--?[a-z-]{0,8}|--(retry|ring|name|mode)(=[0-9a-zA-Z.]{0,5})?|[0-9]{1,6}[Ks]",
            0..7,
        )
    ) {
        if let Err(exit) = Config::from_command_line(args.iter().map(OsString::from), PIPE) {
            prop_assert_eq!(exit.stdout.is_empty(), exit.code == 2);
            prop_assert_eq!(exit.stderr.is_empty(), exit.code == 0);
            let nothing_given = args.is_empty() || args == ["--"];
            let one_line = exit.stderr.lines().count() == 1 && exit.stderr.starts_with("hydrant: ");
            prop_assert!(exit.code == 0 || nothing_given || one_line, "{}", exit.stderr);
        }
    }
}

/// What only prints has no use for what is said of something that runs.
#[test]
fn nothing_is_taken_and_dropped() {
    for (args, said) in [
        (
            &["run", "--example", "x"][..],
            "leftover word x: run --example takes none",
        ),
        (
            &["run", "--example", "-v"],
            "run --example only prints: leave --verbose out",
        ),
        (
            &["man", "--metrics", "1"],
            "man has no flag --metrics: see hydrant man --help",
        ),
        (&["man", "x"], "leftover word x: see hydrant man --help"),
        (
            &["completions", "bash", "-q"],
            "completions has no flag --quiet: see hydrant completions --help",
        ),
        (
            &["completions", "bash", "zsh"],
            "leftover word zsh: see hydrant completions --help",
        ),
        (
            &["check", "a", "b"],
            "leftover word b: see hydrant check --help",
        ),
        (
            &["check", "a", "--metrics", "x"],
            "--metrics: x has no port: write x:PORT",
        ),
        (
            &["systemd-unit", "a", "b"],
            "leftover word b: see hydrant systemd-unit --help",
        ),
        (
            &["systemd-unit", "-q", "-v"],
            "-q and -v contradict each other: leave one of them out",
        ),
        (
            &["systemd-unit", "--metrics", "x"],
            "--metrics: x has no port: write x:PORT",
        ),
        (
            &["systemd-unit", ""],
            "\"\" can be no run file: name one, or leave it out for /etc/hydrant/hydrant.toml",
        ),
        (
            &["systemd-unit", "-"],
            "- can be no run file: name one, or leave it out for /etc/hydrant/hydrant.toml",
        ),
    ] {
        assert_eq!(mistake(args), format!("hydrant: {said}\n"));
    }
}
