//! `docs/troubleshooting.md`: each message that it quotes is one that the sources can say, each error of the extension is on it,
//! and the server says them with the SQLSTATE that it names.

use crate::docs::root;
use integration::{refusal, Database, Training};
use std::path::{Path, PathBuf};

/// The most bytes that stand for what varies in a message.
const LONGEST_GAP: usize = 80;

/// A row of the page: the message, with … for what varies, and the SQLSTATE.
fn quoted() -> Vec<(String, String)> {
    let page = std::fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    let row = |line: &str| {
        let (message, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((message.to_owned(), rest.split(" | ").next()?.to_owned()))
    };
    page.lines().filter_map(row).collect()
}

/// Whether the text has the parts of the message in their order, near each other.
fn says(text: &str, message: &str) -> bool {
    let mut parts = message.split('…').filter(|part| !part.trim().is_empty());
    let first = parts.next().expect("a message has words");
    let rest: Vec<_> = parts.collect();
    let follows = |from: usize| {
        rest.iter().try_fold(from, |at, part| {
            let found = text[at..].find(part).filter(|gap| *gap <= LONGEST_GAP)?;
            Some(at + found + part.len())
        })
    };
    text.match_indices(first).any(|(at, _)| follows(at + first.len()).is_some())
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

/// A source without its tests, its texts in one line each.
fn text_of(source: &Path) -> String {
    let text = std::fs::read_to_string(source).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = code.split("\\\n").enumerate().map(|(n, line)| if n == 0 { line } else { line.trim_start() });
    lines.collect::<String>().replace("\\\"", "\"")
}

#[test]
fn every_message_of_the_page_is_one_that_the_sources_say() {
    let mut files = Vec::new();
    for folder in
        ["src", "crates/features/src", "crates/model/src", "crates/schedule/src", "crates/trainer/src"]
    {
        sources(&root().join(folder), &mut files);
    }
    let texts: Vec<_> = files.iter().map(|file| text_of(file)).collect();
    let quoted = quoted();
    assert!(quoted.len() > 120, "only {} messages were found", quoted.len());
    for (message, _) in quoted {
        assert!(texts.iter().any(|text| says(text, &message)), "no source says: {message}");
    }
}

#[test]
fn every_error_that_has_a_name_is_on_the_page() {
    let text = text_of(&root().join("src/error.rs"));
    let texts = text.split("#[error(").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
    // A quote that is followed so is the text's last.
    let ends = ["\")]", "\",", "\"\n"];
    let texts =
        texts.map(|rest| ends.iter().fold(rest, |rest, end| rest.split(end).next().unwrap_or_default()));
    // What only passes words on has none of its own; a cancel is told in Postgres' words.
    let is_own = |text: &String| text.chars().any(char::is_alphabetic) && text != "training was cancelled";
    let own: Vec<_> = texts.map(with_gaps).filter(is_own).collect();
    assert!(own.len() > 20, "{own:?}");
    let quoted = quoted();
    for error in own {
        assert!(
            quoted.iter().any(|(message, _)| *message == error),
            "docs/troubleshooting.md lacks: {error}"
        );
    }
}

/// A format with … in the place of its arguments.
fn with_gaps(format: &str) -> String {
    let mut parts = format.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += "…";
        text += part.split_once('}').map_or("", |(_, rest)| rest);
    }
    text
}

#[test]
fn mistakes_are_told_as_the_page_says() {
    let mut client = Database::trained().connect();
    let quoted = quoted();
    let train = |params: &str| Training::new("launch").params(params).sql();
    let mistakes = [
        "SELECT reco.recommend(1, 'r1', 'no such model')".to_owned(),
        "SELECT reco.promote('launch', 99)".into(),
        "SELECT reco.rollback('launch')".into(),
        "SELECT reco.drop_alias('launch', 'no such alias')".into(),
        "SELECT reco.archive_version('launch', 1)".into(),
        "SELECT reco.drop_model('launch')".into(),
        "SELECT reco.grant_model('launch', 'nobody_of_that_name', 'score')".into(),
        "SELECT reco.grant_model('launch', 'postgres', 'admire')".into(),
        train(r#"{"epoch": 5}"#),
        train(r#"{"trees": 5}"#),
        train("[]"),
        Training::new("launch").with("algorithm => 'crystal_ball'").sql(),
        Training::new("launch").label("category").sql(),
        "SELECT reco.predict('launch', ARRAY[1, 2]::real[])".into(),
        "SELECT reco.predict('launch', ROW(1))".into(),
        "SELECT reco.recommend(1, 'r1', 'launch', plan => '{\"price\": 1}')".into(),
        "SELECT reco.auroc(0.5, 2)".into(),
        "SELECT reco.log_loss(1.5, true)".into(),
        "SELECT reco.ab_report('no such test')".into(),
        "SELECT reco.start_ab_test('t', 'launch', '[{\"arm\": \"a\", \"version\": 1, \"share\": 1}]')".into(),
        "SELECT reco.schedule_retraining('launch', 'mondays')".into(),
        "SELECT reco.schedule_retraining('launch', '0 4 30 2 *')".into(),
        "SELECT reco.schedule_retraining('launch', '0 4 * * mon', time_zone => 'Mars')".into(),
        "SELECT reco.unschedule('retraining', 'launch')".into(),
        "SELECT reco.unschedule('holiday', 'launch')".into(),
        "SELECT reco.import_model('other', '\\x00')".into(),
    ];
    let mut told = 0;
    for sql in mistakes {
        let refusal = refusal(&mut client, &sql);
        let rows: Vec<_> = quoted.iter().filter(|(message, _)| says(&refusal.message, message)).collect();
        assert!(!rows.is_empty(), "docs/troubleshooting.md has nothing for {refusal:?}");
        assert!(
            rows.iter().any(|(_, code)| *code == refusal.code),
            "{sql}: {refusal:?} is told of as {rows:?}"
        );
        told += 1;
    }
    assert!(told >= 20);
}
