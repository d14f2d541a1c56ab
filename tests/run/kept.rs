//! A run file that says `save = true`: what an answer promises, and whose it is.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread;

use serde_json::{Value, json};

use crate::common::hydrant::{Finished, Hydrant, hydrant};
use crate::common::tools::{Tool, have, skip};
use crate::common::within;
use crate::rig::{File, Page};

fn text(saves: bool) -> String {
    format!(
        r#"# ours
[console]
bind = "127.0.0.1:0"
save = {saves}

[[relay]]
name = "a"
src = "127.0.0.1:9"
dst = "127.0.0.1:0"

[[hub]]
listen = "127.0.0.1:0"
"#
    )
}

fn saved(file: &File) -> String {
    fs::read_to_string(file.path()).expect("it is there")
}

/// Whoever has an answer can count on the file, and no moment later.
#[test]
fn an_answer_comes_once_the_change_is_in_the_file() {
    let file = File::new(&text(true));
    let mut hydrant = file.run();
    let page = Page::of(&hydrant);
    for lag in 1..10 {
        let lag = format!("{lag}s");
        let answer = page.does("relays/1", &json!({ "max-lag": lag }));
        assert_eq!(answer["unsaved"], Value::Null);
        let stands = format!("max-lag = \"{lag}\"");
        assert!(saved(&file).contains(&stands), "{lag}: {}", saved(&file));
    }
    page.does("relays/2/stop", &json!({}));
    assert!(saved(&file).ends_with("enabled = false\n"));
    page.until("stopped", |state| {
        state["roles"][1]["running"] == json!(false)
    });
    page.does("relays/2/start", &json!({}));
    assert!(saved(&file).ends_with("enabled = true\n"));
    let id = page.does("relays", &json!({ "after": 1 }))["id"].clone();
    assert!(saved(&file).contains("relay 1"));
    page.does(&format!("relays/{id}/remove"), &json!({}));
    assert!(!saved(&file).contains("relay 1"));
    // However it ends then.
    page.does("relays/1/stop", &json!({}));
    hydrant.kill();
    let hydrant = file.run();
    let page = Page::of(&hydrant);
    assert_eq!(page.role("a")["state"], json!("stopped"));
    hydrant.stop();
}

/// What is stopped by hand stops, and the answer says why the file does not say so.
#[test]
fn an_answer_says_what_is_not_in_the_file() {
    let file = File::new(&text(true));
    let runs = hydrant("run")
        .arg(file.path())
        .env("XDG_RUNTIME_DIR", file.folder())
        .start();
    let page = Page::of(&runs);
    let theirs = text(true).replace("# ours", "# theirs");
    file.write(&theirs);
    let answer = page.does("relays/2/stop", &json!({}));
    let why = answer["unsaved"].as_str().unwrap_or_default();
    assert!(why.contains("changed by somebody else"), "{answer}");
    assert!(why.contains("hub was stopped"), "{answer}");
    let shown = hydrant("status stop a")
        .env("XDG_RUNTIME_DIR", file.folder())
        .run();
    assert_eq!((shown.code, shown.stderr.len()), (0, 0), "{shown:?}");
    assert!(shown.stdout.contains("\nnot saved: "), "{shown:?}");
    assert_eq!(saved(&file), theirs);
    runs.stop();
}

fn second(path: &str) -> Finished {
    hydrant("run").arg(path).run()
}

#[track_caller]
fn is_refused(second: &Finished, path: &str, pid: u32) {
    let said = format!("hydrant: another hydrant run (process {pid}) keeps {path} (save = true): ");
    assert_eq!((second.code, second.stderr.len()), (1, 1), "{second:?}");
    assert!(second.stderr[0].starts_with(&said), "{second:?}");
}

/// Each would write what the other knows nothing of.
#[test]
fn a_second_process_is_told_that_the_file_is_kept() {
    let file = File::new(&text(true));
    let mut first = file.run();
    let page = Page::of(&first);
    is_refused(&second(&file.path()), &file.path(), first.pid());
    // After a save it is another file, and by another name it is the same one.
    page.does("relays/1", &json!({ "max-lag": "3s" }));
    let link = file.folder().join("link.toml");
    symlink(file.path(), &link).expect("the folder can be written");
    let link = link.to_str().expect("made of plain letters");
    is_refused(&second(link), link, first.pid());
    // So it is after somebody else has put another file there.
    let theirs = file.folder().join("theirs");
    fs::write(&theirs, text(true)).expect("the folder can be written");
    fs::rename(&theirs, file.path()).expect("the folder can be written");
    is_refused(&second(&file.path()), &file.path(), first.pid());
    // Whatever else there is in the folder has nothing to do with it.
    let other = file.folder().join("other.toml");
    fs::write(&other, text(true)).expect("the folder can be written");
    let other = other.to_str().expect("made of plain letters");
    let beside = hydrant("run").arg(other).start();
    Page::of(&beside);
    beside.stop();
    // What was killed is in nobody's way.
    first.kill();
    let third = file.run();
    Page::of(&third);
    third.stop();
    let lock = format!("{}.lock", file.path());
    assert!(!Path::new(&lock).exists(), "nothing is left of it");
}

