//! `hydrant systemd-unit`: how systemd is to run a run file.

use std::fmt::Write;
use std::path::{Component, Path, PathBuf};

use super::{ConfigError, Globals, Verbosity, relative};
use crate::base::option::Values;

/// The unit, for this run file or the usual one, which is run with these flags.
///
/// # Errors
/// That there can be no such file.
pub(super) fn unit(file: Option<&str>, values: &Values) -> Result<String, ConfigError> {
    let globals = Globals::from_values(values)?;
    let file = file.unwrap_or(USUAL);
    // systemd knows no working directory of whoever printed this.
    let path = std::path::absolute(Path::new(file)).unwrap_or_default();
    if file == "-" || file.ends_with('/') || path.file_name().is_none() || path.is_dir() {
        return Err(ConfigError::UnitFile {
            given: file.to_owned(),
        });
    }
    let program = std::env::current_exe().unwrap_or_else(|_| "/usr/bin/hydrant".into());
    let log = globals.log_file.as_deref().map(std::path::absolute);
    let log = log.and_then(Result::ok);
    let logged = log.as_deref().and_then(Path::parent).map(written);
    let written = written(path.parent().unwrap_or(Path::new("/")));
    let logged = logged.filter(|own| *own != written).unwrap_or_default();
    let flags = flags(&globals, log.as_deref());
    // Where something is executed, a dollar would be a variable.
    let executed = |path: &Path| quoted(path).replace('$', "$$");
    let (path, program) = (executed(&path), executed(&program));
    let flags: String = flags
        .iter()
        .map(|word| format!(" {}", executed(Path::new(word))))
        .collect();
    Ok(format!(
        "\
# Once: useradd --system hydrant
# Files of tokens and keys are the user's own: chown hydrant FILE; chmod 600 FILE.
# With [console] save = true, the folder of the run file is, too.
[Unit]
Description=hydrant: live byte streams to very many receivers
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStartPre={program} check {path}{flags}
ExecStart={program} run {path}{flags}
ExecReload=/bin/kill -HUP $MAINPID
WatchdogSec=30s
Restart=on-failure
RestartSec=1s
LimitNOFILE=1048576
User=hydrant
NoNewPrivileges=yes
ProtectSystem=strict
{written}{logged}LogsDirectory=hydrant
ProtectHome=read-only
PrivateTmp=yes
RuntimeDirectory=hydrant
RuntimeDirectoryMode=0700
PrivateDevices=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE

[Install]
WantedBy=multi-user.target
"
    ))
}

/// What the command line says for the whole process, with whole paths.
fn flags(globals: &Globals, log: Option<&Path>) -> Vec<String> {
    let mut flags = Vec::new();
    if let Some(at) = &globals.metrics {
        let given = at.to_string();
        let whole = relative::word(Path::new(""), "listen", &given);
        flags.extend(["--metrics".to_owned(), whole.unwrap_or(given)]);
    }
    if let Some(log) = log {
        flags.extend(["--log-file".to_owned(), log.to_string_lossy().into_owned()]);
    }
    flags.extend(match globals.verbosity {
        Verbosity::Normal => None,
        Verbosity::Quiet => Some("-q".to_owned()),
        Verbosity::Debug => Some("-v".to_owned()),
        Verbosity::Trace => Some("-vv".to_owned()),
    });
    flags
}

/// The line by which this folder may be written to, unless much of the system is in it.
fn written(folder: &Path) -> String {
    let plain = without_dots(folder);
    let real = plain.canonicalize().unwrap_or_else(|_| plain.clone());
    let is_system = |folder: &Path| SYSTEM.iter().any(|own| folder == Path::new(own));
    match is_system(&plain) || is_system(&real) {
        true => format!(
            "# Nothing can be written to {}, which is the system's: give the file a folder of its own.\n",
            quoted(&plain)
        ),
        false => format!("ReadWritePaths=-{}\n", quoted(&plain)),
    }
}

/// A whole path that leads nowhere upwards.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

