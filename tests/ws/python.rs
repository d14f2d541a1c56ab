//! The seed's own kind of programs: Python, with the `websockets` package, on either side and in the middle.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use crate::common::first_line;
use crate::common::peers::{connect, echo};
use crate::common::scratch::Scratch;
use crate::common::service::bytes;
use crate::common::tools::{Tool, skip};
use crate::rig::{Relay, client, exchange, host};

/// A server adapter, a client adapter and a relay in few lines: messages of 4 KiB, no pings, no limits.
const PROGRAM: &str = r#"
import asyncio, sys
import websockets

LIMITS = dict(max_size=None, ping_interval=None, compression=None)

async def to_socket(reader, ws):
    while True:
        data = await reader.read(4096)
        if not data:
            break
        await ws.send(data)

async def to_stream(ws, writer):
    async for message in ws:
        writer.write(message)
        await writer.drain()

async def both(reader, writer, ws):
    tasks = [asyncio.create_task(to_socket(reader, ws)), asyncio.create_task(to_stream(ws, writer))]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    writer.close()

async def host(url, port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with websockets.connect(url, **LIMITS) as ws:
        print("connected", flush=True)
        await both(reader, writer, ws)

async def client(url):
    async def serve(reader, writer):
        async with websockets.connect(url, **LIMITS) as ws:
            await both(reader, writer, ws)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

async def relay():
    sides = {}
    paired = asyncio.Event()
    async def pipe(one, other):
        async for message in one:
            await other.send(message)
        await other.close()
    async def serve(ws, *_):
        path = ws.path
        sides[path] = ws
        if len(sides) == 2:
            paired.set()
        await paired.wait()
        other = sides["/client" if path == "/host" else "/host"]
        await pipe(ws, other)
    async with websockets.serve(serve, "127.0.0.1", 0, **LIMITS) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()

what = sys.argv[1]
if what == "host":
    asyncio.run(host(sys.argv[2], int(sys.argv[3])))
elif what == "client":
    asyncio.run(client(sys.argv[2]))
else:
    asyncio.run(relay())
"#;

/// A Python that has the package.
fn python() -> Option<&'static str> {
    let has = |program: &&&str| {
        let probe = Command::new(program)
            .args(["-c", "import websockets"])
            .output();
        probe.is_ok_and(|output| output.status.success())
    };
    let found = ["/usr/bin/python3", "python3"].iter().find(has);
    if found.is_none() {
        skip("no python3 with the package websockets (python3-websockets)");
    }
    found.copied()
}

struct Programs {
    python: &'static str,
    script: String,
    _folder: Scratch,
}

impl Programs {
    fn new() -> Option<Self> {
        let python = python()?;
        let folder = Scratch::new();
        let script = folder.at("adapter.py");
        fs::write(&script, PROGRAM).expect("a file");
        Some(Self {
            python,
            script,
            _folder: folder,
        })
    }

    /// Starts one, and returns its first line.
    fn start(&self, words: &[&str]) -> (Tool, String) {
        let mut tool = Tool::start(self.python, &[&[&*self.script], words].concat());
        let line = first_line(&mut tool);
        (tool, line.trim().to_owned())
    }

    fn host(&self, relay: SocketAddr, target: SocketAddr) -> Tool {
        let url = format!("ws://{relay}/host");
        self.start(&["host", &url, &target.port().to_string()]).0
    }

    fn client(&self, relay: SocketAddr) -> (Tool, SocketAddr) {
        let (tool, port) = self.start(&["client", &format!("ws://{relay}/client")]);
        (tool, at(&port))
    }
}

fn at(port: &str) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port.parse().expect("it prints its port")))
}

#[test]
fn both_adapters_work_against_our_relay() {
    let Some(programs) = Programs::new() else {
        return;
    };
    let relay = Relay::start("");
    let _host = programs.host(relay.at, echo());
    let (_client, at) = programs.client(relay.at);
    let program = connect(at);
    exchange(&program, b"hello");
    exchange(&program, &bytes(1 << 20));
    drop(program);
    // The pair ends together, as it does there.
    relay.run.report_until("0 WebSockets | 0 connections |");
}

#[test]
fn their_client_comes_before_their_host() {
    let Some(programs) = Programs::new() else {
        return;
    };
    let relay = Relay::start("");
    let (_client, at) = programs.client(relay.at);
    let program = connect(at);
    relay.run.wait_log("client (");
    let _host = programs.host(relay.at, echo());
    exchange(&program, b"hello");
}

#[test]
fn their_client_reaches_our_host_and_ours_reaches_theirs() {
    let Some(programs) = Programs::new() else {
        return;
    };
    let much = bytes(1 << 20);
    let relay = Relay::start("");
    let _host = relay.host("", echo(), "");
    let (_client, at) = programs.client(relay.at);
    let both = [connect(at), connect(at)];
    exchange(&both[0], &much);
    exchange(&both[1], &much);

    let relay = Relay::start("");
    let _host = programs.host(relay.at, echo());
    let (_client, at) = relay.client("", "");
    exchange(&connect(at), &much);
}

#[test]
fn our_ends_work_against_their_relay() {
    let Some(programs) = Programs::new() else {
        return;
    };
    let (_relay, port) = programs.start(&["relay"]);
    let relay = at(&port);
    let host = host(relay, "/host", echo(), "");
    host.wait_log("one connection at a time");
    let (client, at) = client(relay, "/client", "");
    client.wait_log("one connection at a time");
    let program = connect(at);
    exchange(&program, b"hello");
    exchange(&program, &bytes(1 << 20));
}
