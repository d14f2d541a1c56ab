//! The table of clients in a browser, as it is scrolled, searched and read aloud.

use serde_json::json;

use crate::browser::{Browser, Page};
use crate::common::scratch::Scratch;
use crate::common::tools::have;
use crate::page::open;
use crate::rig::Console;

/// Ten thousand clients, of whom the page hears when the test says so: `asked` holds its requests, each with where it
/// begins and how it is answered, and `from` the addresses' beginning.
const CROWD: &str = "
    window.asked = [];
    window.from = '10.0.0.1';
    const real = window.fetch;
    window.fetch = (path, options) => {
        const query = new URLSearchParams(path.split('/clients?')[1] ?? '');
        if (!query.has('offset')) return real(path, options);
        const offset = Number(query.get('offset'));
        const all = query.get('search') ? 30 : 10000;
        return new Promise((resolve) => {
            window.asked.push({ offset, answer() {
                const length = Math.min(Number(query.get('limit')), all - offset);
                const rows = Array.from({ length }, (_, index) => ({
                    id: String(offset + index), peer: `${window.from}:${offset + index}`,
                    label: '', lag: 0, behind: 0, bytes: 1, sent: null, joined: 1,
                }));
                resolve(Response.json({ total: 10000, matched: all, offset, rows }));
            } });
        });
    };
    window.next = () => { window.asked.shift().answer(); };
    0";

/// Waits for the page's request, and answers it.
fn answers(page: &mut Page) {
    page.until("window.asked.length > 0");
    page.eval("window.next()");
}

#[test]
fn a_crowd_is_looked_at_one_answer_at_a_time() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let browser = Browser::start();
    let mut page = open(&browser, &console);
    page.eval(CROWD);
    answers(&mut page);
    page.until_text("#clients-count", "10,000 clients");
    assert_eq!(
        page.eval("document.getElementById('clients-grid').ariaRowCount"),
        "10001"
    );

    // However far it is scrolled while an answer is on its way, the next request is for where that has ended.
    page.eval(
        "new Promise(async (resolve) => {
            const scroll = document.getElementById('clients-scroll');
            const frame = () => new Promise(requestAnimationFrame);
            for (let at = 1; at <= 20; at += 1) {
                scroll.scrollTop = at * 5000;
                await frame();
                await frame();
            }
            resolve();
         })",
    );
    page.until("window.asked.length > 0");
    assert_eq!(page.eval("window.asked.length"), 1);
    page.eval("window.next()");
    page.until("window.asked.length > 0 && window.asked[0].offset > 3000");
    assert_eq!(page.eval("window.asked.length"), 1);
    page.eval("window.next()");
    page.until_text("#clients-scroll", "10.0.0.1:3571");

    // A relay that has begun again counts its clients from the beginning: who has the number of another is named anew.
    page.eval("window.from = '10.0.0.2'");
    page.until("window.asked.length > 0");
    page.eval("window.next()");
    page.until_text("#clients-scroll", "10.0.0.2:3571");
    assert_eq!(
        page.eval(
            "[...document.querySelectorAll('#clients-scroll [data-id] button')]
                 .filter((one) => one.ariaLabel.includes('10.0.0.1')).length"
        ),
        0
    );

    // What is looked for is announced when it is found; how many there are, which changes all the time, is not.
    let aloud =
        "[...document.querySelectorAll('#clients [role=status]')].map((one) => one.textContent)";
    assert_eq!(page.eval(aloud), json!([""]));
    page.until("window.asked.length > 0");
    page.eval(
        "const search = document.getElementById('clients-search');
         search.value = '10.0.0.2';
         search.dispatchEvent(new Event('input'))",
    );
    // What was asked before is answered behind it, and is no answer to it.
    page.until("window.asked.length > 1");
    page.eval("while (window.asked.length) window.asked.pop().answer()");
    page.until_text("#clients-count", "30 of 10,000 clients");
    assert_eq!(page.eval(aloud), json!(["30 of 10,000 clients"]));
    page.complains_only_of(&[]);
}

/// On the smallest phone an address is there to its end; and who is not found because nobody answers is not hidden.
#[test]
fn a_table_leaves_nothing_out() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let browser = Browser::start();
    let mut page = open(&browser, &console);
    page.resize(320, 640, true);
    page.eval(CROWD);
    page.eval("window.from = '255.255.255.255:6553'");
    answers(&mut page);
    page.until_text("#clients-scroll", "255.255.255.255:6553:0");
    let cut = "[...document.querySelectorAll('#clients-scroll .peer')].filter((one) =>
        one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight).length";
    assert_eq!(page.eval(cut), 0);

    page.eval("window.fetch = () => Promise.reject(new TypeError('nobody there'))");
    page.eval("while (window.asked.length) window.next()");
    page.eval(
        "const search = document.getElementById('clients-search');
         search.value = '10.0.0.2';
         search.dispatchEvent(new Event('input'))",
    );
    page.until_text("#clients-scroll", "Not known: hydrant can't be reached.");
    page.until("document.querySelectorAll('#clients-scroll [data-id]').length === 0");
    page.until("document.getElementById('clients-count').textContent === ''");
    console.program.stop();
}

/// On a phone a row, and what disconnects whoever is in it, is as high as a finger is broad; and no row lies on
/// another.
#[test]
fn fingers_hit_the_row_that_they_mean() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let browser = Browser::start();
    let mut page = open(&browser, &console);
    page.resize(390, 844, true);
    page.eval(CROWD);
    page.eval("window.from = '10.0.0.1'");
    answers(&mut page);
    page.until_text("#clients-scroll", "10.0.0.1:0");
    let sizes = "(() => {
        const box = (one) => one.getBoundingClientRect();
        const rows = [...document.querySelectorAll('#clients-scroll [data-id]')];
        const [one, other, button] = [...rows.slice(0, 2), rows[0].querySelector('button')].map(box);
        return [one.height, other.top - one.top, button.height, button.width];
     })()";
    page.until(&format!("{sizes}.every((size) => size >= 40)"));
    page.resize(1280, 844, false);
    page.until(&format!("{sizes}[0] === 28 && {sizes}[1] === 28"));
    console.program.stop();
}
