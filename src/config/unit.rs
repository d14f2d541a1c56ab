//! `hydrant systemd-unit`: how systemd is to run a run file.

use std::fmt::Write;
use std::path::Path;

/// The unit, for this run file or the usual one.
pub(super) fn unit(file: Option<&str>) -> String {
    let file = file.unwrap_or(USUAL);
    // systemd knows no working directory of whoever printed this.
    let path = std::path::absolute(Path::new(file)).unwrap_or_else(|_| file.into());
    let program = std::env::current_exe().unwrap_or_else(|_| "/usr/bin/hydrant".into());
    let folder = path.parent().filter(|folder| folder.parent().is_some());
    let written = match folder {
        Some(folder) => format!("ReadWritePaths=-{}", quoted(folder)),
        // All of the system would be open.
        None => "# Nothing can be saved in /: give the run file a folder of its own.".to_owned(),
    };
    // Where something is executed, a dollar would be a variable.
    let executed = |path: &Path| quoted(path).replace('$', "$$");
    let (path, program) = (executed(&path), executed(&program));
    format!(
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
ExecStartPre={program} check {path}
ExecStart={program} run {path}
ExecReload=/bin/kill -HUP $MAINPID
WatchdogSec=30s
Restart=on-failure
RestartSec=1s
LimitNOFILE=1048576
User=hydrant
NoNewPrivileges=yes
ProtectSystem=strict
{written}
LogsDirectory=hydrant
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
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_as_systemd_reads_them() {
        assert_eq!(quoted(Path::new("/a/b")), "/a/b");
        assert_eq!(quoted(Path::new("/a b/%$")), "\"/a b/%%$\"");
        assert_eq!(quoted(Path::new("/a\nb\\\"")), r#""/a\x0ab\\\"""#);
        // Only in what is executed a dollar means a variable.
        let odd = unit(Some("/srv/a$b/x.toml"));
        for line in [
            "ReadWritePaths=-/srv/a$b\n",
            " run /srv/a$$b/x.toml\n",
            " check /srv/a$$b/x.toml\n",
        ] {
            assert!(odd.contains(line), "{odd}");
        }
        // It keeps its settings beside the run file, and reads tokens that are its own; the whole system is not its.
        let saving = unit(Some("/srv/x.toml"));
        for line in ["ReadWritePaths=-/srv\n", "\nUser=hydrant\n", "AF_NETLINK\n"] {
            assert!(saving.contains(line), "{saving}");
        }
        let unit = unit(Some("/x.toml"));
        assert!(!unit.contains("ReadWritePaths"), "{unit}");
        assert!(
            unit.contains(" run /x.toml\n") && unit.contains("Type=notify\n"),
            "{unit}"
        );
    }
}
