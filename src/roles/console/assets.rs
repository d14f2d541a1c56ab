//! The page's files, as they are in the program.

/// A file of the page.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asset {
    path: &'static str,
    pub(super) kind: &'static str,
    pub(super) text: &'static str,
}

impl Asset {
    /// The file that is served at a path.
    pub(super) fn at(path: &str) -> Option<&'static Self> {
        ASSETS.iter().find(|asset| asset.path == path)
    }

    /// Whether it is a page, which others may link to, and no part of one.
    pub(super) fn is_page(&self) -> bool {
        self.kind == HTML
    }
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

macro_rules! assets {
    ($($path:literal $kind:ident $file:literal;)*) => {
        &[$(Asset { path: $path, kind: $kind, text: include_str!(concat!("page/", $file)) },)*]
    };
}

static ASSETS: &[Asset] = assets! {
    "/" HTML "index.html";
    "/wall" HTML "wall.html";
    "/console.css" STYLE "console.css";
    "/icon.svg" IMAGE "icon.svg";
    "/console.js" SCRIPT "console.js";
    "/wall.js" SCRIPT "wall.js";
    "/api.js" SCRIPT "api.js";
    "/chart.js" SCRIPT "chart.js";
    "/clients.js" SCRIPT "clients.js";
    "/dom.js" SCRIPT "dom.js";
    "/door.js" SCRIPT "door.js";
    "/facts.js" SCRIPT "facts.js";
    "/feed.js" SCRIPT "feed.js";
    "/form.js" SCRIPT "form.js";
    "/units.js" SCRIPT "units.js";
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever stands between quotes behind one of these words names a file.
    fn named(text: &str, words: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for word in words {
            for after in text.split(word).skip(1) {
                found.extend(after.split('"').next().map(str::to_owned));
            }
        }
        found
    }

    #[test]
    fn a_page_needs_nothing_that_is_not_there() {
        for asset in ASSETS {
            let paths = match asset.kind {
                HTML => named(asset.text, &["src=\"", "href=\"/"]),
                SCRIPT => named(asset.text, &["from \"./"]),
                _ => Vec::new(),
            };
            for path in paths {
                let path = format!("/{}", path.trim_start_matches('/'));
                assert!(Asset::at(&path).is_some(), "{} names {path}", asset.path);
            }
        }
    }

    #[test]
    fn a_page_has_no_script_or_style_within_and_nothing_from_elsewhere() {
        for asset in ASSETS {
            let text = asset.text;
            assert!(!text.contains("https://"), "{}", asset.path);
            if asset.is_page() {
                assert_eq!(
                    text.matches("<script").count(),
                    text.matches("<script type=\"module\" src=\"").count()
                );
                assert!(
                    !text.contains("<style")
                        && !text.contains(" style=")
                        && !text.contains(" onclick=")
                );
            }
            assert!(
                !text.contains("innerHTML"),
                "{}: what comes from outside stays text",
                asset.path
            );
        }
    }

    #[test]
    fn ids_stand_once() {
        for page in ASSETS.iter().filter(|asset| asset.is_page()) {
            let mut ids = named(page.text, &[" id=\""]);
            let count = ids.len();
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), count, "{}", page.path);
        }
    }
}
