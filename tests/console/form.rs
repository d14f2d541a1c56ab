//! The page of a run file that is kept, in a browser: tabs come and go.

use std::fs;

use crate::browser::Browser;
use crate::common::hydrant::hydrant;
use crate::common::scratch::Scratch;
use crate::common::tools::have;

#[test]
fn a_run_file_is_changed_tab_by_tab() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let text = "[console]\nbind = \"127.0.0.1:0\"\nsave = true\n[[hub]]\nname = \"scores\"\nlisten = \"127.0.0.1:0\"\n";
    fs::write(home.at("f.toml"), text).expect("the folder can be written");
    let hydrant = hydrant("run").arg(home.at("f.toml")).start();
    let browsers = hydrant.address_of("browsers");
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://{browsers}/"));
    page.until_text("#state-word", "Running");

    // Where there is no relay yet there can be one, and what is no relay can be closed.
    page.click("#add");
    page.until("document.querySelectorAll('#tabs [role=tab]').length === 2");
    page.until_text("#state-word", "Stopped");
    page.click("#tab-1");
    page.click("#close");
    page.until_text("#ask-title", "Close scores?");
    page.click("#ask-yes");
    page.until("document.querySelectorAll('#tabs [role=tab]').length === 1");
    page.until("!document.getElementById('settings').hidden");

    let saved = fs::read_to_string(home.at("f.toml")).expect("it is there");
    assert!(!saved.contains("[[hub]]"), "{saved}");
    assert!(page.complaints.is_empty(), "{:?}", page.complaints);
    hydrant.stop();
}
