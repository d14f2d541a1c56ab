//! A new tab goes on where the one before it ends: its upstream is the previous downstream, its own downstream the same
//! host and the next port. It dials a downstream that listens, and listens for one that is dialled.

use std::collections::BTreeSet;

use crate::config::settings::Settings;

/// A tab that no other one leads to.
pub fn fresh(names: &BTreeSet<String>) -> Settings {
    let mut settings = Settings {
        name: free_name(names),
        ..Settings::default()
    };
    settings.set("src", "127.0.0.1:9999");
    settings.set("dst", "127.0.0.1:10000");
    settings.set("mode", "connect-listen");
    settings.set("retry", "5");
    settings
}

/// The one that goes on where `before` ends. `names` are taken.
pub fn chained(before: &Settings, names: &BTreeSet<String>) -> Settings {
    let first = before
        .get("dst")
        .split_whitespace()
        .next()
        .unwrap_or_default();
    let (side, place) = match first.split_once(':') {
        Some((side @ ("listen" | "connect"), place)) => (Some(side), place),
        _ => (None, first),
    };
    let is_dialled = match side {
        Some(side) => side == "connect",
        None => before.get("mode").ends_with("-connect"),
    };
    let (scheme, place) = match place.split_once("://") {
        Some(("tls", place)) => ("tls://", place),
        Some((_, place)) => ("", place),
        None => ("", place),
    };
    let mut next = Settings {
        name: free_name(names),
        dump: before.dump,
        folder: before.folder.clone(),
        ..Settings::default()
    };
    next.set("src", &format!("{scheme}{place}"));
    next.set("dst", &next_port(place));
    next.set(
        "mode",
        if is_dialled {
            "listen-listen"
        } else {
            "connect-listen"
        },
    );
    next.set("retry", before.get("retry"));
    next
}

/// The same host and the next port; nothing where there is no port, or none above.
fn next_port(place: &str) -> String {
    let port = place.rsplit_once(':').map_or(place, |(_, port)| port);
    let next = port
        .parse::<u16>()
        .ok()
        .and_then(|port| port.checked_add(1));
    next.map_or_else(String::new, |port| at_port(place, port))
}

/// The same host and another port.
pub fn at_port(place: &str, port: u16) -> String {
    match place.rsplit_once(':') {
        Some((host, _)) => format!("{host}:{port}"),
        None => port.to_string(),
    }
}

fn free_name(names: &BTreeSet<String>) -> String {
    let numbered = (1..).map(|number: u32| format!("relay {number}"));
    let mut free = numbered.filter(|name| !names.contains(name));
    free.next().expect("there are more numbers than names")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(dst: &str, mode: &str) -> [String; 3] {
        let mut before = Settings::default();
        before.set("dst", dst);
        before.set("mode", mode);
        let next = chained(&before, &BTreeSet::new());
        ["src", "dst", "mode"].map(|key| next.get(key).to_owned())
    }

    #[test]
    fn it_dials_what_listens_and_listens_for_what_dials() {
        assert_eq!(
            next("127.0.0.1:10000", "connect-listen"),
            ["127.0.0.1:10000", "127.0.0.1:10001", "connect-listen"]
        );
        assert_eq!(
            next("127.0.0.1:10000", "listen-listen"),
            ["127.0.0.1:10000", "127.0.0.1:10001", "connect-listen"]
        );
        assert_eq!(
            next("127.0.0.1:20000", "connect-connect"),
            ["127.0.0.1:20000", "127.0.0.1:20001", "listen-listen"]
        );
        assert_eq!(
            next("127.0.0.1:20000", "listen-connect"),
            ["127.0.0.1:20000", "127.0.0.1:20001", "listen-listen"]
        );
    }

    #[test]
    fn a_downstream_may_say_for_itself_who_dials() {
        assert_eq!(
            next("connect:a:7000 :8000", "connect-listen"),
            ["a:7000", "a:7001", "listen-listen"]
        );
        assert_eq!(
            next("listen:a:7000", "connect-connect"),
            ["a:7000", "a:7001", "connect-listen"]
        );
    }

    #[test]
    fn hosts_stay_as_they_were_written() {
        assert_eq!(next(":6000", "connect-listen")[..2], [":6000", ":6001"]);
        assert_eq!(next("6000", "connect-listen")[..2], ["6000", "6001"]);
        assert_eq!(
            next("[::1]:6000", "connect-listen")[..2],
            ["[::1]:6000", "[::1]:6001"]
        );
        assert_eq!(
            next("tls://a:6000", "connect-listen")[..2],
            ["tls://a:6000", "a:6001"]
        );
        assert_eq!(
            next("ws://:6000", "connect-listen")[..2],
            [":6000", ":6001"]
        );
        assert_eq!(next("a:65535", "connect-listen")[..2], ["a:65535", ""]);
        assert_eq!(next("", "connect-listen")[..2], ["", ""]);
        assert_eq!(
            next("unix:/run/x", "connect-listen")[..2],
            ["unix:/run/x", ""]
        );
    }

    #[test]
    fn dump_and_retry_are_carried_over() {
        let mut before = fresh(&BTreeSet::new());
        before.dump = true;
        before.enabled = true;
        before.set("retry", "1..30");
        before.set("max-lag", "3s");
        let names = BTreeSet::from(["relay 1".to_owned()]);
        let next = chained(&before, &names);
        assert_eq!(
            (
                next.name.as_str(),
                next.dump,
                next.enabled,
                next.get("retry")
            ),
            ("relay 2", true, false, "1..30")
        );
        assert_eq!(next.get("max-lag"), "");
    }
}
