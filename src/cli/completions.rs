//! Completions for shells, made of the roles and their option tables.

use std::fmt::Write;

use super::roles::{GLOBALS, ROLES, Role};
use crate::base::option::{Kind, Opt};

/// The shells that there are completions for.
pub(crate) const SHELLS: &[&str] = &["bash", "zsh", "fish"];

/// The completions for one of the [`SHELLS`]; `None` for another.
pub(crate) fn completions(shell: &str) -> Option<String> {
    match shell {
        "bash" => Some(bash()),
        "zsh" => Some(zsh()),
        "fish" => Some(fish()),
        _ => None,
    }
}

fn bash() -> String {
    let mut text = String::from(BASH_HEAD);
    let two: Vec<&str> = ROLES
        .iter()
        .map(|role| role.name)
        .filter(|name| name.contains(' '))
        .collect();
    let quoted: Vec<String> = two.iter().map(|name| format!("\"{name}\"")).collect();
    line(
        &mut text,
        &format!(
            "        {}) role=\"$role ${{COMP_WORDS[2]}}\" ;;",
            quoted.join("|")
        ),
    );
    text += "    esac\n    case \"$prev\" in\n";
    for opt in every_option() {
        match opt.kind {
            Kind::Choice(words) => {
                let words = words.join(" ");
                line(
                    &mut text,
                    &format!(
                        "        {}) _hydrant_words \"{words}\"; return ;;",
                        opt.flag
                    ),
                );
            }
            Kind::Switch | Kind::Path { .. } => {}
            // Nothing is known of its values; a name of a file would be none of them.
            _ => line(&mut text, &format!("        {}) return ;;", opt.flag)),
        }
    }
    text += "    esac\n    case \"$role\" in\n";
    for role in ROLES {
        let flags = flags(role).collect::<Vec<_>>().join(" ");
        let words = second_words(role);
        let offer = match words.is_empty() {
            true => String::new(),
            false => format!(" _hydrant_second \"{words}\" && return;"),
        };
        line(
            &mut text,
            &format!("        \"{}\") flags=\"{flags}\";{offer} ;;", role.name),
        );
    }
    for family in families() {
        let verbs = verbs(family).join(" ");
        line(
            &mut text,
            &format!(
                "        {family}) [ \"$COMP_CWORD\" -eq 2 ] && {{ _hydrant_words \"{verbs}\"; return; }} ;;"
            ),
        );
    }
    // A line that begins with SRC is the relay's.
    let relay = flags(&ROLES[0]).collect::<Vec<_>>().join(" ");
    line(&mut text, &format!("        *) flags=\"{relay}\" ;;"));
    text += "    esac\n";
    let mut firsts: Vec<&str> = ROLES.iter().map(Role::family).collect();
    firsts.dedup();
    line(
        &mut text,
        &format!(
            "    if [ \"$COMP_CWORD\" -eq 1 ]; then _hydrant_words \"{} help $flags\"; return; fi",
            firsts.join(" ")
        ),
    );
    text + BASH_TAIL
}

