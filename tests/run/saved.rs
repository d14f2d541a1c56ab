//! A run file that says `save = true`: what is changed on the page stands in it, and runs so the next time.

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::common::hydrant::hydrant;
use crate::common::peers::{Place, connect};
use crate::rig::{File, Page, clients_of};

fn text(src: SocketAddr) -> String {
    format!(
        r#"# ours
[console] # the page
bind = "127.0.0.1:0"
save = true

[[relay]]
name = "a" # the first
src = "{src}" # where it comes from
dst = "127.0.0.1:0"
retry = "20ms"

# the mail
[[hub]]
listen = "127.0.0.1:0"
"#
    )
}

fn saved(file: &File) -> String {
    fs::read_to_string(file.path()).expect("it is there")
}

#[test]
fn what_is_changed_on_the_page_runs_so_the_next_time() {
    let mut up = Place::new();
    let before = text(up.at);
    let file = File::new(&before);
    fs::set_permissions(file.path(), PermissionsExt::from_mode(0o640)).expect("it is ours");
    let mut hydrant = file.run();
    let page = Page::of(&hydrant);
    let at = clients_of(&hydrant, "relay[a]");
    let _up = up.accept();
    let _client = connect(at);
    hydrant.wait_logs(&["relay[a]: client", "connected"]);
    // As it runs: what may change then, at once.
    page.does(
        "relays/1",
        &json!({ "max-lag": "3s", "allow": "127.0.0.0/8" }),
    );
    assert_eq!(page.role("a")["fields"]["max-lag"], json!("3s"));
    assert_eq!(
        page.role("a")["clients"],
        json!(1),
        "nobody was disconnected"
    );
    assert!(
        page.refuses("relays/1", &json!({ "dst": ":1" }), 422)
            .contains("stop it")
    );
    assert!(
        page.refuses("relays/1", &json!({ "tls-ca": "/etc/passwd" }), 422)
            .contains("run file")
    );
    assert!(
        page.refuses("relays/2", &json!({ "queue": "1M" }), 409)
            .contains("only relays")
    );
    // One more, that goes on where the first ends; one that would be in its way; and another name.
    let id = page.does("relays", &json!({ "after": 1 }))["id"].clone();
    let next = format!("relays/{id}");
    assert_eq!(page.role("relay 1")["state"], json!("stopped"));
    page.does(
        &next,
        &json!({ "src": up.at.to_string(), "dst": "127.0.0.1:0", "name": "next" }),
    );
    assert_eq!(page.role("next")["id"], id);
    assert!(
        page.refuses(&next, &json!({ "name": "a" }), 409)
            .contains("the name a is taken")
    );
    assert!(
        page.refuses(&next, &json!({ "src": "nowhere" }), 422)
            .contains("src")
    );
    page.does(&format!("{next}/start"), &json!({}));
    hydrant.wait_log("relay[next]: listening on");
    page.does("relays/1/stop", &json!({}));
    page.does("relays/2/stop", &json!({}));
    hydrant.signal("TERM");
    assert_eq!(hydrant.wait_exit(), 0);
    let expected = before.replace(
        "retry = \"20ms\"\n",
        "retry = \"20ms\"\nallow = \"127.0.0.0/8\"\nmax-lag = \"3s\"\nenabled = false\n",
    ) + "enabled = false\n";
    let now = saved(&file);
    let (first, rest) = now
        .split_once("\n[[relay]]\nname = \"next\"")
        .expect("it is there");
    let added = rest.find("# the mail").expect("it is behind");
    assert!(rest[..added].contains("enabled = true"), "{now}");
    assert_eq!(format!("{first}\n{}", &rest[added..]), expected);
    assert_eq!(
        fs::read_to_string(file.path() + ".bak").expect("it was kept"),
        before
    );
    let mode = fs::metadata(file.path())
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    // The next time.
    let hydrant = file.run();
    let page = Page::of(&hydrant);
    hydrant.wait_log("relay[next]: listening on");
    assert_eq!(page.role("a")["state"], json!("stopped"));
    assert_eq!(page.role("hub")["state"], json!("stopped"));
    let id = page.role("next")["id"].clone();
    page.does(&format!("relays/{id}/remove"), &json!({}));
    page.until("gone", |state| {
        state["roles"].as_array().map(Vec::len) == Some(2)
    });
    hydrant.stop();
    assert_eq!(saved(&file), expected);
}

