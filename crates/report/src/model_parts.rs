//! What the catalog knows of the version: its card, its rivals, its columns, how it became champion, and what it was made from.

use crate::bars::{bars, Bar};
use crate::figure::{figure, missing, more, part, table, Caption};
use crate::plot::Axis;
use crate::words::{
    counted, duration, figure as number, figure_or_nothing, grouped, minute, shortened, version, LONGEST,
    NOTHING,
};
use crate::{Contender, First, Part, Promotion};
use maud::{html, Markup};
use model::card::Card;
use serde_json::Value;

/// How many columns the chart of importance shows.
const MOST_COLUMNS: usize = 20;
/// How many facts of one kind are shown.
const MOST_FACTS: usize = 40;

pub fn purpose(card: &Card) -> Markup {
    html! {
        @match &card.purpose {
            Some(purpose) => p.purpose { (shortened(purpose, 4 * LONGEST)) },
            None => p.soft { "No purpose is recorded: SELECT reco.describe_model(model, purpose)." },
        }
    }
}

/// A metric of the held-out rows: what it is called, where it is, and whether the baseline has it.
const HEADLINES: [(&str, &str); 4] =
    [("AUROC", "auroc"), ("Average precision", "average_precision"), ("RMSE", "rmse"), ("MAE", "mae")];

/// The figures that one looks for first, of the test rows beside popularity.
pub fn headline(card: &Card) -> Markup {
    let metric = |who: &str, key: &str| card.metrics.get("test")?.get(who)?.get(key)?.as_f64();
    let known = HEADLINES.iter().filter_map(|(name, key)| Some((*name, *key, metric("model", key)?)));
    html! {
        dl.headline {
            @for (name, key, value) in known {
                div {
                    dt { (name) " on test rows" }
                    dd data-metric=(key) {
                        (number(value))
                        @if let Some(popularity) = metric("popularity", key) { small { "popularity: " (number(popularity)) } }
                    }
                }
            }
            @if let Some(rows) = metric("model", "rows") { div { dt { "Test rows" } dd { (counted(rows as u64)) } } }
            @if let Some(days) = card.data_age_days { div { dt { "Age of its newest row" } dd { (grouped(days)) " days" } } }
        }
    }
}

pub fn card(card: &Card) -> Markup {
    let reads = card.reads.as_ref().map(|reads| format!("a {} of {}", reads.kind, reads.owner));
    let aliases = (!card.aliases.is_empty()).then(|| card.aliases.join(", "));
    let facts = [
        ("Algorithm", Some(card.algorithm.clone())),
        ("Status", Some(card.status.clone())),
        ("Aliases", aliases),
        ("Owner", Some(card.owner.clone())),
        ("Predicts", card.label.clone()),
        ("Source", card.source.clone()),
        ("Reads", reads),
        ("Keys", (!card.keys.is_empty()).then(|| card.keys.join(", "))),
        ("Time", card.time_column.clone()),
    ];
    html! {
        (list_of_facts(facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))))
        @if !card.limits.is_empty() {
            h3 { "Limits" }
            ul { @for limit in card.limits.iter().take(MOST_FACTS) { li { (shortened(limit, LONGEST)) } } }
        }
    }
}

fn list_of_facts(facts: impl Iterator<Item = (String, String)>) -> Markup {
    html! {
        dl.facts {
            @for (name, value) in facts { dt { (shortened(&name, LONGEST)) } dd { (shortened(&value, LONGEST)) } }
        }
    }
}

pub fn leaderboard(board: &Part<First<Contender>>, shown: i32) -> Markup {
    part(board, |board| {
        let has = |of: fn(&Contender) -> Option<f64>| board.rows.iter().any(|row| of(row).is_some());
        let binary = has(|row| row.auroc.or(row.average_precision).or(row.test_auroc));
        let heads: &[&str] = match binary {
            true => &[
                "version",
                "algorithm",
                "average precision",
                "AUROC",
                "test average precision",
                "test AUROC",
                "trained in",
            ],
            false => &["version", "algorithm", "RMSE", "test RMSE", "trained in"],
        };
        let row = |row: &Contender| {
            let mut name = version(row.version);
            if row.champion {
                name += ", champion";
            }
            if row.version == Some(shown) {
                name += ", this report";
            }
            let algorithm = match &row.error {
                Some(error) => format!("{}: {}", row.algorithm, shortened(error, 120)),
                None => row.algorithm.clone(),
            };
            let figures = match binary {
                true => vec![row.average_precision, row.auroc, row.test_average_precision, row.test_auroc],
                false => vec![row.rmse, row.test_rmse],
            };
            let figures = figures.into_iter().map(figure_or_nothing);
            let seconds = row.seconds.map_or(NOTHING.into(), duration);
            [name, shortened(&algorithm, LONGEST)].into_iter().chain(figures).chain([seconds]).collect()
        };
        let rows: Vec<Vec<String>> = board.rows.iter().map(row).collect();
        html! {
            p { "Every version, and the candidates that did not become one, best first by the first metric on validation rows." }
            (table("Leaderboard", heads, 2, &rows))
            (more(board))
        }
    })
}

