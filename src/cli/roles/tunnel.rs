//! The two ends of the reverse tunnel, as the command line and the help know them.

use super::{Example, Role, RoleId};
use crate::roles::tunnel::options;

/// `hydrant tunnel serve`.
pub(super) const SERVE: Role = Role {
    id: RoleId::TunnelServe,
    name: "tunnel serve",
    synopsis: &["hydrant tunnel serve ADDR [FLAGS]"],
    about: "reverse tunnels' public end: a port for each backend",
    words: &[("ADDR", "where backends connect: an endpoint")],
    words_max: 1,
    options: options::SERVE,
    examples: &[
        Example {
            line: "hydrant tunnel serve 7000",
            what: "this machine only: backends on port 7000, clients on 7001 to 7020",
        },
        Example {
            line: "hydrant tunnel serve :7000 --tokens tunnel.tokens --ports 8000-8099",
            what: "every backend that has a token, clients on ports 8000 to 8099",
        },
    ],
};

/// `hydrant tunnel expose`.
pub(super) const EXPOSE: Role = Role {
    id: RoleId::TunnelExpose,
    name: "tunnel expose",
    synopsis: &[
        "hydrant tunnel expose SERVER TARGET [FLAGS]",
        "hydrant tunnel expose SERVER --echo [FLAGS]",
    ],
    about: "publish a service through a tunnel's server",
    words: &[
        ("SERVER", "where hydrant tunnel serve is: an endpoint"),
        ("TARGET", "the service: an endpoint"),
    ],
    words_max: 2,
    options: options::EXPOSE,
    examples: &[
        Example {
            line: "hydrant tunnel expose relay.example:7000 127.0.0.1:80",
            what: "publish a web server, and print where it is reached",
        },
        Example {
            line: "hydrant tunnel expose relay.example:7000 22 --name ssh --token-file F",
            what: "under a name of one's own, which keeps its port",
        },
        Example {
            line: "hydrant tunnel expose 7000 --echo",
            what: "to try a server: each client hears itself",
        },
    ],
};
