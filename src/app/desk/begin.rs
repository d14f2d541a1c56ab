//! How a tab's relay begins, and how it changes as it runs. Names and files are looked up in a thread, so that no dead
//! name server and no slow disk holds up the relays beside it.

use super::tabs::Standing;
use super::{Desk, RoleSet};
use crate::app::begin::{begin, text_of};
use crate::app::change::{Change, change};
use crate::app::errand::{Errand, Known, look_up};

use crate::base::endpoint::{Endpoint, Host};
use crate::config::settings::{FIELD_MAX, is_live};
use crate::config::{Member, Run};
use crate::reactor::command::{Reply, Ticket};
use crate::reactor::tabs::{Faults, TabReply};
use crate::reactor::{Reactor, RoleId};

/// A tab whose relay begins as soon as its files have been read and its names looked up.
pub(super) struct Starting {
    tab: u64,
    pub(super) ready: Errand<Result<(Member, Vec<Known>), Faults>>,
    asked: Option<(RoleId, Ticket)>,
}

impl Desk {
    pub(super) fn is_starting(&self, place: usize) -> bool {
        let id = self.tabs[place].id;
        self.starting.iter().any(|one| one.tab == id)
    }

    pub(super) fn start_tab(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        by: (RoleId, Ticket),
        place: usize,
    ) -> Option<TabReply> {
        if self.tabs[place].role().is_some() || self.is_starting(place) {
            let why = "it runs already, or is still stopping";
            return Some(TabReply::Refused(why.to_owned()));
        }
        self.begin(reactor, place, Some(by)).map(|begun| {
            self.changed(place);
            begun.map_or_else(TabReply::Faults, |()| TabReply::Done)
        })
    }

    /// A tab that is to run from the beginning. Where it can't, the others do all the same.
    pub(super) fn begin_noted(&mut self, reactor: &mut Reactor<RoleSet>, place: usize) {
        if let Some(Err(faults)) = self.begin(reactor, place, None) {
            self.note_faults(place, &faults);
        }
    }

    fn note_faults(&self, place: usize, faults: &Faults) {
        let name = &self.tabs[place].settings.name;
        for (_, text) in faults {
            log::error!("relay[{name}]: {text}");
        }
    }

    /// Begins a tab's relay. `None`: that takes a while, and whoever asked is answered then.
    fn begin(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        place: usize,
        asked: Option<(RoleId, Ticket)>,
    ) -> Option<Result<(), Faults>> {
        let tab = &self.tabs[place];
        let is_name = |at: &&Endpoint| {
            matches!(
                at,
                Endpoint::Tcp {
                    host: Host::Name(_),
                    ..
                }
            )
        };
        let made = match tab.settings.check() {
            Ok((member, false)) if !member.run.listens().iter().any(is_name) => Ok(member),
            Err(faults) => Err(faults),
            Ok(_) => {
                let settings = tab.settings.clone();
                let prepare = move || {
                    let member = settings.member()?;
                    let names = look_up(member.run.listens());
                    Ok((member, names))
                };
                match Errand::begin("start", reactor.waker(), prepare) {
                    Ok(ready) => {
                        let tab = tab.id;
                        self.starting.push(Starting { tab, ready, asked });
                        return None;
                    }
                    Err(text) => Err(vec![(String::new(), text)]),
                }
            }
        };
        Some(self.begin_now(reactor, place, made))
    }

    /// Begins those that are ready by now.
    pub(super) fn begin_ready(&mut self, reactor: &mut Reactor<RoleSet>) {
        let mut at = 0;
        while at < self.starting.len() {
            let Some(ready) = self.starting[at].ready.outcome() else {
                at += 1;
                continue;
            };
            let Starting { tab, asked, .. } = self.starting.remove(at);
            let broken = || Err(vec![(String::new(), "looking it up broke off".to_owned())]);
            let made = ready.unwrap_or_else(|_| broken());
            let Some(place) = self.tabs.iter().position(|known| known.id == tab) else {
                continue;
            };
            let made = made.map(|(member, names)| {
                reactor.know_hosts(names);
                member
            });
            let begun = self.begin_now(reactor, place, made);
            reactor.know_hosts([]);
            match asked {
                Some((by, ticket)) => {
                    self.changed(place);
                    let reply = begun.map_or_else(TabReply::Faults, |()| TabReply::Done);
                    reactor.answer(by, ticket, Reply::Tab(reply));
                }
                None => {
                    if let Err(faults) = begun {
                        self.note_faults(place, &faults);
                    }
                }
            }
        }
    }

