//! Markdown, as far as the tests read it: prose apart from code, headings and their anchors, links.

/// The lines of a document that are not within a fence of code, each with its number.
pub(crate) fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    text.lines().enumerate().filter_map(move |(number, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (!is_code && !is_fence).then_some((number + 1, line))
    })
}

/// The anchors of a document's headings, as GitHub makes them.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    prose(text)
        .filter_map(|(_, line)| Some(anchor(line.trim_start_matches('#').strip_prefix(' ')?, line)))
        .flatten()
        .collect()
}

fn anchor(title: &str, line: &str) -> Option<String> {
    let kept = |character: &char| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_');
    let text: String = title.to_lowercase().chars().filter(kept).collect();
    line.starts_with('#').then(|| text.replace(' ', "-"))
}

/// The targets of the links and pictures of a line, spans of code left out.
pub(crate) fn links(line: &str) -> Vec<&str> {
    let mut links = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find(['`', ']']) {
        let (mark, after) = rest[start..].split_at(1);
        rest = after;
        if mark == "`" {
            rest = after.split_once('`').map_or("", |(_, rest)| rest);
        } else if let Some((target, after)) = after.strip_prefix('(').and_then(|link| link.split_once(')')) {
            links.push(target);
            rest = after;
        }
    }
    links
}

/// The contents of the fences of one language.
pub(crate) fn fences<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let parts = text.split("```").skip(1).step_by(2);
    parts.filter_map(|part| part.strip_prefix(language)?.strip_prefix('\n')).collect()
}

/// The lines within fences, and the spans of code of all other lines.
pub(crate) fn code(text: &str) -> Vec<String> {
    let mut code = Vec::new();
    for (index, part) in text.split("```").enumerate() {
        if index % 2 == 1 {
            code.extend(part.lines().skip(1).map(str::to_owned));
        } else {
            // A span may go on in the next line.
            code.extend(part.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")));
        }
    }
    code
}

#[test]
fn a_heading_has_the_anchor_that_browsers_know() {
    let text = "# One\n```text\n# not\n```\n## The `unsafe`\n### splice(2), send(2): why?\n#no\n";
    assert_eq!(anchors(text), ["one", "the-unsafe", "splice2-send2-why"]);
}

#[test]
fn links_are_found_beside_code() {
    assert_eq!(links("[`a`](b.md) `[c](d)` ![e](f.png#g), [h]"), ["b.md", "f.png#g"]);
}

#[test]
fn code_is_of_fences_and_of_spans() {
    let text = "a `b c` d\n```sh\ne f\n```\n`g\nh`\n";
    assert_eq!(code(text), ["b c", "e f", "g h"]);
    assert_eq!(fences(text, "sh"), ["e f\n"]);
}
