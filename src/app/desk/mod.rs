//! What a console has in front of it: relays in tabs, each with its settings as they were typed, that are begun,
//! stopped, changed, chained and closed by whoever looks at the page; and the file that they are kept in.
//!
//! ```text
//!   page ──> Console ──TabCommand──> Desk ──┬─> reactor: roles begin and end
//!                  <──TabReply──────┘       └─> Document ──text──> Keeper ──> the file
//! ```

mod renewal;
mod tabs;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::time::Duration;

use self::renewal::Renewal;
use self::tabs::Draft;
use super::RoleSet;
use super::control;
use super::notify::Readings;
use super::posts::begin::begin_watchers;
use super::posts::panel::Panel;
use super::posts::{Orders, Post, Posts, Standing, TABS_MAX};
use super::pulse::Pulse;
use super::saving::keeper::{Keeper, Said, Writer};
use super::saving::kept_file;
use super::saving::kept_file::Kept;
use super::saving::lock::{Lock, lock_folder};
use super::saving::waiters::Waiters;
use crate::config::settings::{Document, Settings, fresh, import};
use crate::config::{self, ConsoleOrders, Globals, Verbosity, read_bounded};
use crate::reactor::{End, Reactor, RoleId, Turn, plain};
use crate::roles::console::Console;
use crate::roles::console::config::ConsoleConfig;
use crate::roles::listening::cant_listen;

/// What the owner of the loop remembers of a console.
pub(super) struct Desk {
    console: RoleId,
    tabs: Posts<Draft>,
    document: Document,
    /// `None`: nothing is kept.
    keeper: Option<Keeper>,
    /// Nothing is, though it should be: there is no place for it.
    is_homeless: bool,
    /// The number of the text that the last change is in, where nobody waits for it yet.
    changed: Option<u64>,
    waiters: Waiters,
    pulse: Pulse,
    renewal: Renewal,
    opens_browser: bool,
    announced: bool,
    /// Whoever started it sees in the log on stderr where it is.
    is_logged_there: bool,
}

impl Desk {
    /// Begins the console, and those relays that are to run.
    pub(super) fn start(
        reactor: &mut Reactor<RoleSet>,
        orders: &ConsoleOrders,
        origin: config::Origin,
        globals: &Globals,
    ) -> Result<Self, String> {
        let folder = orders.settings.as_deref().map(lock_folder).transpose()?;
        let (mut document, mut all, known) = match &orders.settings {
            Some(path) => read(path)?,
            None => (Document::empty(), Vec::new(), None),
        };
        if let Some(path) = &orders.import {
            take_over(read_import(path)?, &mut document, &mut all)?;
        }
        let is_new = all.is_empty();
        if is_new {
            let settings = fresh(&Default::default());
            document.push(&settings);
            all.push(settings);
        }
        let keeper = orders
            .settings
            .clone()
            .map(|path| {
                let run =
                    move |writer: Writer| writer.run_locked(folder.flatten().map(Lock::Folder));
                Keeper::start_with(path, known, Kept::Settings, reactor.waker(), run)
            })
            .transpose()?;
        if orders.settings.is_none() {
            log::warn!("console: settings are not saved: {HOMELESS}");
        }
        let begun = begin_watchers(
            reactor,
            globals.metrics.clone(),
            Some(orders.console.clone()),
        )?;
        let console = begun.console.expect("it was asked for");
        let sockets = origin.sockets().map(Path::to_owned);
        control::open(reactor, sockets.as_deref());
        let mut desk = Self {
            document,
            keeper,
            is_homeless: orders.settings.is_none(),
            renewal: Renewal::of(origin),
            opens_browser: orders.opens_browser,
            announced: false,
            is_logged_there: globals.log_file.is_none() && globals.verbosity != Verbosity::Quiet,
            ..Self::bare(console)
        };
        for settings in all {
            desk.tabs.place(Post::resting(Draft::new(settings)));
        }
        for place in 0..desk.tabs.len() {
            if desk.tabs[place].member.is_enabled() {
                // Where it can't, the others do all the same.
                desk.begin(reactor, place, None);
            }
        }
        if orders.import.is_some() {
            desk.save(Vec::new());
        }
        Ok(desk)
    }

