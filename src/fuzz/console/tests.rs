//! What strangers and slow readers can't do, one by one.

use super::*;
use crate::reactor::tabs::TabCommand;

pub(super) const BEARER: &str = "Authorization: Bearer open-sesame-and-more\r\n";

pub(super) fn console(connections: usize) -> Play {
    let party = Party::console(connections, Some(TOKEN));
    Play::new(party, 1, Faults::none())
}

/// The one answer to a request of somebody new.
pub(super) fn asked(play: &mut Play, words: &str) -> Answer {
    let guest = play.guest();
    assert_eq!(play.says(guest, words.as_bytes()), words.len());
    let heard = play.hears_for(guest, SECOND * 3);
    let length = heard.len();
    let mut heard = answers(&heard, |_| words.starts_with("HEAD"));
    assert_eq!(heard.len(), 1, "{length} bytes for {words}");
    heard.remove(0)
}

fn state(play: &mut Play) -> Answer {
    asked(play, &request("GET", "/api/v1/state", BEARER))
}

fn run(seeds: std::ops::Range<u64>) {
    let lives = |seed: &u64| std::panic::catch_unwind(|| console_by_seed(*seed)).is_ok();
    let failed: Vec<u64> = seeds.filter(|seed| !lives(seed)).collect();
    let first = failed.first().copied().unwrap_or_default();
    assert!(
        failed.is_empty(),
        "seeds that failed: {failed:?}; HYDRANT_SEED={first} cargo test --lib console::tests::replay -- --nocapture"
    );
}

#[test]
fn seeds_0_to_127() {
    run(0..128);
}

#[test]
fn seeds_128_to_255() {
    run(128..256);
}

/// The seed in HYDRANT_SEED, with what it comes to.
#[test]
fn replay() {
    let seed = std::env::var("HYDRANT_SEED").ok();
    if let Some(seed) = seed.and_then(|seed| seed.parse().ok()) {
        console_by_seed(seed);
    }
}

#[test]
fn requests_that_are_sent_ahead_take_a_turn_each() {
    let mut play = console(64);
    play.owner.clients = 10_000;
    let greedy = play.guest();
    let path = "/api/v1/relays/1/clients?search=10.0.1.&limit=1";
    let words = request("GET", path, BEARER).repeat(150);
    assert_eq!(play.says(greedy, words.as_bytes()), words.len());
    // That no turn serves two is looked at after each of them.
    let before = play.served;
    let heard = play.hears_for(greedy, SECOND * 2);
    assert!(play.served >= before + 150);
    let heard = answers(&heard, |_| false);
    assert_eq!(heard.len(), 150);
    let fits = |answer: &Answer| answer.body.contains(r#""matched":250,"#);
    assert!(heard.iter().all(fits), "{:?}", heard[0]);
}

#[test]
fn a_head_has_no_body_and_what_follows_is_the_next_answer() {
    let mut play = console(64);
    let guest = play.guest();
    let words = [
        request("HEAD", "/icon.svg", ""),
        request("HEAD", "/api/v1/nowhere", ""),
        request("HEAD", "/api/v1/events", BEARER),
        request("GET", "/icon.svg", ""),
    ];
    play.says(guest, words.concat().as_bytes());
    play.pass(SECOND);
    let heard = answers(&play.hears(guest), |number| number < 3);
    let statuses: Vec<u16> = heard.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 404, 200, 200]);
    assert!(heard[3].body.starts_with("<svg"));
}

#[test]
fn who_waits_for_a_word_before_its_body_gets_it() {
    let mut play = console(8);
    let fields = |length: usize| {
        format!(
            "{BEARER}Content-Type: application/json\r\nExpect: 100-Continue\r\nContent-Length: {length}\r\n"
        )
    };
    let post = |length| request("POST", "/api/v1/relays/1/stop", &fields(length));
    let guest = play.guest();
    for _ in 0..2 {
        let before = play.hears(guest).len();
        play.says(guest, post(2).as_bytes());
        play.pass(SECOND);
        let heard = play.hears(guest).split_off(before);
        assert_eq!(heard, b"HTTP/1.1 100 Continue\r\n\r\n");
        play.says(guest, b"{}");
        play.pass(SECOND);
        let heard = play.hears(guest).split_off(before + heard.len());
        assert!(heard.starts_with(b"HTTP/1.1 200 OK\r\n"), "{heard:?}");
    }
    // One that has begun its body waits for nothing, and one whose body is too long is told so.
    let heard = asked(&mut play, &(post(2) + "{}"));
    assert_eq!(heard.status, 200);
    let heard = asked(&mut play, &post(1 << 20));
    assert_eq!(heard.status, 413);
    assert!(heard.body.contains("longer than 64 KiB"), "{}", heard.body);
    assert_eq!(play.owner.deeds.len(), 3);
    // It still has so long for all of it.
    let slow = play.guest();
    play.says(slow, post(2).as_bytes());
    play.pass(Duration::from_secs(11));
    assert!(!play.is_open(slow));
    // What is asked for a head alone is answered so, whatever else is wrong with it.
    let odd = format!("HEAD http://elsewhere/ HTTP/1.1\r\nHost: {AT}\r\n\r\n");
    assert_eq!(asked(&mut play, &odd).status, 400);
}

