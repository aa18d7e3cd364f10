//! A case as a picture: a bar for each peer, its height the median over the rounds, with a whisker from the least
//! to the most.

use std::error::Error;
use std::io;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::figures::{Figure, Phase, number};
use crate::peers::Peer;
use crate::report::CaseResults;
use crate::statistics::Summary;

/// Writes it as SVG; nothing, if no peer has the figure.
pub(crate) fn draw(case: &CaseResults, path: &Path) -> io::Result<()> {
    let groups = groups(case);
    if groups.is_empty() {
        return Ok(());
    }
    draw_groups(case, &groups, path).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
}

/// The bars of a peer, one for each figure of the picture that it has.
struct Group {
    peer: Peer,
    bars: Vec<(usize, Summary)>,
}

fn groups(case: &CaseResults) -> Vec<Group> {
    let mut peers: Vec<Peer> = case.samples.iter().map(|sample| sample.peer).collect();
    peers.sort_unstable();
    peers.dedup();
    let bar = |peer, (index, &(figure, phase)): (usize, &(Figure, Phase))| {
        let values: Vec<f64> = case
            .samples
            .iter()
            .filter(|sample| sample.peer == peer && sample.phase == phase)
            .filter_map(|sample| sample.figures.get(&figure).copied())
            .collect();
        Some((index, Summary::of(&values)?))
    };
    peers
        .into_iter()
        .map(|peer| Group {
            peer,
            bars: case.case.bars.iter().enumerate().filter_map(|pair| bar(peer, pair)).collect(),
        })
        .filter(|group| !group.bars.is_empty())
        .collect()
}

fn draw_groups(case: &CaseResults, groups: &[Group], path: &Path) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (upper, lower) = root.split_vertically(SIZE.1 - LEGEND_HEIGHT);
    let highest =
        groups.iter().flat_map(|group| &group.bars).map(|(_, summary)| summary.most).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(&upper)
        .caption(case.title, (FONT, 20))
        .margin(16)
        .x_label_area_size(36)
        .y_label_area_size(84)
        // Room for the number above the highest whisker.
        .build_cartesian_2d(0.0..width(groups.len()), 0.0..highest.max(f64::MIN_POSITIVE) * 1.12)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .light_line_style(WHITE)
        .y_desc(axis(case))
        .y_label_formatter(&|value| number(*value))
        .label_style((FONT, 15))
        .axis_desc_style((FONT, 16))
        .draw()?;

    let series = case.case.bars.len();
    for (place, group) in groups.iter().enumerate() {
        for &(index, summary) in &group.bars {
            let (left, right) = edges(place, index, series);
            let middle = f64::midpoint(left, right);
            chart.draw_series([Rectangle::new(
                [(left, 0.0), (right, summary.median)],
                color(group.peer, index).filled(),
            )])?;
            let tick = (right - left) * 0.15;
            chart.draw_series(
                [
                    [(middle, summary.least), (middle, summary.most)],
                    [(middle - tick, summary.least), (middle + tick, summary.least)],
                    [(middle - tick, summary.most), (middle + tick, summary.most)],
                ]
                .map(|line| PathElement::new(line, INK)),
            )?;
            let above = style(15, HPos::Center, VPos::Bottom);
            chart.draw_series([Text::new(
                number(summary.median),
                (middle, summary.most + highest * 0.015),
                above,
            )])?;
        }
        let (x, y) = chart.backend_coord(&(width(place) + 0.5, 0.0));
        upper.draw(&Text::new(group.peer.name(), (x, y + 8), style(16, HPos::Center, VPos::Top)))?;
    }
    legend(case, &lower)?;
    root.present()?;
    Ok(())
}

/// The shared settings of all bars.
fn axis(case: &CaseResults) -> String {
    let (figure, _) = case.case.bars[0];
    if case.case.bars.iter().all(|&(other, _)| other == figure) {
        figure.label(case.unit)
    } else {
        "latency, us".to_owned()
    }
}

/// The legend of bars and whiskers.
fn legend(case: &CaseResults, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), Box<dyn Error>> {
    let (figure, _) = case.case.bars[0];
    let differ = case.case.bars.iter().any(|&(other, _)| other != figure);
    for (index, &(own, phase)) in case.case.bars.iter().enumerate().filter(|_| case.case.bars.len() > 1) {
        let words = if differ { own.label(case.unit) } else { phase.title().to_owned() };
        let left = 100 + 220 * i32::try_from(index)?;
        area.draw(&Rectangle::new([(left, 2), (left + 14, 16)], color(Peer::Rondel, index).filled()))?;
        area.draw(&Text::new(words, (left + 22, 9), style(15, HPos::Left, VPos::Center)))?;
    }
    let right = i32::try_from(SIZE.0)? - 18;
    area.draw(&Text::new(
        "median, and least to most of the rounds",
        (right, 9),
        style(13, HPos::Right, VPos::Center),
    ))?;
    Ok(())
}

/// The left and right edge of a bar: the bars of a peer are together in the middle of its column.
fn edges(place: usize, index: usize, series: usize) -> (f64, f64) {
    const SHARE: f64 = 0.7;
    let each = SHARE / width(series);
    let left = width(place) + (1.0 - SHARE) / 2.0 + each * width(index);
    (left, left + each)
}

#[expect(clippy::cast_precision_loss, reason = "a handful of bars")]
fn width(count: usize) -> f64 {
    count as f64
}

/// Rondel is highlighted; the second of two bars is lighter.
fn color(peer: Peer, index: usize) -> RGBColor {
    match (peer, index) {
        (Peer::Rondel, 0) => RGBColor(0, 110, 160),
        (Peer::Rondel, _) => RGBColor(120, 184, 214),
        (_, 0) => RGBColor(130, 136, 142),
        _ => RGBColor(194, 198, 202),
    }
}

fn style(size: u32, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    TextStyle::from((FONT, size).into_font()).color(&INK).pos(Pos::new(horizontal, vertical))
}

const SIZE: (u32, u32) = (900, 500);
const LEGEND_HEIGHT: u32 = 28;
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(30, 34, 38);