/// The lock may be taken away, with its folder or without: a save looks after it.
#[test]
fn a_lock_that_is_gone_is_taken_again() {
    let file = File::new(&text(true));
    let (kept, moved) = (file.folder().join("kept"), file.folder().join("moved"));
    let path = kept.join("f.toml");
    let put = || {
        fs::create_dir(&kept).expect("the folder can be written");
        fs::write(&path, text(true)).expect("so can this one");
    };
    put();
    let named = path.to_str().expect("made of plain letters");
    let first = hydrant("run").arg(named).start();
    let page = Page::of(&first);
    let is_ours = |lag: &str| {
        let answer = page.does("relays/1", &json!({ "max-lag": lag }));
        assert_eq!(answer["unsaved"], Value::Null, "{lag}");
        is_refused(&second(named), named, first.pid());
    };
    fs::remove_file(kept.join("f.toml.lock")).expect("it is there");
    is_ours("3s");
    // Another folder comes in the place of its own.
    fs::rename(&kept, &moved).expect("the folder can be written");
    fs::create_dir(&kept).expect("the folder can be written");
    fs::copy(moved.join("f.toml"), &path).expect("it is there");
    is_ours("4s");
    // None is there any more: none is made.
    fs::remove_dir_all(&kept).expect("it is there");
    let answer = page.does("relays/1/stop", &json!({}));
    let why = answer["unsaved"].as_str().unwrap_or_default();
    assert!(why.contains("no such file"), "{answer}");
    assert!(!kept.exists());
    first.stop();
}

/// Whoever moves somebody else's file away need do nothing more: what was stopped meanwhile stays so, however it ends.
#[test]
fn what_was_stopped_is_written_once_the_file_is_ours_again() {
    let file = File::new(&text(true));
    let mut first = file.run();
    let page = Page::of(&first);
    let stop = |id: u32, why: &str| {
        let answer = page.does(&format!("relays/{id}/stop"), &json!({}));
        let unsaved = answer["unsaved"].as_str().unwrap_or_default();
        assert!(unsaved.contains(why), "{answer}");
    };
    file.write(&text(true).replace("# ours", "# theirs"));
    stop(1, "changed by somebody else");
    fs::remove_file(file.path()).expect("it is there");
    first.wait_log("the run file says that a is not to run");
    // Another process has taken the lock, and is killed.
    fs::remove_file(format!("{}.lock", file.path())).expect("it is there");
    let mut other = file.run();
    Page::of(&other);
    stop(2, &format!("(process {}) keeps", other.pid()));
    other.kill();
    first.wait_log("the run file says that hub is not to run");
    first.kill();
    let again = file.run();
    let page = Page::of(&again);
    for name in ["a", "hub"] {
        assert_eq!(page.role(name)["state"], json!("stopped"), "{name}");
    }
    again.stop();
}

/// It would not be there at the next start: whoever looks knows that before, and what is changed then brings it back.
#[test]
fn a_file_that_is_gone_is_said_and_written_with_the_next_change() {
    let file = File::new(&text(true));
    let runs = hydrant("run")
        .arg(file.path())
        .env("XDG_RUNTIME_DIR", file.folder())
        .start();
    let page = Page::of(&runs);
    fs::remove_file(file.path()).expect("it is there");
    let why = "f.toml is not there any more: the next change writes it again";
    let says = |state: &Value, why: &str| {
        let error = state["settings"]["error"].as_str();
        error.is_some_and(|error| error.contains(why))
    };
    page.until("said", |state| says(state, why));
    let line = runs.wait_log(why);
    assert!(line.contains("[WARN] hydrant: run file: "), "{line}");
    let shown = hydrant("status")
        .env("XDG_RUNTIME_DIR", file.folder())
        .run();
    assert!(
        shown.stdout.contains("\nnot saved: ") && shown.stdout.contains(why),
        "{shown:?}"
    );
    let answer = page.does("relays/1", &json!({ "max-lag": "3s" }));
    assert_eq!(answer["unsaved"], Value::Null);
    assert!(saved(&file).starts_with("# ours\n") && saved(&file).contains("max-lag = \"3s\""));
    assert_eq!(page.state()["settings"]["error"], Value::Null);
    runs.wait_log("run file: the file was not there any more, and is written again");
    runs.stop();
}