/// Who may not ask is told so before its body comes, which may be long in coming.
#[test]
fn a_body_that_may_not_come_is_not_waited_for() {
    let mut play = console(8);
    let post = |path: &str, bearer: &str| {
        let fields = format!(
            "{bearer}Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 60000\r\n"
        );
        request("POST", path, &fields)
    };
    let looks = format!("Authorization: Bearer {VIEW_TOKEN}\r\n");
    for (path, bearer, status) in [
        ("/api/v1/relays/1/stop", "", 401),
        ("/api/v1/relays/1/stop", &looks, 403),
        ("/api/v1/relays/1/stop", "Origin: http://elsewhere\r\n", 403),
        ("/api/v1/nowhere", BEARER, 404),
        ("/api/v1/state", BEARER, 405),
    ] {
        // What has come of the body is nothing that follows.
        let words = post(path, bearer) + "{\r\nGET / HTTP/1.1\r\n\r\n";
        let guest = play.guest();
        assert_eq!(play.says(guest, words.as_bytes()), words.len());
        let heard = answers(&play.hears_for(guest, SECOND), |_| false);
        let heard: Vec<u16> = heard.iter().map(|answer| answer.status).collect();
        assert_eq!(heard, [status], "{path} {bearer}");
        assert!(!play.is_open(guest));
    }
    assert!(play.owner.deeds.is_empty());
}

/// Behind a proxy that is believed each has guesses of its own; one that is not believed is who guesses.
#[test]
fn wrong_tokens_count_for_whom_a_trusted_proxy_says() {
    for (trusted, expected) in [("10.0.0.0/8", 200), ("10.1.0.0/16", 429)] {
        let mut orders = orders(8, Some(TOKEN));
        orders.trust_proxy = Access::ALL;
        orders.trust_proxy.push(trusted.parse().expect("a network"));
        let mut play = Play::new(Party::Console(Console::new(orders)), 1, Faults::none());
        let proxy = play.guest();
        let mut says = |client: &str, token: &str| {
            let fields =
                format!("Authorization: Bearer {token}\r\nX-Forwarded-For: 1.1.1.1, {client}\r\n");
            let before = play.hears(proxy).len();
            play.says(proxy, request("GET", "/api/v1/state", &fields).as_bytes());
            play.pass(SECOND);
            let heard = answers(&play.hears(proxy).split_off(before), |_| false);
            heard[0].status
        };
        for _ in 0..20 {
            assert_eq!(says("192.0.2.7", "a-guess"), 401);
        }
        assert_eq!(says("192.0.2.7", TOKEN), 429, "{trusted}");
        assert_eq!(says("192.0.2.8", TOKEN), expected, "{trusted}");
    }
}

#[test]
fn strangers_that_say_nothing_do_not_fill_it() {
    let mut play = console(8);
    let owner = play.guest();
    play.says(owner, request("GET", "/api/v1/state", BEARER).as_bytes());
    play.pass(SECOND);
    let silent: Vec<_> = (0..20).map(|_| play.guest()).collect();
    let open = silent.iter().filter(|guest| play.is_open(**guest)).count();
    assert_eq!(open, 7, "the newest of them");
    assert_eq!(state(&mut play).status, 200, "somebody new is served");
    play.says(owner, request("GET", "/api/v1/state", BEARER).as_bytes());
    play.pass(SECOND);
    let heard = answers(&play.hears(owner), |_| false);
    assert_eq!(heard.len(), 2, "who has a right stays");
    play.pass(Duration::from_secs(11));
    assert!(!silent.iter().any(|guest| play.is_open(*guest)));
}

