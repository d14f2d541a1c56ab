//! What somebody wants of a run file, as it is to be changed in the text by the time that its turn has come.

use std::collections::BTreeSet;

use super::Want;
use crate::app::fleet::{Fleet, Origin};
use crate::app::posts::fields::settings_of;
use crate::app::posts::{Post, Posts, TABS_MAX};
use crate::base::endpoint::Endpoint;
use crate::config::Run;
use crate::config::run_file::Edit;

impl Fleet {
    /// What is to be changed of the text, as things are now; or why there is nothing to change.
    pub(super) fn edit_of(&self, want: &Want) -> Result<Edit, String> {
        let name = |id| name_of(&self.posts, id).ok_or("there is no such role any more");
        Ok(match want {
            Want::Set { id, fields } => Edit::Set {
                name: name(*id)?,
                fields: fields.clone(),
            },
            Want::Enable { id, on } => Edit::Enable {
                name: name(*id)?,
                on: *on,
            },
            Want::Remove { id } => Edit::Remove {
                name: name(*id)?,
                taken: self.taken(Some(*id)),
            },
            Want::Chain { .. } if self.posts.len() >= TABS_MAX => {
                return Err(format!(
                    "a page adds none to {TABS_MAX} roles: add it in the run file"
                ));
            }
            Want::Chain { after } => self.chain(*after),
        })
    }

    /// The relay that goes on where another ends, where nothing else is, as things are now.
    fn chain(&self, after: Option<u64>) -> Edit {
        let names: BTreeSet<String> = self
            .posts
            .iter()
            .map(|post| post.member.name.clone())
            .collect();
        let is_relay = |post: &&Post| matches!(post.member.run, Run::Relay(_));
        let mut relays = self.posts.iter().filter(is_relay);
        let asked = relays.clone().find(|post| Some(post.id) == after);
        let before = asked.or_else(|| relays.next_back()).map(settings_of);
        Edit::chain(before.as_ref(), &names, &self.taken(None))
    }

    /// Where all listen who are there, or would be once they are begun; but for one of them, by its id.
    fn taken(&self, but: Option<u64>) -> Vec<Endpoint> {
        let others = self.posts.iter().filter(|post| Some(post.id) != but);
        let places = others.flat_map(|post| post.member.run.listens());
        let mut taken: Vec<_> = places.cloned().collect();
        if let Origin::File(file) = &self.origin {
            let console = file.globals.console.as_ref();
            taken.extend(console.map(|console| console.bind.clone()));
            taken.extend(file.globals.metrics.clone());
        }
        taken
    }
}

/// What a role is called by now.
pub(super) fn name_of(posts: &Posts, id: u64) -> Option<String> {
    let place = posts.place_of(id)?;
    Some(posts[place].member.name.clone())
}
