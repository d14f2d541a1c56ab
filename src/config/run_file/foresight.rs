//! What `check` foresees: that starting would fail, as far as that is seen without listening anywhere. Not what runs
//! is asked, since what a file says may be right though a folder has gone since.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::crew::Draft;
use super::rest::Rest;
use super::section::Reader;
use crate::base::endpoint::Endpoint;
use crate::base::units::Typed;

/// Notes sockets and log files that could not be made.
pub(super) fn note(reader: &mut Reader<'_>, crew: &[Draft], rest: &Rest<'_>) {
    let begun = crew.iter().filter(|draft| draft.entry.is_enabled);
    let places = begun.flat_map(|draft| &draft.listens);
    for (at, place) in places.chain(&rest.watchers) {
        if let Endpoint::Unix(path) = at
            && let Some(wrong) = socket_fault(path)
        {
            reader.note(place.clone(), format!("can't listen on {at}: {wrong}"));
        }
    }
    if let Some(place) = rest.place_of("log-file")
        && let Ok(Some(path)) = rest.values.path("log-file")
        && let Some(wrong) = log_fault(&path)
    {
        let path = path.to_string_lossy();
        reader.note(place, format!("can't log to {}: {wrong}", Typed(&path)));
    }
}

fn socket_fault(path: &Path) -> Option<String> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => None,
        Ok(_) => Some("something is there that is not a socket".to_owned()),
        Err(_) => folder_fault(path),
    }
}

fn log_fault(path: &Path) -> Option<String> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Some("it is a folder".to_owned()),
        Ok(_) => None,
        Err(_) => folder_fault(path),
    }
}

/// What keeps a file from being made, as far as its folder shows.
fn folder_fault(path: &Path) -> Option<String> {
    let whole = std::path::absolute(path).ok()?;
    let folder = whole.parent()?;
    let named = || Typed(&folder.to_string_lossy()).to_string();
    match fs::metadata(folder) {
        Ok(found) if found.is_dir() => None,
        Ok(_) => Some(format!("{} is no folder", named())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Some(format!("there is no folder {}", named()))
        }
        Err(error) => Some(format!("{}: {}", named(), error.kind())),
    }
}
