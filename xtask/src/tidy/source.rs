//! A Rust file, cut into code, string literals and the rest, with the parts that are tests.

use std::ops::Range;

/// A scanned file.
pub(super) struct Source {
    /// Relative to the repository, with `/`.
    pub(super) path: String,
    /// The text with the contents of comments, strings and characters blanked, byte for byte: offsets and line
    /// numbers are those of the file.
    pub(super) code: String,
    /// String literals: offset of the first byte, contents as written.
    pub(super) strings: Vec<(usize, String)>,
    /// Parts that are compiled for tests only.
    tests: Vec<Range<usize>>,
    /// Offsets at which lines start.
    lines: Vec<usize>,
}

impl Source {
    pub(super) fn scan(path: &str, text: &str) -> Self {
        let mut scanner = Scanner { text: text.as_bytes(), at: 0, code: text.into(), strings: Vec::new() };
        scanner.run(text);
        // Only whole characters were blanked, so this is UTF-8 still.
        let code = String::from_utf8_lossy(&scanner.code).into_owned();
        let lines = [0].into_iter().chain(text.match_indices('\n').map(|(newline, _)| newline + 1)).collect();
        let mut source = Self { path: path.into(), strings: scanner.strings, tests: Vec::new(), code, lines };
        source.tests = source.test_items().map(|(item, _)| item).collect();
        if path.split('/').any(|part| matches!(part, "tests" | "benches" | "tests.rs")) {
            source.all_tests();
        }
        source
    }

    /// The line, from 1, of an offset.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    /// The number of lines.
    pub(super) fn line_count(&self) -> usize {
        self.lines.len() - usize::from(self.code.ends_with('\n'))
    }

    /// Whether the code at an offset is compiled for tests only.
    pub(super) fn is_test(&self, offset: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&offset))
    }

    /// Offsets at which `name` (one identifier, or several joined by `::`) stands as a whole in the code.
    pub(super) fn uses<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.match_indices(name).map(|(at, _)| at).filter(move |at| {
            let before = self.code[..*at].chars().next_back();
            let after = self.code[at + name.len()..].chars().next();
            !before.is_some_and(is_identifier) && !after.is_some_and(is_identifier)
        })
    }

    /// `use` declarations: offset, and text up to the semicolon without spaces.
    pub(super) fn imports(&self) -> impl Iterator<Item = (usize, String)> + '_ {
        self.uses("use").filter_map(|at| {
            let end = at + self.code[at..].find(';')?;
            let text = self.code[at + 3..end].split_whitespace().collect();
            Some((at, text))
        })
    }

    /// Outer and inner attributes: offset, and text between the brackets.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.match_indices('#').filter_map(|(at, _)| {
            let open = at + 1 + usize::from(self.code[at + 1..].starts_with('!'));
            let rest = self.code.get(open..).filter(|rest| rest.starts_with('['))?;
            let end = open + matching(rest)?;
            Some((at, &self.code[open + 1..end]))
        })
    }

    /// Functions with a body: offsets of `fn` and of the closing brace, and the name.
    pub(super) fn functions(&self) -> impl Iterator<Item = (Range<usize>, &str)> {
        self.uses("fn").filter_map(|at| {
            let rest = self.code[at + 2..].trim_start();
            let name = &rest[..rest.find(|c| !is_identifier(c)).unwrap_or(rest.len())];
            let start = self.code.len() - rest.len();
            let end = if name.is_empty() { None } else { self.item_end(start) }?;
            self.code[..=end].ends_with('}').then_some((at..end, name))
        })
    }

    /// Where the item ends that goes on at `start`: its semicolon or its closing brace.
    fn item_end(&self, start: usize) -> Option<usize> {
        let mut at = start;
        loop {
            let rest = &self.code[at..];
            let next = at + rest.find([';', '{', '(', '['])?;
            match self.code.as_bytes()[next] {
                b';' => return Some(next),
                b'{' => return Some(next + matching(&self.code[next..])?),
                // Parameters and array types: what stands in them does not end the item.
                _ => at = next + matching(&self.code[next..])? + 1,
            }
        }
    }

    /// Items under a `cfg` that names `test`: their extent, and the name if it is a module in another file.
    fn test_items(&self) -> impl Iterator<Item = (Range<usize>, Option<&str>)> {
        let conditional = self.attributes().filter(|(_, text)| {
            let words = || text.split(|c| !is_identifier(c));
            text.starts_with("cfg(") && words().any(|word| word == "test") && !text.contains("not(test")
        });
        conditional.filter_map(|(at, text)| {
            let mut start = at + text.len() + 3;
            while self.code[start..].trim_start().starts_with('#') {
                let open = start + self.code[start..].find('[')?;
                start = open + matching(&self.code[open..])? + 1;
            }
            let end = self.item_end(start)?;
            let item = self.code[start..end].trim();
            let name =
                item.rsplit_once("mod ").map(|(_, name)| name).filter(|name| name.chars().all(is_identifier));
            Some((at..end + 1, name))
        })
    }

    fn all_tests(&mut self) {
        self.tests.push(0..self.code.len() + 1);
    }
}