    /// A console in front of a relay that runs already and belongs to somebody else. Nothing is kept.
    pub(super) fn around(
        reactor: &mut Reactor<RoleSet>,
        console: ConsoleConfig,
        settings: Settings,
        relay: RoleId,
    ) -> Result<Self, String> {
        // The place comes first: one that is taken by another is no end of anything.
        let place = reactor
            .reserve(&console.bind, &[])
            .map_err(|error| cant_listen(&console.bind, &error))?;
        let console = reactor.add_with(RoleSet::Console(Console::new(console)), vec![place]);
        let mut desk = Self::bare(console);
        desk.document.push(&settings);
        desk.tabs.place(Post::new(
            Draft::lent(settings),
            Standing::Running(relay),
            None,
        ));
        Ok(desk)
    }

    /// Nothing is in front of this console yet, nothing is kept or read again, and everybody knows where it is.
    fn bare(console: RoleId) -> Self {
        Self {
            console,
            tabs: Posts::new(),
            document: Document::empty(),
            keeper: None,
            is_homeless: false,
            changed: None,
            waiters: Waiters::default(),
            pulse: Pulse::default(),
            renewal: Renewal::default(),
            opens_browser: false,
            announced: true,
            is_logged_there: true,
        }
    }

    /// Takes out of those that ended what began here, with a tab or without one, and answers what was asked. `others`
    /// began elsewhere.
    pub(super) fn mind(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        ended: &mut Vec<(RoleId, End)>,
        others: &[RoleId],
    ) {
        for (role, end) in ended.iter() {
            self.tabs.note_end(*role, end.clone());
        }
        ended.retain(|(role, _)| others.contains(role));
        self.serve(reactor);
    }

    /// All that began here is over at once.
    pub(super) fn end(&self, reactor: &mut Reactor<RoleSet>) {
        let begun = self
            .tabs
            .iter()
            .filter(|tab| !tab.member.is_lent)
            .filter_map(Post::role);
        for role in begun.chain([self.console]) {
            reactor.with(role, |_, cx| cx.finish(End::Done));
        }
    }

    /// Where a browser finds it.
    pub(super) fn url(&self, reactor: &Reactor<RoleSet>) -> Option<String> {
        match reactor.role(self.console) {
            Some(RoleSet::Console(console)) => console.url(),
            _ => None,
        }
    }

    /// To be called after every turn, with what it came to and the roles that ended in it.
    pub(super) fn between_turns(
        &mut self,
        reactor: &mut Reactor<RoleSet>,
        turn: &Turn,
        ended: &mut Vec<(RoleId, End)>,
    ) -> Result<(), String> {
        for (role, end) in ended.drain(..) {
            match end {
                End::Failed(text) if role == self.console => return Err(text),
                end => {
                    self.tabs.note_end(role, end);
                }
            }
        }
        if *turn == Turn::Reloading {
            self.tabs.renew_certificates();
            self.renewal.begin(reactor);
        }
        self.renewal.end(reactor, self.console);
        if !self.announced {
            self.announced = true;
            self.announce(reactor);
        }
        self.serve(reactor);
        Ok(())
    }

    /// How the reading of its files goes.
    pub(super) fn readings(&self) -> Readings {
        self.renewal.readings()
    }

    fn serve(&mut self, reactor: &mut Reactor<RoleSet>) {
        self.answer_asked(reactor);
        self.begin_prepared(reactor);
        if let Some(keeper) = &self.keeper {
            if reactor.is_stopping() {
                self.waiters.end(reactor.now(), keeper);
            }
            self.waiters.answer_known(reactor, keeper);
        }
        let is_reading = self.renewal.is_under_way() || !self.tabs.beginning.is_empty();
        let waits = is_reading || !self.waiters.is_empty();
        self.pulse.note_waiting(reactor, waits);
    }

