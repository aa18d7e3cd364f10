//! Splits the text into YAML tokens, without checking that they form a document.
//!
//! The parser returns values without their places and is slow on nested brackets. This returns places and takes
//! constant time per byte. It covers what is written in practice, and values are never read from it: if it is
//! mistaken, the underlined part of a problem is too long or too short.

/// One token and its place, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// `&name`
    Anchor,
    /// `*name`
    Alias,
    /// `!name`
    Tag,
    /// `[` or `{`
    Open,
    /// `]` or `}`
    Close,
    Quoted,
    /// A quotation without an end.
    Unclosed,
    /// A line of an unquoted scalar.
    Plain,
    /// `|` or `>` and the lines that belong to it.
    Block,
    /// `-`, `?`, `:`, `,`, `---`, `...` or a line that starts with `%`.
    Mark,
}

pub(crate) struct Tokens<'t> {
    text: &'t [u8],
    at: usize,
    /// The start of the line that contains `at`.
    line: usize,
    /// The number of open brackets.
    depth: usize,
    /// The column of the last dash or key. Its content is further to the right.
    indent: Option<usize>,
    /// The column where the current node starts, which is that of a key if a colon follows.
    node: usize,
    last: Option<TokenKind>,
    /// The start of the line in which the last token ended.
    last_line: usize,
}

impl<'t> Tokens<'t> {
    /// The tokens from the byte `at` on, where a token starts.
    pub(crate) fn new(text: &'t str, at: usize) -> Self {
        let text = text.as_bytes();
        let line = text[..at].iter().rposition(|byte| is_break(*byte)).map_or(0, |newline| newline + 1);
        Self { text, at, line, depth: 0, indent: None, node: 0, last: None, last_line: line }
    }

    /// The byte `ahead` of the current one; a line end if that is past the end.
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(b'\n')
    }

    fn blank(&self, ahead: usize) -> bool {
        is_blank(self.peek(ahead))
    }

    fn column(&self) -> usize {
        self.at - self.line
    }

    fn step(&mut self) {
        if is_break(self.peek(0)) {
            self.line = self.at + 1;
        }
        self.at += 1;
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.at < self.text.len() && wanted(self.peek(0)) {
            self.step();
        }
    }

    fn skip_blanks(&mut self) {
        loop {
            self.skip_while(is_blank);
            if self.at == self.text.len() || self.peek(0) != b'#' {
                return;
            }
            // A comment ends a scalar.
            self.last = self.last.map(|_| TokenKind::Mark);
            self.skip_while(|byte| !is_break(byte));
        }
    }

    /// Whether `---` or `...` is here, alone and at the start of its line.
    fn is_document_mark(&self) -> bool {
        let word = &self.text[self.at..];
        self.column() == 0 && (word.starts_with(b"---") || word.starts_with(b"...")) && self.blank(3)
    }

    /// Whether the text here continues the previous scalar.
    fn continues(&self) -> bool {
        if self.last != Some(TokenKind::Plain) {
            return false;
        }
        if self.depth > 0 {
            return !b",[]{}:?".contains(&self.peek(0));
        }
        // In its own line it ended at a colon.
        self.last_line < self.line && self.indent.is_none_or(|indent| self.column() > indent)
    }

    fn token(&mut self) -> TokenKind {
        let (first, in_brackets) = (self.peek(0), self.depth > 0);
        if self.is_document_mark() {
            self.at += 3;
            self.indent = None;
            return TokenKind::Mark;
        }
        if self.continues() {
            self.skip_plain();
            return TokenKind::Plain;
        }
        if b"-?:".contains(&first) && (self.blank(1) || in_brackets && first != b'-') {
            if !in_brackets {
                self.indent = Some(if first == b':' { self.node } else { self.column() });
            }
            self.at += 1;
            return TokenKind::Mark;
        }
        if !in_brackets && !matches!(self.last, Some(TokenKind::Anchor | TokenKind::Tag)) {
            self.node = self.column();
        }
        match first {
            b'[' | b'{' => {
                self.depth += 1;
                self.at += 1;
                TokenKind::Open
            }
            b']' | b'}' => {
                self.depth = self.depth.saturating_sub(1);
                self.at += 1;
                TokenKind::Close
            }
            b',' if in_brackets => {
                self.at += 1;
                TokenKind::Mark
            }
            b'%' if self.column() == 0 => {
                self.skip_while(|byte| !is_break(byte));
                TokenKind::Mark
            }
            b'&' => self.word(TokenKind::Anchor),
            b'*' => self.word(TokenKind::Alias),
            b'!' => {
                self.skip_while(|byte| !(is_blank(byte) || in_brackets && b",[]{}".contains(&byte)));
                TokenKind::Tag
            }
            b'"' | b'\'' => self.quotation(first),
            b'|' | b'>' if !in_brackets => {
                self.skip_block();
                TokenKind::Block
            }
            _ => {
                self.skip_plain();
                TokenKind::Plain
            }
        }
    }

    fn word(&mut self, kind: TokenKind) -> TokenKind {
        self.at += 1;
        self.skip_while(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        kind
    }

    fn quotation(&mut self, quote: u8) -> TokenKind {
        self.at += 1;
        while self.at < self.text.len() {
            let byte = self.peek(0);
            self.step();
            if byte == quote {
                if quote == b'"' || self.peek(0) != quote {
                    return TokenKind::Quoted;
                }
                self.step(); // Two of them are an escaped one.
            } else if byte == b'\\' && quote == b'"' && self.at < self.text.len() {
                self.step();
            }
        }
        TokenKind::Unclosed
    }

    /// Moves to the end of an unquoted scalar, or of its line.
    fn skip_plain(&mut self) {
        // The first byte is always part of it.
        self.at += 1;
        let mut end = self.at;
        while self.at < self.text.len() && !is_break(self.peek(0)) {
            let (byte, in_brackets) = (self.peek(0), self.depth > 0);
            let ends = match byte {
                b':' => self.blank(1) || in_brackets && b",[]{}".contains(&self.peek(1)),
                b'#' => end < self.at,
                _ => in_brackets && b",[]{}".contains(&byte),
            };
            if ends {
                break;
            }
            self.at += 1;
            if !is_blank(byte) {
                end = self.at;
            }
        }
        self.at = end;
    }

    /// Moves past the lines of a `|` or a `>`.
    fn skip_block(&mut self) {
        self.skip_while(|byte| !is_break(byte));
        let mut end = (self.at, self.line);
        while self.at < self.text.len() {
            self.skip_while(is_blank);
            let inside = self.indent.is_none_or(|indent| self.column() > indent) && !self.is_document_mark();
            if !inside || self.at == self.text.len() {
                break;
            }
            self.skip_while(|byte| !is_break(byte));
            end = (self.at, self.line);
        }
        (self.at, self.line) = end;
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_blanks();
        if self.at == self.text.len() {
            return None;
        }
        let start = self.at;
        let kind = self.token();
        assert!(self.at > start);
        (self.last, self.last_line) = (Some(kind), self.line);
        Some(Token { kind, start, end: self.at })
    }
}

fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_write_them() {
        check("listeners:", "listeners :");
        check("- { address: \"[::]:80\", pool: web }", "- { address : \"[::]:80\" , pool : web }");
        check("a: [1,\n 2] # [\nb: 'it''s[' ", "a : [ 1 , 2 ] b : 'it''s['");
        check("? a b # c\n: [\"a\":1]", "? |a b| : [ \"a\" : 1 ]");
        check("a: &x !!int 5\nb: *x", "a : &x !!int 5 b : *x");
        check("---\na: http://b #c\n...\n", "--- a : http://b ...");
        check("a: - b", "a : - b");
        check("", "");
    }

    #[test]
    fn text_is_not_taken_for_more() {
        // A scalar that goes on in the next line, if that is further to the right.
        check("a: b\n  [ &c \"\nd: e", "a : b |[ &c \"| d : e");
        check("- a: b\n  \"c\": d", "- a : b \"c\" : d");
        check("[a\n \"b, c]", "[ a \"b , c ]");
        // The lines of a `|`.
        check("- a: |\n   [ \"\n\n   !x\n  b: [", "- a : ||\n   [ \"\n\n   !x| b : [");
        check("- |\n [\n- a", "- ||\n [| - a");
        check("a&b: c#d\n-e: !f", "a&b : c#d -e : !f");
        check("a: \"b\\\"[\n  c", "a : |\"b\\\"[\n  c|");
    }

    /// Compares with the tokens, separated by spaces; tokens that contain spaces are between bars.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let tokens = Tokens::new(text, 0).map(|token| {
            let token = &text[token.start..token.end];
            if token.contains([' ', '\n']) { format!("|{token}|") } else { token.to_owned() }
        });
        assert_eq!(tokens.collect::<Vec<_>>().join(" "), expected);
    }
}
