//! The tabs: what each is made of, and what becomes of that when somebody asks.

use std::collections::BTreeSet;

use super::{Desk, HOMELESS, RoleSet};
use crate::app::posts::change::{Change, change};
use crate::app::posts::fields::{RUNS, Sent, take_fields};
use crate::app::posts::panel::{By, Panel, refused};
use crate::app::posts::{Orders, Post, Posts, Standing, TABS_MAX};
use crate::app::saving::keeper::{About, Keeper, Said};
use crate::app::saving::waiters::Waiter;
use crate::config::settings::{Settings, chained, fresh};
use crate::config::{Member, Run, Sheet};
use crate::reactor::net::Signal;
use crate::reactor::tabs::{Faults, TabReply, Tabs};
use crate::reactor::{Event, Reactor, RoleId};

/// What a tab is made of, as it was typed.
#[derive(Clone, PartialEq)]
pub(in crate::app) struct Draft {
    pub(super) settings: Settings,
    /// What runs is made of this.
    made: Option<Member>,
    /// Its relay belongs to somebody else, who ends it.
    pub(super) is_lent: bool,
}

impl Draft {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            made: None,
            is_lent: false,
        }
    }

    /// One whose relay somebody else has begun.
    pub(super) fn lent(settings: Settings) -> Self {
        Self {
            is_lent: true,
            ..Self::new(settings)
        }
    }
}

impl Orders for Draft {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn label(&self) -> String {
        match self.is_lent {
            // It was begun without a name.
            true => "relay".to_owned(),
            false => format!("relay[{}]", self.settings.name),
        }
    }

    fn kind(&self) -> &'static str {
        "relay"
    }

    fn is_enabled(&self) -> bool {
        self.settings.enabled
    }

    fn shows(&self) -> bool {
        self.settings.dump
    }

    fn sheet(&self) -> Option<Sheet> {
        let (command, unsaid) = self.settings.command();
        Some(Sheet {
            fields: self.settings.shown(),
            command,
            unsaid,
        })
    }

    fn check(&self) -> Result<(Member, bool), Faults> {
        self.settings.check()
    }

    fn member(&self) -> Result<Member, Faults> {
        self.settings.member()
    }

    fn made(&mut self, member: Member) {
        self.made = Some(member);
    }
}

impl Panel for Desk {
    type Orders = Draft;

    fn posts(&mut self) -> &mut Posts<Draft> {
        &mut self.tabs
    }

    fn kept(&self) -> Tabs {
        let keeper = self.keeper.as_ref();
        Tabs {
            file: keeper.map(|keeper| keeper.path().display().to_string()),
            fault: match self.is_homeless {
                true => Some(HOMELESS.to_owned()),
                false => keeper.and_then(|keeper| keeper.fault()),
            },
            note: keeper.and_then(Keeper::theirs),
            is_kept: true,
            ..Tabs::default()
        }
    }

    fn reloads(&self) -> (u64, u64) {
        (0, 0)
    }

    fn reload(&mut self, _: &mut Reactor<RoleSet>, _: By) -> Option<TabReply> {
        Some(refused("there is no run file: hydrant run FILE has one"))
    }

    fn add(&mut self, _: &mut Reactor<RoleSet>, _: By, after: Option<u64>) -> Option<TabReply> {
        Some(self.add_tab(after))
    }

    fn change(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        _: By,
        place: usize,
        fields: Vec<(String, String)>,
    ) -> Option<TabReply> {
        Some(match self.tabs[place].role() {
            Some(role) => self.change_running(reactor, place, role, &fields),
            None if self.tabs.is_beginning(place) => refused("it is starting"),
            None => self.change_resting(place, &fields),
        })
    }

    fn remove(&mut self, reactor: &mut Reactor<RoleSet>, _: By, place: usize) -> Option<TabReply> {
        self.give_up_beginning(reactor, place);
        let tab = self.tabs.remove(place);
        if let Some(role) = tab.role() {
            reactor.tell(role, Event::Drain(Signal::Command));
        }
        self.document.remove(place);
        if self.tabs.is_empty() {
            return Some(self.add_tab(None));
        }
        self.save(Vec::new());
        Some(TabReply::Done)
    }

    fn show(&mut self, place: usize, on: bool) {
        self.tabs[place].member.settings.dump = on;
        self.changed(place);
    }

    fn note_enabled(&mut self, _: &mut Reactor<RoleSet>, place: usize, on: bool) {
        self.tabs[place].member.settings.enabled = on;
        self.changed(place);
    }