#[test]
fn those_who_look_leave_room_for_who_may_do_all() {
    let mut play = console(8);
    let looks = request(
        "GET",
        "/api/v1/events",
        &format!("Authorization: Bearer {VIEW_TOKEN}\r\n"),
    );
    let owner = play.guest();
    play.says(owner, request("GET", "/api/v1/events", BEARER).as_bytes());
    let viewers: Vec<_> = (0..20)
        .map(|_| {
            let viewer = play.guest();
            play.says(viewer, looks.as_bytes());
            play.hears_for(owner, Duration::from_millis(100));
            viewer
        })
        .collect();
    assert!(play.is_open(owner));
    assert_eq!(state(&mut play).status, 200, "there is a place");
    // Those who are nobody cost those who look no more than what was kept from them.
    let strangers: Vec<_> = (0..20).map(|_| play.guest()).collect();
    let open =
        |play: &mut Play, of: &[RemoteId]| of.iter().filter(|one| play.is_open(**one)).count();
    let (viewers, strangers) = (open(&mut play, &viewers), open(&mut play, &strangers));
    assert!(viewers >= 5 && strangers >= 1, "{viewers} {strangers}");
    assert!(play.is_open(owner));
}

#[test]
fn a_request_that_trickles_is_given_up() {
    let mut play = console(8);
    let slow = play.guest();
    for byte in b"GET / HTTP/1.1" {
        play.says(slow, &[*byte]);
        play.pass(SECOND);
    }
    assert!(!play.is_open(slow));
    let guest = play.guest();
    play.says(guest, request("GET", "/icon.svg", "").as_bytes());
    play.pass(Duration::from_secs(50));
    assert!(play.is_open(guest), "it is kept for another request");
    play.says(guest, b"GET");
    play.pass(Duration::from_secs(9));
    assert!(play.is_open(guest));
    play.pass(Duration::from_secs(2));
    assert!(!play.is_open(guest));
}

#[test]
fn a_page_that_stops_reading_is_closed() {
    let mut play = console(8);
    play.owner.tabs = 50;
    play.owner.field = 1000;
    let (stuck, reading) = (play.guest(), play.guest());
    for guest in [stuck, reading] {
        play.says(guest, request("GET", "/api/v1/events", BEARER).as_bytes());
    }
    let begun = play.now();
    while play.reactor.sockets_of(play.role).len() > 2 {
        play.hears_for(reading, SECOND);
        assert!(play.now() < begun + Duration::from_secs(15), "it stays");
    }
    assert!(!play.is_open(stuck));
    assert!(play.is_open(reading));
    assert_eq!(state(&mut play).status, 200);
}

#[test]
fn a_page_gets_all_long_lines_and_a_state_of_any_length() {
    let mut play = console(8);
    play.owner.tabs = 140;
    play.owner.field = 4096;
    play.owner.lines = 1000;
    play.owner.line = 2 << 10;
    play.pass(SECOND);
    let state = state(&mut play);
    assert!(state.body.len() > 1 << 20, "{}", state.body.len());
    let page = play.guest();
    play.says(page, request("GET", "/api/v1/events", BEARER).as_bytes());
    let heard = play.hears_for(page, SECOND * 4);
    let heard = String::from_utf8_lossy(&heard);
    let lines = heard.matches("event: log\n").count();
    let states = heard.matches("event: state\n").count();
    assert_eq!(lines, 1000, "each once");
    assert!(states >= 2, "{states}");
    assert!(heard.contains(&format!("{:02048}", 1)), "the oldest too");
    assert!(play.is_open(page));
}

/// A page asks for the state once, and is told of what changes from then on.
#[test]
fn the_past_is_kept_however_long_nobody_asks_for_the_state() {
    let mut play = console(8);
    play.pass(SECOND);
    assert_eq!(state(&mut play).status, 200);
    play.pass(SECOND * 20);
    let past = asked(
        &mut play,
        &request("GET", "/api/v1/relays/1/history", BEARER),
    );
    let past: serde_json::Value = serde_json::from_str(&past.body).expect("JSON");
    let seconds = past["clients"].as_array().map_or(0, Vec::len);
    assert!(seconds >= 20, "{seconds}");
}

