//! The run file, as the command line and the help know it.

use super::{Example, Role, RoleId};
use crate::base::option::Opt;
use crate::roles::status::options as status;

/// `hydrant run`.
pub(super) const RUN: Role = Role {
    id: RoleId::Run,
    name: "run",
    synopsis: &["hydrant run FILE [FLAGS]", "hydrant run --example"],
    about: "relays, hubs and tunnels in one process, out of a file",
    words: &[FILE],
    words_max: 1,
    options: RUN_OPTIONS,
    examples: &[
        Example {
            line: "hydrant run --example >relays.toml",
            what: "a file to begin with: one relay, and every setting as a comment",
        },
        Example {
            line: "hydrant run relays.toml",
            what: "run it; kill -HUP applies what has changed in it, and touches nothing else",
        },
    ],
};

/// `hydrant check`.
pub(super) const CHECK: Role = Role {
    id: RoleId::Check,
    name: "check",
    synopsis: &["hydrant check FILE"],
    about: "find every mistake in a run file, with line and column",
    words: &[FILE],
    words_max: 1,
    options: &[],
    examples: &[
        Example {
            line: "hydrant check relays.toml",
            what: "exit code 0 if nothing is wrong, 1 if something is",
        },
        Example {
            line: "hydrant check /etc/hydrant/relays.toml",
            what: "paths in it start from its own folder, as they do when it runs",
        },
    ],
};

/// `hydrant status`.
pub(super) const STATUS: Role = Role {
    id: RoleId::Status,
    name: "status",
    synopsis: &[
        "hydrant status [--watch] [--json] [--pid PID]",
        "hydrant status clients [ROLE]",
        "hydrant status kick CLIENT [ROLE]",
        "hydrant status dump on|off [ROLE]",
        "hydrant status start|stop [ROLE]",
        "hydrant status reload",
    ],
    about: "ask those that run here how it goes, and move them",
    words: &[
        (
            "clients",
            "ROLE's clients, those furthest behind first; ROLE is its name, and may be left out where there is one",
        ),
        (
            "kick",
            "disconnects CLIENT, which goes by the address or the id that clients shows",
        ),
        (
            "dump",
            "shows what flows on the stdout of the process, as --dump does, or no longer",
        ),
        (
            "start, stop",
            "begins what does not run; stops what does, once its clients have what is theirs",
        ),
        (
            "reload",
            "has the run file read again, and waits for what comes of it",
        ),
    ],
    words_max: 3,
    options: status::OPTIONS,
    examples: &[
        Example {
            line: "hydrant status --watch",
            what: "all relays, hubs and tunnels of yours on this machine, each second",
        },
        Example {
            line: "hydrant status kick 10.0.0.7:51514",
            what: "disconnect one client",
        },
    ],
};

/// `hydrant completions`.
pub(super) const COMPLETIONS: Role = Role {
    id: RoleId::Completions,
    name: "completions",
    synopsis: &["hydrant completions bash|zsh|fish"],
    about: "print completions for a shell",
    words: &[("SHELL", "bash, zsh or fish")],
    words_max: 1,
    options: &[],
    examples: &[
        Example {
            line: "hydrant completions bash >/etc/bash_completion.d/hydrant",
            what: "for everyone who uses bash here",
        },
        Example {
            line: "hydrant completions fish >~/.config/fish/completions/hydrant.fish",
            what: "for oneself, with fish",
        },
    ],
};

/// `hydrant man`.
pub(super) const MAN: Role = Role {
    id: RoleId::Man,
    name: "man",
    synopsis: &["hydrant man"],
    about: "print the man page",
    words: &[],
    words_max: 0,
    options: &[],
    examples: &[
        Example {
            line: "hydrant man >/usr/local/share/man/man1/hydrant.1",
            what: "install it: man hydrant shows it from then on",
        },
        Example {
            line: "hydrant man | man -l -",
            what: "read it without",
        },
    ],
};

/// `hydrant systemd-unit`.
pub(super) const SYSTEMD_UNIT: Role = Role {
    id: RoleId::SystemdUnit,
    name: "systemd-unit",
    synopsis: &["hydrant systemd-unit [FILE]"],
    about: "print a unit that has systemd run a run file",
    words: &[FILE],
    words_max: 1,
    options: &[],
    examples: &[
        Example {
            line: "hydrant systemd-unit >/etc/systemd/system/hydrant.service",
            what: "for /etc/hydrant/hydrant.toml; systemctl reload hydrant reads it again",
        },
        Example {
            line: "hydrant systemd-unit /srv/relays.toml",
            what: "for another run file",
        },
    ],
};

const FILE: (&str, &str) = ("FILE", "the run file, in TOML");

/// The options of `run`.
static RUN_OPTIONS: &[Opt] = &[Opt {
    flag: "--example",
    group: "The run file",
    help: "print a run file with every section and every setting, and end",
    ..Opt::SWITCH
}];
