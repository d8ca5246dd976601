//! A model card: what a version is for, made from, how good and how limited it is, as JSON and as Markdown.
//!
//! Mitchell et al. 2019, "Model Cards for Model Reporting".

use super::recipe::{Input, Recipe};
use crate::protocol::Importance;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt::Write;

/// The content of a card. Whatever the reader may not see is `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Card {
    pub model: String,
    pub version: i32,
    /// `trained`, `imported` or `archived`.
    pub status: String,
    pub algorithm: String,
    pub owner: String,
    pub purpose: Option<String>,
    pub aliases: Vec<String>,
    /// What is predicted, from which relation, and by which keys and time.
    pub label: Option<String>,
    pub source: Option<String>,
    /// Whose rows these are, and of what: the functions of a view run whoever scores.
    #[serde(default)]
    pub reads: Option<Reads>,
    pub keys: Vec<String>,
    pub time_column: Option<String>,
    /// By part (`validation`, `test`) the metrics of the `model` and of the `popularity` baseline. Under `by`, where they
    /// were measured by groups: column, then group, then metrics.
    pub metrics: Map<String, Value>,
    /// Rows by part, times, digest and definition of the training data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Map<String, Value>>,
    /// Days from the newest row that was learned from to today.
    pub data_age_days: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<CardColumn>>,
    pub limits: Vec<String>,
    pub run_id: Option<String>,
    pub trained_by: String,
    pub trained_at: String,
    pub seconds: f64,
    pub libraries: Value,
    /// Moves of the model's champion, the newest first.
    pub history: Vec<Move>,
}

/// A relation that scoring reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reads {
    pub owner: String,
    /// `table`, `view` and so on.
    pub kind: String,
}

/// A move of the champion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Move {
    pub action: String,
    pub from: Option<i32>,
    pub to: Option<i32>,
    pub why: Option<String>,
    pub by: String,
    pub at: String,
}

/// An input column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CardColumn {
    pub name: String,
    pub sql_type: String,
    /// The number of values in the vocabulary of a category.
    pub categories: Option<usize>,
    /// Whether training saw missing values.
    pub had_missing: bool,
    /// What the model loses when the column is shuffled.
    pub importance: Option<f64>,
}

/// The columns of a recipe, the most important first.
pub fn columns(recipe: &Recipe, importance: &[Importance]) -> Vec<CardColumn> {
    let loss = |name: &str| importance.iter().find(|known| known.column == name).map(|known| known.loss);
    let mut columns: Vec<CardColumn> = recipe
        .columns
        .iter()
        .map(|column| {
            let (categories, had_missing) = match &column.input {
                Input::Numbers(scalings) => (None, scalings.iter().any(|scaling| scaling.indicator)),
                Input::Category(category) => (Some(category.vocabulary.len()), false),
                Input::Key => (None, false),
            };
            let (name, sql_type) = (column.name.clone(), column.sql_type.clone());
            CardColumn { importance: loss(&name), name, sql_type, categories, had_missing }
        })
        .collect();
    let rank = |column: &CardColumn| column.importance.unwrap_or(f64::NEG_INFINITY);
    columns.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
    columns
}

/// Days after which the data are called old.
const OLD: i64 = 60;
/// With fewer positive rows than this, the metrics are rough.
const FEW: u64 = 100;

impl Card {
    /// What a reader should know before relying on the version, as sentences.
    pub fn limits(&self) -> Vec<String> {
        let mut limits = Vec::new();
        let number = |key: &str| self.data.as_ref().and_then(|data| data.get(key)).and_then(Value::as_u64);
        if let Some(days) = self.data_age_days {
            let old = if days > OLD { ": train it again" } else { "" };
            limits.push(format!("The newest row it learned from is {days} days old{old}."));
        }
        if let Some(positives) = number("positives").filter(|positives| *positives < FEW) {
            limits.push(format!("Only {positives} rows had a true label: its metrics are rough."));
        }
        if let Some(unlabelled) = number("unlabelled").filter(|rows| *rows > 0) {
            limits.push(format!("{unlabelled} rows had no label yet and were not used."));
        }
        if let Some(rows) = number("refit_rows") {
            limits.push(format!(
                "Its weights were trained once more on all {rows} labelled rows: the metrics are of the fit before, which had not \
                 seen the rows that they are of."
            ));
        }
        if self.data.as_ref().is_some_and(|data| data.contains_key("told_by_file")) {
            limits.push(
                "It was trained elsewhere: its metrics and the rows that it learned from are told by the file that it came in, \
                 and not measured here."
                    .into(),
            );
        }
        if !self.metrics.contains_key("test") {
            limits.push("It was not measured on rows that training did not see.".into());
        }
        for part in ["validation", "test"] {
            if self.is_no_better(part) == Some(true) {
                limits.push(format!("On {part} rows it ranks no better than popularity."));
            }
        }
        let categories = self.columns.iter().flatten().filter(|column| column.categories.is_some());
        let names: Vec<&str> = categories.map(|column| column.name.as_str()).collect();
        if !names.is_empty() {
            let names = names.join(", ");
            limits
                .push(format!("Values of {names} that training never saw are all scored alike, as unknown."));
        }
        if self.status == "archived" {
            limits.push("Its weights are deleted: it can no longer score.".into());
        }
        limits
    }