pub fn importance(card: &Card) -> Markup {
    let Some(columns) = &card.columns else {
        return missing("The columns and their importance are shown to those who may train the model.");
    };
    let known: Vec<(&str, f64)> = columns
        .iter()
        .filter_map(|column| Some((column.name.as_str(), column.importance.filter(|loss| loss.is_finite())?)))
        .collect();
    if known.is_empty() {
        return missing("The importance of columns was not measured: train with the parameter importance.");
    }
    let rows: Vec<Bar> = known
        .iter()
        .take(MOST_COLUMNS)
        .map(|(name, loss)| Bar {
            name: (*name).into(),
            class: "model",
            value: *loss,
            text: number(*loss),
            interval: None,
        })
        .collect();
    let axis = Axis::around("what is lost", rows.iter().map(|row| row.value).chain([0.0]));
    let best: Vec<&str> = known.iter().take(3).map(|(name, _)| *name).collect();
    let caption = Caption {
        id: "importance-chart",
        title: "What the model loses when a column is shuffled",
        description: format!(
            "Bars, the most important column first: {}.",
            shortened(&best.join(", "), LONGEST)
        ),
        legend: &[],
    };
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| vec![shortened(&row.name, LONGEST), row.text.clone()]).collect();
    html! {
        p { "The more the metric suffers when a column's values are shuffled among the rows, the more the model leans on it." }
        (figure(&caption, bars(&caption, &axis, 0.0, &rows), table("Importance of columns", &["column", "loss"], 1, &cells)))
        (more(&First { all: known.len() as u64, rows }))
    }
}

pub fn promotions(history: &Part<First<Promotion>>) -> Markup {
    part(history, |history| {
        if history.rows.is_empty() {
            return missing("No version was ever promoted.");
        }
        let row = |step: &Promotion| {
            let why = step.why.as_deref().map_or(NOTHING.into(), |why| shortened(why, LONGEST));
            let action = shortened(&step.action.replace('_', " "), LONGEST);
            vec![
                minute(&step.at),
                action,
                version(step.from),
                version(step.to),
                shortened(&step.by, LONGEST),
                why,
            ]
        };
        let rows: Vec<Vec<String>> = history.rows.iter().map(row).collect();
        html! {
            p { "Moves of the champion, the newest first. Times are UTC." }
            (table("History of promotions", &["at", "what", "from", "to", "by", "why"], 9, &rows))
            (more(history))
        }
    })
}

pub fn lineage(card: &Card) -> Markup {
    let origin = [
        ("Run", card.run_id.clone()),
        ("Trained by", Some(card.trained_by.clone())),
        ("Trained at", Some(minute(&card.trained_at))),
        ("Trained in", Some(duration(card.seconds))),
    ];
    html! {
        (list_of_facts(origin.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))))
        h3 { "Data" }
        @match &card.data {
            Some(data) => (values(data)),
            None => (missing("The training data are described to those who may train the model.")),
        }
        h3 { "Parameters" }
        @match card.parameters.as_ref().and_then(Value::as_object) {
            Some(parameters) => (values(parameters)),
            None => (missing("The parameters are shown to those who may train the model.")),
        }
        h3 { "Libraries" }
        @if let Some(libraries) = card.libraries.as_object() { (values(libraries)) }
    }
}

/// The fields of an object that are known, a line each.
fn values(object: &serde_json::Map<String, Value>) -> Markup {
    let known = object
        .iter()
        .filter(|(_, value)| !value.is_null() && value.as_array().is_none_or(|all| !all.is_empty()));
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Number(n) if n.is_u64() => counted(n.as_u64().unwrap_or_default()),
        other => other.to_string(),
    };
    let shown = known.clone().take(MOST_FACTS).map(|(name, value)| (name.replace('_', " "), plain(value)));
    let all = known.clone().count() as u64;
    let rows: Vec<(String, String)> = shown.collect();
    html! { (list_of_facts(rows.iter().cloned())) (more(&First { rows, all })) }
}
