//! A run file that says `save = true`: what an answer promises.

use std::fs;

use serde_json::{Value, json};

use crate::common::hydrant::hydrant;
use crate::rig::{File, Page};

fn text() -> String {
    r#"# ours
[console]
bind = "127.0.0.1:0"
save = true

[[relay]]
name = "a"
src = "127.0.0.1:9"
dst = "127.0.0.1:0"

[[hub]]
listen = "127.0.0.1:0"
"#
    .to_owned()
}

fn saved(file: &File) -> String {
    fs::read_to_string(file.path()).expect("it is there")
}

/// Whoever has an answer can count on the file, and no moment later.
#[test]
fn an_answer_comes_once_the_change_is_in_the_file() {
    let file = File::new(&text());
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
    let file = File::new(&text());
    let runs = hydrant("run")
        .arg(file.path())
        .env("XDG_RUNTIME_DIR", file.folder())
        .start();
    let page = Page::of(&runs);
    let theirs = text().replace("# ours", "# theirs");
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
