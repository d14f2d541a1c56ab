//! The API as a script uses it: relays are set up, chained, started and stopped, and everything about them is told.

use std::io::{BufRead, BufReader, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::common::peers::{Place, connect};
use crate::common::scratch::Scratch;
use crate::common::states::States;
use crate::rig::Console;

/// The clients of the first relay, once they are as they should be: what a client has taken is known once a second.
#[track_caller]
fn clients_until(console: &Console, are_so: impl Fn(&Value) -> bool) -> Value {
    States::until(console.at, "so", || {
        let clients = console.get("/api/v1/relays/1/clients?sort=bytes").json();
        match are_so(&clients) {
            true => Ok(clients),
            false => Err(clients.to_string()),
        }
    })
}

/// They are looked up when somebody asks for the first time, and are the same from then on.
#[test]
fn options_are_told() {
    let console = Console::start(&Scratch::new());
    let first = console.get("/api/v1/options");
    assert_eq!(first.status, 200);
    let first = first.json();
    let groups = first["groups"].as_array().expect("groups");
    let all = groups.iter().flat_map(|group| group["options"].as_array());
    let keys: Vec<&Value> = all.flatten().map(|option| &option["key"]).collect();
    assert!(keys.contains(&&json!("slow")), "{keys:?}");
    assert_eq!(console.get("/api/v1/options").json(), first);
}

#[test]
fn a_relay_is_set_up_started_watched_and_stopped() {
    let home = Scratch::new();
    let console = Console::start(&home);
    let mut place = Place::opened();
    let feed = console.relay(place.at, "127.0.0.1:0");
    let mut upstream = place.accept();
    console.role_until(1, "without clients", |role| role["state"] == "idle");
    let mut client = connect(feed);
    console.program.wait_logs(&["client", "connected"]);
    upstream.write_all(b"hello").unwrap();
    let mut got = [0; 5];
    client.read_exact(&mut got).unwrap();
    let role = console.role_until(1, "relaying", |role| role["bytes_out"] == 5);
    assert_eq!(
        (&role["clients"], &role["bytes_in"]),
        (&json!(1), &json!(5))
    );
    assert_eq!(role["upstream"]["peer"], json!(place.at.to_string()));
    assert_eq!(role["listening"], json!([feed.to_string()]));
    let clients = clients_until(&console, |clients| clients["rows"][0]["bytes"] == 5);
    assert_eq!(
        (&clients["total"], &clients["matched"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        clients["rows"][0]["peer"],
        json!(client.local_addr().unwrap().to_string())
    );
    // Bytes flow on: an upstream from which nothing comes for a while is silent.
    let role = console.role_until(1, "up", |role| {
        (&upstream).write_all(b"!").unwrap();
        role["state"] == "up"
    });
    assert_eq!(role["word"], json!("Relaying"));
    let kick = json!({ "client": clients["rows"][0]["id"] });
    console.does("relays/1/kick", &kick);
    // It is disconnected, in order or not.
    let _ = client.read_to_end(&mut Vec::new());
    assert_eq!(
        console.post("/api/v1/relays/1/kick", &kick).status,
        409,
        "once is enough"
    );
    console.does("relays/1/stop", &json!({}));
    let role = console.role_until(1, "stopped", |role| role["state"] == "stopped");
    assert_eq!(role["running"], json!(false));
    assert!(matches!(upstream.read(&mut got), Ok(0) | Err(_)));
    assert_eq!(
        console.post("/api/v1/relays/1/stop", &json!({})).status,
        409
    );
}

#[test]
fn mistakes_are_told_by_their_fields() {
    let home = Scratch::new();
    let console = Console::start(&home);
    let taken = Place::opened();
    let errors = |fields: Value| {
        let answer = console.post("/api/v1/relays/1", &fields);
        assert_eq!(answer.status, 422, "{answer:?}");
        answer.json()["errors"].clone()
    };
    let both = errors(json!({ "src": "nowhere", "retry": "x" }));
    assert!(
        both["src"].is_string() && both["retry"].is_string(),
        "{both}"
    );
    assert!(errors(json!({ "upstream-send": "/etc/passwd" }))["upstream-send"].is_string());
    assert!(errors(json!({ "name": "" }))["name"].is_string());
    for socket in [
        "unix:/run/docker.sock",
        "127.0.0.1:1, unix:/x",
        "tls+unix:/x",
    ] {
        assert!(errors(json!({ "src": socket }))["src"].is_string());
        assert!(errors(json!({ "dst": socket }))["dst"].is_string());
    }
    let fields = console.roles()[0]["fields"].clone();
    assert_eq!(
        (&fields["src"], &fields["retry"], &fields["upstream-send"]),
        (&json!("nowhere"), &json!("x"), &Value::Null),
        "what was typed stays"
    );
    assert_eq!(
        console.post("/api/v1/relays/1/start", &json!({})).status,
        422
    );
    console.does(
        "relays/1",
        &json!({ "src": "127.0.0.1:1", "retry": 5, "dst": taken.at.to_string() }),
    );
    let answer = console.post("/api/v1/relays/1/start", &json!({}));
    assert_eq!(answer.status, 422);
    assert!(
        answer.json()["errors"]["dst"]
            .as_str()
            .unwrap()
            .contains("port in use"),
        "{answer:?}"
    );
    assert_eq!(console.roles()[0]["state"], "failed");
    for body in ["[]", "", "{", "1"] {
        let fields = format!(
            "Host: {}\r\nContent-Type: application/json\r\nConnection: close\r\n",
            console.at
        );
        assert_eq!(
            console
                .request("POST", "/api/v1/relays", &fields, body)
                .status,
            400,
            "{body}"
        );
    }
    for (path, body) in [
        ("relays/1/dump", json!({})),
        ("relays/1/kick", json!({ "client": "x" })),
        ("relays/1", json!({ "src": [] })),
    ] {
        assert_eq!(
            console.post(&format!("/api/v1/{path}"), &body).status,
            400,
            "{path}"
        );
    }
    assert_eq!(
        console.post("/api/v1/relays/9/start", &json!({})).status,
        409
    );
    assert_eq!(console.get("/api/v1/relays/9/history").status, 404);
}

#[test]
fn tabs_chain_and_the_last_one_leaves_a_fresh_one() {
    let home = Scratch::new();
    let console = Console::start(&home);
    console.does(
        "relays/1",
        &json!({ "dst": "127.0.0.1:7400", "retry": "1..9", "dump": true }),
    );
    let id = console.does("relays", &json!({ "after": 1 }))["id"]
        .as_u64()
        .unwrap();
    let fields = &console.roles()[1]["fields"];
    let next = json!({
        "src": "127.0.0.1:7400", "dst": "127.0.0.1:7401", "mode": "connect-listen", "retry": "1..9", "dump": true,
    });
    assert_eq!(*fields, next);
    assert_eq!(
        console
            .post(
                &format!("/api/v1/relays/{id}"),
                &json!({ "name": "relay 1" })
            )
            .status,
        422,
        "the name is taken"
    );
    console.does("relays/1/remove", &json!({}));
    let fresh = console.does(&format!("relays/{id}/remove"), &json!({}))["id"].as_u64();
    let roles = console.roles();
    assert_eq!((roles.len(), roles[0]["id"].as_u64()), (1, fresh));
    assert_eq!(roles[0]["fields"]["src"], json!("127.0.0.1:9999"));
}

#[test]
fn what_is_meant_for_another_run_is_refused() {
    let home = Scratch::new();
    let console = Console::start(&home);
    let started = console.get("/api/v1/state").json()["started"]
        .as_u64()
        .unwrap();
    let asked = |started: u64| json!({ "src": "127.0.0.1:1", "started": started });
    let refused = console.post("/api/v1/relays/1", &asked(started - 1));
    assert_eq!(refused.status, 412, "{refused:?}");
    let fields = |console: &Console| console.roles()[0]["fields"].clone();
    assert_eq!(fields(&console)["src"], json!("127.0.0.1:9999"));
    console.does("relays/1", &asked(started));
    assert_eq!(fields(&console)["src"], json!("127.0.0.1:1"));
    assert!(fields(&console)["started"].is_null());
}

#[test]
fn events_are_pushed() {
    let home = Scratch::new();
    let console = Console::start(&home);
    let mut place = Place::opened();
    let _feed = console.relay(place.at, "127.0.0.1:0");
    let mut upstream = place.accept();
    console.does("relays/1/dump", &json!({ "on": true }));
    let mut stream = connect(console.at);
    let ask = format!(
        "GET /api/v1/events?relay=1 HTTP/1.1\r\nHost: {}\r\n\r\n",
        console.at
    );
    stream.write_all(ask.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream)
        .lines()
        .map(|line| line.expect("it goes on"));
    let mut until = |kind: &str, fits: &dyn Fn(&Value) -> bool| loop {
        let line = lines.next().expect("it goes on");
        if line != format!("event: {kind}") {
            continue;
        }
        let data = lines.next().expect("data follows");
        let data = serde_json::from_str(data.trim_start_matches("data: ")).expect("it is JSON");
        if fits(&data) {
            return;
        }
    };
    until("state", &|state| {
        state["roles"][0]["running"] == json!(true)
    });
    until("log", &|line| {
        line["text"]
            .as_str()
            .unwrap()
            .starts_with("relay[relay 1]: listening on")
    });
    // The dump begins at the newest once it is asked for: what comes later is in it.
    upstream.write_all(b"car 11\n").unwrap();
    until("state", &|state| {
        state["roles"][0]["bytes_in"].as_u64() >= Some(7)
    });
    until("state", &|_| true);
    upstream.write_all(b"car 23\n").unwrap();
    let all = b"car 11\ncar 23\n";
    until("dump", &|piece| {
        assert_eq!(piece["skipped"], json!(0));
        let offset = piece["offset"].as_u64().unwrap() as usize;
        let bytes = STANDARD.decode(piece["data"].as_str().unwrap()).unwrap();
        let end = offset + bytes.len();
        assert_eq!(all.get(offset..end), Some(bytes.as_slice()));
        end == all.len()
    });
}

#[test]
fn metrics_are_there_too() {
    let home = Scratch::new();
    let console = Console::start_with(&home, "--bind 127.0.0.1:0 --metrics 127.0.0.1:0");
    let at = console.program.address_of("metrics");
    let mut stream = connect(at);
    let ask = format!("GET /metrics HTTP/1.1\r\nHost: {at}\r\n\r\n");
    stream.write_all(ask.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains("relay 1"), "{text}");
}

/// As of one that does not.
#[test]
fn a_relay_that_runs_needs_its_name() {
    let home = Scratch::new();
    let console = Console::start(&home);
    let place = Place::opened();
    console.relay(place.at, "127.0.0.1:0");
    for (name, why) in [
        ("", "it needs a name"),
        ("b[", "no brackets"),
        ("b", "it runs"),
    ] {
        let answer = console.post(
            "/api/v1/relays/1",
            &json!({ "name": name, "max-lag": "9s" }),
        );
        assert_eq!(answer.status, 422, "{answer:?}");
        let said = answer.json()["errors"]["name"].clone();
        assert!(
            said.as_str().is_some_and(|said| said.contains(why)),
            "{said}"
        );
    }
    let role = console.roles()[0].clone();
    assert_eq!(
        (&role["name"], &role["fields"]["max-lag"]),
        (&json!("relay 1"), &Value::Null)
    );
    assert_eq!(
        console.does("relays/1", &json!({ "name": "relay 1" }))["errors"],
        json!({})
    );
}
