//! Replays the kept inputs of every fuzz target on a stable compiler, and holds that targets, their files and their
//! folders of inputs belong together.

use std::fs;
use std::path::{Path, PathBuf};

use hydrant::fuzz::{TARGETS, Target};

fn fuzz_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names = entries.map(|entry| entry.expect("a folder can be listed").file_name());
    let mut names: Vec<_> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// What does not belong together, a sentence each.
fn mismatches(targets: &[Target], fuzz: &Path) -> Vec<String> {
    let mut wrong = Vec::new();
    let manifest =
        fs::read_to_string(fuzz.join("Cargo.toml")).expect("fuzz/Cargo.toml can be read");
    let is_target = |name: &str| targets.iter().any(|(target, _)| *target == name);
    for (name, _) in targets {
        let corpus = fuzz.join("corpus").join(name);
        if !corpus.is_dir() || names(&corpus).is_empty() {
            wrong.push(format!(
                "fuzz/corpus/{name} has no input: keep one, with a name that says what it shows"
            ));
        }
        let file =
            fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs"))).unwrap_or_default();
        if !file.contains(&format!("hydrant::fuzz::{name}(data)")) {
            wrong.push(format!(
                "fuzz/fuzz_targets/{name}.rs is missing or does not call hydrant::fuzz::{name}"
            ));
        }
        if !manifest.contains(&format!(
            "name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\""
        )) {
            wrong.push(format!("fuzz/Cargo.toml has no [[bin]] named {name}"));
        }
    }
    for folder in names(&fuzz.join("corpus")) {
        if !is_target(&folder) {
            wrong.push(format!(
                "fuzz/corpus/{folder} belongs to no target in hydrant::fuzz::TARGETS"
            ));
        }
    }
    for file in names(&fuzz.join("fuzz_targets")) {
        if !is_target(file.trim_end_matches(".rs")) {
            wrong.push(format!(
                "fuzz/fuzz_targets/{file} belongs to no target in hydrant::fuzz::TARGETS"
            ));
        }
    }
    wrong
}

#[test]
fn targets_files_and_inputs_belong_together() {
    let wrong = mismatches(TARGETS, &fuzz_dir());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_target_without_its_files_is_noticed() {
    let wrong = mismatches(
        &[("ring", hydrant::fuzz::ring), ("nothing", |_| ())],
        &fuzz_dir(),
    );
    let about = |what: &str| wrong.iter().filter(|line| line.contains(what)).count();
    assert_eq!(about("nothing"), 3, "{wrong:?}");
    assert_eq!(about("ring"), 0, "{wrong:?}");
    assert_eq!(
        about("wheel"),
        2,
        "its folder and its file are left over: {wrong:?}"
    );
}

#[test]
fn every_kept_input_passes() {
    for (target, body) in TARGETS {
        let folder = fuzz_dir().join("corpus").join(target);
        for name in names(&folder) {
            let data = fs::read(folder.join(&name)).expect("a kept input can be read");
            // The harness shows this with a failure, and so names the input that failed.
            println!("replaying fuzz/corpus/{target}/{name}");
            body(&data);
        }
    }
}