/// A path as a unit takes it: in quotes where it has to be, and with its percent signs doubled.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy().replace('%', "%%");
    let is_plain = |c: char| !c.is_control() && !" \"'\\;".contains(c);
    if text.chars().all(is_plain) {
        return text;
    }
    let mut told = String::from('"');
    for letter in text.chars() {
        match letter {
            '\\' | '"' => told.extend(['\\', letter]),
            // A line ends the order, whatever quotes it is in.
            letter if letter.is_control() => {
                let mut bytes = [0; 4];
                for byte in letter.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(told, "\\x{byte:02x}");
                }
            }
            letter => told.push(letter),
        }
    }
    told + "\""
}

const USUAL: &str = "/etc/hydrant/hydrant.toml";
/// Folders of which no service has all.
const SYSTEM: [&str; 15] = [
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/proc", "/root", "/run",
    "/sbin", "/sys", "/usr", "/var",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::GLOBALS;

    #[test]
    fn paths_are_as_systemd_reads_them() {
        assert_eq!(quoted(Path::new("/a/b")), "/a/b");
        assert_eq!(quoted(Path::new("/a b/%$")), "\"/a b/%%$\"");
        assert_eq!(quoted(Path::new("/a\nb\\\"")), r#""/a\x0ab\\\"""#);
        // Only in what is executed a dollar means a variable.
        let odd = made("/srv/a$b/x.toml", &[]);
        for line in [
            "ReadWritePaths=-/srv/a$b\n",
            " run /srv/a$$b/x.toml\n",
            " check /srv/a$$b/x.toml\n",
        ] {
            assert!(odd.contains(line), "{odd}");
        }
        // It keeps its settings beside the run file, and reads tokens that are its own; the whole system is not its.
        let saving = made("/srv/x.toml", &[]);
        for line in [
            "ReadWritePaths=-/srv\n",
            "\nUser=hydrant\n",
            "AF_NETLINK\n",
            " run /srv/x.toml\n",
            "Type=notify\n",
        ] {
            assert!(saving.contains(line), "{saving}");
        }
        for file in ["/x.toml", "/srv/../x.toml", "//x.toml", "/etc/x.toml"] {
            let unit = made(file, &[]);
            assert!(!unit.contains("ReadWritePaths"), "{unit}");
            assert!(
                unit.contains(&format!(" run {file}\n")) || file.starts_with("//"),
                "{unit}"
            );
        }
    }

    #[test]
    fn what_can_be_no_run_file_is_refused() {
        for file in ["", "-", "/", "/srv/", ".", "/tmp"] {
            let given = file.to_owned();
            let refused = unit(Some(file), &Values::new(vec![GLOBALS]));
            assert_eq!(refused, Err(ConfigError::UnitFile { given }));
        }
    }

    #[test]
    fn it_runs_with_the_flags_that_it_is_made_with() {
        let flags = [
            ("--metrics", "unix:/run/hydrant/a b"),
            ("--verbose", ""),
            ("--verbose", ""),
            ("--log-file", "/srv/log/$x"),
        ];
        let unit = made("/srv/x.toml", &flags);
        let said = " /srv/x.toml --metrics \"unix:/run/hydrant/a b\" --log-file /srv/log/$$x -vv\n";
        assert_eq!(unit.matches(said).count(), 2, "{unit}");
        let folders = "\nReadWritePaths=-/srv\nReadWritePaths=-/srv/log\nLogsDirectory";
        assert!(unit.contains(folders), "{unit}");
        let here = std::env::current_dir().expect("there is one");
        let unit = made("x.toml", &[("--metrics", "unix:m"), ("--quiet", "")]);
        let said = format!(" --metrics unix:{}/m -q\n", here.display());
        assert_eq!(unit.matches(&said).count(), 2, "{unit}");
    }

    fn made(file: &str, flags: &[(&str, &str)]) -> String {
        let mut values = Values::new(vec![GLOBALS]);
        for (flag, given) in flags {
            let opt = values.find(flag).expect("it is in the table");
            values.put(opt, (*given).to_owned());
        }
        unit(Some(file), &values).expect("it is right")
    }
}