    /// The loop turns so often, though nothing happens in it.
    pub(super) fn turn_within(&mut self, reactor: &mut Reactor<RoleSet>, every: Option<Duration>) {
        self.pulse.set_every(reactor, every);
    }

    /// All is over: waits so long for the settings to be in their file.
    pub(super) fn finish(&mut self, patience: Duration) {
        if let Some(keeper) = &mut self.keeper {
            keeper.finish(patience);
        }
    }

    /// Says where the console is, and shows it.
    fn announce(&self, reactor: &Reactor<RoleSet>) {
        let Some(url) = self.url(reactor) else {
            return;
        };
        log::info!("console: open {url}");
        if !self.is_logged_there {
            super::complain(&format!("open {url}"));
        }
        if self.opens_browser {
            open_browser(&url);
        }
    }

    /// What the page shows is to be in the file, and these lines in the log once it is.
    fn save(&mut self, said: Vec<Said>) {
        if let Some(keeper) = &mut self.keeper {
            keeper.keep(self.document.text(), said);
            self.changed = Some(keeper.given());
        }
    }
}

/// What a file of settings says, and its text. One that is not there says nothing.
fn read(path: &Path) -> Result<(Document, Vec<Settings>, Option<String>), String> {
    let text = kept_file::read(path)
        .map_err(|error| format!("can't read {}: {}", path.display(), plain(&error)))?;
    let Some(text) = text else {
        return Ok((Document::empty(), Vec::new(), None));
    };
    let (document, mut all) =
        Document::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let others = document.strangers();
    if !others.is_empty() {
        let (path, others) = (path.display(), others.join(", "));
        log::warn!(
            "console: {path}: only [[relay]] counts here, and not {others}: hydrant run takes a file with those"
        );
    }
    for settings in &mut all {
        path.parent()
            .unwrap_or(path)
            .clone_into(&mut settings.folder);
    }
    Ok((document, all, Some(text)))
}

/// Puts imported tabs behind those that are there. One that is there already is left out: a service may be started with
/// the same import again and again.
fn take_over(
    imported: Vec<Settings>,
    document: &mut Document,
    all: &mut Vec<Settings>,
) -> Result<(), String> {
    let known = all.len();
    for mut settings in imported {
        if all[..known]
            .iter()
            .any(|known| known.fields == settings.fields)
        {
            continue;
        }
        if all.len() >= TABS_MAX {
            return Err(format!("--import: {TABS_MAX} tabs are the most"));
        }
        tabs::rename(&mut settings, all);
        document.push(&settings);
        all.push(settings);
    }
    Ok(())
}

fn read_import(path: &Path) -> Result<Vec<Settings>, String> {
    let text = read_bounded(path, IMPORT_MAX)
        .and_then(|(bytes, _)| match bytes.len() as u64 {
            0..=IMPORT_MAX => String::from_utf8(bytes).map_err(io::Error::other),
            _ => Err(io::Error::other("it is longer than 1M")),
        })
        .map_err(|error| format!("can't read --import {}: {}", path.display(), plain(&error)))?;
    import(&text, TABS_MAX).map_err(|error| format!("--import {}: {error}", path.display()))
}

/// Why nothing is saved.
const HOMELESS: &str = "there is neither HOME nor XDG_CONFIG_HOME to have them in";
/// The longest file that is imported.
const IMPORT_MAX: u64 = 1 << 20;

/// Shows a page in the user's browser, if there is one. Nothing depends on it. What opens hydrant's doors is nothing
/// that a browser, and all that it starts, should have in its environment.
fn open_browser(url: &str) {
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    if !has_screen {
        return;
    }
    let opener = std::process::Command::new("xdg-open")
        .arg(url)
        .env_remove("HYDRANT_TOKEN")
        .env_remove("HYDRANT_PROXY")
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    if let Ok(mut opener) = opener {
        // Somebody has to hear of its end.
        let _ = std::thread::Builder::new()
            .name("browser".to_owned())
            .spawn(move || opener.wait());
    }
}
