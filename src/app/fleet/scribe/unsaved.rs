//! What is to be in a run file and may not be there yet, for whoever reads that file again: a reading takes nothing
//! away but what somebody else has written over.

use std::sync::mpsc::Receiver;

use crate::app::fleet::reload::Read;
use crate::app::saving::keeper::LAST_SAVE;
use crate::app::saving::kept_file::{SharedText, hold_text};
use crate::config::run_file::{self, enabled};
use crate::config::{ConfigError, Member};

/// What is to be in a run file, be it there already or not.
pub(in crate::app::fleet) struct Meant {
    /// Its other end goes once it is there, or could not be written.
    pub(super) tried: Receiver<()>,
    /// What the file held when it was last looked at.
    pub(super) known: SharedText,
    pub(super) text: String,
}

impl Meant {
    /// Reads the file, and all that it names. A disk that is full, or a file that can't be written, is no reason to
    /// lose what runs by now; what somebody else has written is.
    ///
    /// # Errors
    /// As [`run_file::Origin::load`].
    pub(in crate::app::fleet) fn read(
        self,
        origin: &run_file::Origin,
    ) -> Result<Read, ConfigError> {
        let Self { tried, known, text } = self;
        let _ = tried.recv_timeout(LAST_SAVE);
        let (now, known) = {
            let known = hold_text(&known);
            (origin.text()?, known.clone())
        };
        let said = known.as_deref().map(enabled).unwrap_or_default();
        let is_ours = known.as_ref() == Some(&now);
        // What is meant, and did not stand there when it was last looked at.
        let unsaved = known.filter(|known| *known != text && now != text);
        let unsaved = unsaved.map(|known| differing(origin, known, text.clone()));
        let (text, kept, dropped) = match is_ours {
            true => (text, unsaved, None),
            false => (now, None, unsaved),
        };
        let read = origin.with(text).map(Read::of)?;
        Ok(Read {
            said,
            kept,
            dropped,
            ..read
        })
    }
}

/// The roles that are others in the one text than in the other.
fn differing(origin: &run_file::Origin, old: String, new: String) -> String {
    let members = |text| origin.with(text).map(|file| file.members);
    let (Ok(old), Ok(new)) = (members(old), members(new)) else {
        return "all of them".to_owned();
    };
    let of = |all: &[Member], other: &[Member]| -> Vec<String> {
        let differs = all.iter().filter(|member| !other.contains(member));
        differs.map(Member::label).collect()
    };
    let mut labels = of(&new, &old);
    labels.extend(of(&old, &new));
    labels.sort();
    labels.dedup();
    labels.join(", ")
}
