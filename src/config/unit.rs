//! `hydrant systemd-unit`: how systemd is to run a run file.

use std::path::Path;

/// The unit, for this run file or the usual one.
pub(super) fn unit(file: Option<&str>) -> String {
    let file = file.unwrap_or(USUAL);
    // systemd knows no working directory of whoever printed this.
    let path = std::path::absolute(Path::new(file)).unwrap_or_else(|_| file.into());
    let program = std::env::current_exe().unwrap_or_else(|_| "/usr/bin/hydrant".into());
    let (path, program) = (quoted(&path), quoted(&program));
    format!(
        "\
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
# Where the file says save = true, it is User=, who owns it, and ReadWritePaths= with its folder instead:
DynamicUser=yes
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
RuntimeDirectory=hydrant
RuntimeDirectoryMode=0700
PrivateDevices=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE

[Install]
WantedBy=multi-user.target
"
    )
}

/// A path as a unit takes it: in quotes where it has to be, and with its percent signs doubled.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy().replace('%', "%%").replace('$', "$$");
    match text.contains([' ', '"', '\'', '\\']) {
        true => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        false => text,
    }
}

const USUAL: &str = "/etc/hydrant/hydrant.toml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_as_systemd_reads_them() {
        assert_eq!(quoted(Path::new("/a/b")), "/a/b");
        assert_eq!(quoted(Path::new("/a b/%$")), "\"/a b/%%$$\"");
        let unit = unit(Some("/x.toml"));
        assert!(
            unit.contains(" run /x.toml\n") && unit.contains("Type=notify\n"),
            "{unit}"
        );
    }
}
