//! Whom a command is for, where several roles run, or several processes.

use std::path::PathBuf;

use super::{Status, show};
use crate::base::units::Typed;
use crate::reactor::Cx;

impl Status {
    /// Goes on with the role that is meant: its process's socket, its id and its name.
    pub(super) fn with_role(
        &mut self,
        cx: &mut Cx<'_>,
        role: Option<String>,
        go_on: impl FnOnce(&mut Self, &mut Cx<'_>, PathBuf, u64, String),
    ) {
        let mut meant = Vec::new();
        for (_, at, state) in &self.states {
            for one in show::list(state, "roles") {
                let name = show::text(one, "name");
                let is_it = role.as_ref().is_none_or(|role| *role == name);
                if let (true, Some(id)) = (is_it, one["id"].as_u64()) {
                    meant.push((at.clone(), id, name));
                }
            }
        }
        let count = meant.len();
        // One that is not named may be that of a process that has not answered.
        let is_clear = role.is_some() || self.silent.is_empty();
        match (meant.pop(), role) {
            (Some((at, id, name)), _) if count == 1 && is_clear => go_on(self, cx, at, id, name),
            (None, _) if !self.silent.is_empty() => self.shown_all(cx),
            (Some(_), None) if count == 1 => self.refuse(cx, self.which_process()),
            (None, Some(role)) => {
                let why = format!(
                    "no role {} runs here: hydrant status shows them",
                    Typed(&role)
                );
                self.refuse(cx, why);
            }
            (None, None) => self.refuse(cx, "no role runs here".to_owned()),
            (Some(_), Some(_)) => self.refuse(cx, self.which_process()),
            (Some(_), None) => {
                let why = "several roles run here: add the name of the one that is meant";
                self.refuse(cx, why.to_owned());
            }
        }
    }

    /// Who has not answered, or not so that it can be read.
    pub(super) fn who_is_silent(&self) -> Option<String> {
        let quiet = self.silent.iter().filter(|(_, why)| why.is_none());
        let quiet: Vec<&str> = quiet.map(|(name, _)| name.as_str()).collect();
        let mut who = match quiet.as_slice() {
            [] => Vec::new(),
            [one] => vec![format!("process {one} does not answer")],
            all => vec![format!("processes {} do not answer", all.join(", "))],
        };
        who.extend(self.silent.iter().filter_map(|(name, why)| {
            let why = why.as_ref()?;
            Some(format!("the answer of process {name} can't be read: {why}"))
        }));
        if who.is_empty() {
            return None;
        }
        let who = who.join("; ");
        let undone = if self.does() {
            ": nothing was done"
        } else {
            ""
        };
        Some(who + undone)
    }

    pub(super) fn which_process(&self) -> String {
        let answered = self.states.iter().map(|(name, ..)| name.clone());
        let silent = self.silent.iter();
        let silent = silent.map(|(name, why)| match why {
            None => format!("{name}, which does not answer"),
            Some(_) => format!("{name}, whose answer can't be read"),
        });
        let names: Vec<String> = answered.chain(silent).collect();
        let names = names.join(", ");
        format!("several processes may be meant ({names}): add --pid PID")
    }
}