/// It is fixed in what it is, and can be removed as a relay can: those who are there are disconnected.
#[test]
fn a_hub_is_removed_from_the_file() {
    let up = Place::new();
    let file = File::new(&text(up.at));
    let hydrant = file.run();
    let page = Page::of(&hydrant);
    let hub = page.role("hub");
    assert_eq!(
        (&hub["fixed"], &page.role("a")["fixed"]),
        (&json!(true), &json!(false))
    );
    let id = &hub["id"];
    let size = json!({ "max-clients": "5" });
    page.refuses(&format!("relays/{id}"), &size, 409);
    let mut client = connect(clients_of(&hydrant, "hub"));
    page.does(&format!("relays/{id}/remove"), &json!({}));
    assert_eq!(client.read(&mut [0; 64]).expect("an orderly end"), 0);
    page.until("gone", |state| {
        state["roles"].as_array().map(Vec::len) == Some(1)
    });
    hydrant.stop();
    assert!(!saved(&file).contains("hub") && saved(&file).contains("name = \"a\""));
}

/// What somebody else has written is not lost: it is to be read first.
#[test]
fn a_file_that_was_changed_meanwhile_is_read_first() {
    let up = Place::new();
    let file = File::new(&text(up.at));
    let hydrant = file.run();
    let page = Page::of(&hydrant);
    let theirs = text(up.at).replace("# ours", "# theirs");
    file.write(&theirs);
    let lag = json!({ "max-lag": "3s" });
    assert!(
        page.refuses("relays/1", &lag, 409)
            .contains("changed by somebody else")
    );
    assert_eq!(page.role("a")["fields"]["max-lag"], Value::Null);
    assert_eq!(saved(&file), theirs);
    // The page goes on saying so, until it is read; what is stopped by hand meanwhile stops, and is not written.
    let said = page.state()["settings"]["error"].to_string();
    assert!(said.contains("hydrant status reload"), "{said}");
    page.does("relays/2/stop", &json!({}));
    hydrant.wait_log("the run file does not say that hub was stopped: ");
    let said = page.state()["settings"]["error"].to_string();
    assert!(
        said.contains("hub was stopped, which does not stand there"),
        "{said}"
    );
    page.does("reload", &json!({}));
    assert_eq!(page.state()["settings"]["error"], Value::Null);
    page.does("relays/1", &lag);
    // What has just been changed is read behind that.
    page.does("reload", &json!({}));
    assert_eq!(page.role("a")["fields"]["max-lag"], json!("3s"));
    hydrant.stop();
    let now = saved(&file);
    assert!(
        now.starts_with("# theirs\n") && now.contains("max-lag = \"3s\""),
        "{now}"
    );
    assert!(
        now.ends_with("enabled = false\n"),
        "the hub stays stopped: {now}"
    );
}

