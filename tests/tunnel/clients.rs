//! What clients and services see of a tunnel: nothing but each other.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;

use socket2::{Domain, Socket, Type};

use crate::common::first_line;
use crate::common::peers::{connect, connect_narrow, half_close, reset};
use crate::common::scratch::Scratch;
use crate::common::service::{ask, bytes, handed, is_reset, next, service, until};
use crate::common::tools::{Tool, have};
use crate::rig::{Backend, Server, echo};

#[test]
fn a_client_hears_itself_through_an_echo() {
    let (_server, _backend, public) = echo("");
    assert_eq!(ask(public, b"hello"), b"hello");
    let much = bytes(3 << 20);
    assert!(
        ask(public, &much) == much,
        "megabytes come back as they were"
    );
    assert_eq!(ask(public, b""), b"");
}

#[test]
fn several_backends_have_a_port_each() {
    let server = Server::start("");
    let backends: Vec<(Backend, u8)> = (0..5)
        .map(|i| {
            let at = service(move |mut stream| {
                stream.write_all(&[i]).expect("it is read");
            });
            (Backend::start(server.at, &at.to_string()), i)
        })
        .collect();
    for (backend, i) in &backends {
        assert_eq!(ask(backend.public(), b""), [*i]);
    }
}

#[test]
fn a_hundred_clients_at_a_time_get_what_is_theirs() {
    let (server, _backend, public) = echo("");
    let clients: Vec<_> = (0..100)
        .map(|i: usize| {
            thread::spawn(move || {
                let sent = bytes(1000 * i + i);
                assert!(ask(public, &sent) == sent, "client {i}");
            })
        })
        .collect();
    for client in clients {
        client.join().expect("it got what is its own");
    }
    server.run.report_until("| 0 clients |");
}

#[test]
fn each_direction_ends_by_itself() {
    let server = Server::start("");
    let (at, accepted) = handed();
    let backend = Backend::start(server.at, &at.to_string());
    let public = backend.public();

    // The client ends first, and is answered.
    let mut client = connect(public);
    client.write_all(b"a request").expect("it is read");
    half_close(&client);
    let mut served = next(&accepted);
    let mut request = Vec::new();
    served.read_to_end(&mut request).expect("it ends well");
    assert_eq!(request, b"a request");
    served.write_all(b"an answer").expect("it is read");
    drop(served);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).expect("it ends well");
    assert_eq!(answer, b"an answer");

    // The service ends first, and goes on listening.
    let mut client = connect(public);
    let mut served = next(&accepted);
    served.write_all(b"a greeting").expect("it is read");
    half_close(&served);
    let mut greeting = Vec::new();
    client.read_to_end(&mut greeting).expect("it ends well");
    assert_eq!(greeting, b"a greeting");
    client.write_all(b"late").expect("it is read");
    drop(client);
    let mut late = Vec::new();
    served.read_to_end(&mut late).expect("it ends well");
    assert_eq!(late, b"late");
    server.run.report_until("| 0 clients |");
}

#[test]
fn a_reset_arrives_as_a_reset() {
    let server = Server::start("");
    let (at, accepted) = handed();
    let backend = Backend::start(server.at, &at.to_string());
    let public = backend.public();

    let mut client = connect(public);
    client.write_all(b"x").expect("it is read");
    let mut served = next(&accepted);
    served.read_exact(&mut [0]).expect("a byte");
    reset(client);
    assert!(is_reset(served), "the client's reset reaches the service");

    let mut client = connect(public);
    client.write_all(b"x").expect("it is read");
    let mut served = next(&accepted);
    served.read_exact(&mut [0]).expect("a byte");
    reset(served);
    assert!(is_reset(client), "the service's reset reaches the client");
    server.run.report_until("| 0 clients |");
}

