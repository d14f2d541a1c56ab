//! The console as a program: its API as a script sees it, and its page in a real browser.

mod common;

#[path = "console/access.rs"]
mod access;
#[path = "console/aids.rs"]
mod aids;
#[path = "console/api.rs"]
mod api;
#[path = "console/browser.rs"]
mod browser;
#[path = "console/feed.rs"]
mod feed;
#[path = "console/form.rs"]
mod form;
#[path = "console/others.rs"]
mod others;
#[path = "console/page.rs"]
mod page;
#[path = "console/rig.rs"]
mod rig;
#[path = "console/settings.rs"]
mod settings;
#[path = "console/table.rs"]
mod table;
#[path = "console/tabs.rs"]
mod tabs;
#[path = "console/wall.rs"]
mod wall;