/// It runs as it was changed, the page says that this is not in the file, and nothing of it is lost.
#[test]
fn a_file_that_can_t_be_written_is_said() {
    let up = Place::new();
    let file = File::new(&text(up.at));
    let hydrant = file.run();
    let page = Page::of(&hydrant);
    let mode = |mode| {
        fs::set_permissions(file.path(), PermissionsExt::from_mode(mode)).expect("it is ours");
    };
    mode(0o400);
    let unsaved = page.does("relays/1", &json!({ "max-lag": "3s" }))["unsaved"].clone();
    assert!(
        unsaved
            .as_str()
            .is_some_and(|why| why.contains("permission denied")),
        "{unsaved}"
    );
    let is_said = |state: &Value| {
        state["settings"]["error"]
            .as_str()
            .is_some_and(|text| text.contains("permission denied"))
    };
    page.until("said", is_said);
    assert_eq!(saved(&file), text(up.at));
    // What is stopped by hand is changed so, too: that has been by the time that what comes next is.
    page.does("relays/2/stop", &json!({}));
    page.does("relays/1", &json!({ "max-clients": "4" }));
    assert!(!hydrant.has_logged("the run file says that hub is not to run"));
    // Whoever has the file read for another reason, as for a token, takes nothing of that away.
    for _ in 0..2 {
        page.does("reload", &json!({}));
        hydrant.wait_log(
            "run file read again: 0 begun, 0 changed, 0 stopped, 2 untouched; what was changed on the page and could \
             not be saved is kept: hub, relay[a]",
        );
    }
    assert_eq!(page.role("a")["fields"]["max-lag"], json!("3s"));
    assert!(is_said(&page.state()));
    mode(0o600);
    page.does("relays/1", &json!({ "max-clients": "5" }));
    page.until("saved", |state| state["settings"]["error"].is_null());
    hydrant.wait_log("the run file says that hub is not to run");
    hydrant.stop();
    let now = saved(&file);
    assert!(
        now.contains("max-lag = \"3s\"") && now.contains("max-clients = \"5\""),
        "{now}"
    );
}

