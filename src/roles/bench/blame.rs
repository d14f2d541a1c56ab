//! Why clients get nothing, or no more, as far as the board shows it.

use std::sync::atomic::Ordering::Relaxed;

use crate::roles::bench::board::SourceSide;
use crate::roles::bench::conduct::{House, Run};
use crate::roles::bench::figure::{Thousands, counted};
use crate::roles::bench::source::RELAYS_MAX;

impl<H: House> Run<'_, H> {
    /// What the relay has done to clients that came and stayed, if it has.
    pub(super) fn cut_off(&self) -> Option<String> {
        let gone = self.board.clients.gone.load(Relaxed);
        let all = counted(self.job.connections() as u64, "client", "clients");
        let text = format!("the relay cut off {} of {all}", Thousands(gone as u64));
        (gone > 0).then(|| match self.dialect.why_cut() {
            Some(why) => format!("{text}, {why}"),
            None => text,
        })
    }

    /// Adds the reason to what clients lack, where one is known.
    pub(super) fn with_reason(&self, text: String) -> String {
        let lacks = || lack(&self.board.source, self.dials_source);
        // What the source has turned away is not the relay's doing.
        let reason = match self.board.source.turned_away.load(Relaxed) {
            0 => self.cut_off().or_else(lacks),
            _ => lacks(),
        };
        match reason {
            Some(reason) => format!("{text}: {reason}"),
            None => text,
        }
    }
}

/// What is amiss between the source and the relay, which dials it or is dialled by it.
fn lack(source: &SourceSide, is_dialled: bool) -> Option<String> {
    let turned_away = source.turned_away.load(Relaxed) as u64;
    if turned_away > 0 {
        let away = Thousands(turned_away);
        return Some(format!(
            "the relay connects to the source anew for each client, of which the bench takes {RELAYS_MAX} at most; \
             it turned {away} away, so measure this relay with {RELAYS_MAX} clients or fewer"
        ));
    }
    let text = match (source.met.load(Relaxed), is_dialled) {
        (0, true) => "the relay never connected to the source",
        (0, false) => "the source could not connect to the relay",
        _ if source.relays.load(Relaxed) == 0 => "the relay has left the source",
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_knows_whether_the_relay_came_and_stayed() {
        let source = SourceSide::default();
        let said = |is_dialled| lack(&source, is_dialled).unwrap_or_default();
        assert_eq!(said(true), "the relay never connected to the source");
        assert_eq!(said(false), "the source could not connect to the relay");
        source.met.store(1, Relaxed);
        assert_eq!(said(true), "the relay has left the source");
        source.relays.store(1, Relaxed);
        assert_eq!(lack(&source, true), None);
        source.turned_away.store(1872, Relaxed);
        assert!(
            said(true).contains("it turned 1,872 away"),
            "{}",
            said(true)
        );
    }
}
