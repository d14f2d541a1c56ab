//! Roles of a run file, on the real loop, and what happens to them and to the file when commands, changes and readings
//! come at the worst moment for each other.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use super::reload::{Read, Reading};
use super::scribe::making::UnderWay;
use super::{Fleet, Origin, Watching};
use crate::app::RoleSet;
use crate::app::errand::Hosts;
use crate::app::errand::tests::held;
use crate::app::posts::Standing;
use crate::app::posts::panel::Panel;
use crate::app::saving::keeper::LAST_SAVE;
use crate::app::saving::keeper::tests::held_keeper;
use crate::app::saving::kept_file::Kept;
use crate::app::tests::DEADLINE;
use crate::config::run_file::Edit;
use crate::config::{Env, RunFile};
use crate::reactor::command::{Reply, RoleState, Ticket};
use crate::reactor::mio_net::blocking::Conn;
use crate::reactor::mio_net::{self, MioNet};
use crate::reactor::net::Addr;
use crate::reactor::tabs::{Tab, TabCommand, TabReply};
use crate::reactor::{Reactor, RoleId, Turn};

/// Roles that run, and the file that they came from.
pub(super) struct Rig {
    folder: PathBuf,
    pub(super) reactor: Reactor<RoleSet>,
    pub(super) fleet: Fleet,
    /// Who asks.
    page: RoleId,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.fleet.finish(LAST_SAVE);
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Rig {
    pub(super) fn new(roles: &str) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let (of, number) = (process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(format!("hydrant-fleet-{of}-{number}"));
        // Of a process that had this number and was killed.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("a folder");
        let path = folder.join("f.toml");
        let text = format!("[console]\nbind = \"127.0.0.1:0\"\nsave = true\n{roles}");
        fs::write(&path, text).expect("the folder can be written");
        let file = RunFile::load(&path, &[], &Env::default()).expect("it is right");
        let net = MioNet::new(mio_net::Options::default()).expect("there is a network");
        let mut reactor = Reactor::new(Box::new(net), crate::reactor::Options::default());
        let watching = Watching {
            console: file.globals.console.clone(),
            ..Watching::default()
        };
        let fleet = Fleet::start(&mut reactor, file, watching).expect("all can begin");
        let page = fleet.console().expect("there is a page");
        Self {
            folder,
            reactor,
            fleet,
            page,
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join("f.toml")
    }

    pub(super) fn saved(&self) -> String {
        fs::read_to_string(self.path()).expect("it is there")
    }

    /// Nothing is written before the test says so.
    pub(super) fn hold(&mut self) -> Sender<()> {
        let (path, wake) = (self.path(), self.reactor.waker());
        let scribe = self.fleet.scribe.as_mut().expect("the file is kept");
        let known = Some(scribe.text.clone());
        let go;
        (scribe.keeper, go) = held_keeper(path, known, Kept::RunFile, wake);
        go
    }

    pub(super) fn between(&mut self, turn: &Turn) {
        let between = self
            .fleet
            .between_turns(&mut self.reactor, turn, &mut Vec::new());
        between.expect("nothing ends");
    }

    /// Turns until something is so.
    #[track_caller]
    pub(super) fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let end = self.reactor.clock() + DEADLINE;
        while !is_so(self) {
            assert!(self.reactor.clock() < end, "never {what}: {}", self.saved());
            let mut ended = Vec::new();
            let turn = self.reactor.turn(&mut ended).expect("it can wait");
            let between = self
                .fleet
                .between_turns(&mut self.reactor, &turn, &mut ended);
            between.expect("nothing ends");
        }
    }

    pub(super) fn is_idle(&mut self) -> bool {
        let scribe = self.fleet.scribe.as_ref();
        self.fleet.reading.is_none()
            && self.fleet.posts.beginning.is_empty()
            && scribe.is_none_or(|scribe| scribe.is_idle())
    }

    /// Asks for something. `None`: that takes a while.
    pub(super) fn ask(&mut self, command: TabCommand) -> Option<TabReply> {
        let by = (self.page, Ticket(u64::MAX));
        self.fleet.obey(&mut self.reactor, by, command)
    }

    /// As a page does: the answer comes with a turn.
    pub(super) fn post(&mut self, command: TabCommand) {
        self.fleet.take_changed();
        if let Some(reply) = self.ask(command) {
            let by = (self.page, Ticket(u64::MAX));
            self.fleet.answer(&mut self.reactor, by, reply);
        }
    }

    pub(super) fn set(&mut self, tab: u64, key: &str, value: &str) -> Option<TabReply> {
        let fields = vec![(key.to_owned(), value.to_owned())];
        self.ask(TabCommand::Change { tab, fields })
    }

    pub(super) fn tab(&mut self, id: u64) -> Tab {
        let Some(TabReply::List(tabs)) = self.ask(TabCommand::List {
            from: 0,
            is_brief: false,
        }) else {
            panic!("it is answered at once");
        };
        let mut rows = tabs.rows.into_iter();
        rows.find(|tab| tab.id == id).expect("it is there")
    }

    /// What the page says of the file.
    pub(super) fn fault(&mut self) -> Option<String> {
        let Some(TabReply::List(tabs)) = self.ask(TabCommand::List {
            from: 0,
            is_brief: false,
        }) else {
            panic!("it is answered at once");
        };
        tabs.fault
    }

    pub(super) fn errors(&mut self, id: u64) -> Vec<(String, String)> {
        self.tab(id).settings.expect("it has some").faults
    }
}

pub(super) fn relay(name: &str, more: &str) -> String {
    format!("[[relay]]\nname = \"{name}\"\nsrc = \"127.0.0.1:9\"\ndst = \"127.0.0.1:0\"\n{more}\n")
}

/// A change that has been checked while the file is being read waits for that, and is made of what that has found.
#[test]
fn a_change_in_the_midst_of_a_reading_is_not_lost() {
    let mut rig = Rig::new(&relay("a", ""));
    let Origin::File(file) = &rig.fleet.origin else {
        panic!("it is a file");
    };
    let origin = file.origin();
    let before = rig.saved();
    // It is read first, and takes its time.
    let (known, text) = (origin.clone(), before.clone());
    let (reading, go, through) = held(move || known.with(text).map(Read::of));
    let edit = Edit::Set {
        name: "a".to_owned(),
        fields: vec![("max-lag".to_owned(), "3s".to_owned())],
    };
    assert_eq!(rig.set(1, "max-lag", "3s"), None);
    let text = edit.apply(&before).expect("it is there");
    let meant = text.clone();
    let (checked, go_first, first) = held(move || Ok(origin.with(meant).map(Read::of)?));
    let scribe = rig.fleet.scribe.as_mut().expect("the file is kept");
    let under_way = scribe.under_way.take().expect("it was just begun");
    scribe.under_way = Some(UnderWay {
        reading: Reading::of(checked),
        ..under_way
    });
    rig.fleet.reading = Some((Reading::of(reading), Vec::new()));
    go_first.send(()).expect("it waits");
    first.recv_timeout(DEADLINE).expect("it is through");
    rig.between(&Turn::Going);
    let scribe = rig.fleet.scribe.as_ref().expect("the file is kept");
    assert!(scribe.under_way.is_some() && scribe.text == before);
    go.send(()).expect("it waits");
    through.recv_timeout(DEADLINE).expect("it is through");
    rig.between(&Turn::Going);
    rig.until("all done", |rig| rig.is_idle() && rig.saved() == text);
    // And nobody thinks that somebody else was it.
    rig.set(1, "max-lag", "4s");
    rig.until("changed", |rig| rig.is_idle() && rig.saved().contains("4s"));
}

/// As fast as they come.
#[test]
fn changes_in_quick_succession_are_nobody_else_s() {
    let mut rig = Rig::new(&relay("a", ""));
    for lag in 1..40 {
        assert_eq!(rig.set(1, "max-lag", &format!("{lag}s")), None);
        rig.until("checked", |rig| {
            let scribe = rig.fleet.scribe.as_ref();
            scribe.is_some_and(|scribe| scribe.is_idle())
        });
        let lag = format!("max-lag = \"{lag}s\"");
        let scribe = rig.fleet.scribe.as_ref().expect("the file is kept");
        assert!(scribe.text.contains(&lag), "{}", scribe.text);
    }
}

/// What a console has no use for stands there, and no change of another field is to blame for it.
#[test]
fn a_relay_that_a_console_would_not_take_is_changed() {
    let own = "enabled = false\n[[relay]]\nname = \"b\"\nsrc = \"-\"\ndst = \"ws://127.0.0.1:0\"\n\
               enabled = false\norigin = [\"https://a\", \"https://b\"]";
    let mut rig = Rig::new(&relay("a", own));
    assert_eq!(rig.set(2, "max-lag", "3s"), None);
    rig.until("saved", |rig| rig.saved().contains("max-lag"));
    assert_eq!(rig.set(2, "origin", "https://a, https://c"), None);
    let list = "origin = [\"https://a\", \"https://c\"]";
    rig.until("saved", |rig| rig.saved().contains(list));
    let Some(TabReply::Faults(faults)) = rig.set(2, "origin", "https://a, b") else {
        panic!("it is none");
    };
    assert_eq!(faults[0].0, "origin", "{faults:?}");
}

/// Who asks is told what is wrong. It is not there then, so nothing is wrong with the relay.
#[test]
fn what_is_refused_is_no_error_of_the_relay() {
    let mut rig = Rig::new(&(relay("a", "") + &relay("b", "enabled = false")));
    for (tab, key, value) in [(1, "dst", ":1"), (1, "retry", "soon"), (2, "retry", "soon")] {
        let Some(TabReply::Faults(faults)) = rig.set(tab, key, value) else {
            panic!("{value} is none");
        };
        assert_eq!(faults[0].0, key, "{faults:?}");
        assert_eq!(rig.errors(tab), []);
    }
}

/// What no relay has is no matter of where it is set: it is a slip.
#[test]
fn a_field_that_no_relay_has_is_said_to_be_none() {
    let mut rig = Rig::new(&relay("a", ""));
    for (key, said) in [
        ("retyr", "there is no field retyr: did you mean retry?"),
        (
            "colour",
            "there is no field colour: see hydrant relay --help",
        ),
        ("slow of :9", "there is no destination :9"),
        ("stats", "this is set in the run file"),
        ("tls-cert", "this is set in the run file"),
        ("ring", "it runs: stop it to change this"),
    ] {
        let faults = vec![(key.to_owned(), said.to_owned())];
        assert_eq!(rig.set(1, key, "1M"), Some(TabReply::Faults(faults)));
    }
}

/// A place that is taken is said beside its field, until it is another.
#[test]
fn a_place_that_is_taken_stands_beside_its_field() {
    let mut rig = Rig::new(&(relay("a", "") + &relay("b", "enabled = false")));
    let RoleState::Running(view) = rig.tab(1).row.state else {
        panic!("it runs");
    };
    let taken = view.listens[0].0.to_string();
    rig.set(2, "dst", &taken);
    rig.until("changed", Rig::is_idle);
    let Some(TabReply::Faults(errors)) = rig.ask(TabCommand::Start { tab: 2 }) else {
        panic!("its place is taken");
    };
    assert_eq!(rig.errors(2), errors);
    assert!(
        errors[0].0 == "dst" && errors[0].1.contains("port in use"),
        "{errors:?}"
    );
    let Reply::Roles { rows, .. } = rig.fleet.rows(&rig.reactor, 0) else {
        panic!("they are asked for");
    };
    let everywhere = RoleState::Failed(errors[0].1.clone());
    assert_eq!(
        (&rows[1].state, &rig.tab(2).row.state),
        (&everywhere, &everywhere)
    );
    // A change that is refused says nothing of that.
    rig.set(2, "retry", "soon");
    assert_eq!(rig.errors(2), errors);
    rig.set(2, "dst", "127.0.0.1:0");
    rig.until("right again", |rig| rig.errors(2).is_empty());
}

/// Whoever gives up what he has begun in vain says so by stopping it.
#[test]
fn one_that_could_not_begin_is_stopped() {
    let mut rig = Rig::new(&(relay("a", "") + &relay("b", "enabled = false")));
    let RoleState::Running(view) = rig.tab(1).row.state else {
        panic!("it runs");
    };
    rig.set(2, "dst", &view.listens[0].0.to_string());
    rig.until("changed", Rig::is_idle);
    rig.ask(TabCommand::Start { tab: 2 });
    assert!(matches!(rig.tab(2).row.state, RoleState::Failed(_)));
    let stop = TabCommand::Stop { tab: 2 };
    assert_eq!(rig.ask(stop.clone()), Some(TabReply::Done));
    assert_eq!(rig.tab(2).row.state, RoleState::Stopped);
    assert_eq!(rig.errors(2), []);
    let again = rig.ask(stop);
    assert!(matches!(again, Some(TabReply::Refused(_))), "{again:?}");
}

/// What was said last holds, though it was said before what was said first was written.
#[test]
fn one_that_is_stopped_and_started_runs() {
    let mut rig = Rig::new(&relay("a", "drain = \"1ms\""));
    for lag in 1..6 {
        // So long that another change is under way meanwhile.
        rig.set(1, "max-lag", &format!("{lag}s"));
        assert_eq!(rig.ask(TabCommand::Stop { tab: 1 }), Some(TabReply::Done));
        rig.until("stopped", |rig| rig.fleet.posts[0].role().is_none());
        assert_eq!(rig.ask(TabCommand::Start { tab: 1 }), Some(TabReply::Done));
        let role = rig.fleet.posts[0].role();
        rig.until("written", Rig::is_idle);
        assert_eq!(rig.fleet.posts[0].role(), role, "it was begun anew");
        assert!(matches!(rig.fleet.posts[0].standing, Standing::Running(_)));
    }
    rig.until("saved", |rig| {
        rig.saved().contains("enabled = true") || !rig.saved().contains("enabled")
    });
}

/// While its names are looked up it can be stopped, and given other ones.
#[test]
fn one_that_is_about_to_begin_goes_by_what_is_said_meanwhile() {
    let named = relay("a", "enabled = false").replace("127.0.0.1:0", "localhost:0");
    let mut rig = Rig::new(&named);
    assert_eq!(rig.ask(TabCommand::Start { tab: 1 }), None);
    assert_eq!(rig.ask(TabCommand::Stop { tab: 1 }), Some(TabReply::Done));
    rig.until("given up", Rig::is_idle);
    assert!(rig.fleet.posts[0].role().is_none());
    assert_eq!(rig.ask(TabCommand::Start { tab: 1 }), None);
    // Whatever name was looked up, it is not the one that it listens at now.
    let text = rig
        .saved()
        .replace("localhost:0\"\nenabled", "LOCALHOST:0\"\nenabled");
    fs::write(rig.path(), text).expect("the folder can be written");
    let before = rig.fleet.posts[0].member.clone();
    let (files, go, through) = held(move || Ok(before));
    let one = &mut rig.fleet.posts.beginning[0];
    (one.files, one.hosts) = (Some(files), Hosts::default());
    rig.ask(TabCommand::Reload);
    rig.until("read", |rig| rig.fleet.reading.is_none());
    go.send(()).expect("it waits");
    through.recv_timeout(DEADLINE).expect("it is through");
    rig.between(&Turn::Going);
    assert_eq!(
        rig.fleet.posts.beginning.len(),
        1,
        "the new name is looked up"
    );
    rig.until("begun", |rig| rig.fleet.posts[0].role().is_some());
}

/// Who waits at a listener that gives way to a wider or a narrower one is let in by that, and nobody is turned away.
#[test]
fn who_waits_at_the_door_is_let_in_by_whoever_comes_after() {
    for (old, new) in [("127.0.0.1", ""), ("", "127.0.0.1")] {
        let at = |host: &str, port: u16| format!("dst = \"{host}:{port}\"");
        let roles = relay("a", "").replace(&at("127.0.0.1", 0), &at(old, 0));
        let mut rig = Rig::new(&roles);
        let RoleState::Running(view) = rig.tab(1).row.state else {
            panic!("it runs");
        };
        let Addr::Tcp(place) = view.listens[0].0 else {
            panic!("it is no path");
        };
        let port = place.port();
        // Nobody has let them in yet.
        let connect = |_| Conn::to(([127, 0, 0, 1], port).into()).expect("it listens");
        let waiting: Vec<Conn> = (0..3).map(connect).collect();
        let Origin::File(file) = &rig.fleet.origin else {
            panic!("it is a file");
        };
        let text = rig.saved().replace(&at(old, 0), &at(new, port));
        let read = file.origin().with(text).map(Read::of).expect("it is right");
        let applied = rig.fleet.apply(&mut rig.reactor, read, true);
        assert!(applied.is_ok_and(|said| said.starts_with("1 begun")));
        // The first ones are told to go before anything else comes to pass.
        rig.between(&Turn::Going);
        rig.until("let in", |rig| match rig.tab(1).row.state {
            RoleState::Running(view) => view.clients == waiting.len(),
            _ => false,
        });
        for mut client in waiting {
            client
                .patience(Duration::from_millis(1))
                .expect("it is open");
            let read = client.read(&mut [0]).expect_err("nothing was said yet");
            assert_eq!(read.kind(), ErrorKind::WouldBlock);
        }
    }
}

/// And by one that takes a few at a time as it takes them, so that it has never more than it may have.
#[test]
fn who_waits_at_the_door_is_let_in_as_there_is_room() {
    let client = |at: &str| {
        format!(
            "[[ws.client]]\nname = \"a\"\nurl = \"ws://127.0.0.1:1\"\nlisten = \"{at}\"\nmax-streams = 2\n\
             connect-timeout = \"0.1s\"\n"
        )
    };
    let mut rig = Rig::new(&client("127.0.0.1:0"));
    let RoleState::Running(view) = rig.tab(1).row.state else {
        panic!("it runs");
    };
    let Addr::Tcp(place) = view.listens[0].0 else {
        panic!("it is no path");
    };
    let connect = |_| Conn::to(place).expect("it listens");
    let mut waiting: Vec<Conn> = (0..5).map(connect).collect();
    let Origin::File(file) = &rig.fleet.origin else {
        panic!("it is a file");
    };
    let text = rig
        .saved()
        .replace("127.0.0.1:0\"\nmax", &format!("{}\"\nmax", place.port()));
    let read = file.origin().with(text).map(Read::of).expect("it is right");
    let applied = rig.fleet.apply(&mut rig.reactor, read, true);
    assert!(applied.is_ok_and(|said| said.starts_with("1 begun")));
    let mut most = 0;
    for client in &mut waiting {
        let patience = client.patience(Duration::from_millis(1));
        patience.expect("it is open");
    }
    // There is no relay: each is turned away after its time.
    rig.until("turned away", |rig| {
        if let RoleState::Running(view) = rig.tab(1).row.state {
            most = most.max(view.clients);
        }
        waiting.retain_mut(|client| match client.read(&mut [0]) {
            Err(error) => error.kind() == ErrorKind::WouldBlock,
            Ok(_) => false,
        });
        waiting.is_empty()
    });
    assert_eq!(most, 2);
}

/// A request that is refused has done nothing.
#[test]
fn a_request_is_done_as_a_whole() {
    let mut rig = Rig::new(&relay("a", ""));
    let both = |lag: &str| TabCommand::Change {
        tab: 1,
        fields: vec![
            ("dump".to_owned(), "true".to_owned()),
            ("max-lag".to_owned(), lag.to_owned()),
        ],
    };
    assert!(matches!(rig.ask(both("x")), Some(TabReply::Faults(_))));
    assert!(!rig.tab(1).dump);
    assert_eq!(rig.ask(both("3s")), None);
    rig.until("changed", Rig::is_idle);
    assert!(rig.tab(1).dump);
}