/// As a full disk: what is too long for the limit of files (`ulimit -f`) is said, and what the file holds stays.
#[test]
fn a_file_that_may_not_grow_is_said() {
    let up = Place::new();
    let before = text(up.at) + &format!("# {}\n", "x".repeat(2000));
    let file = File::new(&before);
    let hydrant = hydrant("run")
        .arg(file.path())
        .shell(r#"ulimit -f 1; exec "$0" "$@""#)
        .start();
    let page = Page::of(&hydrant);
    page.does("relays/1", &json!({ "max-lag": "3s" }));
    page.until("said", |state| {
        state["settings"]["error"]
            .as_str()
            .is_some_and(|text| text.contains("file too large"))
    });
    assert_eq!(page.role("a")["fields"]["max-lag"], json!("3s"));
    hydrant.stop();
    assert_eq!(saved(&file), before);
    let left = fs::read_dir(file.folder()).expect("it is there").count();
    assert_eq!(left, 1, "nothing is left beside it");
}

/// What somebody else writes counts once it is read. What that takes away is said.
#[test]
fn what_could_not_be_saved_and_is_gone_is_said() {
    let up = Place::new();
    let file = File::new(&text(up.at));
    let hydrant = file.run();
    let page = Page::of(&hydrant);
    let mode = PermissionsExt::from_mode;
    fs::set_permissions(file.path(), mode(0o400)).expect("it is ours");
    page.does("relays/1", &json!({ "max-lag": "3s" }));
    page.until("said", |state| !state["settings"]["error"].is_null());
    let theirs = format!("{}.new", file.path());
    fs::write(&theirs, format!("# theirs\n{}", text(up.at))).expect("the folder is ours");
    fs::set_permissions(&theirs, mode(0o400)).expect("it is ours");
    fs::rename(&theirs, file.path()).expect("the folder is ours");
    page.does("reload", &json!({}));
    hydrant.wait_log("changes on the page which could not be saved are gone: relay[a]");
    let state = page.state();
    assert_eq!(state["settings"]["error"], Value::Null);
    assert_eq!(page.role("a")["fields"]["max-lag"], Value::Null);
    hydrant.stop();
}

#[test]
fn without_it_the_file_is_left_alone() {
    let up = Place::new();
    let before = text(up.at).replace("save = true", "save = false");
    let file = File::new(&before);
    let hydrant = file.run();
    let page = Page::of(&hydrant);
    let lag = json!({ "max-lag": "3s" });
    assert!(page.refuses("relays/1", &lag, 409).contains("save = true"));
    assert_eq!(page.role("a")["fixed"], json!(true));
    page.does("relays/1/stop", &json!({}));
    hydrant.wait_log("relay[a]: stopped");
    hydrant.stop();
    assert_eq!(saved(&file), before);
}

/// `enabled` in the file: what it says holds, and what was moved by hand stays so as long as it says nothing new.
#[test]
fn what_is_not_enabled_does_not_run() {
    let up = Place::new();
    let plain = text(up.at).replace("save = true", "save = false");
    let off = plain.replace("retry =", "enabled = false\nretry =");
    let file = File::new(&off);
    let hydrant = file.run();
    let page = Page::of(&hydrant);
    assert_eq!(page.role("a")["state"], json!("stopped"));
    assert!(!hydrant.has_logged("relay[a]"));
    let says = |text: &str, said: &str| {
        let line = file.reload(&hydrant, text);
        assert!(line.ends_with(said), "{line}");
    };
    says(&plain, "1 begun, 0 changed, 0 stopped, 1 untouched");
    clients_of(&hydrant, "relay[a]");
    says(&off, "0 begun, 0 changed, 1 stopped, 1 untouched");
    hydrant.wait_log("relay[a]: stopped by a reload");
    page.until("stopped", |state| {
        state["roles"][0]["running"] == json!(false)
    });
    page.does("relays/1/start", &json!({}));
    clients_of(&hydrant, "relay[a]");
    says(
        &off.replace("# ours", ""),
        "0 begun, 0 changed, 0 stopped, 2 untouched",
    );
    page.does("relays/1/stop", &json!({}));
    page.until("stopped", |state| {
        state["roles"][0]["running"] == json!(false)
    });
    // Its ring is another, and it was stopped by hand.
    says(
        &off.replace("retry =", "ring = \"1M\"\nretry ="),
        "0 begun, 1 changed, 0 stopped, 1 untouched",
    );
    assert_eq!(page.role("a")["fields"]["ring"], json!("1M"));
    assert_eq!(page.role("a")["state"], json!("stopped"));
    hydrant.stop();
}

/// What can't begin says so beside its field, whether the page may change it or not, until it does begin.
#[test]
fn what_is_in_the_way_of_a_start_is_said_beside_its_field() {
    let (mut taken, up) = (Place::opened(), Place::new());
    let text = format!(
        "[console]\nbind = \"127.0.0.1:0\"\n[[relay]]\nname = \"a\"\nsrc = \"{}\"\ndst = \"{at}\"\nenabled = false\n\
         [[hub]]\nlisten = \"{at}\"\nenabled = false\n",
        up.at,
        at = taken.at
    );
    let file = File::new(&text.replace(
        &format!("listen = \"{}\"", taken.at),
        &format!("listen = \"127.0.0.2:{}\"", taken.at.port()),
    ));
    let hydrant = file.run();
    let page = Page::of(&hydrant);
    let answer = page.refuses("relays/1/start", &json!({}), 422);
    assert!(answer.contains("\"dst\":\"can't listen on"), "{answer}");
    let role = page.role("a");
    assert_eq!(role["state"], json!("failed"), "{role}");
    assert!(
        role["errors"]["dst"]
            .as_str()
            .is_some_and(|text| text.contains("port in use")),
        "{role}"
    );
    let port = taken.at.port();
    let _other = std::net::TcpListener::bind(("127.0.0.2", port)).expect("it is free");
    let answer = page.refuses("relays/2/start", &json!({}), 422);
    assert!(answer.contains("\"listen\":\"can't listen on"), "{answer}");
    assert_eq!(page.role("hub")["state"], json!("failed"));
    taken.close();
    page.does("relays/1/start", &json!({}));
    let role = page.role("a");
    assert_eq!(
        (&role["errors"], &role["running"]),
        (&json!({}), &json!(true))
    );
    hydrant.stop();
}
