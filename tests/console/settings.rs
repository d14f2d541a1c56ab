//! Settings keep themselves: they are there at the next start, comments survive, and nothing is lost or overwritten.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::common::hydrant::hydrant;
use crate::common::peers::{Place, connect};
use crate::common::scratch::Scratch;
use crate::rig::{Console, settings};

fn write(home: &Scratch, text: &str) {
    fs::create_dir_all(home.path().join("hydrant")).unwrap();
    fs::write(home.path().join("hydrant/console.toml"), text).unwrap();
}

#[test]
fn they_are_there_at_the_next_start() {
    let home = Scratch::new();
    let mut place = Place::opened();
    let console = Console::start(&home);
    console.relay(place.at, "127.0.0.1:0");
    place.accept();
    console.does("relays", &json!({ "after": 1 }));
    console.does(
        "relays/2",
        &json!({ "name": "second", "src": "127.0.0.1:2", "max-lag": "3s" }),
    );
    console.program.stop();
    let text = settings(&home);
    assert!(
        text.contains("name = \"second\"") && text.starts_with("# The relays"),
        "{text}"
    );
    let console = Console::start(&home);
    place.accept();
    let roles = console.roles();
    assert_eq!(roles.len(), 2);
    assert_eq!(
        (&roles[0]["running"], &roles[1]["running"]),
        (&json!(true), &json!(false)),
        "what was stopped stays stopped"
    );
    assert_eq!(
        (&roles[1]["name"], &roles[1]["fields"]["max-lag"]),
        (&json!("second"), &json!("3s"))
    );
    console.does("relays/1/stop", &json!({}));
    console.role_until(1, "stopped", |role| role["state"] == "stopped");
    console.program.stop();
    let kept = settings(&home);
    let console = Console::start(&home);
    assert_eq!(console.roles()[0]["running"], json!(false));
    assert_eq!(settings(&home), kept, "a start changes nothing");
}

/// Whoever has an answer can count on the file, and no moment later.
#[test]
fn an_answer_comes_once_the_change_is_saved() {
    let home = Scratch::new();
    let mut console = Console::start(&home);
    for port in 1..10 {
        let src = format!("a:{port}");
        let answer = console.does("relays/1", &json!({ "src": src, "dst": "127.0.0.1:0" }));
        assert_eq!(answer["unsaved"], json!(null));
        assert!(settings(&home).contains(&src), "{src}: {}", settings(&home));
    }
    console.does("relays", &json!({ "after": 1 }));
    assert!(settings(&home).contains("relay 2"), "{}", settings(&home));
    console.does("relays/2/remove", &json!({}));
    assert!(!settings(&home).contains("relay 2"), "{}", settings(&home));
    console.does("relays/1/dump", &json!({ "on": true }));
    assert!(
        settings(&home).contains("dump = true"),
        "{}",
        settings(&home)
    );
    // However it ends then.
    console.does("relays/1/start", &json!({}));
    console.program.kill();
    let console = Console::start(&home);
    assert_eq!(console.roles()[0]["running"], json!(true));
}

#[test]
fn comments_survive_and_the_file_before_is_kept() {
    let home = Scratch::new();
    let written = "# of the race\n[[relay]]\nname = \"timing\" # ours\nsrc = \"a:1\"\ndst = \":0\"\nenabled = false\n";
    write(&home, written);
    let console = Console::start(&home);
    console.does("relays/1", &json!({ "src": "b:2" }));
    console.program.stop();
    assert_eq!(settings(&home), written.replace("a:1", "b:2"));
    assert_eq!(
        fs::read_to_string(home.path().join("hydrant/console.toml.bak")).unwrap(),
        written
    );
}

#[test]
fn what_somebody_else_wrote_is_left_alone_and_that_is_said() {
    let home = Scratch::new();
    let console = Console::start(&home);
    console.does("relays/1", &json!({ "src": "a:1" }));
    assert!(settings(&home).contains("a:1"));
    write(&home, "# mine now\n");
    let answer = console.does("relays/1", &json!({ "src": "b:2" }));
    let why = answer["unsaved"].as_str().unwrap_or_default();
    assert!(why.contains("changed by somebody else"), "{answer}");
    console.program.wait_log("settings not saved");
    let state = console.get("/api/v1/state").json();
    assert!(
        state["settings"]["error"]
            .as_str()
            .unwrap()
            .contains("changed by somebody else"),
        "{state}"
    );
    assert_eq!(
        state["roles"][0]["fields"]["src"],
        json!("b:2"),
        "nothing is lost here"
    );
    console.program.stop();
    assert_eq!(settings(&home), "# mine now\n");
}

