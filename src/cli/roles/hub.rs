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