/// One that can't begin leaves nothing, either.
#[test]
fn one_that_can_not_begin_leaves_no_lock() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let at = taken.local_addr().expect("it has one").to_string();
    let file = File::new(&text(true).replace("dst = \"127.0.0.1:0\"", &format!("dst = \"{at}\"")));
    let finished = second(&file.path());
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(finished.stderr[0].contains("port in use"), "{finished:?}");
    let left = fs::read_dir(file.folder()).expect("it is there").count();
    assert_eq!(left, 1);
}

/// Who only reads a file is in nobody's way, until a reload says that it is to write it.
#[test]
fn a_reload_takes_the_lock_and_gives_it_back() {
    let file = File::new(&text(false));
    let (first, other) = (file.run(), file.run());
    let (page, beside) = (Page::of(&first), Page::of(&other));
    file.write(&text(true));
    page.does("reload", &json!({}));
    is_refused(&second(&file.path()), &file.path(), first.pid());
    // Nothing of such a file holds.
    file.write(&text(true).replace("dst =", "max-lag = \"3s\"\ndst ="));
    let why = beside.refuses("reload", &json!({}), 409);
    assert!(
        why.contains(&format!("(process {}) keeps", first.pid())),
        "{why}"
    );
    assert_eq!(beside.role("a")["fields"]["max-lag"], Value::Null);
    other.wait_log("the run file was not applied; nothing has changed");
    // Given back, it is to be had.
    file.write(&text(false));
    page.does("reload", &json!({}));
    page.until("given back", |_| {
        !Path::new(&format!("{}.lock", file.path())).exists()
    });
    file.write(&text(true));
    beside.does("reload", &json!({}));
    beside.does("relays/1", &json!({ "max-lag": "3s" }));
    assert!(saved(&file).contains("max-lag"));
    is_refused(&second(&file.path()), &file.path(), other.pid());
    let why = page.refuses("reload", &json!({}), 409);
    assert!(
        why.contains(&format!("(process {}) keeps", other.pid())),
        "{why}"
    );
    // And what keeps it goes on keeping it, whatever it reads.
    beside.does("reload", &json!({}));
    first.stop();
    other.stop();
}

/// A change is answered as hydrant stops, and that comes to its end, though the disk does not answer.
#[test]
fn who_waits_for_a_disk_that_hangs_is_answered_as_it_stops() {
    let file = File::new(&text(true));
    let mut hydrant = file.run();
    let Some((_holder, asked)) = change_while_the_disk_hangs(&file, &hydrant) else {
        return;
    };
    hydrant.signal("TERM");
    let (status, answer) = asked.join().expect("it is answered");
    assert_eq!(status, 200, "{answer}");
    let why = answer["unsaved"].as_str().unwrap_or_default();
    assert!(why.contains("hydrant stops"), "{answer}");
    assert_eq!(hydrant.wait_exit(), 0);
    hydrant.wait_log("may not be saved: the disk does not answer");
}

/// Once those who wait are answered as well: then only the disk is waited for.
#[test]
fn a_second_signal_ends_it_though_the_disk_hangs() {
    let file = File::new(&text(true));
    let mut hydrant = file.run();
    let Some((_holder, asked)) = change_while_the_disk_hangs(&file, &hydrant) else {
        return;
    };
    hydrant.signal("TERM");
    let (status, answer) = asked.join().expect("it is answered");
    assert_eq!(status, 200, "{answer}");
    hydrant.signal("TERM");
    assert_eq!(hydrant.wait_exit(), 128 + 15);
}

/// Where this filesystem can't be made to hang, nothing.
fn change_while_the_disk_hangs(
    file: &File,
    hydrant: &Hydrant,
) -> Option<(Tool, thread::JoinHandle<(u16, Value)>)> {
    if !have("python3") {
        return None;
    }
    let at = Page::of(hydrant).0;
    // The next save opens another lock, and that waits for its holder.
    let lock = format!("{}.lock", file.path());
    fs::remove_file(&lock).expect("it is there");
    fs::write(&lock, "").expect("the folder can be written");
    let mut holder = Tool::start("python3", &["-c", HOLDER, &lock]);
    let mut stdout = holder.0.stdout.take().expect("a pipe");
    let is_held = within("the holder", move || stdout.read_exact(&mut [0; 5]).is_ok());
    if !is_held {
        skip("this filesystem has no leases");
        return None;
    }
    let lag = json!({ "max-lag": "3s" });
    let asked = thread::spawn(move || Page(at).post("relays/1", &lag));
    hydrant.wait_log("changed on the page: ");
    Some((holder, asked))
}

const HOLDER: &str = "
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print('held', flush=True)
sys.stdin.read()
";
