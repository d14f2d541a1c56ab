//! What it takes to make one role out of another of the same name: nothing, other options as it runs, another source,
//! or a new beginning.

use crate::config::{Member, Run};
use crate::roles::relay::config::Source;

/// What becomes of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Change {
    /// Nothing.
    None,
    /// Its options change in place.
    Options,
    /// So do they, and it dials another source while its clients stay.
    Source,
    /// It is begun anew.
    Anew,
    /// It is not to run any more.
    Stop,
    /// It does not run, and still does not.
    Rest,
}

/// What it takes to make one role out of another of the same name. What `new` shares with `old` is taken over by it:
/// certificates that come from the same files are read again by themselves.
pub(in crate::app) fn change(old: &Member, new: &mut Member) -> Change {
    let same_files = match (&old.certificates, &new.certificates) {
        (Some(old), Some(new)) => old.has_files_of(new),
        (None, None) => true,
        _ => false,
    };
    if !same_files {
        return Change::Anew;
    }
    new.certificates = old.certificates.clone();
    match (&old.run, &mut new.run) {
        (Run::Relay(old), Run::Relay(new)) => {
            new.tls = old.tls.clone();
            // So it is with nearly all.
            if *old == *new {
                return Change::None;
            }
            let mut changed = old.with_live_of(new);
            if changed == **new {
                Change::Options
            } else {
                let both_dial = matches!(
                    (&old.source, &new.source),
                    (Source::Dial(_), Source::Dial(_))
                );
                changed.source = new.source.clone();
                match both_dial && changed == **new {
                    true => Change::Source,
                    false => Change::Anew,
                }
            }
        }
        (old, new) => change_of_others(old, new),
    }
}

/// As above, for what is no relay.
fn change_of_others(old: &Run, new: &mut Run) -> Change {
    match (old, new) {
        (Run::HubServe { config: old, .. }, Run::HubServe { config: new, .. }) => {
            new.tls = old.tls.clone();
            in_place(&**old, &old.with_live_of(new), &**new)
        }
        (Run::TunnelExpose(old), Run::TunnelExpose(new)) => {
            new.tls = old.tls.clone();
            let mut changed = old.clone();
            changed.token.clone_from(&new.token);
            in_place(old, &changed, new)
        }
        (Run::TunnelServe { config: old, .. }, Run::TunnelServe { config: new, .. }) => {
            new.tls = old.tls.clone();
            let mut changed = old.clone();
            if changed.tokens.is_some() == new.tokens.is_some() {
                changed.tokens = new.tokens.clone();
            }
            in_place(old, &changed, new)
        }
        (Run::WsRelay { config: old, .. }, Run::WsRelay { config: new, .. }) => {
            new.tls = old.tls.clone();
            let mut changed = old.clone();
            if changed.tokens.is_some() == new.tokens.is_some() {
                changed.tokens = new.tokens.clone();
            }
            in_place(old, &changed, new)
        }
        (Run::WsAdapter(old), Run::WsAdapter(new)) => {
            new.tls = old.tls.clone();
            let mut changed = old.clone();
            changed.token.clone_from(&new.token);
            in_place(old, &changed, new)
        }
        (Run::HubTunnel(old), Run::HubTunnel(new)) => {
            new.account.tls = old.account.tls.clone();
            let mut changed = old.clone();
            changed.account.token.clone_from(&new.account.token);
            in_place(old, &changed, new)
        }
        (old, new) if *old == *new => Change::None,
        _ => Change::Anew,
    }
}

