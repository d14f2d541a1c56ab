//! A page beside others, who move the same relays: what somebody does elsewhere is said, and takes no key and no answer
//! of whoever looks at it here.

use serde_json::json;

use crate::browser::Browser;
use crate::common::scratch::Scratch;
use crate::common::tools::have;
use crate::rig::Console;

#[test]
fn a_tab_that_goes_elsewhere_takes_no_key_with_it() {
    if !have("chromium") {
        return;
    }
    let home = Scratch::new();
    let console = Console::start(&home);
    let second = console.does("relays", &json!({}))["id"]
        .as_u64()
        .expect("an id");
    let browser = Browser::start();
    let mut page = browser.open(&format!("http://{}/#{second}", console.at));
    page.until(&format!(
        "document.getElementById('tab-{second}')?.ariaSelected === 'true'"
    ));
    assert_eq!(
        page.eval("document.getElementById('lag-note').textContent"),
        ""
    );
    page.fill("#field-retry", "7");
    let name = page.eval("document.getElementById('field-name').value");
    let name = name.as_str().expect("it has one");
    page.eval("document.getElementById('field-retry').focus()");
    console.does(&format!("relays/{second}/remove"), &json!({}));
    page.until("document.querySelectorAll('#tabs [role=tab]').length === 1");
    page.until_text("#toast", &format!("{name} is gone"));
    assert_eq!(page.eval("document.activeElement.id"), "tab-1");
    assert_eq!(console.roles()[0]["fields"]["retry"], json!(""));
}