/// Marks the files that are modules for tests in their parent (`#[cfg(test)] mod world;`).
pub(super) fn mark_test_files(sources: &mut [Source]) {
    let mut modules = Vec::new();
    for source in sources.iter() {
        let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
        let base = match file {
            "mod.rs" | "lib.rs" | "main.rs" => folder.to_string(),
            _ => source.path.trim_end_matches(".rs").to_string(),
        };
        let names = source.test_items().filter_map(|(_, name)| name);
        modules.extend(names.map(|name| format!("{base}/{name}")));
    }
    for source in sources {
        let is_module = |module: &String| {
            let rest = source.path.strip_prefix(module.as_str());
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if modules.iter().any(is_module) {
            source.all_tests();
        }
    }
}

pub(super) fn is_identifier(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The offset of the bracket that closes the one at the start of `code`.
fn matching(code: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    code: Vec<u8>,
    strings: Vec<(usize, String)>,
}

impl Scanner<'_> {
    fn run(&mut self, text: &str) {
        while self.at < self.text.len() {
            let start = self.at;
            match self.text[start] {
                b'/' if self.next_is(b"//") => {
                    self.at = text[start..].find('\n').map_or(text.len(), |end| start + end);
                    self.blank(start, self.at);
                }
                b'/' if self.next_is(b"/*") => self.block_comment(),
                b'"' => self.string(text),
                b'r' if !self.inside_identifier() => self.raw_string(text),
                b'\'' => self.character(text),
                _ => self.at += 1,
            }
        }
    }

    fn next_is(&self, bytes: &[u8]) -> bool {
        self.text[self.at..].starts_with(bytes)
    }

    /// Whether the byte here goes on with an identifier; the prefixes of byte and C strings do not count.
    fn inside_identifier(&self) -> bool {
        let identifier = |byte: &&u8| **byte == b'_' || byte.is_ascii_alphanumeric();
        let before: Vec<u8> =
            self.text[..self.at].iter().rev().take_while(identifier).copied().take(2).collect();
        !matches!(before.as_slice(), [] | [b'b' | b'c'])
    }

    fn blank(&mut self, from: usize, to: usize) {
        for byte in &mut self.code[from..to] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }

    fn block_comment(&mut self) {
        let start = self.at;
        let mut depth = 0;
        while self.at < self.text.len() {
            if self.next_is(b"/*") {
                depth += 1;
                self.at += 2;
            } else if self.next_is(b"*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    break;
                }
            } else {
                self.at += 1;
            }
        }
        self.blank(start, self.at);
    }

    fn string(&mut self, text: &str) {
        let start = self.at + 1;
        let mut end = start;
        while end < self.text.len() && self.text[end] != b'"' {
            end += if self.text[end] == b'\\' { 2 } else { 1 };
        }
        self.literal(text, start, end.min(self.text.len()), 1);
    }

    fn raw_string(&mut self, text: &str) {
        let hashes = self.text[self.at + 1..].iter().take_while(|byte| **byte == b'#').count();
        let start = self.at + 1 + hashes + 1;
        if self.text.get(start - 1) != Some(&b'"') {
            self.at += 1;
            return;
        }
        let close = format!("\"{}", "#".repeat(hashes));
        let end = text[start..].find(&close).map_or(text.len(), |end| start + end);
        self.literal(text, start, end, 1 + hashes);
    }

    fn literal(&mut self, text: &str, start: usize, end: usize, closing: usize) {
        self.strings.push((start, text[start..end].into()));
        self.blank(start, end);
        self.at = end + closing;
    }

    /// A character literal is blanked; a lifetime is code.
    fn character(&mut self, text: &str) {
        let start = self.at + 1;
        let mut rest = text[start..].chars();
        let end = match rest.next() {
            Some('\\') => text.get(start + 2..).and_then(|rest| rest.find('\'')).map(|end| start + 2 + end),
            Some(c) if rest.next() == Some('\'') => Some(start + c.len_utf8()),
            _ => None,
        };
        match end {
            Some(end) => {
                self.blank(start, end);
                self.at = end + 1;
            }
            None => self.at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_blanked_and_code_is_kept() {
        let text = "let a = \"x } \\\" y\"; // } fn\nlet b = r#\"\"}\"#; /* { /* } */ */ let c = '{'; \
                    let d = '\\''; fn e<'a>(f: &'a str) {}\nlet r#type = br\"\\\"; let g = b'\"'; h";
        let source = Source::scan("a.rs", text);
        assert_eq!(source.code.len(), text.len());
        assert_eq!(source.code.matches(['{', '}']).collect::<String>(), "{}");
        let strings: Vec<_> = source.strings.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(strings, ["x } \\\" y", "\"}", "\\"]);
        assert!(source.code.contains("let r#type") && source.code.ends_with("h"));
        assert_eq!(source.functions().map(|(_, name)| name).collect::<Vec<_>>(), ["e"]);
    }

    #[test]
    fn functions_end_where_their_body_ends() {
        let text = "trait T { fn a(x: [u8; 2]); }\nfn b(f: fn(u8) -> u8) -> [u8; 3]\nwhere\n{\n if x { y }\n}\nfn c() {}\n";
        let source = Source::scan("a.rs", text);
        let found: Vec<_> =
            source.functions().map(|(at, name)| (name, source.line(at.start), source.line(at.end))).collect();
        assert_eq!(found, [("b", 2, 6), ("c", 7, 7)]);
        assert_eq!(source.line_count(), 7);
    }

    #[test]
    fn tests_are_known_in_the_file_and_in_other_files() {
        let parent = "fn a() {}\n#[cfg(test)]\n#[path = \"x\"]\nmod b {\n fn c() {}\n}\nfn d() {}\n\
                      #[cfg(any(test, feature = \"x\"))]\npub mod world;\n#[cfg(not(test))]\nfn e() {}\n";
        let mut sources =
            ["x/lib.rs", "x/world.rs", "x/world/in.rs", "x/worldly.rs", "x/tests.rs", "x/tests/y.rs"]
                .map(|path| Source::scan(path, if path == "x/lib.rs" { parent } else { "fn a() {}" }));
        mark_test_files(&mut sources);
        let whole: Vec<_> = sources.iter().map(|source| source.is_test(0)).collect();
        assert_eq!(whole, [false, true, true, false, true, true]);
        let is_test = |text: &str| sources[0].is_test(sources[0].code.find(text).unwrap());
        assert_eq!(["fn a", "fn c", "fn d", "fn e"].map(is_test), [false, true, false, false]);
    }
}