#[test]
fn a_service_that_is_down_resets_its_client_only() {
    let server = Server::start("");
    let (at, accepted) = handed();
    let backend = Backend::start(server.at, &at.to_string());
    let mut patient = connect(backend.public());
    patient.write_all(b"x").expect("it is read");
    let mut served = next(&accepted);

    let nobody = crate::common::peers::Place::new();
    let down = Backend::start(server.at, &nobody.at.to_string());
    let public = down.public();
    // It may come before we have seen that we are connected.
    assert!(TcpStream::connect(public).map_or(true, is_reset));
    down.run
        .wait_log("refused the connection: its client is reset");

    served.write_all(b"y").expect("it is read");
    patient.read_exact(&mut [0]).expect("the other one goes on");
}

/// A service whose queue of connections is full lets nobody in and refuses nobody.
#[test]
fn a_client_that_leaves_takes_its_dial_to_the_service_along() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    listener.bind(&any_port.into()).expect("port 0 is free");
    listener.listen(0).expect("a bound socket can listen");
    let at = listener.local_addr().expect("it is bound");
    let at = at.as_socket().expect("it is TCP");
    let _first = connect(at);

    let server = Server::start("");
    let backend = Backend::start(server.at, &format!("{at} --connect-timeout 60s"));
    let mut client = connect(backend.public());
    client.write_all(b"is anybody there?").expect("it is kept");
    until("the service is dialled", || (dials(at) == 1).then_some(()));
    reset(client);
    until("the dial is given up", || (dials(at) == 0).then_some(()));
    server.run.report_until("| 0 clients |");
    backend.run.report_until("| 0 clients |");
}

/// How many attempts to connect there are under way.
fn dials(to: SocketAddr) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    let to = format!(":{:04X}", to.port());
    let is_one = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Own address, the peer's, and the state, of which 02 is SYN_SENT.
        fields[2].ends_with(&to) && fields[3] == "02"
    };
    table.lines().skip(1).filter(is_one).count()
}

#[test]
fn a_client_that_stops_reading_holds_up_nobody() {
    let server = Server::start("");
    let at = service(|mut stream| {
        let block = vec![7; 64 << 10];
        // Until the client has had enough.
        while stream.write_all(&block).is_ok() {}
    });
    let backend = Backend::start(server.at, &at.to_string());
    let public = backend.public();
    let _stalled = connect_narrow(public);
    server.run.wait_log("connected (1 now)");
    let mut other = connect(public);
    let mut into = vec![0; 1 << 20];
    for _ in 0..64 {
        other.read_exact(&mut into).expect("it is not held up");
    }
    // The one that stalls holds its window, and no more than that.
    let queued = until("a report of what is queued", || {
        server.run.signal("USR1");
        server.run.wait_log(" | in all ");
        let line = server.run.log().into_iter().rev();
        line.into_iter().find(|line| line.contains(" queued"))
    });
    let amount = queued.rsplit(" | ").next().unwrap_or_default();
    let held = amount.split(' ').next().unwrap_or_default();
    let held: f64 = held.parse().expect("a number");
    let most = if amount.contains("MiB") { 16.1 } else { 1024.0 };
    assert!(held <= most, "{queued}");
}