#[test]
fn an_answer_that_never_comes_is_not_waited_for() {
    let mut play = console(8);
    play.pass(SECOND);
    play.owner.is_silent = true;
    let guests: Vec<_> = ["state", "relays/1/clients", "relays/1/history"]
        .map(|path| {
            let guest = play.guest();
            let words = request("GET", &format!("/api/v1/{path}"), BEARER);
            play.says(guest, words.as_bytes());
            guest
        })
        .to_vec();
    play.pass(Duration::from_secs(29));
    assert!(guests.iter().all(|guest| play.is_open(*guest)));
    play.pass(Duration::from_secs(4));
    assert!(!guests.iter().any(|guest| play.is_open(*guest)));
}

#[test]
fn who_may_look_does_nothing() {
    let mut play = console(8);
    let looks = format!(
        "Authorization: Bearer {VIEW_TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
    );
    let stop = request("POST", "/api/v1/relays/1/stop", &looks) + "{}";
    assert_eq!(asked(&mut play, &stop).status, 403);
    assert!(play.owner.deeds.is_empty());
    let stop = stop.replace(VIEW_TOKEN, TOKEN);
    assert_eq!(asked(&mut play, &stop).status, 200);
    assert_eq!(play.owner.deeds, [TabCommand::Stop { tab: 1 }]);
}

