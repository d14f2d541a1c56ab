//! Strangers: they ask a relay for WebSockets of another name, in time or not, with the right token or not, say
//! whatever the script has, and leave before all is calm.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Play, RELAY_PORT, at, roles};
use crate::base::rng::Rng;
use crate::base::time::Time;
use crate::fuzz::script::Script;
use crate::proto::websocket::{FrameHead, Key, Opcode};
use crate::reactor::net::{Addr, Close};
use crate::sim::{Actor, Receiver};

impl Play {
    /// One who is connected from the beginning.
    pub(super) fn draw_stranger(&mut self, script: &mut Script<'_>, number: u16) {
        let from = SocketAddr::from(([10, 2, 0, 1], 10_000 + number));
        let to = Addr::Tcp(at(RELAY_PORT));
        let mut world = self.handle.world();
        let id = world.connect_remote(to, from, Actor::Manual);
        if script.pick(4) == 3 {
            // Its time to ask runs out just when it is gone.
            let when = HEAD_TIMEOUT + Duration::from_micros(script.pick(3000) as u64);
            return world.at(Time::ZERO + when, move |world| world.remote_reset(id));
        }
        let mut rng = Rng::new(script.take_u64());
        let how = [Close::Orderly, Close::Reset][rng.below(2) as usize];
        let actor = Actor::Receiver(Receiver {
            bytes: 1 + rng.below(5000) as usize,
            every: Duration::from_micros(100 + rng.below(20_000)),
            stall_after: (rng.below(2) == 0).then(|| Duration::from_millis(rng.below(900))),
            leave_after: Some((Duration::from_millis(rng.below(8000)), how)),
            says: vec![(Duration::from_millis(rng.below(4000)), words(script))],
            ..Receiver::eager()
        });
        let when = world.time() + Duration::from_millis(script.pick(3000) as u64);
        world.at(when, move |world| world.set_actor(id, actor));
    }
}

/// A request, and what follows it.
fn words(script: &mut Script<'_>) -> Vec<u8> {
    let path = ["/host/x", "/client/x", "/client/x", "/nowhere"][script.pick(4)];
    let protocol = ["", "Sec-WebSocket-Protocol: hydrant.mux.v1\r\n"][script.pick(2)];
    let token = [roles::TOKEN, roles::TOKEN, "nobodys-0123456789"][script.pick(3)];
    let caller = ["", "X-Forwarded-For: 192.0.2.7\r\n"][script.pick(2)];
    let mut says = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Authorization: Bearer {token}\r\n{caller}\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}\r\n"
    )
    .into_bytes();
    for _ in 0..script.pick(8) {
        let len = script.pick(40);
        let payload: Vec<u8> = (0..len).map(|_| script.take_u8()).collect();
        let opcode = [Opcode::Binary, Opcode::Binary, Opcode::Ping, Opcode::Close][script.pick(4)];
        says.extend(frame(opcode, &payload));
    }
    if script.pick(2) == 1 {
        says.extend(frame(Opcode::Close, &1000_u16.to_be_bytes()));
    }
    says
}

/// A client's frame: masked by zeros it is what it was.
fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let head = FrameHead::new(opcode, true, payload.len() as u64, Some(Key([0; 4])));
    [&head[..], payload].concat()
}

/// When the relay gives up waiting for a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
