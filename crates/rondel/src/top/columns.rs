//! Tables that fit a width: which columns have room, and how a cell that has none is shortened.
//!
//! Columns have an order of importance. The least important ones are left out until the others fit, whole: a number is
//! never cut. Only the name, in its middle, and the last column, at its end, are shortened, each with a `…`.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

/// A column. The first one of a table is the name, and is always shown.
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Its importance: the smallest stays longest.
    pub(super) rank: u8,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Aligned to the left.
    Word,
    /// Aligned to the right.
    Number,
    /// Takes the rest of the line, if that is enough to be read. Only for the last column.
    Text,
}

pub(super) const fn column(title: &'static str, rank: u8, kind: Kind) -> Column {
    Column { title, rank, kind }
}

/// A row. An empty cell says that its column has no value for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    /// The style of the second cell, which is the state.
    pub(super) style: Style,
}

/// The columns that have room, each with its width.
pub(super) struct Fitted<'c> {
    columns: Vec<(usize, usize, &'c Column)>,
}

impl<'c> Fitted<'c> {
    /// Chooses the columns. One without any value is left out.
    pub(super) fn new(columns: &'c [Column], rows: &[Row], width: usize) -> Self {
        let natural = |index: usize, column: &Column| {
            let cells = rows.iter().map(|row| length(&row.cells[index])).max().unwrap_or(0);
            if cells == 0 && index > 0 { 0 } else { cells.max(length(column.title)) }
        };
        let mut chosen: Vec<_> = columns
            .iter()
            .enumerate()
            .map(|(index, column)| (index, natural(index, column), column))
            .filter(|(index, natural, column)| *index == 0 || (*natural > 0 && column.kind != Kind::Text))
            .collect();
        // A long name leaves room for the columns without which a row says nothing.
        let needed: usize = chosen
            .iter()
            .filter(|(index, _, column)| *index > 0 && column.rank <= NEEDED_RANK_MAX)
            .map(|(_, natural, _)| natural + GAP)
            .sum();
        chosen[0].1 = chosen[0].1.min(width.saturating_sub(needed).max(NAME_MIN)).min(width);
        let total = |chosen: &[(usize, usize, &Column)]| {
            chosen.iter().map(|(_, width, _)| width).sum::<usize>() + GAP * (chosen.len() - 1)
        };
        while total(&chosen) > width && chosen.len() > 1 {
            let least = (1..chosen.len()).max_by_key(|at| chosen[*at].2.rank).expect("there is one");
            chosen.remove(least);
        }
        let rest = width.saturating_sub(total(&chosen) + GAP);
        let text = columns.iter().enumerate().next_back().filter(|(_, column)| column.kind == Kind::Text);
        if let Some((index, column)) = text {
            let natural = natural(index, column);
            if natural > 0 && rest >= natural.min(TEXT_MIN) {
                chosen.push((index, rest.min(natural), column));
            }
        }
        Self { columns: chosen }
    }

    /// The titles, over the whole width.
    pub(super) fn head(&self, width: usize) -> Line<'static> {
        let cells = self.columns.iter().map(|(_, width, column)| pad(column.title, *width, column.kind));
        let text = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
        Line::styled(format!("{text:width$}"), Style::new().add_modifier(Modifier::REVERSED))
    }

    pub(super) fn line(&self, row: &Row) -> Line<'static> {
        let mut spans = Vec::new();
        for (at, (index, width, column)) in self.columns.iter().enumerate() {
            if at > 0 {
                spans.push(Span::raw(" ".repeat(GAP)));
            }
            let cell = match column.kind {
                Kind::Text => cut(&row.cells[*index], *width),
                Kind::Word | Kind::Number => shorten(&row.cells[*index], *width),
            };
            let style = if *index == 1 { row.style } else { Style::new() };
            spans.push(Span::styled(pad(&cell, *width, column.kind), style));
        }
        Line::from(spans)
    }
}

fn pad(text: &str, width: usize, kind: Kind) -> String {
    match kind {
        Kind::Number => format!("{text:>width$}"),
        Kind::Word | Kind::Text => format!("{text:width$}"),
    }
}

/// The text, without its middle if it is longer: both ends of a name tell it from others.
pub(super) fn shorten(text: &str, width: usize) -> String {
    let length = length(text);
    if length <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let end: String = text.chars().skip(length - kept / 2).collect();
    text.chars().take(kept - kept / 2).chain(['…']).chain(end.chars()).take(width).collect()
}

/// The text, without its end if it is longer.
pub(super) fn cut(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).take(width).collect()
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Spaces between columns.
const GAP: usize = 2;

/// The rank up to which a column is needed; a long name is shortened in its favour.
const NEEDED_RANK_MAX: u8 = 3;

/// A name is not shortened below this for the sake of other columns.
const NAME_MIN: usize = 16;

/// Text in fewer columns cannot be read.
const TEXT_MIN: usize = 12;

#[cfg(test)]
mod tests {
    use super::{Fitted, Kind, Row, column, cut, shorten};

    #[test]
    fn the_least_important_columns_go_first_and_numbers_stay_whole() {
        let columns = [
            column("NAME", 0, Kind::Word),
            column("STATE", 1, Kind::Word),
            column("ADDRESS", 3, Kind::Word),
            column("CONNS", 2, Kind::Number),
            column("LAG", 4, Kind::Number),
            column("ERROR", 9, Kind::Text),
        ];
        let cells = ["web/a", "down", "10.0.0.1:80", "1234567", "", "connection refused"];
        let rows = [Row { cells: cells.map(str::to_owned).to_vec(), ..Row::default() }];
        let at = |width: usize| {
            let fitted = Fitted::new(&columns, &rows, width);
            [fitted.head(width), fitted.line(&rows[0])].map(|line| line.to_string().trim_end().to_owned())
        };
        for (width, head, line) in [
            (
                60,
                "NAME   STATE  ADDRESS        CONNS  ERROR",
                "web/a  down   10.0.0.1:80  1234567  connection refused",
            ),
            (
                50,
                "NAME   STATE  ADDRESS        CONNS  ERROR",
                "web/a  down   10.0.0.1:80  1234567  connection re…",
            ),
            (40, "NAME   STATE  ADDRESS        CONNS", "web/a  down   10.0.0.1:80  1234567"),
            (30, "NAME   STATE    CONNS", "web/a  down   1234567"),
            (20, "NAME   STATE", "web/a  down"),
            (4, "NAME", "we…a"),
        ] {
            assert_eq!(at(width), [head, line], "{width}");
        }
    }

    #[test]
    fn a_long_name_keeps_both_ends() {
        assert_eq!(shorten("payments-eu-west-1/10.0.0.1:8080", 21), "payments-e…0.0.1:8080");
        assert_eq!(shorten("web", 3), "web");
        assert_eq!(shorten("web/a", 1), "…");
        assert_eq!(shorten("web/a", 0), "");
        assert_eq!(cut("connection refused", 11), "connection…");
        assert_eq!(cut("refused", 0), "");
    }
}