    /// Whether the model's area under the ROC curve is at most that of the baseline.
    fn is_no_better(&self, part: &str) -> Option<bool> {
        let of = |who: &str| self.metrics.get(part)?.get(who)?.get("auroc")?.as_f64();
        Some(of("model")? <= of("popularity")?)
    }

    /// The card as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}, version {}\n\n", line(&self.model), self.version);
        let purpose =
            self.purpose.as_deref().unwrap_or("No purpose is recorded: reco.describe_model(model, purpose).");
        let _ = writeln!(text, "{purpose}\n");
        item(&mut text, "Algorithm", Some(&self.algorithm));
        item(&mut text, "Status", Some(&self.status));
        item(&mut text, "Aliases", joined(&self.aliases).as_deref());
        item(&mut text, "Owner", Some(&self.owner));
        item(&mut text, "Predicts", self.label.as_deref());
        item(&mut text, "Source", self.source.as_deref());
        let reads = self.reads.as_ref().map(|reads| format!("a {} of {}", reads.kind, reads.owner));
        item(&mut text, "Reads", reads.as_deref());
        item(&mut text, "Keys", joined(&self.keys).as_deref());
        item(&mut text, "Time", self.time_column.as_deref());
        self.data_section(&mut text);
        self.metrics_section(&mut text);
        self.columns_section(&mut text);
        section(&mut text, "Limits");
        for limit in &self.limits {
            let _ = writeln!(text, "- {limit}");
        }
        section(&mut text, "Lineage");
        item(&mut text, "Run", self.run_id.as_deref());
        item(&mut text, "By", Some(&self.trained_by));
        item(&mut text, "At", Some(&self.trained_at));
        item(&mut text, "Seconds", Some(&format!("{:.1}", self.seconds)));
        item(&mut text, "Parameters", self.parameters.as_ref().map(Value::to_string).as_deref());
        item(&mut text, "Libraries", Some(&self.libraries.to_string()));
        self.history_section(&mut text);
        text
    }

    fn data_section(&self, text: &mut String) {
        let Some(data) = &self.data else { return };
        section(text, "Data");
        for (key, value) in data.iter().filter(|(_, value)| !value.is_null()) {
            item(text, key, Some(&plain(value)));
        }
    }

    fn metrics_section(&self, text: &mut String) {
        section(text, "Metrics");
        for (part, quality) in self.metrics.iter().filter(|(part, _)| *part != "by") {
            let (Some(model), popularity) =
                (quality.get("model").and_then(Value::as_object), quality.get("popularity"))
            else {
                continue;
            };
            let _ = writeln!(text, "| {} | model | popularity |\n| --- | --- | --- |", cell(part));
            for (metric, value) in model.iter().filter(|(_, value)| value.is_number()) {
                let baseline =
                    popularity.and_then(|popularity| popularity.get(metric)).map_or(String::new(), plain);
                let _ = writeln!(text, "| {} | {} | {baseline} |", cell(metric), plain(value));
            }
            text.push('\n');
        }
        for (column, groups) in self.metrics.get("by").and_then(Value::as_object).into_iter().flatten() {
            for (group, metrics) in groups.as_object().into_iter().flatten() {
                let numbers =
                    metrics.as_object().into_iter().flatten().filter(|(_, value)| value.is_number());
                let shown: Vec<_> = numbers.map(|(name, value)| format!("{name} {}", plain(value))).collect();
                item(text, &format!("{column} {group}"), Some(&shown.join(", ")));
            }
        }
    }

    fn columns_section(&self, text: &mut String) {
        let Some(columns) = &self.columns else { return };
        section(text, "Columns");
        text.push_str(
            "| column | type | categories | missing values | importance |\n| --- | --- | --- | --- | --- |\n",
        );
        for column in columns {
            let categories = column.categories.map_or(String::new(), |count| count.to_string());
            let missing = if column.had_missing { "yes" } else { "" };
            let importance = column.importance.map_or(String::new(), |loss| format!("{loss:.4}"));
            let (name, sql_type) = (cell(&column.name), cell(&column.sql_type));
            let _ = writeln!(text, "| {name} | {sql_type} | {categories} | {missing} | {importance} |");
        }
    }

    fn history_section(&self, text: &mut String) {
        if self.history.is_empty() {
            return;
        }
        section(text, "History of the champion");
        text.push_str("| at | by | what | from | to | why |\n| --- | --- | --- | --- | --- | --- |\n");
        for step in &self.history {
            let version = |version: Option<i32>| version.map_or(String::new(), |version| version.to_string());
            let (from, to) = (version(step.from), version(step.to));
            let why = cell(step.why.as_deref().unwrap_or_default());
            let (at, by, action) = (cell(&step.at), cell(&step.by), cell(&step.action));
            let _ = writeln!(text, "| {at} | {by} | {action} | {from} | {to} | {why} |");
        }
    }
}

