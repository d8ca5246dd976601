//! Charts with a row for each name: bars, or intervals.

use crate::figure::{drawing, label, round, Caption};
use crate::plot::{line, Axis};
use crate::words::shortened;
use svg::node::element::{Circle, Rectangle};
use svg::Document;

const WIDTH: f64 = 380.0;
const ROW: f64 = 22.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 56.0;
const BOTTOM: f64 = 40.0;
/// How many characters of a name have room beside its bar.
const LONGEST_NAME: usize = 20;

/// A row: its name, its value, the text beside it, the interval around the value, and the class that gives it its colour.
pub struct Bar {
    pub name: String,
    pub class: &'static str,
    pub value: f64,
    pub text: String,
    pub interval: Option<(f64, f64)>,
}

/// The axis runs through `origin`, where bars begin; intervals are drawn as lines around a dot.
pub fn bars(caption: &Caption, axis: &Axis, origin: f64, rows: &[Bar]) -> Document {
    let height = rows.len() as f64 * ROW + BOTTOM + 6.0;
    let across = |value: f64| {
        let place = ((value - axis.from) / (axis.to - axis.from)).clamp(0.0, 1.0);
        round(LEFT + place * (WIDTH - LEFT - RIGHT))
    };
    let bottom = height - BOTTOM;
    let mut drawing = drawing(caption, WIDTH, height);
    for (at, text) in &axis.marks {
        drawing = drawing.add(line("grid", (across(*at), 2.0), (across(*at), bottom)));
        drawing = drawing.add(label(text, across(*at), bottom + 15.0, "middle", "tick"));
    }
    drawing = drawing.add(line("axis", (across(origin), 2.0), (across(origin), bottom)));
    drawing = drawing.add(label(axis.name, (LEFT + WIDTH - RIGHT) / 2.0, height - 7.0, "middle", "axis"));
    for (n, row) in rows.iter().enumerate() {
        let top = 4.0 + n as f64 * ROW;
        let middle = top + ROW / 2.0;
        drawing =
            drawing.add(label(&shortened(&row.name, LONGEST_NAME), LEFT - 8.0, middle + 4.0, "end", "tick"));
        drawing = drawing.add(label(&row.text, WIDTH - RIGHT + 6.0, middle + 4.0, "start", "tick"));
        match row.interval {
            Some((low, high)) => {
                drawing = drawing.add(line("interval", (across(low), middle), (across(high), middle)));
                let dot = Circle::new().set("cx", across(row.value)).set("cy", round(middle)).set("r", 4);
                drawing = drawing.add(dot.set("class", format!("dot {}", row.class)));
            }
            None => {
                let (left, right) = (across(origin.min(row.value)), across(origin.max(row.value)));
                let bar = Rectangle::new().set("x", left).set("width", round(right - left));
                let bar = bar
                    .set("y", round(top + 3.0))
                    .set("height", ROW - 6.0)
                    .set("class", format!("bar {}", row.class));
                drawing = drawing.add(bar);
            }
        }
    }
    drawing
}
