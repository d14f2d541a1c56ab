//! The hub and its clients, as the command line and the help know them.

use super::{Example, Role, RoleId};
use crate::roles::hub::options;

/// `hydrant hub serve`.
pub(super) const SERVE: Role = Role {
    id: RoleId::HubServe,
    name: "hub serve",
    synopsis: &["hydrant hub serve ADDR [FLAGS]"],
    about: "named mailboxes: clients say their names and send to names",
    words: &[("ADDR", "where clients connect: an endpoint")],
    words_max: 1,
    options: options::SERVE,
    examples: &[
        Example {
            line: "hydrant hub serve 8080",
            what: "for this machine only: 127.0.0.1, port 8080",
        },
        Example {
            line: "hydrant hub serve :8080 --tokens /etc/hydrant/hub.tokens",
            what: "for everyone who has a token, on every interface",
        },
        Example {
            line: "hydrant hub serve :8080 --no-auth --allow 192.168.0.0/16",
            what: "for everyone in these networks, under any name that is free",
        },
    ],
};

/// `hydrant hub client`.
pub(super) const CLIENT: Role = Role {
    id: RoleId::HubClient,
    name: "hub client",
    synopsis: &["hydrant hub client ADDR NAME [FLAGS]"],
    about: "a hub's client at a terminal: asks what to do",
    words: &[HUB, NAME],
    words_max: 2,
    options: options::CLIENT,
    examples: &[
        Example {
            line: "hydrant hub client localhost:8080 device_a",
            what: "then: recv, and Enter to stop; or send, whom to and what",
        },
        Example {
            line: "hydrant hub client hub.example:8080 device_a --token-file a.token",
            what: "where the hub asks for a token",
        },
    ],
};

/// `hydrant hub send`.
pub(super) const SEND: Role = Role {
    id: RoleId::HubSend,
    name: "hub send",
    synopsis: &["hydrant hub send ADDR NAME DEST [DATA] [FLAGS]"],
    about: "sends DATA, or what stdin brings; fails if DEST is absent",
    words: &[
        HUB,
        NAME,
        ("DEST", "whom to"),
        ("DATA", "what; without it, what stdin brings until its end"),
    ],
    words_max: 4,
    options: options::SEND,
    examples: &[
        Example {
            line: "hydrant hub send localhost:8080 device_b device_a hello",
            what: "one message of five bytes; exit code 1 if device_a is not registered",
        },
        Example {
            line: "hydrant hub send localhost:8080 device_b device_a --max-message 64K",
            what: "what stdin brings, in messages of up to 64 KiB",
        },
    ],
};

/// `hydrant hub recv`.
pub(super) const RECV: Role = Role {
    id: RoleId::HubRecv,
    name: "hub recv",
    synopsis: &["hydrant hub recv ADDR NAME [FLAGS]"],
    about: "writes the messages that come for NAME to stdout",
    words: &[HUB, NAME],
    words_max: 2,
    options: options::RECV,
    examples: &[
        Example {
            line: "hydrant hub recv localhost:8080 device_a --count 1",
            what: "the bytes of the next message, and nothing else",
        },
        Example {
            line: "hydrant hub recv localhost:8080 device_a --newline",
            what: "a line for each message, for as long as the hub is there",
        },
    ],
};

/// `hydrant hub tunnel`.
pub(super) const TUNNEL: Role = Role {
    id: RoleId::HubTunnel,
    name: "hub tunnel",
    synopsis: &["hydrant hub tunnel ADDR NAME --to PEER [FLAGS]"],
    about: "carries TCP connections between two names of a hub",
    words: &[HUB, NAME],
    words_max: 2,
    options: options::TUNNEL,
    examples: &[
        Example {
            line: "hydrant hub tunnel hub.example:8080 desk --to lab --listen 9000",
            what: "what connects to 127.0.0.1:9000 reaches what the next line names",
        },
        Example {
            line: "hydrant hub tunnel hub.example:8080 lab --to desk --forward 127.0.0.1:80",
            what: "the other end: a web server that knows nothing of it",
        },
    ],
};

const HUB: (&str, &str) = ("ADDR", "the hub: an endpoint");
const NAME: (&str, &str) = ("NAME", "who we are there");