#[test]
fn a_service_is_told_who_its_client_is() {
    let server = Server::start("");
    let (at, accepted) = handed();
    for version in ["v1", "v2"] {
        let words = format!("{at} --proxy-protocol {version}");
        let backend = Backend::start(server.at, &words);
        let public = backend.public();
        let mut client = connect(public);
        client.write_all(b"GET").expect("it is read");
        half_close(&client);
        let us = client.local_addr().expect("it is connected");
        let mut got = Vec::new();
        next(&accepted).read_to_end(&mut got).expect("it ends well");
        match version {
            "v1" => {
                let line = format!(
                    "PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\nGET",
                    us.port(),
                    public.port()
                );
                assert_eq!(String::from_utf8_lossy(&got), line);
            }
            _ => {
                assert_eq!(got.len(), 28 + 3);
                assert_eq!(got[..16], *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c");
                assert_eq!(got[24..26], us.port().to_be_bytes());
                assert_eq!(got[28..], *b"GET");
            }
        }
    }
}

#[test]
fn a_web_server_behind_it_serves_curl() {
    if !have("python3") || !have("curl") {
        return;
    }
    let folder = Scratch::new();
    let page = bytes(5 << 20);
    fs::write(folder.at("page"), &page).expect("a file");
    let script = "import http.server,socketserver,sys\n\
        s=http.server.ThreadingHTTPServer(('127.0.0.1',0),http.server.SimpleHTTPRequestHandler)\n\
        print(s.server_port,flush=True)\ns.serve_forever()";
    let shell = format!("cd {} && exec python3 -c \"$0\"", folder.at(""));
    let mut web = Tool::start("sh", &["-c", &shell, script]);
    let port = first_line(&mut web);
    let server = Server::start("");
    let backend = Backend::start(server.at, &port);
    let public = backend.public();
    let fetch = move |version: &str| {
        Command::new("curl")
            .args(["-sS", "-m", "25", version])
            .arg(format!("http://{public}/page"))
            .output()
            .expect("curl runs")
    };
    let fetches: Vec<_> = ["--http1.0", "--http1.1", "--http1.1", "--http1.0"]
        .map(|version| thread::spawn(move || fetch(version)))
        .into_iter()
        .collect();
    for fetched in fetches {
        let output = fetched.join().expect("it ends");
        assert!(output.status.success(), "{output:?}");
        assert!(output.stdout == page, "{} bytes", output.stdout.len());
    }
}

#[test]
fn netcat_that_ends_its_direction_is_answered() {
    if !have("nc") {
        return;
    }
    let server = Server::start("");
    let at = service(|mut stream| {
        let mut request = Vec::new();
        stream.read_to_end(&mut request).expect("it ends well");
        write!(stream, "{} bytes", request.len()).expect("it is read");
    });
    let backend = Backend::start(server.at, &at.to_string());
    let public = backend.public();
    let command = format!(
        "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -N {} {}",
        public.ip(),
        public.port()
    );
    let output = Command::new("sh").arg("-c").arg(command).output();
    assert_eq!(output.expect("a shell runs").stdout, b"18 bytes");
}

#[test]
fn bytes_are_counted_while_they_run_and_when_their_client_leaves() {
    let (server, backend, public) = echo("");
    let mut client = connect(public);
    client.write_all(&bytes(1000)).expect("it is read");
    let mut back = vec![0; 1000];
    client.read_exact(&mut back).expect("it comes back");
    let us = client.local_addr().expect("it is connected");
    server.run.report();
    let line = server.run.wait_log(&format!("client {us} | "));
    assert!(line.ends_with("| 1000 B to it, 1000 B from it"), "{line}");
    let line = server.run.wait_log("| 1 client | 1000 B to clients");
    assert!(line.contains("1000 B from them"), "{line}");
    backend.run.report();
    backend
        .run
        .wait_log(&format!("client {us} | 1000 B to the service"));
    drop(client);
    let left = server.run.wait_logs(&[&us.to_string(), "left: finished"]);
    assert!(left.contains("1000 B to it, 1000 B from it"), "{left}");
}

/// Whether the other end has closed, be it by a reset: nothing else comes.
pub(crate) fn is_turned_away(mut stream: TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// Who has said all, and takes a rest before it reads on, is there all the same.
#[test]
fn a_pause_behind_an_end_breaks_nothing() {
    let at = service(|mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("an end comes");
        stream.write_all(&bytes(40 << 20)).expect("it is read");
    });
    let server = Server::start("");
    let backend = Backend::start(server.at, &at.to_string());
    let mut client = connect(backend.public());
    half_close(&client);
    // Longer than anything that is looked at each second: who says no hello is sent away after 5 s.
    let mut silent = connect(server.at);
    assert_eq!(silent.read(&mut [0]).expect("an end"), 0);
    let mut all = Vec::new();
    client.read_to_end(&mut all).expect("an orderly end");
    assert!(all == bytes(40 << 20), "{} bytes", all.len());
}