    /// A tab that is starting does not. Whether it was.
    pub(super) fn give_up_start(&mut self, reactor: &mut Reactor<RoleSet>, place: usize) -> bool {
        let id = self.tabs[place].id;
        let Some(at) = self.starting.iter().position(|one| one.tab == id) else {
            return false;
        };
        if let Some((by, ticket)) = self.starting.remove(at).asked {
            let reply = TabReply::Refused("it was stopped before it began".to_owned());
            reactor.answer(by, ticket, Reply::Tab(reply));
        }
        self.tabs[place].settings.enabled = false;
        self.changed(place);
        true
    }

    fn begin_now(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        place: usize,
        made: Result<Member, Faults>,
    ) -> Result<(), Faults> {
        let begun = made.and_then(|member| {
            let (role, watch) = begin(reactor, &member)?;
            Ok((role, watch, member))
        });
        let tab = &mut self.tabs[place];
        match begun {
            Ok((role, watch, member)) => {
                tab.standing = Standing::Running(role);
                tab.watch = watch;
                tab.member = Some(member);
                tab.settings.enabled = true;
                tab.faults.clear();
                Ok(())
            }
            Err(faults) => {
                tab.standing = Standing::Failed(text_of(&faults));
                tab.faults.clone_from(&faults);
                Err(faults)
            }
        }
    }

    /// Options that may change while a relay runs do so at once; where anything is wrong, none of them does.
    pub(super) fn change_running(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        place: usize,
        role: RoleId,
        fields: &[(String, String)],
    ) -> TabReply {
        let tab = &mut self.tabs[place];
        let mut settings = tab.settings.clone();
        let mut faults = Vec::new();
        for (key, value) in fields {
            let value = value.trim();
            let mut wrong = |text: String| faults.push((key.clone(), text));
            match key.as_str() {
                "name" if settings.name == value => {}
                "dump" => settings.dump = value == "true",
                _ if value.len() > FIELD_MAX => wrong(format!("at most {FIELD_MAX} bytes")),
                key if is_live(key) => settings.set(key, value),
                key if settings.get(key) == value => {}
                _ => wrong("it runs: stop it to change this".to_owned()),
            }
        }
        let made = settings.check();
        faults.extend(made.as_ref().err().cloned().unwrap_or_default());
        if faults.is_empty()
            && let (Ok((mut new, _)), Some(old)) = (made, &tab.member)
        {
            keep_read(old, &mut new);
            match change(old, &mut new) {
                how @ (Change::None | Change::Options) => {
                    tab.settings = settings;
                    tab.faults = take_options(reactor, role, how, &new);
                    tab.member = Some(new);
                    self.changed(place);
                    return TabReply::Faults(faults);
                }
                _ => faults.push((String::new(), "it runs: stop it to change this".to_owned())),
            }
        }
        // What is refused is not there: whoever asked is told, and nothing is wrong with what runs.
        tab.faults.clear();
        self.changed(place);
        TabReply::Faults(faults)
    }
}

/// A relay that runs takes options over. What of them can't hold is said; the rest does, and all of it is kept.
fn take_options(
    reactor: &mut Reactor<RoleSet>,
    role: RoleId,
    how: Change,
    member: &Member,
) -> Faults {
    let held = reactor.with(role, |role, cx| match how {
        Change::Options => role.set_options(cx, &member.run),
        _ => Ok(()),
    });
    let Some(Err(text)) = held else {
        return Faults::new();
    };
    log::warn!("{}: {text}", member.label());
    vec![(String::new(), text)]
}

/// What files held is still so.
fn keep_read(old: &Member, new: &mut Member) {
    new.certificates.clone_from(&old.certificates);
    if let (Run::Relay(old), Run::Relay(new)) = (&old.run, &mut new.run) {
        new.upstream_send = old.upstream_send.clone();
        new.tls = old.tls.clone();
    }
}
