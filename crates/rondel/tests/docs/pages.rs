//! The form of the documents.

use crate::text::prose;
use crate::{documents, read};

/// README is read whole; what does not fit is for a page of `docs`.
const README_LINES_MAX: usize = 180;

const COLUMNS_MAX: usize = 119;

#[test]
fn readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines");
}

#[test]
fn lines_end_before_column_120() {
    for document in documents() {
        // A row of a table cannot be broken.
        let text = read(&document);
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.starts_with('|')) {
            let columns = line.chars().count();
            assert!(columns <= COLUMNS_MAX, "{document}:{}: {columns} columns", number + 1);
        }
    }
}

#[test]
fn rows_of_a_table_have_as_many_cells_as_its_head() {
    for document in documents() {
        let text = read(&document);
        let mut head = None;
        for (number, line) in prose(&text) {
            let cells =
                line.starts_with('|').then(|| line.matches('|').count() - line.matches("\\|").count());
            match (cells, head) {
                (Some(cells), Some(head)) => assert_eq!(cells, head, "{document}:{number}"),
                _ => head = cells,
            }
        }
    }
}