#[test]
fn a_file_that_can_not_be_written_is_shown() {
    let home = Scratch::new();
    write(
        &home,
        "[[relay]]\nsrc = \"a:1\"\ndst = \":0\"\nenabled = false\n",
    );
    let file = home.path().join("hydrant/console.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    let console = Console::start(&home);
    let answer = console.does("relays/1", &json!({ "src": "b:2" }));
    let why = answer["unsaved"].as_str().unwrap_or_default();
    assert!(why.contains("permission denied"), "{answer}");
    console.program.wait_log("settings not saved");
    let error = console.get("/api/v1/state").json()["settings"]["error"].clone();
    assert!(
        error.as_str().unwrap().contains("permission denied"),
        "{error}"
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    console.program.wait_log("settings saved again");
    assert!(settings(&home).contains("b:2"));
}

#[test]
fn a_file_that_is_wrong_is_said_and_not_touched() {
    let home = Scratch::new();
    write(&home, "[[relay]]\nsrc = \n");
    let finished = hydrant("console --no-browser --bind 127.0.0.1:0")
        .env("XDG_CONFIG_HOME", home.path())
        .run();
    assert_eq!(finished.code, 1);
    let line = finished.stderr.last().unwrap();
    assert!(line.contains("console.toml: line 2, column 7: "), "{line}");
    assert_eq!(settings(&home), "[[relay]]\nsrc = \n");
}

#[test]
fn a_relay_that_can_not_begin_stops_no_other() {
    let home = Scratch::new();
    let mut place = Place::opened();
    write(
        &home,
        &format!(
            "[[relay]]\nname = 'bad'\nsrc = 'nowhere'\ndst = ':0'\n[[relay]]\nsrc = '{}'\ndst = '127.0.0.1:0'\n\
             [console]\nbind = '127.0.0.1:1'\n[[hub]]\nlisten = '127.0.0.1:0'\n",
            place.at
        ),
    );
    let console = Console::start(&home);
    // What would be something in a run file.
    let said = "only [[relay]] counts here, and not [console], [[hub]]: ";
    console.program.wait_log(said);
    place.accept();
    let roles = console.roles();
    assert_eq!(
        (&roles[0]["state"], &roles[1]["running"]),
        (&json!("failed"), &json!(true))
    );
    assert!(roles[0]["errors"]["src"].is_string(), "{}", roles[0]);
    console.program.wait_log("relay[bad]: ");
}

#[test]
fn tabs_of_the_python_program_are_taken_over() {
    let home = Scratch::new();
    let json = r#"{"tabs": [
        {"src_host": "10.0.0.5", "src_port": "9999", "dst_host": "127.0.0.1", "dst_port": "10000",
         "mode": "connect-listen", "dump": true, "retry": "5"},
        {"src_host": "127.0.0.1", "src_port": "10000", "dst_host": "b", "dst_port": "20000",
         "mode": "connect-connect", "dump": false, "retry": "3"}]}"#;
    fs::write(home.path().join("relay_gui_config.json"), json).unwrap();
    let import = format!(
        "--bind 127.0.0.1:0 --import {}",
        home.at("relay_gui_config.json")
    );
    let console = Console::start_with(&home, &import);
    let roles = console.roles();
    assert_eq!(roles.len(), 2);
    assert_eq!(
        roles[0]["command"],
        json!("hydrant 10.0.0.5:9999 127.0.0.1:10000 --dump")
    );
    assert_eq!(
        roles[1]["command"],
        json!("hydrant 127.0.0.1:10000 b:20000 --mode connect-connect --retry 3")
    );
    console.program.stop();
    let console = Console::start(&home);
    assert_eq!(console.roles().len(), 2, "they are kept");
    console.program.stop();
    fs::write(home.path().join("bad.json"), "{").unwrap();
    let finished = hydrant(&format!(
        "console --no-browser --bind 127.0.0.1:0 --import {}",
        home.at("bad.json")
    ))
    .env("XDG_CONFIG_HOME", home.path())
    .run();
    assert_eq!(finished.code, 1);
    assert!(
        finished
            .stderr
            .last()
            .unwrap()
            .contains("bad.json: line 1, column 1: this is no JSON"),
        "{:?}",
        finished.stderr
    );
}

/// What the table calls live changes while the relay runs, and is kept; the rest waits for a stop; and what is wrong
/// changes nothing.
#[test]
fn options_change_while_it_runs() {
    let home = Scratch::new();
    let mut place = Place::opened();
    let console = Console::start(&home);
    let at = console.relay(place.at, "127.0.0.1:0");
    place.accept();
    let _first = connect(at);
    console.role_until(1, "served", |role| role["clients"] == 1);
    console.does("relays/1", &json!({ "max-clients": "1", "retry": "7" }));
    let _second = connect(at);
    console.program.wait_logs(&["client", "refused"]);
    let role = &console.roles()[0];
    assert_eq!(
        (&role["clients"], &role["fields"]["retry"]),
        (&json!(1), &json!("7"))
    );
    for (fields, field, said) in [
        (
            json!({ "ring": "1M", "max-lag": "3s" }),
            "ring",
            "stop it to change this",
        ),
        (json!({ "src": "a:1" }), "src", "stop it to change this"),
        (json!({ "name": "other" }), "name", "stop it to change this"),
        (json!({ "retry": "x", "max-lag": "3s" }), "retry", "x"),
        (json!({ "backlog": "15M" }), "backlog", "half"),
    ] {
        let answer = console.post("/api/v1/relays/1", &fields);
        let why = answer.json()["errors"][field].to_string();
        assert!(
            answer.status == 422 && why.contains(said),
            "{fields}: {answer:?}"
        );
    }
    let role = &console.roles()[0];
    assert_eq!(
        (&role["fields"]["max-lag"], &role["fields"]["retry"]),
        (&json!(null), &json!("7"))
    );
    assert_eq!(
        role["errors"],
        json!({}),
        "nothing is wrong with what is there"
    );
    console.program.stop();
    let text = settings(&home);
    assert!(
        text.contains("max-clients = \"1\"") && !text.contains("max-lag"),
        "{text}"
    );
}

