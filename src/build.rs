//! Where functions lie in the program: those that a process seldom runs apart from those that each runs.
//!
//! A page of a program is in memory once something on it was run, and the kernel then maps up to 64 KiB round it. Left
//! to itself the linker puts functions in the order in which the compiler comes to them, so that nearly each such piece
//! holds something that every process needs at its start, and nearly the whole program becomes resident. Here modules
//! and crates are named that most processes never enter; then the roles, of which a process has one or a few, each
//! together. What is not named stays in its order, behind them. A path that names nothing changes nothing.
//!
//! Linkers for ELF that read GNU's scripts do what is asked for: GNU's own, and lld, which is Rust's on x86-64. Where
//! it is another one, or somebody has chosen one or says HYDRANT_LAYOUT=off, nothing is asked of it.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What each message of a relay runs, in this order: functions, each behind the module it is in, or behind its type.
/// A feed of small messages leaves a processor idle between two of them, and hardly anything of the program is in its
/// caches by the next: the fewer pages and lines this is spread over, the sooner it is through.
const TURN: &[&str] = &[
    "hydrant::app::turn_fleet",
    "hydrant::app::notify::Notify::between_turns",
    "hydrant::reactor::Reactor::turn",
    "hydrant::reactor::mio_net::MioNet::wait",
    "hydrant::reactor::mio_net::MioNet::now",
    "hydrant::reactor::mio_net::MioNet::clock",
    "hydrant::reactor::mio_net::MioNet::read",
    "hydrant::reactor::mio_net::MioNet::write",
    "hydrant::reactor::visits::visit",
    "hydrant::reactor::Reactor::deliver",
    "hydrant::roles::relay::Relay::on",
    "hydrant::roles::relay::upstream::upstream_readable",
    "hydrant::reactor::context::Cx::read",
    "hydrant::reactor::context::Cx::write",
    "hydrant::base::ring::Ring::read_up_to",
    "hydrant::roles::relay::fanout::go_on",
    "hydrant::roles::relay::fanout::send",
    "hydrant::roles::relay::gate::refresh_gate",
    "hydrant::roles::relay::fanout::start_over",
];

/// What each process runs, though it would be among the following.
const ALWAYS: &[&str] = &[
    "alloc::raw_vec",
    "core::slice::sort::shared::smallsort::insert_tail",
    "hydrant::config::settings::is_editable",
];

/// What most processes never enter.
const SELDOM: &[&str] = &[
    // Certificates, and connections that are encrypted.
    "ring",
    "rustls",
    "rustls_native_certs",
    "rustls_pki_types",
    "webpki",
    "hydrant::config::certificates",
    "hydrant::proto::tls",
    // Run files, settings, and what is said as JSON.
    "indexmap",
    "serde_core",
    "serde_json",
    "toml_datetime",
    "toml_edit",
    "toml_parser",
    "toml_writer",
    "winnow",
    "hydrant::app::fleet::applying",
    "hydrant::app::fleet::reload",
    "hydrant::app::fleet::scribe",
    "hydrant::app::posts::change",
    "hydrant::app::posts::panel",
    "hydrant::app::saving",
    "hydrant::config::run_file",
    "hydrant::config::settings",
    // What is asked about a process, or shown on a page.
    "httparse",
    "hydrant::app::desk",
    "hydrant::app::fleet::Fleet::go_on_changing",
    "hydrant::app::posts::Post::row",
    "hydrant::app::process",
    "hydrant::app::roles::RoleSet::client_page",
    "hydrant::app::roles::RoleSet::set_options",
    "hydrant::app::roles::RoleSet::view",
    "hydrant::config::console",
    "hydrant::proto::http1",
    "hydrant::roles::console::Console::judge",
    "hydrant::roles::console::answer",
    "hydrant::roles::console::ask",
    "hydrant::roles::console::assets",
    "hydrant::roles::console::guard",
    "hydrant::roles::console::guesses",
    "hydrant::roles::console::history",
    "hydrant::roles::console::roster",
    "hydrant::roles::console::routes",
    "hydrant::roles::console::state",
    "hydrant::roles::console::streams",
    "hydrant::roles::console::survey",
    "hydrant::roles::http",
    "hydrant::roles::metrics",
    "hydrant::roles::status",
    // Runs that are no relay.
    "hdrhistogram",
    "libm",
    "hydrant::app::ask_those_that_run",
    "hydrant::app::bench",
    "hydrant::app::demo",
    "hydrant::app::serve_console",
    "hydrant::app::show",
    "hydrant::roles::bench",
    "hydrant::roles::demo",
    // Help, and what is said of mistakes.
    "hydrant::cli::completions",
    "hydrant::cli::error",
    "hydrant::cli::help",
    "hydrant::cli::man",
    "hydrant::cli::nearest",
    "hydrant::cli::unknown_flag",
    "hydrant::config::error",
    "hydrant::config::systemd_unit",
    // Panics, with the trace that is written of them.
    "addr2line",
    "gimli",
    "miniz_oxide",
    "object",
    "rustc_demangle",
    "std::backtrace_rs",
    // Of the standard library and of small crates.
    "base64",
    "core::fmt::Debug",
    "core::fmt::float",
    "core::num",
    "core::slice::sort",
    "core::unicode",
    "hashbrown",
    "sha1",
    "sha2",
    "std::process",
    "std::sync::mpmc",
    "std::sys::process",
];

