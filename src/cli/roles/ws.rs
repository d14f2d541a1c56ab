//! The three roles of TCP over WebSocket, as the command line and the help know them.

use super::{Example, Role, RoleId};
use crate::roles::ws::options;

/// `hydrant ws relay`.
pub(super) const RELAY: Role = Role {
    id: RoleId::WsRelay,
    name: "ws relay",
    synopsis: &["hydrant ws relay [ADDR] [FLAGS]"],
    about: "TCP over WebSocket: where hosts and clients meet",
    words: &[(
        "ADDR",
        "where both connect: an endpoint; without it 0.0.0.0:$PORT where PORT is set, else 127.0.0.1:8080",
    )],
    words_max: 1,
    options: options::RELAY,
    examples: &[
        Example {
            line: "hydrant ws relay",
            what: "this machine only: ws://127.0.0.1:8080/host, /client, /host/NAME, ...",
        },
        Example {
            line: "hydrant ws relay :8080 --tokens ws.tokens --trust-proxy 10.0.0.0/8",
            what: "behind a proxy that ends TLS, for everyone who has a token",
        },
        Example {
            line: "hydrant ws relay --no-auth",
            what: "open to anyone, on $PORT where that is set; GET /healthz answers 200",
        },
    ],
};

/// `hydrant ws host`.
pub(super) const HOST: Role = Role {
    id: RoleId::WsHost,
    name: "ws host",
    synopsis: &["hydrant ws host URL TARGET [FLAGS]"],
    about: "the end of a WebSocket tunnel that has the service",
    words: &[
        (
            "URL",
            "the relay: ws://HOST:PORT/host or /host/NAME; without a path /host",
        ),
        ("TARGET", "the service: an endpoint"),
    ],
    words_max: 2,
    options: options::HOST,
    examples: &[
        Example {
            line: "hydrant ws host ws://relay.example:8080/host 127.0.0.1:25565",
            what: "a game server for everyone who runs ws client",
        },
        Example {
            line: "hydrant ws host wss://relay.example/host/ssh 22 --token-file F --proxy p:3128",
            what: "one of several tunnels, with a token, through an HTTP proxy",
        },
    ],
};

/// `hydrant ws client`.
pub(super) const CLIENT: Role = Role {
    id: RoleId::WsClient,
    name: "ws client",
    synopsis: &["hydrant ws client URL LISTEN [FLAGS]"],
    about: "the end of a WebSocket tunnel that programs connect to",
    words: &[
        (
            "URL",
            "the relay: ws://HOST:PORT/client or /client/NAME; without a path /client",
        ),
        ("LISTEN", "where programs connect: an endpoint"),
    ],
    words_max: 2,
    options: options::CLIENT,
    examples: &[
        Example {
            line: "hydrant ws client ws://relay.example:8080/client 25565",
            what: "the game server looks as if it ran on this machine",
        },
        Example {
            line: "hydrant ws client ws://relay.example/client/ssh 2222 --token-file F",
            what: "ssh -p 2222 127.0.0.1 reaches the other end's port 22",
        },
    ],
};
