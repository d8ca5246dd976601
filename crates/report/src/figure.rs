//! A chart with its title, its legend, and the same numbers as a table.

use crate::words::{counted, shortened, LONGEST};
use crate::{First, Part};
use maud::{html, Markup, PreEscaped};
use svg::node::element::{Description, Group, Text, Title};
use svg::Document;

/// What a chart says of itself, to people who see it and to those who hear it. The id is one of our own words.
pub struct Caption<'a> {
    pub id: &'static str,
    pub title: &'a str,
    /// Said to those who do not see the chart.
    pub description: String,
    /// Names of what is drawn, each with its class.
    pub legend: &'a [(&'static str, &'a str)],
}

/// A drawing of this size that a screen reader reads by title and description.
pub fn drawing(caption: &Caption, width: f64, height: f64) -> Document {
    let (title, description) = (format!("{}-title", caption.id), format!("{}-desc", caption.id));
    Document::new()
        .set("viewBox", format!("0 0 {width} {height}"))
        .set("role", "img")
        .set("aria-labelledby", format!("{title} {description}"))
        .add(Title::new(caption.title).set("id", title))
        .add(
            Description::new().set("id", description).add(svg::node::Text::new(caption.description.as_str())),
        )
}

/// A text of the drawing; `anchor` is `start`, `middle` or `end`.
pub fn label(text: &str, x: f64, y: f64, anchor: &'static str, class: &'static str) -> Text {
    Text::new(text).set("x", round(x)).set("y", round(y)).set("text-anchor", anchor).set("class", class)
}

/// A text that is written upwards.
pub fn upright(text: &str, x: f64, y: f64) -> Group {
    let turned = format!("translate({} {}) rotate(-90)", round(x), round(y));
    Group::new().set("transform", turned).add(label(text, 0.0, 0.0, "middle", "axis"))
}

/// A place in a drawing, to a tenth of a unit.
pub fn round(place: f64) -> f64 {
    (place * 10.0).round() / 10.0
}

pub fn figure(caption: &Caption, drawing: Document, table: Markup) -> Markup {
    html! {
        figure id=(caption.id) {
            h3 { (caption.title) }
            @if !caption.legend.is_empty() {
                p.legend { @for (class, name) in caption.legend { span { span.swatch.(class) {} (name) } } }
            }
            (PreEscaped(drawing.to_string()))
            details { summary { "The numbers" } (table) }
        }
    }
}

/// A table that scrolls by itself where it is too wide. Columns from `numbers` on are numbers.
pub fn table(about: &str, heads: &[&str], numbers: usize, rows: &[Vec<String>]) -> Markup {
    let class = |n: usize| (n >= numbers).then_some("number");
    html! {
        div.table role="region" tabindex="0" aria-label=(about) {
            table {
                thead { tr { @for (n, head) in heads.iter().enumerate() { th scope="col" class=[class(n)] { (head) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (n, cell) in row.iter().enumerate() {
                                @if n == 0 { th scope="row" { (cell) } } @else { td class=[class(n)] { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How many rows of a list are not shown.
pub fn more<T>(list: &First<T>) -> Markup {
    let hidden = list.all.saturating_sub(list.rows.len() as u64);
    html! { @if hidden > 0 { p.note { "and " (counted(hidden)) " more" } } }
}

/// The part, or why it is not shown.
pub fn part<T>(part: &Part<T>, show: impl FnOnce(&T) -> Markup) -> Markup {
    match part {
        Ok(part) => show(part),
        Err(why) => missing(why),
    }
}

pub fn missing(why: &str) -> Markup {
    html! { p.missing { (shortened(why, LONGEST)) } }
}
