//! `docs/tutorial.md`: its statements, run by psql from an empty database on, and what they print.

use crate::demo::database;
use crate::docs::root;
use integration::Database;
use std::io::Write;
use std::process::Stdio;

/// A block of code: its language, and its lines.
struct Block {
    language: String,
    text: String,
    /// Where the text begins and ends in the page.
    place: (usize, usize),
}

fn blocks(page: &str) -> Vec<Block> {
    let fences: Vec<_> =
        page.match_indices("```").map(|(at, _)| at).filter(|at| page[..*at].ends_with('\n')).collect();
    let (pairs, []) = fences.as_chunks::<2>() else { panic!("a block of the tutorial has no end") };
    let block = |[open, close]: &[usize; 2]| {
        let language = page[open + 3..].lines().next().unwrap_or_default().to_owned();
        let begin = open + 3 + language.len() + 1;
        Block { language, text: page[begin..*close].to_owned(), place: (begin, *close) }
    };
    pairs.iter().map(block).collect()
}

/// What psql prints of the statements: first what they tell, then their results; without the progress of a training, which
/// depends on the machine's speed.
fn printed(database: &Database, sql: &str) -> String {
    let mut command = database.cluster.client_program("psql");
    command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &database.name, "-f", "-"]);
    let mut psql =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    psql.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
    let ended = psql.wait_with_output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.success(), "{sql}\n{told}");
    let is_position = |part: &str| part.starts_with("psql:<stdin>:");
    let told = told.lines().map(|line| {
        line.split_once(": ").filter(|(part, _)| is_position(part)).map_or(line, |(_, rest)| rest)
    });
    let results = String::from_utf8(ended.stdout).unwrap();
    let is_progress = |line: &&str| {
        [" epoch ", " tree "].iter().any(|step| line.contains(step)) && line.contains(", loss ")
    };
    let told = told.filter(|line| !is_progress(line));
    let lines: Vec<&str> = told.chain(results.trim_end().lines()).map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

/// Whether two texts say the same: whole numbers and words are equal, others nearly, and how many seconds something took does
/// not matter.
fn is_alike(one: &str, other: &str) -> bool {
    let words = |text: &str| {
        text.split_whitespace().filter(|word| !word.starts_with("--")).map(str::to_owned).collect::<Vec<_>>()
    };
    let (one, other) = (words(one), words(other));
    let is_time = |at: usize| one.get(at + 1).is_some_and(|next| next.starts_with('s') && next.len() <= 2);
    one.len() == other.len()
        && one
            .iter()
            .zip(&other)
            .enumerate()
            .all(|(at, (one, other))| one == other || is_near(one, other) || is_time(at))
}

fn is_near(one: &str, other: &str) -> bool {
    let number = |word: &str| {
        word.contains('.').then(|| word.trim_matches(['(', ')', ',']).parse::<f64>().ok()).flatten()
    };
    matches!((number(one), number(other)), (Some(one), Some(other)) if (one - other).abs() <= 0.02 + 0.05 * other.abs())
}

#[test]
fn the_tutorial_leads_from_an_empty_database_to_what_it_shows() {
    let path = root().join("docs/tutorial.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let database = database("tutorial");
    let blocks = blocks(&page);
    let (mut written, mut copied, mut compared) = (String::new(), 0, 0);
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.language == "sql") {
        let printed = printed(&database, &block.text);
        let Some(shown) = blocks.get(at + 1).filter(|next| next.language.is_empty()) else { continue };
        if std::env::var_os("WRITE_DOCS").is_some() {
            written += &page[copied..shown.place.0];
            written += &printed;
            copied = shown.place.1;
        } else {
            assert!(
                is_alike(&shown.text, &printed),
                "{}\nshows:\n{}\nand prints:\n{printed}",
                block.text,
                shown.text
            );
        }
        compared += 1;
    }
    if !written.is_empty() {
        std::fs::write(&path, written + &page[copied..]).unwrap();
    }
    assert!(compared >= 15, "only {compared} results are shown");
}

#[test]
fn results_are_alike_if_only_times_and_the_last_digits_differ() {
    assert!(is_alike(
        "read in 0.1 s, AUROC 0.944, of 7431 rows",
        "read  in 2.5 s, AUROC 0.941, of 7431 rows"
    ));
    assert!(!is_alike("of 7431 rows", "of 7432 rows"));
    assert!(!is_alike("AUROC 0.944", "AUROC 0.844"));
    assert!(!is_alike("north | 1", "south | 1"));
    assert!(!is_alike("one two", "one"));
}
