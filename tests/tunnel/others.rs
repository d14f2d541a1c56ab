//! Programs on hashicorp/yamux at the other end, in both roles: the seed's echo server behind our server, and our
//! backend behind a relay as the seed has it.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::common::first_line;
use crate::common::peers::{connect, reset};
use crate::common::scratch::Scratch;
use crate::common::service::{ask, bytes, handed, is_reset, next};
use crate::common::tools::{Tool, have, skip};
use crate::rig::{Backend, Server};

/// Where Debian's golang-github-hashicorp-yamux-dev puts it.
const YAMUX: &str = "/usr/share/gocode/src/github.com/hashicorp/yamux";

/// Both of the seed's programs, in few lines.
const PROGRAM: &str = r#"
package main

import (
	"fmt"
	"io"
	"net"
	"os"

	"github.com/hashicorp/yamux"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// Dials a relay, prints the address that it is told, and echoes.
func backend(at string) {
	conn, err := net.Dial("tcp", at)
	check(err)
	session, err := yamux.Client(conn, nil)
	check(err)
	stream, err := session.Open()
	check(err)
	address, err := io.ReadAll(stream)
	check(err)
	stream.Close()
	fmt.Println(string(address))
	for {
		stream, err := session.Accept()
		check(err)
		go func() {
			io.Copy(stream, stream)
			stream.Close()
		}()
	}
}

// Takes one backend after the other, tells each its address, and opens a stream for each client.
func relay() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(listener.Addr())
	for {
		conn, err := listener.Accept()
		check(err)
		session, err := yamux.Server(conn, nil)
		check(err)
		stream, err := session.Accept()
		if err != nil {
			// It speaks something else.
			session.Close()
			continue
		}
		public, err := net.Listen("tcp", "127.0.0.1:0")
		check(err)
		fmt.Fprint(stream, public.Addr())
		stream.Close()
		go serve(public, session)
	}
}

func serve(public net.Listener, session *yamux.Session) {
	for {
		conn, err := public.Accept()
		check(err)
		_, err = session.Ping()
		check(err)
		stream, err := session.Open()
		check(err)
		client := conn.(*net.TCPConn)
		// A stream of this library's that is closed in one direction reads as ended in the other, so it is never closed
		// in one only.
		go func() {
			io.Copy(stream, client)
		}()
		go func() {
			_, err := io.Copy(client, stream)
			if err != nil {
				client.SetLinger(0)
				client.Close()
				return
			}
			client.CloseWrite()
			stream.Close()
		}()
	}
}

func main() {
	if len(os.Args) == 3 {
		backend(os.Args[2])
	} else {
		relay()
	}
}
"#;

/// The program, built. `None`: it can't be.
fn program(folder: &Scratch) -> Option<String> {
    if !have("go") || !(Path::new(YAMUX).is_dir() || skip("hashicorp's yamux is not installed")) {
        return None;
    }
    let (source, program) = (folder.at("main.go"), folder.at("seed"));
    fs::write(&source, PROGRAM).expect("a file");
    let built = Command::new("go")
        .args(["build", "-o", &program, &source])
        .env("GO111MODULE", "off")
        .env("GOPATH", "/usr/share/gocode")
        .env("GOCACHE", folder.at("cache"))
        .env("GOFLAGS", "")
        .output()
        .expect("go runs");
    assert!(built.status.success(), "{built:?}");
    Some(program)
}

/// The next address that it prints.
fn printed(tool: &mut Tool) -> SocketAddr {
    first_line(tool).trim().parse().expect("HOST:PORT")
}

#[test]
fn hashicorps_yamux_and_we_understand_each_other_in_both_roles() {
    let folder = Scratch::new();
    let Some(program) = program(&folder) else {
        return;
    };
    let much = bytes(5 << 20);

    let server = Server::start("");
    let mut seed = Tool::start(&program, &["backend", &server.at.to_string()]);
    let public = printed(&mut seed);
    server.run.wait_log(&format!("public at {public}"));
    echoes(public, &much);

    let mut relay = Tool::start(&program, &["relay"]);
    let at = printed(&mut relay);
    let backend = Backend::start(at, "--echo");
    let mut client = connect(backend.public());
    let mut writer = client.try_clone().expect("a socket can be cloned");
    let sent = much.clone();
    let writing = thread::spawn(move || writer.write_all(&sent).expect("it is read"));
    let mut back = vec![0; much.len()];
    client.read_exact(&mut back).expect("it comes back");
    assert!(back == much);
    writing.join().expect("all was written");

    // A reset passes through it, too.
    let (service, accepted) = handed();
    let backend = Backend::start(at, &format!("{service} --proxy-protocol v1"));
    let public = backend.public();
    let client = connect(public);
    let mut served = next(&accepted);
    // Who the client is, the relay does not say.
    let mut header = [0; 15];
    served.read_exact(&mut header).expect("a header");
    assert_eq!(header, *b"PROXY UNKNOWN\r\n");
    backend.run.wait_log("does not say who its clients are");
    reset(served);
    assert!(is_reset(client));
}

fn echoes(public: SocketAddr, much: &[u8]) {
    assert_eq!(ask(public, b"hello"), b"hello");
    let clients: Vec<_> = (0..10)
        .map(|i| {
            let sent = much[i * 1000..].to_vec();
            thread::spawn(move || assert!(ask(public, &sent) == sent, "client {i}"))
        })
        .collect();
    for client in clients {
        client.join().expect("it got what is its own");
    }
}
