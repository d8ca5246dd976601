//! A/B tests, with intervals.

use crate::bars::{bars, Bar};
use crate::figure::{figure, missing, more, part, table, Caption};
use crate::plot::Axis;
use crate::words::{
    figure_or_nothing, grouped, minute, percent, percent_or_nothing, shortened, signed_percent, LONGEST,
};
use crate::{Arm, First, Part, Test};
use maud::{html, Markup};

/// One id for each test that can be shown; a page has no more of them.
const IDS: [&str; 10] =
    ["test-1", "test-2", "test-3", "test-4", "test-5", "test-6", "test-7", "test-8", "test-9", "test-10"];

pub fn tests(tests: &Part<First<Test>>) -> Markup {
    part(tests, |tests| {
        if tests.rows.is_empty() {
            return missing("No A/B test was ever started.");
        }
        html! {
            p {
                "The lift is the rate of purchases over that of the control, less 1. Its interval holds at 95 % however often one looks."
            }
            @for (id, test) in IDS.iter().zip(&tests.rows) { (one(id, test)) }
            (more(tests))
        }
    })
}

fn one(id: &'static str, test: &Test) -> Markup {
    let name = shortened(&test.name, LONGEST);
    html! {
        h3 { (name) }
        p.soft {
            "Assigned by " (shortened(&test.unit, LONGEST)) ", started " (minute(&test.started_at))
            @match &test.stopped_at {
                Some(at) => { ", stopped " (minute(at)) },
                None => ", running",
            }
            @if let Some(winner) = &test.winner { ", won by " (shortened(winner, LONGEST)) }
            "."
            @if let Some(why) = &test.why { " Why: " (shortened(why, LONGEST)) }
        }
        (part(&test.arms, |arms| shown(id, &name, arms)))
    }
}

fn shown(id: &'static str, name: &str, arms: &[Arm]) -> Markup {
    let row = |arm: &Arm| {
        let counts = [arm.exposures, arm.outcomes, arm.purchases].map(grouped);
        let interval = match (arm.low, arm.high) {
            (Some(_), Some(_)) => format!("{} to {}", signed_percent(arm.low), signed_percent(arm.high)),
            _ => crate::words::NOTHING.into(),
        };
        [shortened(&arm.arm, LONGEST), arm.version.to_string(), percent(arm.share)]
            .into_iter()
            .chain(counts)
            .chain([
                percent_or_nothing(arm.rate),
                signed_percent(arm.lift),
                interval,
                figure_or_nothing(arm.p_value),
            ])
            .collect()
    };
    let rows: Vec<Vec<String>> = arms.iter().map(row).collect();
    let heads = [
        "arm",
        "version",
        "share",
        "shown",
        "known outcomes",
        "purchases",
        "rate",
        "lift",
        "interval",
        "p-value",
    ];
    let compared: Vec<Bar> = arms
        .iter()
        .filter_map(|arm| {
            let (value, low, high) = (100.0 * arm.lift?, 100.0 * arm.low?, 100.0 * arm.high?);
            let text = signed_percent(arm.lift);
            Some(Bar { name: arm.arm.clone(), class: "model", value, text, interval: Some((low, high)) })
        })
        .collect();
    let ends = compared.iter().filter_map(|bar| bar.interval).flat_map(|(low, high)| [low, high]);
    let axis = Axis::around("lift over the control, %", ends.chain([0.0]));
    let control = arms.first().map_or("the control".into(), |arm| shortened(&arm.arm, LONGEST));
    let caption = Caption {
        id,
        title: "Lift over the control",
        description: format!(
            "Test {name}: the lift of each arm over {control}, with its interval; 0 means no difference."
        ),
        legend: &[],
    };
    html! {
        @if let Some(warning) = arms.iter().find_map(|arm| arm.warning.as_ref()) { p.warning { (shortened(warning, LONGEST)) } }
        @if compared.is_empty() {
            p.note { "There are too few outcomes for an interval yet." }
        }
        (table(&format!("Arms of {name}"), &heads, 1, &rows))
        @if !compared.is_empty() {
            (figure(&caption, bars(&caption, &axis, 0.0, &compared), intervals(&compared)))
        }
    }
}

fn intervals(compared: &[Bar]) -> Markup {
    let end = |percent: f64| signed_percent(Some(percent / 100.0));
    let row = |bar: &Bar| {
        let (low, high) = bar.interval.unwrap_or((bar.value, bar.value));
        vec![shortened(&bar.name, LONGEST), end(low), end(bar.value), end(high)]
    };
    let rows: Vec<Vec<String>> = compared.iter().map(row).collect();
    table("Intervals of the lift", &["arm", "at least", "lift", "at most"], 1, &rows)
}
