//! The hub's figures: what SIGUSR1 logs.

use crate::base::units::{Bytes, Count};
use crate::reactor::Cx;
use crate::roles::hub::serve::arriving::Refusal;
use crate::roles::hub::serve::leaving::Reason;
use crate::roles::hub::serve::{Hub, client::Client};

/// What the hub has counted since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes that clients sent, heads included.
    pub bytes_in: u64,
    /// Bytes that clients' kernels took.
    pub bytes_out: u64,
    /// Messages that were queued for their receivers.
    pub messages: u64,
    /// Messages to names that nobody has, and to the hub itself with nothing that it knows in them.
    pub nobody: u64,
    /// The most registered clients at a time.
    pub clients_most: usize,
    /// Registered clients that are gone, by [`Reason`].
    pub gone: [u64; Reason::ALL.len()],
    /// Connections that did not become clients, by [`Refusal`].
    pub refused: [u64; Refusal::ALL.len()],
}

impl Counts {
    /// Clients that were dropped, for whatever reason.
    pub fn drops(&self) -> u64 {
        let drops = Reason::ALL.iter().filter(|reason| reason.is_drop());
        drops.map(|reason| self.gone[*reason as usize]).sum()
    }
}

impl Hub {
    /// "hub 41 clients | held 1.2 MiB | to nobody 3 | drops 2 (overflow 1, idle 1) | refused: name-in-use 1 | in all 90
    /// messages, 1.2 MiB in, 1.1 MiB out"
    pub(super) fn report(&self, _cx: &Cx<'_>) {
        let name = self.config.name.as_deref().unwrap_or("hub");
        let counts = &self.counts;
        let clients = Count(self.names.len(), "client");
        let waiting: usize = self
            .clients
            .iter()
            .map(|(_, client)| Client::waiting(client))
            .sum();
        let drops: Vec<String> = Reason::ALL
            .iter()
            .filter(|reason| reason.is_drop() && counts.gone[**reason as usize] > 0)
            .map(|reason| format!("{reason} {}", counts.gone[*reason as usize]))
            .collect();
        let drops = match drops.is_empty() {
            true => String::new(),
            false => format!(" ({})", drops.join(", ")),
        };
        let mut line = format!(
            "{name} {clients} | waiting {}, held {} | to nobody {} | drops {}{drops}",
            Bytes(waiting as u64),
            Bytes(self.memory.held() as u64),
            counts.nobody,
            counts.drops(),
        );
        for refusal in Refusal::ALL {
            let times = counts.refused[refusal as usize];
            if times > 0 {
                line += &format!(" | refused: {refusal} {times}");
            }
        }
        log::info!(
            "{line} | in all {}, {} in, {} out",
            Count(counts.messages as usize, "message"),
            Bytes(counts.bytes_in),
            Bytes(counts.bytes_out)
        );
    }
}