fn section(text: &mut String, title: &str) {
    let _ = writeln!(text, "\n## {title}\n");
}

fn item(text: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        let _ = writeln!(text, "- {}: {}", line(name), line(value));
    }
}

fn joined(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(", "))
}

/// A value on one line; numbers with four decimals at most.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => line(text),
        Value::Number(number) if !number.is_u64() && !number.is_i64() => {
            format!("{:.4}", number.as_f64().unwrap_or(f64::NAN))
        }
        other => other.to_string(),
    }
}

fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The inside of a cell of a table.
fn cell(text: &str) -> String {
    line(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::recipe::{Category, Family, Scaling};
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    fn recipe() -> Recipe {
        let column = |name: &str, family, input| crate::stored::recipe::Column {
            name: name.into(),
            sql_type: "real".into(),
            family,
            input,
        };
        let scaling = Scaling { scale: 1.0, indicator: true, ..Scaling::default() };
        let category = Category { vocabulary: ["a", "b"].into_iter().collect(), dimension: 2 };
        Recipe {
            columns: vec![
                column("price", Family::Number, Input::Numbers(vec![scaling])),
                column("kind", Family::Text, Input::Category(category)),
            ],
        }
    }

    fn card() -> Card {
        let importance =
            [("price", 0.01), ("kind", 0.2)].map(|(column, loss)| Importance { column: column.into(), loss });
        let mut card = Card {
            model: "launch".into(),
            version: 3,
            status: "trained".into(),
            purpose: Some("Which launches are bought.".into()),
            aliases: vec!["champion".into()],
            metrics: object(json!({
                "test": {"model": {"auroc": 0.75, "rows": 10, "calibration": []}, "popularity": {"auroc": 0.8}},
                "by": {"region": {"r1": {"auroc": 0.5}}},
            })),
            data: Some(object(
                json!({"rows": 10, "positives": 4, "unlabelled": 2, "digest": "abc", "test_from": null}),
            )),
            data_age_days: Some(61),
            columns: Some(columns(&recipe(), &importance)),
            history: vec![Move {
                action: "promoted".into(),
                from: Some(1),
                to: Some(3),
                why: Some("a | b\nc".into()),
                by: "me".into(),
                at: "2024-06-01".into(),
            }],
            ..Card::default()
        };
        card.limits = card.limits();
        card
    }

    #[test]
    fn columns_are_in_order_of_importance() {
        let columns = card().columns.unwrap();
        let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["kind", "price"]);
        assert_eq!((columns[0].categories, columns[1].had_missing), (Some(2), true));
    }

    #[test]
    fn limits_say_what_is_old_rough_and_unknown() {
        let limits = card().limits.join("\n");
        for words in [
            "61 days old: train it again",
            "Only 4 rows",
            "2 rows had no label",
            "no better than popularity",
            "Values of kind",
        ] {
            assert!(limits.contains(words), "no {words:?} in {limits}");
        }
        let fresh = Card { data_age_days: Some(3), ..Card::default() };
        assert_eq!(
            fresh.limits(),
            [
                "The newest row it learned from is 3 days old.",
                "It was not measured on rows that training did not see."
            ]
        );
    }

    #[test]
    fn the_text_has_every_part_and_keeps_tables_whole() {
        let text = card().markdown();
        for words in [
            "# launch, version 3",
            "Which launches are bought.",
            "| auroc | 0.7500 | 0.8000 |",
            "- region r1: auroc 0.5000",
            "| kind | real | 2 |  | 0.2000 |",
            "- digest: abc",
            "a \\| b c |",
        ] {
            assert!(text.contains(words), "no {words:?} in\n{text}");
        }
        assert!(!text.contains("test_from") && !text.contains("calibration"), "{text}");
    }

    #[test]
    fn what_the_reader_may_not_see_is_left_out() {
        let card = Card { data: None, columns: None, parameters: None, ..card() };
        let text = card.markdown();
        assert!(
            !text.contains("## Data") && !text.contains("## Columns") && !text.contains("Parameters"),
            "{text}"
        );
    }
}
