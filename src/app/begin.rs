//! How a role begins: with all the places that it listens at, or not at all.

use super::RoleSet;
use super::certificates::Watch;
use crate::base::endpoint::Endpoint;
use crate::config::Member;
use crate::reactor::tabs::Faults;
use crate::reactor::{Reactor, Reserved, RoleId};
use crate::roles::listening::cant_listen;
use crate::roles::metrics::{Metrics, MetricsConfig};

/// Begins a role.
///
/// # Errors
/// Why it can't begin, by the field; then nothing of it is left.
pub(super) fn begin(
    reactor: &mut Reactor<RoleSet>,
    member: &Member,
) -> Result<(RoleId, Option<Watch>), Faults> {
    let reserved = reserve(reactor, member, None, &[])?;
    put(reactor, member, reserved)
}

/// Begins a role that has its places already.
///
/// # Errors
/// As above.
pub(super) fn put(
    reactor: &mut Reactor<RoleSet>,
    member: &Member,
    reserved: Vec<Reserved>,
) -> Result<(RoleId, Option<Watch>), Faults> {
    let fault = |text: String| vec![(String::new(), text)];
    let watch = match member.certificates.clone().map(Watch::start).transpose() {
        Ok(watch) => watch,
        Err(text) => {
            reactor.cancel(reserved);
            return Err(fault(text));
        }
    };
    let role = reactor.add_with(RoleSet::new(&member.run), reserved);
    match reactor.failure(role) {
        Some(text) => Err(fault(text.to_owned())),
        None => Ok((role, watch)),
    }
}

/// Begins what others ask for by HTTP.
///
/// # Errors
/// Why it can't listen.
pub(super) fn begin_metrics(
    reactor: &mut Reactor<RoleSet>,
    listen: Endpoint,
) -> Result<RoleId, String> {
    let role = reactor.add(RoleSet::Metrics(Metrics::new(MetricsConfig { listen })));
    match reactor.failure(role) {
        Some(text) => Err(format!("metrics: {text}")),
        None => Ok(role),
    }
}

/// Listens for a role that is still to come. `leaving` are roles whose places it may take; `before` is the one that it
/// takes the place of, whose free ports, as the system once chose them, it goes on with.
///
/// # Errors
/// Why one of them can't be had, by the field; then none of them is.
pub(super) fn reserve(
    reactor: &mut Reactor<RoleSet>,
    member: &Member,
    before: Option<RoleId>,
    leaving: &[RoleId],
) -> Result<Vec<Reserved>, Faults> {
    let mut all = Vec::new();
    let mut seen: Vec<&Endpoint> = Vec::new();
    for at in member.run.listens() {
        let is_any_port = matches!(at, Endpoint::Tcp { port: 0, .. });
        let with = match is_any_port {
            true if seen.contains(&at) => &[],
            true => before.as_slice(),
            false => leaving,
        };
        seen.push(at);
        match reactor.reserve(at, with) {
            Ok(reserved) => all.push(reserved),
            Err(error) => {
                reactor.cancel(all);
                return Err(vec![(
                    member.run.field_of(at).to_owned(),
                    cant_listen(at, &error),
                )]);
            }
        }
    }
    Ok(all)
}

/// All that is wrong, in one line.
pub(super) fn text_of(faults: &Faults) -> String {
    let texts: Vec<&str> = faults.iter().map(|(_, text)| text.as_str()).collect();
    texts.join("; ")
}
