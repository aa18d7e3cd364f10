//! What both manual pages have: their date, and sentences with code between backquotes.

use clap_mangen::roff::{Inline, Roff, bold, roman};

/// The text with code in bold.
pub(super) fn prose(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate().filter(|(_, part)| !part.is_empty());
    parts.map(|(index, part)| if index % 2 == 1 { bold(part) } else { roman(part) }).collect()
}

/// Appends the lines without filling them, such as an example.
pub(super) fn verbatim<'a>(roff: &mut Roff, lines: impl IntoIterator<Item = &'a str>) {
    roff.control("nf", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}

/// The date of the pages, which changes with the version. A page without one is not valid.
pub(super) const DATE: &str = "2026-11-30";