/// As above, for orders of one kind: `changed` are the old ones, with all of the new that can change in place.
fn in_place<T: PartialEq>(old: &T, changed: &T, new: &T) -> Change {
    if old == new {
        Change::None
    } else if changed == new {
        Change::Options
    } else {
        Change::Anew
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsString;
    use std::fs::{self, OpenOptions};
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::PathBuf;

    use super::*;
    use crate::base::option::{Kind, Opt};
    use crate::config::{Config, Env, RunFile};
    use crate::roles::{hub, relay, tunnel, ws};

    /// A role of one kind, as a run file has it, or else a command line.
    struct Sample {
        section: &'static str,
        /// Its first words, where no run file has such a role.
        command: &'static [&'static str],
        options: &'static [Opt],
        /// What it needs, and what others of its options need.
        given: &'static [(&'static str, &'static str)],
    }

    const SAMPLES: &[Sample] = &[
        Sample {
            section: "relay",
            command: &[],
            options: relay::options::OPTIONS,
            given: &[
                ("src", "\"a:1,b:1\""),
                ("dst", "[\"ws://:2\", \"connect:c:3\"]"),
                ("stats", "true"),
                ("dump", "true"),
                ("framing", "\"line\""),
            ],
        },
        // Whoever connects to a source has rules of its own.
        Sample {
            section: "relay",
            command: &[],
            options: relay::options::OPTIONS,
            given: &[
                ("src", "\"127.0.0.1:1\""),
                ("dst", "\"listen::2\""),
                ("mode", "\"listen-listen\""),
                ("framing", "\"line\""),
            ],
        },
        Sample {
            section: "hub",
            command: &[],
            options: hub::options::SERVE,
            given: &[("listen", "\"127.0.0.1:1\"")],
        },
        Sample {
            section: "",
            command: &["hub", "tunnel", "a:1", "n"],
            options: hub::options::TUNNEL,
            given: &[("to", "\"m\""), ("listen", "\"127.0.0.1:2\"")],
        },
        Sample {
            section: "",
            command: &["hub", "client", "a:1", "n"],
            options: hub::options::CLIENT,
            given: &[],
        },
        Sample {
            section: "",
            command: &["hub", "send", "a:1", "n", "m"],
            options: hub::options::SEND,
            given: &[],
        },
        Sample {
            section: "",
            command: &["hub", "recv", "a:1", "n"],
            options: hub::options::RECV,
            given: &[],
        },
        Sample {
            section: "tunnel.serve",
            command: &[],
            options: tunnel::options::SERVE,
            given: &[("listen", "\"127.0.0.1:1\"")],
        },
        Sample {
            section: "tunnel.expose",
            command: &[],
            options: tunnel::options::EXPOSE,
            given: &[
                ("server", "\"a:1\""),
                ("target", "\"b:2\""),
                ("name", "\"n\""),
            ],
        },
        Sample {
            section: "ws.relay",
            command: &[],
            options: ws::options::RELAY,
            given: &[("listen", "\"127.0.0.1:1\"")],
        },
        Sample {
            section: "ws.host",
            command: &[],
            options: ws::options::HOST,
            given: &[("url", "\"ws://a:1/x\""), ("target", "\"b:2\"")],
        },
        Sample {
            section: "ws.client",
            command: &[],
            options: ws::options::CLIENT,
            given: &[("url", "\"ws://a:1/x\""), ("listen", "\"127.0.0.1:2\"")],
        },
    ];

    /// Values that one option or another takes, as TOML.
    const CANDIDATES: &[&str] = &[
        "false",
        "true",
        "\"3s\"",
        "7",
        "\"7K\"",
        "\"100K\"",
        "\"2M\"",
        "\"10.0.0.0/8\"",
        "\"1s..30s\"",
        "\"https://a.example\"",
        "\"7000-7010\"",
        "\"127.0.0.2\"",
        "\"http://p:1\"",
        "\"300M\"",
        "\"len:u16be\"",
        "\"seven\"",
    ];

    /// What a file may hold, before and after.
    const CONTENTS: &[[&str; 2]] = &[
        ["open-sesame-and-more", "open-sesame-and-less"],
        ["a open-sesame-and-more", "a open-sesame-and-less"],
    ];

    /// No part of a role's orders: the process spins as a whole, and certificates are read again by themselves.
    fn is_elsewhere(opt: &Opt) -> bool {
        opt.flag == "--busy-poll" || opt.flag.starts_with("--tls-")
    }

    struct Folder(PathBuf);

    impl Folder {
        fn of(section: &str) -> Self {
            let name = format!("hydrant-live-{}-{section}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).expect("it can be made");
            Self(path)
        }

        fn hold(&self, text: &str) {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let file = options.open(self.0.join("file"));
            file.and_then(|mut file| writeln!(file, "{text}"))
                .expect("it can be written");
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    impl Sample {
        fn what(&self) -> String {
            match self.command {
                [] => self.section.to_owned(),
                command => command[..2].join("-"),
            }
        }

        /// The role with this besides, if there is such a one.
        fn with(&self, folder: &Folder, more: Option<(&str, &str)>) -> Option<Member> {
            let others = self.given.iter().copied();
            let others = others.filter(|(key, _)| more.is_none_or(|(own, _)| own != *key));
            let all = others.chain(more);
            if !self.command.is_empty() {
                return self.alone(folder, all);
            }
            let mut text = format!("[[{}]]\n", self.section);
            for (key, value) in all {
                text += &format!("{key} = {value}\n");
            }
            let file = RunFile::parse(&text, &folder.0, &[], &Env::default());
            file.ok()?.members.pop()
        }

        /// The same, of a command line.
        fn alone<'a>(
            &self,
            folder: &Folder,
            all: impl Iterator<Item = (&'a str, &'a str)>,
        ) -> Option<Member> {
            let mut words: Vec<String> = self.command.iter().map(|&word| word.to_owned()).collect();
            for (key, value) in all {
                let of = |opt: &&Opt| opt.name() == key;
                let opt = self.options.iter().find(of).expect("it has it");
                let value = value.trim_matches('"');
                words.push(opt.flag.to_owned());
                match opt.kind {
                    Kind::Path { .. } => words.push(folder.0.join(value).display().to_string()),
                    _ if opt.is_switch() => {}
                    _ => words.push(value.to_owned()),
                }
            }
            let words = words.into_iter().map(OsString::from);
            let config = Config::from_command_line(words, Env::default()).ok()?;
            Some(Member::alone(config.run, config.certificates))
        }

        /// What becomes of a role that is given another value for an option; `None` where none was found.
        fn changed(&self, opt: &Opt) -> Option<Change> {
            let folder = Folder::of(&self.what());
            let into = |old: &Member, mut new: Member| match change(old, &mut new) {
                Change::None => None,
                how => Some(how),
            };
            if let Kind::Path { .. } = opt.kind {
                let member = |text: &str| {
                    folder.hold(text);
                    self.with(&folder, Some((opt.name(), "\"file\"")))
                };
                let of = |[old, new]: &[&str; 2]| into(&member(old)?, member(new)?);
                return CONTENTS.iter().find_map(of);
            }
            let plain = self.with(&folder, None).expect("it is right");
            let words = match opt.kind {
                Kind::Choice(words) => words.iter().map(|word| format!("\"{word}\"")).collect(),
                _ => CANDIDATES
                    .iter()
                    .map(|&one| one.to_owned())
                    .collect::<Vec<_>>(),
            };
            let try_one =
                |value: &String| into(&plain, self.with(&folder, Some((opt.name(), value)))?);
            words.iter().find_map(try_one)
        }
    }

    #[test]
    fn what_the_tables_call_live_is_what_changes_in_place() {
        let (mut tried, mut all) = (BTreeSet::new(), BTreeSet::new());
        for sample in SAMPLES {
            for opt in sample.options.iter().filter(|opt| !is_elsewhere(opt)) {
                let what = format!("{} {}", sample.what(), opt.flag);
                if let Some(how) = sample.changed(opt) {
                    assert_eq!(how == Change::Options, opt.live, "{what}: {how:?}");
                    tried.insert(what.clone());
                }
                all.insert(what);
            }
        }
        let untried: Vec<&String> = all.difference(&tried).collect();
        // It stands in the place of a target, and changes no other option.
        assert_eq!(untried, ["tunnel.expose --echo"]);
    }
}
