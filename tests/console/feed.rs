//! The log and the dump in a browser: whose lines are shown, what bytes look like, and that nothing is done for what
//! nobody sees.

use serde_json::{Value, json};

use crate::browser::{Browser, Page};
use crate::common::scratch::Scratch;
use crate::common::tools::have;
use crate::rig::Console;

/// Keeps the streams that the page opens, with the numbers of the lines that each has brought, and counts how often
/// text is decoded.
const WATCHED: &str = "
    window.streams = [];
    window.EventSource = class extends EventSource {
        lines = [];
        constructor(url) {
            super(url);
            window.streams.push(this);
            this.addEventListener('log', ({ data }) => this.lines.push(JSON.parse(data).seq));
        }
    };
    window.decoded = 0;
    const decode = TextDecoder.prototype.decode;
    TextDecoder.prototype.decode = function (...what) {
        window.decoded += 1;
        return decode.apply(this, what);
    };
    // As if hydrant had sent it.
    window.sends = (kind, data) =>
        window.streams.at(-1).dispatchEvent(new MessageEvent(kind, { data: JSON.stringify(data) }));
    window.says = (level, text) => {
        window.seq = (window.seq ?? 1e9) + 1;
        window.sends('log', { seq: window.seq, time: '2026-01-01T12:00:00.123Z', level, text });
    };";

fn watched(browser: &Browser, console: &Console) -> Page {
    let mut page = browser.open("about:blank");
    page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        &json!({ "source": WATCHED }),
    );
    page.goto(&format!("http://{}/", console.at));
    page.until("!document.getElementById('panel').hidden && document.getElementById('link').dataset.up === 'true'");
    page
}

/// What the log shows of the lines that hold a text.
fn shown(page: &mut Page, level: &str, text: &str) -> Vec<String> {
    page.eval(&format!(
        "for (const [id, value] of [['log-level', '{level}'], ['log-filter', '{text}']]) {{
            document.getElementById(id).value = value;
            document.getElementById(id).dispatchEvent(new Event('input'));
        }}"
    ));
    let lines = "[...document.querySelectorAll('#log .line span')].map((line) => line.textContent)";
    serde_json::from_value(page.eval(lines)).expect("a list")
}

#[test]
fn the_log_is_filtered() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    console.does("relays", &json!({ "after": 1 }));
    let browser = Browser::start();
    let mut page = watched(&browser, &console);
    page.until("window.streams.at(-1).lines.length > 0");

    // Another tab's stream goes on where the one before was.
    page.eval("window.before = window.streams.at(-1)");
    page.click("#tab-2");
    page.until("window.streams.at(-1) !== window.before");
    page.eval("new Promise((resolve) => window.streams.at(-1).addEventListener('state', resolve))");
    console.does("relays/2", &json!({ "name": "other" }));
    page.until_text("#tab-2", "other");
    assert_eq!(
        page.eval(
            "window.streams.at(-1).lines.filter((seq) => seq <= Math.max(...window.before.lines)).length"
        ),
        0,
        "lines that the page has are sent again"
    );

    page.eval(
        "for (const level of ['ERROR', 'WARN', 'INFO', 'DEBUG', 'TRACE']) window.says(level, `a trial of ${level}`)",
    );
    page.until_text("#log", "a trial of TRACE");
    // A line that comes again is the same one.
    page.eval("window.seq -= 1; window.says('TRACE', 'a trial of TRACE')");
    assert_eq!(shown(&mut page, "1", "trial"), ["a trial of ERROR"]);
    assert_eq!(
        shown(&mut page, "2", "trial"),
        ["a trial of ERROR", "a trial of WARN"]
    );
    assert_eq!(shown(&mut page, "3", "a trial").len(), 3);
    assert_eq!(shown(&mut page, "5", " trial").len(), 5);
    assert_eq!(
        shown(&mut page, "5", "trial of trace"),
        ["a trial of TRACE"]
    );

    // Lines of others are theirs; what is said about the whole program is everybody's.
    let label = page.text("#tab-2 .name");
    page.eval(&format!(
        "const roles = ['relay[another]', 'ws', 'ws client[play]', 'hub', 'tunnel[a b]', 'relay[{label}]'];
         for (const who of ['hydrant', 'console', 'metrics', ...roles])
            window.says('WARN', `${{who}}: was there`)"
    ));
    let own = [
        "hydrant: was there",
        "console: was there",
        "metrics: was there",
        "was there",
    ];
    assert_eq!(shown(&mut page, "5", "was there"), own);
    page.click("#log-all");
    assert_eq!(shown(&mut page, "5", "was there").len(), 9);
    page.click("#log-all");

    in_one_go(&mut page);
    the_dump(&mut page);
    page.complains_only_of(&[]);
}

/// Many lines at once are laid out once.
fn in_one_go(page: &mut Page) {
    shown(page, "5", "");
    page.eval(
        "const log = document.getElementById('log');
         const own = Object.getOwnPropertyDescriptor(Element.prototype, 'scrollHeight');
         window.layouts = 0;
         Object.defineProperty(log, 'scrollHeight', { get() {
            window.layouts += 1;
            return own.get.call(log);
         } });
         for (let number = 1; number <= 300; number += 1) window.says('INFO', `line ${number} of many`)",
    );
    page.until_text("#log", "line 300 of many");
    let layouts = page.eval("window.layouts").as_u64().expect("a number");
    assert!(layouts < 30, "{layouts} times for 300 lines");
    assert_eq!(
        page.eval("document.querySelectorAll('#log .line').length <= 500"),
        true
    );
}