/// Roles, with what only they use.
const ROLES: &[&str] = &[
    "hydrant::config::relay",
    "hydrant::config::relay_unread",
    "hydrant::proto::record",
    "hydrant::roles::relay",
    "hydrant::base::tokens",
    "hydrant::config::hub",
    "hydrant::config::hub_tunnel",
    "hydrant::config::user",
    "hydrant::proto::mailbox",
    "hydrant::roles::hub",
    "hydrant::config::ws",
    "hydrant::proto::websocket",
    "hydrant::roles::ws",
    "hydrant::config::tunnel",
    "hydrant::proto::hello",
    "hydrant::roles::tunnel",
];

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    println!("cargo::rerun-if-env-changed=HYDRANT_LAYOUT");
    let is_read = is("TARGET_OS", "linux") && (is("TARGET_ENV", "gnu") || is("TARGET_ENV", "musl"));
    let is_wanted = env::var("PROFILE").as_deref() == Ok("release")
        && env::var("HYDRANT_LAYOUT").as_deref() != Ok("off");
    if !is_read || !is_wanted || is_linker_chosen() || !is_linker_known() {
        return;
    }
    let folder = env::var_os("OUT_DIR").expect("cargo names a folder for what this makes");
    let path = Path::new(&folder).join("layout.ld");
    fs::write(&path, script()).expect("cargo's folder can be written to");
    // The compiler's driver hands both on as they are, whatever is in the path.
    println!("cargo::rustc-link-arg-bin=hydrant=-T");
    println!("cargo::rustc-link-arg-bin=hydrant={}", path.display());
}

fn is(what: &str, value: &str) -> bool {
    env::var(format!("CARGO_CFG_{what}")).as_deref() == Ok(value)
}

/// Whether somebody has named a linker, or flags for it: it may be one that reads no scripts.
fn is_linker_chosen() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    env::var_os("RUSTC_LINKER").is_some() || flags.contains("link")
}

/// Whether the linker that Rust's driver calls reads scripts: mold refuses them, and gold knows no INSERT. For another
/// machine's program nobody can say which it is.
fn is_linker_known() -> bool {
    let is_here = env::var("HOST") == env::var("TARGET");
    let asked = Command::new("cc").arg("-Wl,--version").output();
    is_here
        && asked.is_ok_and(|told| {
            let told = String::from_utf8_lossy(&told.stdout);
            told.starts_with("GNU ld") || told.contains("LLD")
        })
}

fn script() -> String {
    let mut script = String::from("SECTIONS\n{\n");
    turn(&mut script);
    // ring's functions in C and assembly have sections without names.
    section(&mut script, "text", "always", ALWAYS, "");
    section(
        &mut script,
        "text",
        "seldom",
        SELDOM,
        "*libring-*:*(.text .text.*)",
    );
    section(&mut script, "text", "roles", ROLES, "");
    script += "}\nINSERT BEFORE .text;\nSECTIONS\n{\n";
    section(
        &mut script,
        "rodata",
        "seldom",
        SELDOM,
        "*libring-*:*(.rodata .rodata.*)",
    );
    script += "}\nINSERT BEFORE .rodata;\n";
    script
}

/// The output section of what each message runs: from the beginning of a page, and each function from that of a cache
/// line, so that it takes no more of them than it needs.
fn turn(script: &mut String) {
    *script += "  .text.turn : ALIGN(4096) SUBALIGN(64)\n  {\n";
    for path in TURN {
        let (owner, name) = path.rsplit_once("::").expect("each is in a module");
        // A type's name may have parameters behind it, and what it implements.
        let is_type = |name: &str| name.starts_with(char::is_uppercase);
        let (module, of) = match owner.rsplit_once("::") {
            Some((module, of)) if is_type(of) => (module, of),
            _ => (owner, ""),
        };
        let (module, name) = (mangled(module), mangled_name(name));
        let written = owner.replace("::", "..");
        // What follows a function's name in the older mangling is the length of a hash, and the hash.
        let _ = writeln!(
            script,
            "    *(.text.*_ZN{module}*{of}*{name}17h* .text.*_{module}*{of}*{name}* \
             .text.*$LT${written}$u20$as*{name}17h*)"
        );
    }
    script.push_str("  }\n");
}

fn mangled(path: &str) -> String {
    path.split("::").map(mangled_name).collect()
}

fn mangled_name(name: &str) -> String {
    format!("{}{name}", name.len())
}

/// An output section of what these paths name.
fn section(script: &mut String, kind: &str, name: &str, paths: &[&str], first: &str) {
    let _ = writeln!(script, "  .{kind}.{name} :\n  {{\n    {first}");
    for path in paths {
        let (mangled, written) = (mangled(path), path.replace("::", ".."));
        // As both of Rust's manglings begin a path, and as the older one writes a type's.
        let _ = writeln!(
            script,
            "    *(.{kind}.*_ZN{mangled}* .{kind}.*_{mangled}* .{kind}.*${written}*)"
        );
    }
    script.push_str("  }\n");
}
