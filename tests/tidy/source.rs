//! A Rust file as the house rules look at it: its code without comments and literals, its comments without code, its
//! tokens, the paths it names. It knows no rule. It is no parser either: it knows as much of the language as it takes
//! not to be fooled by what stands in a string or a comment.

use std::ops::Range;

/// A file's text in the views that the rules need. All views have the same lines.
pub(crate) struct Source {
    /// Relative to the top of the repository, with `/` on every system.
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) comments: String,
    pub(crate) tokens: Vec<Token>,
    /// How many lines there are before the file's tests.
    pub(crate) lines_before_tests: usize,
}

/// A word, a `::`, or any other single character of the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// Counted from 1.
    pub(crate) line: usize,
}

/// A path that the code names, from the crate's root on: `crate::base::time` is `base`, `time`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            comments,
            tokens: tokens(&code),
            lines_before_tests: lines_before_tests(&code),
        }
    }

    /// The tokens before the file's tests.
    pub(crate) fn body(&self) -> &[Token] {
        let end = self
            .tokens
            .partition_point(|token| token.line <= self.lines_before_tests);
        &self.tokens[..end]
    }

    /// The module this file is: `src/base/ring.rs` is `base`, `ring`; the crate's root is empty.
    pub(crate) fn module(&self) -> Vec<String> {
        let inside = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut segments: Vec<_> = inside.split('/').map(str::to_owned).collect();
        if segments
            .last()
            .is_some_and(|last| last == "mod" || last == "lib")
        {
            segments.pop();
        }
        segments
    }

    /// Every path of our own that the body names, in `use` and elsewhere.
    pub(crate) fn named(&self) -> Vec<Named> {
        let body = self.body();
        let mut found = Vec::new();
        for (i, token) in body.iter().enumerate() {
            let continues = i > 0 && body[i - 1].text == "::";
            let begins = matches!(token.text.as_str(), "crate" | "super" | "self");
            if continues || !begins || text_at(body, i + 1) != "::" {
                continue;
            }
            let mut paths = Vec::new();
            expand(body, i, Vec::new(), &mut paths);
            let resolved = paths.into_iter().map(|path| self.resolve(path));
            found.extend(resolved.map(|segments| Named {
                segments,
                line: token.line,
            }));
        }
        found
    }

    fn resolve(&self, path: Vec<String>) -> Vec<String> {
        let mut from_root = self.module();
        for segment in path {
            match segment.as_str() {
                "crate" => from_root.clear(),
                "super" => drop(from_root.pop()),
                "self" => (),
                _ => from_root.push(segment),
            }
        }
        from_root
    }

    /// Every function of the body: its name, and the lines it takes.
    pub(crate) fn functions(&self) -> Vec<(String, Range<usize>)> {
        let body = self.body();
        let starts =
            (0..body.len()).filter(|i| body[*i].text == "fn" && is_word(text_at(body, i + 1)));
        starts
            .filter_map(|i| {
                let last = end_of_block(body, i)?;
                Some((body[i + 1].text.clone(), body[i].line..body[last].line + 1))
            })
            .collect()
    }
}

fn text_at(tokens: &[Token], index: usize) -> &str {
    tokens.get(index).map_or("", |token| token.text.as_str())
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// The closing brace of the block that follows, or `None` if a `;` comes first.
fn end_of_block(tokens: &[Token], from: usize) -> Option<usize> {
    let (mut nested, mut braces) = (0, 0);
    for (i, token) in tokens.iter().enumerate().skip(from) {
        match token.text.as_str() {
            "(" | "[" => nested += 1,
            ")" | "]" => nested -= 1,
            ";" if nested == 0 && braces == 0 => return None,
            "{" => braces += 1,
            "}" => {
                braces -= 1;
                if braces == 0 {
                    return Some(i);
                }
            }
            _ => (),
        }
    }
    None
}

/// Adds every path of the tree that begins at `at`, `a::{b, c::d}` being two, and returns where the tree ends.
fn expand(
    tokens: &[Token],
    mut at: usize,
    mut path: Vec<String>,
    out: &mut Vec<Vec<String>>,
) -> usize {
    loop {
        match text_at(tokens, at) {
            "{" => {
                at += 1;
                while !matches!(text_at(tokens, at), "}" | "") {
                    let before = at;
                    at = expand(tokens, at, path.clone(), out);
                    // What may follow a name in a list: `as other`, and the comma.
                    while !matches!(text_at(tokens, at), "," | "}" | "") {
                        at += 1;
                    }
                    at += usize::from(text_at(tokens, at) == ",").max(usize::from(at == before));
                }
                return at + 1;
            }
            text if is_word(text) || text == "*" => {
                path.push(text.to_owned());
                at += 1;
                if text_at(tokens, at) != "::" || text_at(tokens, at + 1) == "<" {
                    out.push(path);
                    return at;
                }
                at += 1;
            }
            _ => {
                out.push(path);
                return at;
            }
        }
    }
}

fn tokens(code: &str) -> Vec<Token> {
    let mut found = Vec::new();
    for (number, text) in code.lines().enumerate() {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let size = if is_word(rest) {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (token, after) = rest.split_at(size);
            found.push(Token {
                text: token.to_owned(),
                line: number + 1,
            });
            rest = after.trim_start();
        }
    }
    found
}

fn lines_before_tests(code: &str) -> usize {
    let lines: Vec<_> = code.lines().map(str::trim_end).collect();
    // Those in a file of their own are only named there, and the rest comes behind. Who may use them is all the same.
    let is_inside = |line: &str| {
        let mut words = line.split_whitespace();
        line.contains('{') && words.any(|word| word == "mod")
    };
    let begins = |pair: &[&str]| pair[0] == "#[cfg(test)]" && is_inside(pair[1]);
    lines.windows(2).position(begins).unwrap_or(lines.len())
}

/// The code with comments and literals blanked, and the comments with all else blanked.
fn split(text: &str) -> (String, String) {
    let (mut code, mut comments) = (String::new(), String::new());
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let comment = comment_len(rest);
        let literal = literal_len(rest, before);
        let size = comment.or(literal).unwrap_or(first.len_utf8());
        let (piece, after) = rest.split_at(size);
        let blank: String = piece
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        code.push_str(if comment.or(literal).is_some() {
            &blank
        } else {
            piece
        });
        comments.push_str(if comment.is_some() { piece } else { &blank });
        before = first;
        rest = after;
    }
    (code, comments)
}