/// What flows is drawn when it is looked at, and then letter for letter, whatever it is.
fn the_dump(page: &mut Page) {
    let send = |page: &mut Page, offset: u64, bytes: &str| {
        page.eval(&format!(
            "window.sends('dump', {{ offset: {offset}, skipped: 0, data: btoa({bytes}) }})"
        ));
        page.eval(
            "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))",
        );
    };
    let before = page.text("#dump");
    send(page, 0, r"'Zo\xc3\xab \x01\t'");
    assert_eq!(page.text("#dump"), before, "nobody looks at it");
    page.click("#feed-dump");
    page.until_text("#dump", "Zo\u{eb} \\x01\t");
    // RFC 3629 section 4: too long a form, a surrogate, too high, cut off; and what is none of that. A letter that two
    // pieces share is whole.
    send(
        page,
        7,
        r"'\xc0\xaf|\xe0\x9f\xbf|\xed\xa0\x80|\xf4\x90\x80\x80|'",
    );
    send(page, 21, r"'\xef\xbb\xbf|\xf0\x9f'");
    send(page, 27, r"'\x90\x8e|\xe2\x82'");
    page.until_text(
        "#dump",
        "\\xc0\\xaf|\\xe0\\x9f\\xbf|\\xed\\xa0\\x80|\\xf4\\x90\\x80\\x80|\u{feff}|\u{1f40e}|\\xe2\\x82",
    );
    page.eval("window.decoded = 0");
    send(page, 100, "'\\xc3\\xab and so on '.repeat(1000)");
    page.until_text("#dump", "and so on");
    let decoded = page.eval("window.decoded").as_u64().expect("a number");
    assert!(decoded < 100, "{decoded} times for 13 kB");
}

/// A page that nobody looks at leaves its connection to others: a browser has six for all pages of one hydrant.
#[test]
fn a_hidden_page_holds_no_connection() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let browser = Browser::start();
    let mut page = watched(&browser, &console);
    assert_eq!(
        page.eval("window.streams.length"),
        1,
        "the first is the one that stays"
    );
    let hide = |page: &mut Page, is_hidden: bool| {
        page.eval(&format!(
            "Object.defineProperty(document, 'hidden', {{ configurable: true, get: () => {is_hidden} }});
             document.dispatchEvent(new Event('visibilitychange'))"
        ))
    };
    hide(&mut page, true);
    page.until("window.streams.at(-1).readyState === EventSource.CLOSED");
    let streams = page.eval("window.streams.length");
    // Its title stands in the browser's list of tabs all the same.
    console.does("relays/1", &json!({ "name": "seen from afar" }));
    page.until("document.title.startsWith('seen from afar')");
    assert_eq!(page.eval("window.streams.length"), streams);
    hide(&mut page, false);
    page.until("window.streams.at(-1).readyState === EventSource.OPEN");
    page.until("document.getElementById('link').dataset.up === 'true'");
    assert_eq!(
        page.eval("document.body.classList.contains('stale')"),
        Value::Bool(false)
    );
    a_look_that_comes_late_counts_no_more(&mut page, hide);
    page.complains_only_of(&[]);
}

/// It is hidden and asks, and is seen again before that fails: its stream knows better.
fn a_look_that_comes_late_counts_no_more(page: &mut Page, hide: impl Fn(&mut Page, bool) -> Value) {
    page.eval(
        "const real = window.fetch;
         window.fetch = (path, options) =>
            path.endsWith('/state')
                ? new Promise((_, reject) => { window.fails = () => reject(new TypeError('gone')); })
                : real(path, options);
         0",
    );
    hide(page, true);
    page.until("window.fails");
    hide(page, false);
    page.eval("new Promise((resolve) => window.streams.at(-1).addEventListener('state', resolve))");
    page.eval("window.fails(); new Promise((resolve) => setTimeout(resolve))");
    assert_eq!(
        page.eval("[document.body.classList.contains('stale'), document.getElementById('link').dataset.up]"),
        json!([false, "true"])
    );
}

/// What is pushed and what is asked for come over two connections: what is older undoes nothing of what is newer.
#[test]
fn a_state_that_comes_late_takes_no_tab_away() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let browser = Browser::start();
    let mut page = watched(&browser, &console);
    page.eval(
        "new Promise((resolve) => window.streams.at(-1).addEventListener('state', ({ data }) => {
            window.older = JSON.parse(data);
            resolve();
         }))",
    );
    page.click("#add");
    page.until("document.getElementById('tab-2').ariaSelected === 'true'");
    assert_eq!(
        page.eval(
            "window.sends('state', window.older);
             [document.querySelectorAll('#tabs [role=tab]').length, document.getElementById('toast').textContent]"
        ),
        json!([2, ""])
    );
    page.complains_only_of(&[]);
}

/// A window that is made smaller, or a phone that is turned, is no reason to miss what comes.
#[test]
fn a_log_with_less_room_still_shows_its_end() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let browser = Browser::start();
    let mut page = watched(&browser, &console);
    page.resize(1440, 1400, false);
    page.eval("for (let line = 0; line < 40; line += 1) window.says('INFO', `line ${line}`); 0");
    page.until_text("#log", "line 39");
    let ago =
        "(({ scrollHeight, scrollTop, clientHeight }) => scrollHeight - scrollTop - clientHeight)
        (document.getElementById('log'))";
    page.resize(1440, 800, false);
    page.until(&format!("{ago} < 2"));
    page.eval("window.says('INFO', 'one more'), 0");
    page.until_text("#log", "one more");
    page.until(&format!("{ago} < 2"));
    // Who has scrolled back reads on.
    page.eval("document.getElementById('log').scrollTop = 50, 0");
    page.eval(
        "new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))",
    );
    page.resize(1440, 700, false);
    page.eval("window.says('INFO', 'the last'), 0");
    page.until_text("#log", "the last");
    assert_eq!(page.eval("document.getElementById('log').scrollTop"), 50);
    console.program.stop();
}
