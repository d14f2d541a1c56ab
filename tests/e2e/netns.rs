//! Another machine, as far as the network can tell: a namespace at the other end of a cable that can be cut. Needs root
//! and iproute2, and a kernel that lets us.

use std::process::{self, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::common::hydrant::{Hydrant, hydrant};
use crate::common::tools::have;

/// The other machine. It is gone when dropped, and the cable with it.
pub(crate) struct Far {
    name: String,
    cable: String,
    /// The address of this machine on the cable.
    pub(crate) here: String,
}

impl Far {
    /// None where there can't be one, which it then says.
    pub(crate) fn new() -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        if !have("ip") {
            return None;
        }
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("hydrant-{}-{number}", process::id());
        let cable = format!("hy{}-{number}", process::id());
        // Addresses for measuring devices, which nobody has: four for each cable.
        let net = (process::id() * 8 + number) % (1 << 15) * 4;
        let address = |last| {
            format!(
                "198.{}.{}.{}",
                18 + (net >> 16),
                net >> 8 & 255,
                (net & 255) + last
            )
        };
        let (here, there) = (address(1), address(2));
        let made = ip(&["netns", "add", &name]);
        if !made.status.success() {
            let why = String::from_utf8_lossy(&made.stderr).into_owned();
            println!("skipped: no network namespaces here: {}", why.trim());
            return None;
        }
        let far = Self { name, cable, here };
        let end = format!("{}p", far.cable);
        let steps = [
            format!(
                "link add {} type veth peer name {end} netns {}",
                far.cable, far.name
            ),
            format!("addr add {}/30 dev {}", far.here, far.cable),
            format!("link set {} up", far.cable),
            format!("-n {} addr add {there}/30 dev {end}", far.name),
            format!("-n {} link set {end} up", far.name),
        ];
        for step in &steps {
            let done = ip(&step.split(' ').collect::<Vec<_>>());
            if !done.status.success() {
                println!(
                    "skipped: ip {step}: {}",
                    String::from_utf8_lossy(&done.stderr).trim()
                );
                return None;
            }
        }
        Some(far)
    }

    /// The program, over there.
    pub(crate) fn hydrant(&self, line: &str) -> Hydrant {
        // The first word is for the shell.
        hydrant(&format!("{} {line}", self.name))
            .shell(r#"far=$1; shift; exec ip netns exec "$far" "$0" "$@""#)
            .stdin(Stdio::piped())
            .start()
    }

    /// From now on nothing arrives, in either direction, and neither end hears of it.
    pub(crate) fn cut(&self) {
        self.set_link("down");
    }

    pub(crate) fn mend(&self) {
        self.set_link("up");
    }

    fn set_link(&self, state: &str) {
        // The far end, so that on ours the route stays and nothing is said to be unreachable.
        let end = format!("{}p", self.cable);
        let done = ip(&["-n", &self.name, "link", "set", &end, state]);
        assert!(done.status.success(), "{done:?}");
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        ip(&["link", "del", &self.cable]);
        ip(&["netns", "del", &self.name]);
    }
}

fn ip(args: &[&str]) -> Output {
    Command::new("ip")
        .args(args)
        .output()
        .expect("ip can be started")
}
