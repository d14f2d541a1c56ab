//! What it takes to make one role out of another of the same name: nothing, other options as it runs, another source,
//! or a new beginning.

use crate::config::{Member, Run};
use crate::roles::relay::config::Source;

/// What becomes of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
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
pub(super) fn change(old: &Member, new: &mut Member) -> Change {
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
            let mut changed = old.with_live_of(new);
            if *old == *new {
                Change::None
            } else if changed == **new {
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