/// A name is looked up elsewhere than on the loop: one that has no address is said beside its field.
#[test]
fn a_place_by_name_is_looked_up_before_it_begins() {
    let home = Scratch::new();
    let mut place = Place::opened();
    let console = Console::start(&home);
    console.does(
        "relays/1",
        &json!({ "src": place.at.to_string(), "dst": "nobody.invalid:0" }),
    );
    let answer = console.post("/api/v1/relays/1/start", &json!({}));
    assert_eq!(answer.status, 422, "{answer:?}");
    let why = answer.json()["errors"]["dst"].to_string();
    assert!(
        why.contains("can't listen on nobody.invalid:0"),
        "{answer:?}"
    );
    console.does("relays/1", &json!({ "dst": "localhost:0" }));
    console.does("relays/1/start", &json!({}));
    place.accept();
    let _client = connect(console.program.address_of("clients"));
    console.role_until(1, "served", |role| role["clients"] == 1);
}

#[test]
fn an_import_is_taken_over_once() {
    let home = Scratch::new();
    let seed = home.at("relay_gui_config.json");
    let tabs =
        r#"{"tabs": [{"src_port": "1", "dst_port": "2"}, {"src_port": "1", "dst_port": "2"}]}"#;
    fs::write(&seed, tabs).expect("the folder can be written");
    for _ in 0..2 {
        let console = Console::start_with(&home, &format!("--bind 127.0.0.1:0 --import {seed}"));
        let count = console.roles().len();
        assert_eq!(count, 2, "{}", settings(&home));
        console.program.stop();
    }
}

/// Each would write what the other knows nothing of, and the relays of both would be the same.
#[test]
fn two_consoles_with_the_same_settings_are_told_so() {
    let home = Scratch::new();
    let first = Console::start(&home);
    let second = hydrant("console --no-browser --bind 127.0.0.1:0")
        .env("XDG_CONFIG_HOME", home.path())
        .run();
    let said = format!(
        "hydrant: another hydrant console (process {}) has its settings in {}: ",
        first.program.pid(),
        home.at("hydrant/console.toml")
    );
    assert_eq!((second.code, second.stderr.len()), (1, 1), "{second:?}");
    assert!(second.stderr[0].starts_with(&said), "{second:?}");
    let other = Scratch::new();
    Console::start(&other).program.stop();
    first.program.stop();
    Console::start(&home).program.stop();
}

/// Whoever removes the folder takes the lock away, too: the next save locks it anew, or says who has it by now.
#[test]
fn a_folder_that_was_removed_is_locked_again() {
    let home = Scratch::new();
    let first = Console::start(&home);
    let remove = || fs::remove_dir_all(home.at("hydrant")).expect("it is there");
    remove();
    first.does("relays/1", &json!({ "max-lag": "3s" }));
    let refused = hydrant("console --no-browser --bind 127.0.0.1:0")
        .env("XDG_CONFIG_HOME", home.path())
        .run();
    let has_it = |pid: u32| format!("another hydrant console (process {pid}) has its settings in ");
    let said = &refused.stderr[0];
    assert!(said.contains(&has_it(first.program.pid())), "{said}");
    remove();
    let second = Console::start(&home);
    let answer = first.does("relays/1", &json!({ "max-lag": "4s" }));
    let why = answer["unsaved"].as_str().unwrap_or_default();
    assert!(why.contains(&has_it(second.program.pid())), "{answer}");
}

#[test]
fn without_a_home_nothing_is_kept_and_that_is_said() {
    let mut program = hydrant("console --no-browser --bind 127.0.0.1:0");
    for name in ["HOME", "XDG_CONFIG_HOME"] {
        program = program.env(name, "");
    }
    let program = program.start();
    program.wait_log("console: settings are not saved: there is neither HOME nor XDG_CONFIG_HOME");
    let console = Console::of(program);
    let settings = console.get("/api/v1/state").json()["settings"].clone();
    let error = settings["error"].as_str().expect("it says so");
    assert!(
        error.contains("neither HOME nor XDG_CONFIG_HOME"),
        "{error}"
    );
}
