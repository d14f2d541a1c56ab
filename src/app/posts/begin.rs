//! How a role begins: with all the places that it listens at, or not at all.

use super::certificates::Watch;
use crate::app::RoleSet;
use crate::base::endpoint::Endpoint;
use crate::config::Member;
use crate::reactor::tabs::Faults;
use crate::reactor::{Reactor, Reserved, RoleId};
use crate::roles::console::Console;
use crate::roles::console::config::ConsoleConfig;
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
    let watch = member.certificates.clone().map(Watch::start).transpose();
    put_watched(reactor, member, reserved, watch)
}

/// As above, with whatever watches its certificates, or why nothing can.
fn put_watched(
    reactor: &mut Reactor<RoleSet>,
    member: &Member,
    reserved: Vec<Reserved>,
    watch: Result<Option<Watch>, String>,
) -> Result<(RoleId, Option<Watch>), Faults> {
    let fault = |text: String| vec![(String::new(), text)];
    let watch = match watch {
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

/// Begins those who watch: what others ask for by HTTP, at `metrics`, and a console. Where one of them can't listen,
/// none of them has said that it does.
///
/// # Errors
/// Why one can't.
pub(in crate::app) fn begin_watchers(
    reactor: &mut Reactor<RoleSet>,
    metrics: Option<Endpoint>,
    console: Option<ConsoleConfig>,
) -> Result<Watchers, String> {
    let mut place = |at: &Endpoint, who: &str| {
        let place = reactor.reserve(at, &[]);
        place.map_err(|error| format!("{who}{}", cant_listen(at, &error)))
    };
    let metrics_at = metrics
        .as_ref()
        .map(|at| place(at, "metrics: "))
        .transpose()?;
    let console_at = console.as_ref().map(|own| place(&own.bind, "console: "));
    let console_at = match console_at.transpose() {
        Ok(place) => place,
        Err(text) => {
            reactor.cancel(metrics_at.into_iter().collect());
            return Err(text);
        }
    };
    let mut begin = |role: RoleSet, who: &str, place: Option<Reserved>| {
        let role = reactor.add_with(role, place.into_iter().collect());
        match reactor.failure(role) {
            Some(text) => Err(format!("{who}{text}")),
            None => Ok(role),
        }
    };
    let console = console.map(|own| {
        let console = RoleSet::Console(Console::new(own));
        begin(console, "console: ", console_at)
    });
    let console = console.transpose()?;
    let metrics = metrics.map(|listen| {
        let metrics = RoleSet::Metrics(Metrics::new(MetricsConfig { listen }));
        begin(metrics, "metrics: ", metrics_at)
    });
    Ok(Watchers {
        metrics: metrics.transpose()?,
        console,
    })
}

/// Those who watch.
pub(in crate::app) struct Watchers {
    pub(in crate::app) metrics: Option<RoleId>,
    pub(in crate::app) console: Option<RoleId>,
}

/// Listens for a role that is still to come. `leaving` are roles whose places it may take; `before` is the one that it
/// takes the place of, whose free ports, as the system once chose them, it goes on with.
///
/// # Errors
/// Why one of them can't be had, by the field; then none of them is.
pub(in crate::app) fn reserve(
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
pub(in crate::app) fn text_of(faults: &Faults) -> String {
    let texts: Vec<&str> = faults.iter().map(|(_, text)| text.as_str()).collect();
    texts.join("; ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Env, RunFile};
    use crate::reactor::mio_net::{self, MioNet};

    /// Where there is no thread for its certificates, nobody listens for it.
    #[test]
    fn what_can_t_be_watched_gives_its_places_back() {
        let net = MioNet::new(mio_net::Options::default()).expect("there is a network");
        let mut reactor = Reactor::new(Box::new(net), crate::reactor::Options::default());
        let at = std::env::temp_dir().join(format!("hydrant-begin-{}", std::process::id()));
        let dst = format!("unix:{}", at.display());
        let text = format!("[[relay]]\nsrc = \"127.0.0.1:9\"\ndst = \"{dst}\"\n");
        let file = RunFile::parse(&text, Path::new("/nonexistent"), &[], &Env::default());
        let member = file.expect("it is right").members.remove(0);
        let reserved = reserve(&mut reactor, &member, None, &[]).expect("it is free");
        assert!(at.exists() && reserve(&mut reactor, &member, None, &[]).is_err());
        let why = Err("no thread".to_owned());
        let faults = put_watched(&mut reactor, &member, reserved, why).err();
        assert_eq!(faults, Some(vec![(String::new(), "no thread".to_owned())]));
        assert!(!at.exists(), "nobody listens there any more");
    }
}
