//! Rust source with its comments and literals blanked, so that words in it are code.

/// One source file's code, with the line breaks where they were.
pub struct Code {
    text: String,
    /// Byte offset of `#[cfg(test)]` in front of the trailing module of tests; the end when there is none.
    tests_at: usize,
}

/// An identifier of the code.
pub struct Word<'a> {
    /// As written.
    pub text: &'a str,
    /// What stands before it on its line and above, white space trimmed.
    pub before: &'a str,
    /// What comes after it, white space kept.
    pub after: &'a str,
    /// Counted from 1.
    pub line: usize,
    /// Whether it stands in the trailing module of tests.
    pub in_tests: bool,
}

impl Code {
    /// Blanks comments, strings and characters.
    pub fn new(source: &str) -> Self {
        let text = blank(source);
        let tests_at = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
        Self { text, tests_at }
    }

    /// Every identifier and keyword, in order.
    pub fn words(&self) -> impl Iterator<Item = Word<'_>> {
        let mut rest = 0;
        let mut line = 1;
        std::iter::from_fn(move || {
            let text = &self.text;
            let start = rest + text[rest..].find(is_word)?;
            let end = text[start..].find(|c| !is_word(c)).map_or(text.len(), |length| start + length);
            line += text[rest..start].matches('\n').count();
            rest = end;
            let (before, after) = (text[..start].trim_end(), &text[end..]);
            Some(Word { text: &text[start..end], before, after, line, in_tests: start >= self.tests_at })
        })
    }
}

impl Word<'_> {
    /// Whether this is the first part of a path: `a` in `a::b`, `use a;`.
    pub fn heads_path(&self) -> bool {
        let imported = self.before.ends_with("use") || self.before.ends_with("extern crate");
        !self.before.ends_with("::") && (imported || self.after.trim_start().starts_with("::"))
    }

    /// Whether a macro of this name is called here.
    pub fn is_macro_call(&self) -> bool {
        self.after.starts_with('!') && !self.after.starts_with("!=")
    }

    /// First parts of what the path continues with: `b` for `a::b::c`, `b` and `d` for `a::{b::c, d}`.
    pub fn continuations(&self) -> Vec<&str> {
        let Some(rest) = self.after.trim_start().strip_prefix("::") else { return Vec::new() };
        let rest = rest.trim_start();
        let Some(group) = rest.strip_prefix('{') else { return vec![first_word(rest)] };
        let mut heads = vec![first_word(group.trim_start())];
        let mut depth = 1;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => heads.push(first_word(group[at + 1..].trim_start())),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        heads.retain(|head| !head.is_empty());
        heads
    }
}

fn first_word(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Same length in lines; everything that is no code is a blank.
fn blank(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let length = match literal_length(rest, code.ends_with(is_word)) {
            0 => {
                code.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            }
            length => length,
        };
        // A literal is still something: `"a".len()` must not become `.len()`.
        code.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[length..];
    }
    code
}

/// Bytes of the comment, string or character that `text` begins with; 0 for code.
fn literal_length(text: &str, after_word: bool) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment_length(text);
    }
    if text.starts_with('"') {
        return quoted_length(text, '"');
    }
    if text.starts_with('r') && !after_word {
        return raw_string_length(text);
    }
    if text.starts_with('\'') { character_length(text) } else { 0 }
}

fn block_comment_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

fn raw_string_length(text: &str) -> usize {
    let hashes = text[1..].bytes().take_while(|&byte| byte == b'#').count();
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let body = 2 + hashes;
    text[body..].find(&end).map_or(text.len(), |at| body + at + end.len())
}

/// 0 for a lifetime.
fn character_length(text: &str) -> usize {
    let mut characters = text[1..].char_indices();
    match characters.next() {
        Some((_, '\\')) => quoted_length(text, '\''),
        Some(_) => match characters.next() {
            Some((at, '\'')) => at + 2,
            _ => 0,
        },
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        Code::new(source).words().map(|word| word.text.to_owned()).collect()
    }

    #[test]
    fn only_code_is_left() {
        let cases = [
            ("a // b\nc /* d /* e */ f */ g", "a c g"),
            (r#"a("b \" c", 'd', '\'', '"') + e"#, "a e"),
            ("r#\"b \" c\"# + bar\"x\" + r\"y\" + z", "bar z"),
            ("fn f<'a>(x: &'a str) {}", "fn f a x a str"),
            ("let s = \"line\nline\"; t", "let s t"),
        ];
        for (source, expected) in cases {
            assert_eq!(words(source).join(" "), expected, "{source}");
        }
    }

    #[test]
    fn lines_survive() {
        let code = Code::new("/* 1\n2 */ \"3\n4\"\n#[cfg(test)]\nmod tests {}");
        let last = code.words().last().unwrap();
        assert_eq!((last.text, last.line, last.in_tests), ("tests", 5, true));
    }

    #[test]
    fn paths_are_followed_one_step() {
        let cases = [
            ("use crate::a::b;", "a"),
            ("use crate::{a::{b, c}, d, e::f};", "a d e"),
            ("crate::\n    a(x)", "a"),
            ("pub(crate) fn x", ""),
        ];
        for (source, expected) in cases {
            let code = Code::new(source);
            let word = code.words().find(|word| word.text == "crate").unwrap();
            assert_eq!(word.continuations().join(" "), expected, "{source}");
        }
    }
}