#[test]
fn what_is_said_wrongly_is_not_taken_for_something_else() {
    let mut play = console(8);
    let mut said = |path: &str, body: &str| {
        let fields = format!(
            "{BEARER}Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        let words = request("POST", &format!("/api/v1/relays{path}"), &fields) + body;
        asked(&mut play, &words).status
    };
    assert_eq!(said("/1", r#"{"dump":"maybe"}"#), 400);
    assert_eq!(said("/1", r#"{"dump":1}"#), 400);
    assert_eq!(said("/1/dump", r#"{"on":true,"stdout":"yes"}"#), 400);
    assert_eq!(said("", r#"{"after":"1"}"#), 400);
    assert_eq!(said("/+1/stop", "{}"), 404);
    assert_eq!(said("/1", r#"{"dump":"true"}"#), 200);
    assert_eq!(said("", r#"{"after":null}"#), 200);
    assert_eq!(play.owner.deeds.len(), 2, "{:?}", play.owner.deeds);
    let clients = |id: u64| request("GET", &format!("/api/v1/relays/{id}/clients"), BEARER);
    assert_eq!(asked(&mut play, &clients(99)).status, 404);
    assert_eq!(asked(&mut play, &clients(99)).status, 404);
    assert_eq!(asked(&mut play, &clients(1)).status, 200);
}

#[test]
fn who_logs_out_is_out() {
    let mut play = console(8);
    let json = "Content-Type: application/json\r\n";
    let log_in = |play: &mut Play| {
        let guest = play.guest();
        let body = format!(r#"{{"token":"{TOKEN}"}}"#);
        let fields = format!("{json}Content-Length: {}\r\n", body.len());
        let words = request("POST", "/api/v1/login", &fields) + &body;
        play.says(guest, words.as_bytes());
        let heard = String::from_utf8(play.hears_for(guest, SECOND)).expect("it is text");
        let cookie = heard.split("Set-Cookie: ").nth(1).expect("a cookie");
        format!("Cookie: {}\r\n", cookie.split(';').next().expect("a value"))
    };
    let (one, other) = (log_in(&mut play), log_in(&mut play));
    let streams = [&one, &other].map(|cookie| {
        let guest = play.guest();
        play.says(guest, request("GET", "/api/v1/events", cookie).as_bytes());
        guest
    });
    play.pass(SECOND);
    let fields = format!("{one}{json}Content-Length: 2\r\n");
    let out = request("POST", "/api/v1/logout", &fields) + "{}";
    assert_eq!(asked(&mut play, &out).status, 200);
    let status = |play: &mut Play, cookie: &str| {
        asked(play, &request("GET", "/api/v1/state", cookie)).status
    };
    assert_eq!(status(&mut play, &one), 401);
    assert_eq!(status(&mut play, &other), 200);
    assert_eq!(streams.map(|stream| play.is_open(stream)), [false, true]);
}

#[test]
fn metrics_are_served_whoever_else_comes() {
    let mut play = Play::new(Party::metrics(), 1, Faults::none());
    let first = play.guest();
    play.says(first, b"GET /met");
    let others: Vec<_> = (0..63).map(|_| play.guest()).collect();
    // Sixty-four guests take longer to come than a request may take.
    assert!(!play.is_open(first));
    let text = asked(&mut play, &request("GET", "/metrics", ""));
    assert!(text.body.contains(r#"role="relay 1""#), "{}", text.body);
    assert_eq!(
        asked(&mut play, &request("HEAD", "/readyz", "")).status,
        200
    );
    play.pass(Duration::from_secs(6));
    assert!(!others.iter().any(|guest| play.is_open(*guest)));
}

#[test]
fn the_oldest_makes_way_for_the_newest() {
    let mut play = Play::new(Party::metrics(), 1, Faults::none());
    let guests: Vec<_> = (0..70u16)
        .map(|number| {
            let from = SocketAddr::from(([10, 1, 0, number as u8], 1000));
            let to = Addr::Tcp(AT.parse().expect("an address"));
            let mut world = play.handle.world();
            world.connect_remote(to, from, Actor::Manual)
        })
        .collect();
    play.pass(SECOND);
    let open: Vec<bool> = guests.iter().map(|guest| play.is_open(*guest)).collect();
    assert_eq!(open.iter().filter(|is_open| **is_open).count(), 64);
}

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// One look tells of no rate; who looks again within seconds sees what came meanwhile.
#[test]
fn a_terminal_that_looks_again_sees_what_flows() {
    let mut play = Play::new(Party::private(), 1, Faults::none());
    let looks = |play: &mut Play| {
        let state = asked(play, &request("GET", "/api/v1/state", "")).body;
        let state: serde_json::Value = serde_json::from_str(&state).expect("it is JSON");
        state["roles"][0].clone()
    };
    play.pass(SECOND * 5);
    assert_eq!(play.owner.looks, 0, "nobody has asked");
    let role = looks(&mut play);
    assert!(
        role["in"].is_null() && role["drops_10m"].is_null(),
        "{role}"
    );
    play.pass(SECOND * 2);
    assert!(looks(&mut play)["in"].as_u64() >= Some(1000));
    play.pass(SECOND * 15);
    let looked = play.owner.looks;
    play.pass(SECOND * 60);
    assert_eq!(play.owner.looks, looked, "nobody looks any more");
    assert!(looks(&mut play)["in"].is_null(), "that was long ago");
}

#[test]
fn nobody_is_connected_to_what_is_not_there() {
    let mut play = console(8);
    let clients = |tab: u64| request("GET", &format!("/api/v1/relays/{tab}/clients"), BEARER);
    assert_eq!(asked(&mut play, &clients(999)).status, 404);
    assert_eq!(asked(&mut play, &clients(1)).status, 200);
}

/// It holds, and whoever asked for it is told that it is not saved.
#[test]
fn a_deed_that_is_not_saved_is_done_and_that_is_said() {
    let mut play = console(8);
    play.owner.saving = 3;
    let fields = format!("{BEARER}Content-Type: application/json\r\nContent-Length: 2\r\n");
    let stop = request("POST", "/api/v1/relays/1/stop", &fields) + "{}";
    for (unsaved, body) in [(None, "{}"), (Some("no room"), "{\"unsaved\":\"no room\"}")] {
        play.owner.unsaved = unsaved;
        let answer = asked(&mut play, &stop);
        assert_eq!((answer.status, answer.body.as_str()), (200, body));
    }
}

/// However many relays there are: whoever does something hears of it when all of them are as they are since.
#[test]
fn a_deed_is_answered_with_a_look_at_all_that_is_since() {
    let mut play = console(64);
    play.owner.tabs = 1500;
    play.pass(SECOND);
    let fields = format!("{BEARER}Content-Type: application/json\r\nContent-Length: 2\r\n");
    let stop = request("POST", "/api/v1/relays/1/stop", &fields) + "{}";
    for others in 0..6 {
        // Each is served in a turn of its own, and a look takes six.
        let looks: Vec<_> = (0..others).map(|_| play.guest()).collect();
        let does = play.guest();
        for other in looks {
            play.says(other, request("GET", "/api/v1/state", BEARER).as_bytes());
        }
        play.says(does, stop.as_bytes());
        let before = play.owner.deeds.len();
        let end = play.now() + SECOND * 3;
        play.handle.world().stop_at(end);
        while play.hears(does).is_empty() {
            assert!(play.now() < end, "no answer");
            play.turn();
        }
        assert_eq!(play.owner.deeds.len(), before + 1);
        assert!(
            play.owner.looks > play.owner.looks_before,
            "{others} others"
        );
        play.pass(SECOND * 3);
    }
}
