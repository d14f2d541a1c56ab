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
    line(
        &mut text,
        &format!(
            "            {}) [ \"${{COMP_WORDS[at]}}\" = = ] && at=$((at+1)); at=$((at+1)) ;;",
            valued().collect::<Vec<_>>().join("|")
        ),
    );
    text += BASH_WORDS;
    line(
        &mut text,
        &format!(
            "        {}) role=\"$role ${{words[1]}}\" words=(\"${{words[@]:2}}\") ;;",
            pairs().join("|")
        ),
    );
    text += "        *) words=(\"${words[@]:1}\") ;;\n    esac\n    case \"$prev\" in\n";
    for opt in every_option() {
        let values = values(opt);
        if !values.is_empty() {
            let values = values.join(" ");
            let offer = format!(
                "        {}) _hydrant_words \"{values}\"; return ;;",
                opt.flag
            );
            line(&mut text, &offer);
        }
    }
    // Nothing is known of their values.
    let others: Vec<&str> = valued().collect();
    line(
        &mut text,
        &format!("        {}) return ;;", others.join("|")),
    );
    text += "    esac\n    case \"$role\" in\n";
    for role in ROLES {
        bash_role(&mut text, role);
    }
    for family in families() {
        let verbs = verbs(family).join(" ");
        line(
            &mut text,
            &format!(
                "        {family}) [ ${{#words[@]}} -eq 0 ] && {{ _hydrant_words \"{verbs}\"; return; }} ;;"
            ),
        );
    }
    // A line that begins with SRC is the relay's.
    let relay = flags(&ROLES[0]).collect::<Vec<_>>().join(" ");
    line(&mut text, &format!("        *) flags=\"{relay}\" ;;"));
    text += "    esac\n";
    let firsts: Vec<&str> = firsts().collect();
    line(
        &mut text,
        &format!(
            "    if [ -z \"$role\" ]; then _hydrant_words \"{} help $flags\"; return; fi",
            firsts.join(" ")
        ),
    );
    text + BASH_TAIL
}

fn bash_role(text: &mut String, role: &Role) {
    let flags = flags(role).collect::<Vec<_>>().join(" ");
    let mut offers = String::new();
    for Offer { behind, words } in offers_of(role) {
        let is_place = match behind {
            Place::Anywhere => String::new(),
            Place::First => "[ ${#words[@]} -eq 0 ] && ".to_owned(),
            Place::Behind(word) => format!("[ \"${{words[*]}}\" = {word} ] && "),
        };
        let words = words.join(" ");
        let _ = write!(offers, " {is_place}_hydrant_offer \"{words}\" && return;");
    }
    line(
        text,
        &format!("        \"{}\") flags=\"{flags}\";{offers} ;;", role.name),
    );
}

