//! Where relative paths start that stand in a file: at that file's folder, wherever the program was started. So a file
//! means the same to whoever checks it and to a service manager, whose working directory is another.

use std::path::{Path, PathBuf};

/// A path that stands in a file of this folder.
pub(crate) fn path(folder: &Path, text: &str) -> PathBuf {
    let joined = folder.join(text);
    // It fails only where nothing can be said of the working directory.
    std::path::absolute(&joined).unwrap_or(joined)
}

/// A word of a role, or several with commas between them, with the whole path of each Unix socket that it names by a
/// relative one: `connect:unix:feed.sock` is `connect:unix:/etc/hydrant/feed.sock`. `None`: there is none.
pub(crate) fn word(folder: &Path, key: &str, text: &str) -> Option<String> {
    if key != "src" {
        return place(folder, text);
    }
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let placed: Vec<Option<String>> = parts.iter().map(|part| place(folder, part)).collect();
    let is_any = placed.iter().any(Option::is_some);
    let whole = placed.into_iter().zip(parts);
    let whole: Vec<String> = whole
        .map(|(placed, part)| placed.unwrap_or_else(|| part.to_owned()))
        .collect();
    is_any.then(|| whole.join(","))
}

/// Why no relative path of this key may stand in a file of this folder: what it stands for would name another file.
pub(crate) fn fault(folder: &Path, key: &str) -> Option<&'static str> {
    match folder.to_str() {
        None => Some("the name of this file's folder is not UTF-8: write a whole path"),
        Some(folder) if key == "src" && folder.contains(',') => Some(
            "this file's folder has a comma in its name, and a comma ends a source: write a whole path",
        ),
        Some(_) => None,
    }
}

fn place(folder: &Path, text: &str) -> Option<String> {
    let mut rest = text;
    for prefix in ["listen:", "connect:", "ws://"] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    let relative = rest.strip_prefix("unix:")?;
    if relative.is_empty() || relative.starts_with('/') {
        return None;
    }
    let before = &text[..text.len() - relative.len()];
    let whole = path(folder, relative);
    Some(format!("{before}{}", whole.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_lie_in_the_folder_of_the_file() {
        let folder = Path::new("/etc/hydrant");
        for (key, text, whole) in [
            ("dst", "unix:s", "unix:/etc/hydrant/s"),
            ("dst", "unix:./a/s", "unix:/etc/hydrant/a/s"),
            ("dst", "connect:unix:../s", "connect:unix:/etc/hydrant/../s"),
            (
                "dst",
                "listen:ws://unix:s",
                "listen:ws://unix:/etc/hydrant/s",
            ),
            ("dst", "unix:a,b", "unix:/etc/hydrant/a,b"),
            ("listen", "unix:s", "unix:/etc/hydrant/s"),
            ("src", "unix:s", "unix:/etc/hydrant/s"),
            (
                "src",
                "a:1, unix:s ,unix:/x",
                "a:1,unix:/etc/hydrant/s,unix:/x",
            ),
        ] {
            assert_eq!(word(folder, key, text).as_deref(), Some(whole), "{text}");
        }
        for (key, text) in [
            ("dst", "unix:/s"),
            ("dst", "unix:"),
            ("dst", ":6000"),
            ("dst", "-"),
            ("src", "a:1,b:2"),
            ("src", "unix:/a, b:1"),
            ("url", "ws://a:1/unix:x"),
        ] {
            assert_eq!(word(folder, key, text), None, "{text}");
        }
    }
}
