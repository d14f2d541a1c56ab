//! A long line between the two ends, made of a proxy that holds every byte back for a while.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::peers::connect;
use crate::common::service::service;
use crate::rig::{Backend, Server};

/// What is under way on the line in one direction at most, as on one of 140 Mbit/s: twice what a window has at first,
/// so that one which does not grow is half as fast, and little enough that the line is what takes time, and not the
/// processor.
const LINE: usize = 512 << 10;
const EACH_WAY: Duration = Duration::from_millis(30);
const ATTEMPTS: usize = 8;

/// A proxy to `to` through which everything takes 30 ms each way. Where it is reached.
fn line_to(to: SocketAddr) -> SocketAddr {
    service(move |near| {
        let far = connect(to);
        near.set_nodelay(true).expect("a socket can be told so");
        let (near_too, far_too) = (
            near.try_clone().expect("a copy"),
            far.try_clone().expect("a copy"),
        );
        let back = thread::spawn(move || carry(far_too, near_too));
        carry(near, far);
        let _ = back.join();
    })
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let piece = 16 << 10;
    let (send, held) = mpsc::sync_channel::<(Instant, Vec<u8>)>(LINE / piece);
    let writing = thread::spawn(move || {
        for (due, bytes) in held {
            let wait = due.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                thread::park_timeout(wait);
            }
            if to.write_all(&bytes).is_err() {
                return;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    loop {
        let mut bytes = vec![0; piece];
        match from.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(count) => {
                bytes.truncate(count);
                if send.send((Instant::now() + EACH_WAY, bytes)).is_err() {
                    break;
                }
            }
        }
    }
    drop(send);
    let _ = writing.join();
}

/// Bytes a second, over the second half of what is read: by then the windows have grown.
fn speed(mut from: TcpStream, half: usize) -> f64 {
    let mut into = vec![0; 256 << 10];
    let mut read = |mut left: usize| {
        while left > 0 {
            let most = left.min(into.len());
            let count = from.read(&mut into[..most]).expect("it is sent");
            assert!(count > 0, "it ends early");
            left -= count;
        }
    };
    read(half);
    let start = Instant::now();
    read(half);
    half as f64 / start.elapsed().as_secs_f64()
}

#[test]
fn through_a_long_line_one_stream_is_as_fast_as_plain_tcp() {
    let source = service(|mut stream| {
        let block = vec![7; 64 << 10];
        while stream.write_all(&block).is_ok() {}
    });
    let server = Server::start("");
    let backend = Backend::start(line_to(server.at), &source.to_string());
    let public = backend.public();
    let half = 4 << 20;
    // Whoever else is busy on this machine may slow one of the two down, and not the other.
    let mut parts = Vec::new();
    for _ in 0..ATTEMPTS {
        let plain = speed(connect(line_to(source)), half);
        let tunnelled = speed(connect(public), half);
        parts.push(tunnelled / plain);
        if tunnelled >= 0.8 * plain {
            return;
        }
    }
    panic!("these parts of plain TCP's speed: {parts:.2?}");
}

#[test]
fn the_listener_is_only_reached_through_the_line() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let line = line_to(listener.local_addr().expect("it is bound"));
    let mut near = connect(line);
    let (mut far, _) = listener.accept().expect("it is reached");
    let start = Instant::now();
    near.write_all(b"?").expect("there is room");
    far.read_exact(&mut [0]).expect("it comes");
    far.write_all(b"!").expect("there is room");
    near.read_exact(&mut [0]).expect("it comes back");
    assert!(
        start.elapsed() >= 2 * EACH_WAY,
        "the line is as long as it should be"
    );
}