/// The length of the comment that begins here.
fn comment_len(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let here = &text.as_bytes()[at..];
        let step = if here.starts_with(b"/*") {
            depth += 1;
            2
        } else if here.starts_with(b"*/") {
            depth -= 1;
            2
        } else {
            1
        };
        at += step;
        if depth == 0 {
            return Some(at);
        }
    }
    Some(text.len())
}

/// The length of the string or character literal that begins here. `before` is the character before it, since an `r`
/// at the end of a word begins no raw string.
fn literal_len(text: &str, before: char) -> Option<usize> {
    let in_word = before.is_alphanumeric() || before == '_';
    let unprefixed = text.trim_start_matches(['b', 'c']);
    if let Some(raw) = unprefixed.strip_prefix('r').filter(|_| !in_word) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if let Some(inside) = raw[hashes..].strip_prefix('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let size = inside.find(&end).map_or(inside.len(), |at| at + end.len());
            return Some(text.len() - inside.len() + size);
        }
    }
    if let Some(inside) = text.strip_prefix('"') {
        return Some(1 + quoted_len(inside, '"'));
    }
    let inside = text.strip_prefix('\'')?;
    let mut chars = inside.chars();
    let is_char = chars.next() == Some('\\') || chars.next() == Some('\'');
    is_char.then(|| 1 + quoted_len(inside, '\''))
}

/// How far it is to just behind the closing quote.
fn quoted_len(inside: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        if c == quote && !escaped {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    inside.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        split(text).0
    }

    fn paths(path: &str, text: &str) -> Vec<String> {
        let named = Source::new(path, text).named();
        named
            .into_iter()
            .map(|named| named.segments.join("::"))
            .collect()
    }

    #[test]
    fn comments_and_literals_are_told_from_code() {
        let (code, comments) = split("a /* b /* c */ d */ e // f\ng \"h // i\\\" j\" k");
        let words: Vec<_> = code.split_whitespace().collect();
        assert_eq!(words, ["a", "e", "g", "k"]);
        let words: Vec<_> = comments.split_whitespace().collect();
        assert_eq!(words, ["/*", "b", "/*", "c", "*/", "d", "*/", "//", "f"]);
        assert_eq!((code.lines().count(), comments.lines().count()), (2, 2));
    }

    #[test]
    fn every_kind_of_literal_ends_where_it_should() {
        assert_eq!(
            code(r##"x r#"a " b"# y"##)
                .split_whitespace()
                .collect::<Vec<_>>(),
            ["x", "y"]
        );
        assert_eq!(code(r#"br"\" r#fn b"c""#).trim(), "r#fn b");
        assert_eq!(code("'{' '\\'' '\\u{7d}' <'a, 'b>").trim(), "<'a, 'b>");
        assert_eq!(code("for\"{\"x").trim(), "for   x");
    }

    #[test]
    fn paths_are_resolved_to_the_root() {
        let text = "use crate::{base::{time::Time, ring as r}, roles::*};\nfn f() { self::g(); super::h::<u8>() }";
        let expected = [
            "base::time::Time",
            "base::ring",
            "roles::*",
            "sim::x::g",
            "sim::h",
        ];
        assert_eq!(paths("src/sim/x.rs", text), expected);
        assert_eq!(paths("src/sim/mod.rs", "use super::app;"), ["app"]);
        assert_eq!(
            paths("src/base/a/b.rs", "use super::super::super::cli::{self};"),
            ["cli"]
        );
        assert_eq!(
            paths(
                "src/x.rs",
                "pub(crate) fn f(self) { /* crate::a */ \"crate::b\" }"
            ),
            [""; 0]
        );
        assert_eq!(
            paths(
                "src/x.rs",
                "use a::b;\n#[cfg(test)]\nmod tests { use super::*; }"
            ),
            [""; 0]
        );
    }

    #[test]
    fn functions_are_measured_from_their_name_to_their_brace() {
        let text =
            "fn a();\nfn b(x: [u8; 2]) -> fn() {\n  if x {}\n  \"}\";\n}\nimpl T { fn c() {} }";
        let functions = Source::new("src/x.rs", text).functions();
        assert_eq!(functions, [("b".to_owned(), 2..6), ("c".to_owned(), 6..7)]);
    }

    #[test]
    fn tests_begin_at_their_module() {
        let source = Source::new(
            "src/x.rs",
            "a\n#[cfg(test)]\nuse b;\n#[cfg(test)]\nmod tests {\n}\n",
        );
        assert_eq!(source.lines_before_tests, 3);
        assert_eq!(Source::new("src/x.rs", "a\nb\n").lines_before_tests, 2);
        // Whoever may name them; and not where they are a file of their own.
        for (begin, lines) in [("pub(in crate::app) mod tests {", 1), ("mod tests;", 4)] {
            let source = Source::new("src/x.rs", &format!("a\n#[cfg(test)]\n{begin}\n}}\n"));
            assert_eq!(source.lines_before_tests, lines, "{begin}");
        }
    }
}