    fn is_fixed(&self, place: usize) -> Option<&'static str> {
        let is_lent = self.tabs[place].member.is_lent;
        is_lent.then_some("the demo needs it as it is: Ctrl-C in its terminal ends both")
    }

    fn take_changed(&mut self) -> Option<u64> {
        self.changed.take()
    }

    fn answer_kept(&mut self, reactor: &mut Reactor<RoleSet>, by: By, reply: TabReply, what: u64) {
        let waiter = Waiter::new(by, reply, reactor.now(), what);
        self.waiters.wait(waiter);
    }
}

impl Desk {
    fn names(&self) -> BTreeSet<String> {
        let tabs = self.tabs.iter();
        tabs.map(|tab| tab.member.settings.name.clone()).collect()
    }

    fn add_tab(&mut self, after: Option<u64>) -> TabReply {
        if self.tabs.len() >= TABS_MAX {
            return TabReply::Refused(format!("{TABS_MAX} tabs are the most"));
        }
        let names = self.names();
        let asked = self.tabs.iter().find(|tab| Some(tab.id) == after);
        let settings = match asked.or(self.tabs.last()) {
            Some(before) => chained(&before.member.settings, &names),
            None => fresh(&names),
        };
        self.document.push(&settings);
        let id = self.tabs.place(Post::resting(Draft::new(settings)));
        self.save(Vec::new());
        TabReply::Added(id)
    }

    fn change_resting(&mut self, place: usize, fields: &[(String, String)]) -> TabReply {
        let mut settings = self.tabs[place].member.settings.clone();
        let Sent {
            shows, mut faults, ..
        } = take_fields(&mut settings, fields, false, FILE, |settings, name| {
            self.fault_of_name(settings, name)
        });
        settings.dump = shows.unwrap_or(settings.dump);
        let tab = &mut self.tabs[place];
        tab.member.settings = settings;
        (tab.standing, tab.is_in_vain) = (Standing::Stopped { was_told: true }, false);
        faults.extend(tab.member.settings.check().err().unwrap_or_default());
        tab.faults.clone_from(&faults);
        self.changed(place);
        TabReply::Faults(faults)
    }

    /// Options that may change while a relay runs do so at once; where anything is wrong, none of them does.
    fn change_running(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        place: usize,
        role: RoleId,
        fields: &[(String, String)],
    ) -> TabReply {
        let mut settings = self.tabs[place].member.settings.clone();
        let Sent {
            shows, mut faults, ..
        } = take_fields(&mut settings, fields, true, FILE, |settings, name| {
            let wrong = self.fault_of_name(settings, name);
            Some(wrong.unwrap_or_else(|| RUNS.to_owned()))
        });
        settings.dump = shows.unwrap_or(settings.dump);
        let tab = &mut self.tabs[place];
        let made = settings.check();
        faults.extend(made.as_ref().err().cloned().unwrap_or_default());
        if faults.is_empty()
            && let (Ok((mut new, _)), Some(old)) = (made, &tab.member.made)
        {
            keep_read(old, &mut new);
            match change(old, &mut new) {
                how @ (Change::None | Change::Options) => {
                    tab.member.settings = settings;
                    tab.faults = take_options(reactor, role, how, &new);
                    tab.member.made = Some(new);
                    self.changed(place);
                    return TabReply::Faults(faults);
                }
                _ => faults.push((String::new(), RUNS.to_owned())),
            }
        }
        // What is refused is not there: whoever asked is told, and nothing is wrong with what runs.
        tab.faults.clear();
        self.changed(place);
        TabReply::Faults(faults)
    }

    /// Why a tab with these settings can't have another name.
    fn fault_of_name(&self, settings: &Settings, name: &str) -> Option<String> {
        if self.names().contains(name) {
            return Some("another relay has this name".to_owned());
        }
        let renamed = Settings {
            name: name.to_owned(),
            ..settings.clone()
        };
        let mut faults = renamed.check().err().unwrap_or_default().into_iter();
        let fault = faults.find(|(field, _)| field == "name");
        fault.map(|(_, text)| text)
    }

    /// A tab's settings are others: the file is to say so.
    fn changed(&mut self, place: usize) {
        let tab = &self.tabs[place];
        let (id, settings) = (&tab.id, &tab.member.settings);
        let name = &settings.name;
        let gone = self.document.set(place, settings).into_iter();
        let said = gone.map(|dst| Said {
            line: Some(format!(
                "relay[{name}]: the section of {dst} has gone out of the settings file"
            )),
            about: About::Section(Some(*id), dst),
        });
        self.save(said.collect());
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

/// Gives settings a name that none of `all` has.
pub(super) fn rename(settings: &mut Settings, all: &[Settings]) {
    let names: BTreeSet<String> = all.iter().map(|settings| settings.name.clone()).collect();
    if names.contains(&settings.name) {
        settings.name = fresh(&names).name;
    }
}

/// What a field that no page changes is set in.
const FILE: &str = "settings file";
