//! Connections on which nothing happens: kept from those who would close them, and closed where the other end is dead.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tungstenite::Message;

use crate::common::DEADLINE;
use crate::common::peers::{Place, connect, echo};
use crate::common::scratch::Scratch;
use crate::common::service::bytes;
use crate::common::tools::{Tool, have};
use crate::peer::{Plain, answer, request};
use crate::rig::{Relay, client, exchange, host};

#[test]
fn a_peer_that_answers_no_pings_is_dead() {
    let relay = Relay::start("--ping 0.2");
    let (mut stream, _) = answer(relay.at, &request(relay.at, "/client", None, &[]));
    relay.run.wait_log("it has missed two pings");
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).expect("it ends well");
    assert!(heard.starts_with(&[0x89, 7]), "{heard:02x?}");
    assert!(heard.windows(2).filter(|two| two == &[0x89, 7]).count() >= 2);
}

#[test]
fn a_peer_that_answers_lives_on() {
    // Whoever is to answer two of them in time may be kept waiting by a busy machine.
    let relay = Relay::start("--ping 2");
    let mut host = Plain::dial(relay.at, "/host");
    let mut pings = 0;
    while pings < 4 {
        if let Message::Ping(_) = host.0.read().expect("it goes on") {
            pings += 1;
        }
        host.0.flush().expect("it is connected");
    }
}

#[test]
fn a_relay_that_is_stopped_is_left_and_found_again() {
    let relay = Relay::start("");
    let host = relay.host("", echo(), "--ping 0.2");
    relay.run.signal("STOP");
    host.wait_log("lost: it");
    relay.run.signal("CONT");
    host.wait_log("connected (was down");
}

/// nginx in front of a relay, as a proxy for WebSockets is commonly set up. What it says of timeouts is its own.
fn nginx(relay: SocketAddr, timeout: &str) -> Option<(Tool, SocketAddr, (Scratch, Place))> {
    if !have("nginx") {
        return None;
    }
    let folder = Scratch::new();
    let path = |name| folder.at(name);
    let place = Place::new();
    let at = place.at;
    let config = format!(
        "daemon off; master_process off; pid {pid}; error_log {log};
        events {{ worker_connections 64; }}
        http {{
            access_log off;
            client_body_temp_path {temp}; proxy_temp_path {temp}; fastcgi_temp_path {temp};
            uwsgi_temp_path {temp}; scgi_temp_path {temp};
            server {{
                listen {at};
                location / {{
                    proxy_pass http://{relay};
                    proxy_http_version 1.1;
                    proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection upgrade;
                    proxy_set_header Host $http_host;
                    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                    {timeout}
                }}
            }}
        }}",
        pid = path("pid"),
        log = path("log"),
        temp = path("temp"),
    );
    fs::write(path("nginx.conf"), config).expect("a file");
    let child = Command::new("nginx")
        .args(["-c", &path("nginx.conf"), "-e", &path("log")])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx runs");
    let tool = Tool(child);
    let end = Instant::now() + DEADLINE;
    while std::net::TcpStream::connect(at).is_err() {
        assert!(Instant::now() < end, "nginx does not listen");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Some((tool, at, (folder, place)))
}

#[test]
fn an_idle_tunnel_outlives_a_proxys_patience() {
    // Those who do not answer two of these are dead, too.
    let relay = Relay::start("--ping 1.3 --trust-proxy 127.0.0.1");
    let Some((_nginx, front, _kept)) =
        nginx(relay.at, "proxy_read_timeout 4s; proxy_send_timeout 4s;")
    else {
        return;
    };
    let host = host(front, "/host", echo(), "");
    host.wait_log(" connected");
    let (client, at) = client(front, "/client", "");
    client.wait_log(" connected");
    let program = connect(at);
    exchange(&program, b"before");
    // Its patience is over once and more while the relay's pings are all that is said.
    let mut idle = program.try_clone().expect("a socket can be cloned");
    idle.set_read_timeout(Some(Duration::from_secs(6)))
        .expect("a deadline");
    let silence = idle.read(&mut [0; 16]).expect_err("nothing is said");
    assert_eq!(silence.kind(), std::io::ErrorKind::WouldBlock);
    idle.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    exchange(&program, b"after");
    assert!(!client.has_logged("lost") && !host.has_logged("lost"));

    // Without them it is not.
    let relay = Relay::start("--ping 1h");
    let Some((_nginx, front, _kept)) = nginx(relay.at, "proxy_read_timeout 1s;") else {
        return;
    };
    let host = crate::rig::host(front, "/host", echo(), "--ping 1h");
    host.wait_log("lost: it closed the connection");
}

#[test]
fn through_a_proxy_as_it_comes_everything_passes() {
    let relay = Relay::start("--trust-proxy 127.0.0.1 --allow 127.0.0.0/8");
    let Some((_nginx, front, _kept)) = nginx(relay.at, "") else {
        return;
    };
    let host = host(front, "/host/web", echo(), "");
    host.wait_log(" connected");
    let (client, at) = client(front, "/client/web", "");
    client.wait_log(" connected");
    let much = bytes(3 << 20);
    exchange(&connect(at), &much);
    let mut plain = Plain::dial(front, "/client/web");
    plain.say(b"hello");
    assert_eq!(plain.hear(5), b"hello");
    let (_, answered) = answer(front, &request(front, "/nothing", None, &[]));
    assert_eq!(answered.status, 404);
}
