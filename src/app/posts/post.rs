//! What becomes of one role: it begins, takes over other orders as it runs, or rests.

use super::begin::{put, text_of};
use super::change::Change;
use super::{Post, Standing};
use crate::app::RoleSet;
use crate::config::{Member, Run};
use crate::reactor::{Reactor, Reserved, RoleId};
use crate::roles::relay::config::DumpFormat;

impl Post {
    /// Begins a role.
    ///
    /// # Errors
    /// Why it can't begin; then it is over with the next turn.
    pub(in crate::app) fn begin(
        reactor: &mut Reactor<RoleSet>,
        member: Member,
        reserved: Vec<Reserved>,
    ) -> Result<Self, String> {
        let (role, watch) = put(reactor, &member, reserved).map_err(|faults| text_of(&faults))?;
        let standing = Standing::Running(role);
        Ok(Self::new(member, standing, watch))
    }

    /// It does not run, or does not any more, and has these orders when it is begun.
    pub(in crate::app) fn rests(mut self, member: Member) -> Self {
        if let Standing::Running(role) = self.standing {
            self.standing = Standing::Told(role);
        }
        self.take(member);
        self
    }

    /// It has these orders; what was wrong with others is no more.
    pub(in crate::app) fn take(&mut self, member: Member) {
        if self.member != member {
            self.forgive();
        }
        self.member = member;
    }

    /// It takes the place of another, or is the next.
    pub(in crate::app) fn after(mut self, before: Option<&Self>, next_id: &mut u64) -> Self {
        self.shows = before.is_some_and(|before| before.shows);
        self.id = before.map_or(*next_id, |before| before.id);
        *next_id = (*next_id).max(self.id + 1);
        self
    }

    /// The same role with other orders, which it takes over as it runs. What of them can't hold is said, and is tried
    /// again with the next reload; the rest holds.
    pub(in crate::app) fn change(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        change: Change,
        member: Member,
    ) {
        let run = &member.run;
        let (Some(role), true) = (self.role(), change != Change::None) else {
            return self.take(member);
        };
        let held = reactor.with(role, |role, cx| {
            if change == Change::Source {
                role.set_source(cx, run);
            }
            role.set_options(cx, run)
        });
        self.take(member);
        self.lacks = false;
        if let Some(Err(text)) = held {
            log::warn!("{}: {text}", self.member.label());
            self.faults = vec![(String::new(), text)];
            self.lacks = true;
        }
    }

    /// The relay that shows its payload on stdout, and how, if this is one.
    pub(in crate::app) fn dumps(&self, reactor: &Reactor<RoleSet>) -> Option<(RoleId, DumpFormat)> {
        let Run::Relay(config) = &self.member.run else {
            return None;
        };
        let role = self.role()?;
        let view = reactor.role(role)?.view(reactor.clock())?;
        view.dump.and(config.dump).map(|format| (role, format))
    }
}
