//! Charts with two axes.

use crate::figure::{drawing, label, round, upright, Caption};
use svg::node::element::{Circle, Line, Path, Rectangle};
use svg::Document;

const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 44.0;

/// An axis from its first number to its last, with a name and marks.
pub struct Axis<'a> {
    pub name: &'a str,
    pub from: f64,
    pub to: f64,
    pub marks: Vec<(f64, String)>,
}

impl<'a> Axis<'a> {
    /// From 0 to 1.
    pub fn share(name: &'a str) -> Self {
        let marks = (0..=5).map(|fifth| (f64::from(fifth) / 5.0, format!("{:.1}", f64::from(fifth) / 5.0)));
        Self { name, from: 0.0, to: 1.0, marks: marks.collect() }
    }

    /// Around areas under the ROC curve: from that of chance to 1, or from 0 where some are below.
    pub fn areas(name: &'a str, values: impl Iterator<Item = f64>) -> Self {
        let from: f64 = if values.fold(1.0, f64::min) < 0.5 { 0.0 } else { 0.5 };
        let marks = (0..=5)
            .map(|n| from + f64::from(n) / 5.0 * (1.0 - from))
            .map(|mark| (mark, format!("{mark:.1}")));
        Self { name, from, to: 1.0, marks: marks.collect() }
    }

    /// From a round number to a round number around these values.
    pub fn around(name: &'a str, values: impl Iterator<Item = f64> + Clone) -> Self {
        let finite = values.filter(|value| value.is_finite());
        let low = finite.clone().fold(f64::INFINITY, f64::min);
        let high = finite.fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = match low < high {
            true => (low, high),
            false if low.is_finite() => (low - 0.5, low + 0.5),
            false => (0.0, 1.0),
        };
        let step = round_step((high - low) / 4.0);
        let (first, last) = ((low / step).floor(), (high / step).ceil());
        let marks = (0..=(last - first) as usize).map(|n| (first + n as f64) * step);
        let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
        let marks = marks.map(|mark| (mark, format!("{mark:.decimals$}").replace('-', "−")));
        Self { name, from: first * step, to: last * step, marks: marks.collect() }
    }

    fn place(&self, value: f64) -> f64 {
        ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, at least `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0].map(|n| n * power).into_iter().find(|round| *round >= step).unwrap_or(10.0 * power)
}

/// What is drawn, with the class that gives it its colour.
pub enum Mark<'a> {
    Line(&'static str, &'a [(f64, f64)]),
    Dots(&'static str, &'a [(f64, f64)]),
    /// Columns around x, `width` wide, each up to y.
    Columns(&'static str, f64, &'a [(f64, f64)]),
}

pub fn plot(caption: &Caption, x: &Axis, y: &Axis, marks: &[Mark]) -> Document {
    let across = |value: f64| round(LEFT + x.place(value) * (WIDTH - LEFT - RIGHT));
    let up = |value: f64| round(HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM));
    let mut drawing = drawing(caption, WIDTH, HEIGHT);
    for (at, text) in &y.marks {
        drawing = drawing.add(line("grid", (LEFT, up(*at)), (WIDTH - RIGHT, up(*at))));
        drawing = drawing.add(label(text, LEFT - 7.0, up(*at) + 4.0, "end", "tick"));
    }
    for (at, text) in &x.marks {
        drawing =
            drawing.add(line("axis", (across(*at), HEIGHT - BOTTOM), (across(*at), HEIGHT - BOTTOM + 4.0)));
        drawing = drawing.add(label(text, across(*at), HEIGHT - BOTTOM + 17.0, "middle", "tick"));
    }
    drawing = drawing.add(line("axis", (LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM)));
    drawing = drawing.add(label(x.name, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 8.0, "middle", "axis"));
    drawing = drawing.add(upright(y.name, 13.0, (TOP + HEIGHT - BOTTOM) / 2.0));
    for mark in marks {
        match mark {
            Mark::Line(class, points) => {
                let way: Vec<String> =
                    points.iter().map(|(x, y)| format!("{} {}", across(*x), up(*y))).collect();
                if !way.is_empty() {
                    let path = Path::new().set("class", format!("line {class}"));
                    drawing = drawing.add(path.set("d", format!("M{}", way.join("L"))));
                }
            }
            Mark::Dots(class, points) => {
                for (x, y) in *points {
                    let dot = Circle::new().set("cx", across(*x)).set("cy", up(*y)).set("r", 3.5);
                    drawing = drawing.add(dot.set("class", format!("dot {class}")));
                }
            }
            Mark::Columns(class, width, points) => {
                for (x, y) in *points {
                    let (left, right) = (across(x - width / 2.0), across(x + width / 2.0));
                    let column = Rectangle::new().set("x", left).set("width", round(right - left));
                    let column = column.set("y", up(*y)).set("height", round(HEIGHT - BOTTOM - up(*y)));
                    drawing = drawing.add(column.set("class", format!("bar {class}")));
                }
            }
        }
    }
    drawing
}

pub fn line(class: &'static str, from: (f64, f64), to: (f64, f64)) -> Line {
    let line = Line::new().set("class", class).set("x1", round(from.0)).set("y1", round(from.1));
    line.set("x2", round(to.0)).set("y2", round(to.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_marks_around_its_values() {
        let marks = |values: &[f64]| -> Vec<String> {
            Axis::around("", values.iter().copied()).marks.into_iter().map(|(_, text)| text).collect()
        };
        assert_eq!(marks(&[0.71, 0.86]), ["0.70", "0.75", "0.80", "0.85", "0.90"]);
        assert_eq!(marks(&[-30.0, 110.0]), ["−50", "0", "50", "100", "150"]);
        assert_eq!(marks(&[0.5]), ["0.0", "0.5", "1.0"]);
        assert!(!marks(&[]).is_empty() && !marks(&[f64::NAN, f64::INFINITY]).is_empty());
    }

    #[test]
    fn what_lies_outside_the_axes_is_drawn_at_their_ends() {
        let axis = Axis::share("");
        assert_eq!([-1.0, 0.25, f64::INFINITY].map(|value| axis.place(value)), [0.0, 0.25, 1.0]);
    }

    #[test]
    fn more_is_drawn_higher_and_further_right() {
        let caption = Caption { id: "plot", title: "", description: String::new(), legend: &[] };
        let axis = Axis::share("");
        let points = [(0.0, 0.0), (0.5, 1.0)];
        let drawn = plot(&caption, &axis, &axis, &[Mark::Line("model", &points)]).to_string();
        let path = drawn.split("d=\"M").nth(1).and_then(|rest| rest.split('"').next()).expect("a line");
        let place = |point: &str| -> (f64, f64) {
            let (x, y) = point.split_once(' ').expect("two numbers");
            (x.parse().unwrap(), y.parse().unwrap())
        };
        let places: Vec<_> = path.split('L').map(place).collect();
        assert_eq!(places[0], (LEFT, HEIGHT - BOTTOM));
        assert_eq!(places[1], ((LEFT + WIDTH - RIGHT) / 2.0, TOP));
    }

    #[test]
    fn an_area_below_one_half_is_on_its_axis() {
        let from = |values: &[f64]| Axis::areas("", values.iter().copied()).from;
        assert_eq!((from(&[0.6, 0.9]), from(&[0.3, 0.9])), (0.5, 0.0));
    }
}