const BASH_HEAD: &str = "\
# Completions of hydrant for bash: eval \"$(hydrant completions bash)\"
_hydrant_words() { COMPREPLY=($(compgen -W \"$1\" -- \"$cur\")); }
_hydrant_second() { [ \"$COMP_CWORD\" -eq 2 ] && [ \"${cur#-}\" = \"$cur\" ] && _hydrant_words \"$1\"; }
_hydrant() {
    local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\" role=\"${COMP_WORDS[1]}\" flags=\"\"
    COMPREPLY=()
    # A flag, its = and what is begun of its value are three words.
    [ \"$cur\" = = ] && cur=\"\" && COMP_CWORD=$((COMP_CWORD+1))
    [ \"${COMP_WORDS[COMP_CWORD-1]}\" = = ] && prev=\"${COMP_WORDS[COMP_CWORD-2]}\"
    case \"$role ${COMP_WORDS[2]}\" in
";

const BASH_TAIL: &str = "    case \"$cur\" in -*) _hydrant_words \"$flags\" ;; esac
}
complete -o default -F _hydrant hydrant
";

fn zsh() -> String {
    let mut text = String::from(ZSH_HEAD);
    let two: Vec<String> = ROLES
        .iter()
        .filter(|role| role.name.contains(' '))
        .map(|role| format!("\"{}\"", role.name))
        .collect();
    line(
        &mut text,
        &format!("        {}) role=\"$words[2] $words[3]\" ;;", two.join("|")),
    );
    text += "    esac\n    if (( CURRENT == 2 )); then\n        local -a roles=(\n";
    for family in firsts() {
        let about = ROLES
            .iter()
            .find(|role| role.family() == family)
            .map_or("", |role| role.about);
        line(
            &mut text,
            &format!("            '{family}:{}'", zsh_quoted(about)),
        );
    }
    text += "        )\n        _describe role roles\n    fi\n    case \"$role\" in\n";
    for family in families() {
        line(
            &mut text,
            &format!(
                "        {family}) (( CURRENT == 3 )) && compadd {} ;;",
                verbs(family).join(" ")
            ),
        );
    }
    for role in ROLES.iter().skip(1).chain(&ROLES[..1]) {
        let name = if role.name == ROLES[0].name {
            "*".to_owned()
        } else {
            format!("\"{}\"", role.name)
        };
        let words = second_words(role);
        let offer = match words.is_empty() {
            true => String::new(),
            false => format!("(( CURRENT == 3 )) && compadd {words}; "),
        };
        line(&mut text, &format!("        {name}) {offer}_arguments \\"));
        for opt in role.options.iter().chain(GLOBALS) {
            let value = match opt.kind {
                Kind::Switch => String::new(),
                Kind::Choice(words) => format!(":value:({})", words.join(" ")),
                Kind::Path { .. } => ":file:_files".to_owned(),
                _ => format!(":{}: ", opt.unit),
            };
            line(
                &mut text,
                &format!(
                    "            '*{}[{}]{value}' \\",
                    opt.flag,
                    zsh_quoted(opt.help)
                ),
            );
        }
        text += "            '*:word:_files' ;;\n";
    }
    text + "    esac\n}\ncompdef _hydrant hydrant\n"
}

const ZSH_HEAD: &str = "\
#compdef hydrant
# Completions of hydrant for zsh: source <(hydrant completions zsh)
_hydrant() {
    local role=\"$words[2]\"
    case \"$words[2] $words[3]\" in
";

/// What stands between brackets and single quotes.
fn zsh_quoted(text: &str) -> String {
    text.replace('\'', "")
        .replace('[', "(")
        .replace(']', ")")
        .replace(':', ";")
}

fn fish() -> String {
    let mut text =
        String::from("# Completions of hydrant for fish: hydrant completions fish | source\n");
    for family in firsts() {
        let about = ROLES
            .iter()
            .find(|role| role.family() == family)
            .map_or("", |role| role.about);
        line(
            &mut text,
            &format!(
                "complete -c hydrant -n __fish_use_subcommand -a {family} -d '{}'",
                fish_quoted(about)
            ),
        );
    }
    for family in families() {
        let seen = format!("__fish_seen_subcommand_from {family}");
        let verbs = verbs(family).join(" ");
        line(
            &mut text,
            &format!(
                "complete -c hydrant -n '{seen}; and not __fish_seen_subcommand_from {verbs}' -a '{verbs}'"
            ),
        );
    }
    for role in ROLES {
        let words = second_words(role);
        if !words.is_empty() {
            let seen = format!("__fish_seen_subcommand_from {}", role.name);
            line(
                &mut text,
                &format!(
                    "complete -c hydrant -n '{seen}; and not __fish_seen_subcommand_from {words}' -f -a '{words}'"
                ),
            );
        }
        let seen = match role.name.split_once(' ') {
            Some((family, verb)) => format!(
                "__fish_seen_subcommand_from {family}; and __fish_seen_subcommand_from {verb}"
            ),
            // A line that begins with SRC is the relay's.
            None if role.name == ROLES[0].name => {
                let others: Vec<&str> = firsts().filter(|family| *family != role.name).collect();
                format!("not __fish_seen_subcommand_from {}", others.join(" "))
            }
            None => format!("__fish_seen_subcommand_from {}", role.name),
        };
        for opt in role.options {
            line(&mut text, &fish_option(opt, &format!(" -n '{seen}'")));
        }
    }
    for opt in GLOBALS {
        line(&mut text, &fish_option(opt, ""));
    }
    text
}

fn fish_option(opt: &Opt, condition: &str) -> String {
    let short = opt
        .short
        .map_or(String::new(), |short| format!(" -s {}", &short[1..]));
    let value = match opt.kind {
        Kind::Switch => String::new(),
        Kind::Choice(words) => format!(" -x -a '{}'", words.join(" ")),
        Kind::Path { .. } => " -r -F".to_owned(),
        _ => " -x".to_owned(),
    };
    let (name, help) = (opt.name(), fish_quoted(opt.help));
    format!("complete -c hydrant{condition} -l {name}{short}{value} -d '{help}'")
}

fn fish_quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

fn line(text: &mut String, line: &str) {
    let _ = writeln!(text, "{line}");
}

fn flags(role: &Role) -> impl Iterator<Item = &'static str> {
    role.options.iter().chain(GLOBALS).map(|opt| opt.flag)
}

/// Every flag once.
fn every_option() -> Vec<&'static Opt> {
    super::roles::all_options()
}

/// The first words of all roles.
fn firsts() -> impl Iterator<Item = &'static str> {
    let mut firsts: Vec<&str> = ROLES.iter().map(Role::family).collect();
    firsts.dedup();
    firsts.into_iter()
}

/// The first words that several roles share.
fn families() -> impl Iterator<Item = &'static str> {
    firsts().filter(|family| !ROLES.iter().any(|role| role.name == *family))
}

/// What may follow a role's name, where that is one of some words.
fn second_words(role: &Role) -> String {
    match role.name {
        "status" => "clients kick dump start stop reload".to_owned(),
        "completions" => SHELLS.join(" "),
        _ => String::new(),
    }
}

fn verbs(family: &str) -> Vec<&'static str> {
    super::roles::verbs(family).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What bash offers for a line, with it as its shell function does.
    #[test]
    fn bash_offers_what_may_follow() {
        let script = completions("bash").expect("it is one of them");
        for (words, offered) in [
            ("hydrant status ki", "kick"),
            ("hydrant completions z", "zsh"),
            ("hydrant --mode = listen-l", "listen-listen"),
            ("hydrant --mode listen-l", "listen-listen"),
            ("hydrant hub se", "serve send"),
            ("hydrant status --wa", "--watch"),
        ] {
            let count = words.split(' ').count() - 1;
            let line = format!(
                "{script}\nCOMP_WORDS=({words}); COMP_CWORD={count}; _hydrant; echo ${{COMPREPLY[@]}}"
            );
            let Ok(said) = std::process::Command::new("bash")
                .args(["-c", &line])
                .output()
            else {
                return;
            };
            assert_eq!(
                String::from_utf8_lossy(&said.stdout).trim_end(),
                offered,
                "{words}"
            );
        }
    }

    #[test]
    fn every_role_and_every_flag_is_in_them() {
        for shell in SHELLS {
            let text = completions(shell).expect("it is one of them");
            for role in ROLES {
                assert!(text.contains(role.family()), "{shell}: {}", role.name);
                assert!(text.contains(&second_words(role)), "{shell}: {}", role.name);
                for opt in role.options.iter().chain(GLOBALS) {
                    let name = match *shell {
                        "fish" => format!("-l {}", opt.name()),
                        _ => opt.flag.to_owned(),
                    };
                    assert!(text.contains(&name), "{shell}: {}", opt.flag);
                }
            }
        }
        assert_eq!(completions("csh"), None);
    }
}