const BASH_HEAD: &str = "\
# Completions of hydrant for bash: eval \"$(hydrant completions bash)\"
_hydrant_words() { COMPREPLY=($(compgen -W \"$1\" -- \"$cur\")); }
_hydrant_offer() { [ \"${cur#-}\" = \"$cur\" ] && _hydrant_words \"$1\"; }
_hydrant() {
    local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\" role=\"\" flags=\"\" at=1 word words=()
    COMPREPLY=()
    # A flag, its = and what is begun of its value are three words.
    [ \"$cur\" = = ] && cur=\"\" && COMP_CWORD=$((COMP_CWORD+1))
    [ \"${COMP_WORDS[COMP_CWORD-1]}\" = = ] && prev=\"${COMP_WORDS[COMP_CWORD-2]}\"
    # Flags stand anywhere: the words are what is left without them. HOST:PORT is three.
    while [ \"$at\" -lt \"$COMP_CWORD\" ]; do
        word=\"${COMP_WORDS[at]}\" at=$((at+1))
        case \"$word\" in
";

const BASH_WORDS: &str = "            :) at=$((at+1)) ;;
            -?*) ;;
            *) words+=(\"$word\") ;;
        esac
    done
    role=\"${words[0]}\"
    case \"$role ${words[1]}\" in
";

const BASH_TAIL: &str = "    case \"$cur\" in -*) _hydrant_words \"$flags\" ;; esac
}
complete -o default -F _hydrant hydrant
";

fn zsh() -> String {
    let mut text = String::from(ZSH_HEAD);
    let valued = valued().collect::<Vec<_>>().join("|");
    line(&mut text, &format!("            {valued}) (( at++ )) ;;"));
    text += ZSH_WORDS;
    let both = "role=\"$typed[1] $typed[2]\"; shift 2 typed";
    line(
        &mut text,
        &format!("        {}) {both} ;;", pairs().join("|")),
    );
    text += "        *) role=\"$typed[1]\"; (( $#typed )) && shift typed ;;\n    esac\n";
    text += "    if (( is_word )) && [[ -z \"$role\" ]]; then\n        local -a roles=(\n";
    for family in firsts() {
        line(
            &mut text,
            &format!("            '{family}:{}'", zsh_quoted(about(family))),
        );
    }
    text += "        )\n        _describe role roles\n    fi\n    case \"$role\" in\n";
    for family in families() {
        line(
            &mut text,
            &format!(
                "        {family}) (( is_word && ! $#typed )) && compadd {} ;;",
                verbs(family).join(" ")
            ),
        );
    }
    for role in ROLES.iter().skip(1).chain(&ROLES[..1]) {
        zsh_role(&mut text, role);
    }
    text + "    esac\n}\ncompdef _hydrant hydrant\n"
}

fn zsh_role(text: &mut String, role: &Role) {
    let name = if role.name == ROLES[0].name {
        "*".to_owned()
    } else {
        format!("\"{}\"", role.name)
    };
    let mut offers = String::new();
    for Offer { behind, words } in offers_of(role) {
        let is_place = match behind {
            Place::Anywhere => "(( is_word ))".to_owned(),
            Place::First => "(( is_word && ! $#typed ))".to_owned(),
            Place::Behind(word) => format!("(( is_word )) && [[ \"$typed\" == {word} ]]"),
        };
        let _ = write!(offers, "{is_place} && compadd {}; ", words.join(" "));
    }
    line(text, &format!("        {name}) {offers}_arguments \\"));
    for opt in role.options.iter().chain(role.globals()) {
        let value = match (opt.kind, values(opt)) {
            (Kind::Switch, _) => String::new(),
            (Kind::Path { .. }, _) => ":file:_files".to_owned(),
            (_, values) if values.is_empty() => format!(":{}: ", opt.unit),
            (_, values) => format!(":value:({})", zsh_escaped(&values.join(" "))),
        };
        line(
            text,
            &format!(
                "            '*{}[{}]{value}' \\",
                opt.flag,
                zsh_quoted(opt.help)
            ),
        );
    }
    *text += "            '*:word:_files' ;;\n";
}

const ZSH_HEAD: &str = "\
#compdef hydrant
# Completions of hydrant for zsh: source <(hydrant completions zsh)
_hydrant() {
    local role word at=2 is_word
    local -a typed
    # Flags stand anywhere: the words are what is left without them and their values.
    while (( at < CURRENT )); do
        word=\"$words[at]\"
        (( at++ ))
        case \"$word\" in
";

const ZSH_WORDS: &str = "            -?*) ;;
            *) typed+=(\"$word\") ;;
        esac
    done
    (( is_word = at == CURRENT ))
    case \"$typed[1] $typed[2]\" in
";

/// What stands in the list of an option's values.
fn zsh_escaped(text: &str) -> String {
    text.replace(':', "\\:")
}

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
        line(
            &mut text,
            &format!(
                "complete -c hydrant -n __fish_use_subcommand -a {family} -d '{}'",
                fish_quoted(about(family))
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
        for Offer { behind, words } in offers_of(role) {
            let (words, name) = (words.join(" "), role.name);
            let is_place = match behind {
                Place::Anywhere => String::new(),
                Place::First => format!("; and not __fish_seen_subcommand_from {words}"),
                Place::Behind(word) => format!(
                    "; and __fish_seen_subcommand_from {word}; and not __fish_seen_subcommand_from {words}"
                ),
            };
            line(
                &mut text,
                &format!(
                    "complete -c hydrant -n '__fish_seen_subcommand_from {name}{is_place}' -f -a '{words}'"
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
        let has = |role: &&Role| role.globals().iter().any(|own| own.flag == opt.flag);
        let others: Vec<&str> = ROLES
            .iter()
            .filter(|role| !has(role))
            .map(|role| role.name)
            .collect();
        let condition = match others.is_empty() {
            true => String::new(),
            false => format!(" -n 'not __fish_seen_subcommand_from {}'", others.join(" ")),
        };
        line(&mut text, &fish_option(opt, &condition));
    }
    text
}

fn fish_option(opt: &Opt, condition: &str) -> String {
    let short = opt
        .short
        .map_or(String::new(), |short| format!(" -s {}", &short[1..]));
    let value = match (opt.kind, values(opt)) {
        (Kind::Switch, _) => String::new(),
        (Kind::Path { .. }, _) => " -r -F".to_owned(),
        (_, values) if values.is_empty() => " -x".to_owned(),
        (_, values) => format!(" -x -a '{}'", values.join(" ")),
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
    role.options
        .iter()
        .chain(role.globals())
        .map(|opt| opt.flag)
}

/// The flags that take a value.
fn valued() -> impl Iterator<Item = &'static str> {
    let all = every_option().into_iter();
    all.filter(|opt| !opt.is_switch()).map(|opt| opt.flag)
}

/// The values that an option has, or that they begin with; none where there is no list of them.
fn values(opt: &Opt) -> Vec<&'static str> {
    match opt.kind {
        Kind::Choice(words) => words.to_vec(),
        _ if opt.flag == "--framing" => FORMATS.to_vec(),
        _ => Vec::new(),
    }
}

/// The names of two words, quoted.
fn pairs() -> Vec<String> {
    let names = ROLES.iter().map(|role| role.name);
    let two = names.filter(|name| name.contains(' '));
    two.map(|name| format!("\"{name}\"")).collect()
}

/// What stands behind a first word.
fn about(family: &str) -> &'static str {
    let role = ROLES.iter().find(|role| role.family() == family);
    role.map_or("", |role| role.about)
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

/// Words that may follow a role's name.
struct Offer {
    behind: Place,
    words: Vec<&'static str>,
}

/// Where they may.
enum Place {
    First,
    /// As the second, behind this one.
    Behind(&'static str),
    /// As often as one likes.
    Anywhere,
}

/// What may follow a role's name, where that is one of some words.
fn offers_of(role: &Role) -> Vec<Offer> {
    let offer = |behind, words: &[&'static str]| Offer {
        behind,
        words: words.to_vec(),
    };
    match role.name {
        "status" => vec![
            offer(
                Place::First,
                &["clients", "kick", "dump", "start", "stop", "reload"],
            ),
            offer(Place::Behind("dump"), &["on", "off"]),
        ],
        "completions" => vec![offer(Place::First, SHELLS)],
        // The help has a line for each, in small letters.
        "bench" => {
            let names = role
                .words
                .iter()
                .filter_map(|(left, _)| left.split(' ').next());
            let is_word = |name: &&str| name.starts_with(|c: char| c.is_ascii_lowercase());
            let words: Vec<&str> = names.filter(is_word).collect();
            vec![offer(Place::Anywhere, &words)]
        }
        _ => Vec::new(),
    }
}

fn verbs(family: &str) -> Vec<&'static str> {
    super::roles::verbs(family).collect()
}

/// How records may be told apart, each up to where a number or bytes of one's own begin.
const FORMATS: &[&str] = &[
    "raw",
    "line",
    "fixed:",
    "len:u16be",
    "len:u16le",
    "len:u32be",
    "len:u32le",
    "delim:",
    "mpegts",
];

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
            ("hydrant status dump o", "on off"),
            ("hydrant status du", "dump"),
            ("hydrant status dump on o", ""),
            ("hydrant bench la", "latency"),
            ("hydrant bench latency id", "idle"),
            ("hydrant -v hub se", "serve send"),
            ("hydrant --log-file x status cl", "clients"),
            ("hydrant --log-file = x status cl", "clients"),
            ("hydrant a : 1 : 2 --mode listen-l", "listen-listen"),
            ("hydrant --retry 5 a : 1 : 2 --slo", "--slow"),
            ("hydrant a : 1 : 2 --framing del", "delim:"),
            ("hydrant demo --metr", ""),
            ("hydrant man --verb", ""),
            ("hydrant -v dem", "demo"),
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
                for Offer { words, .. } in offers_of(role) {
                    assert!(text.contains(&words.join(" ")), "{shell}: {}", role.name);
                }
                for opt in role.options.iter().chain(role.globals()) {
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
