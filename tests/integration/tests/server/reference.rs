//! The pages of `docs/reference`: each SQL object with the comment that the server has of it. `scripts/docs write` writes them.

use crate::docs::{pages, root};
use integration::{rows, Database};
use postgres::{Client, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A file of `sql/`, the title of its page, and the pages that say how it is used.
const PAGES: [(&str, &str, &[&str]); 18] = [
    ("scoring", "Scores", &["scoring", "what_if", "explain"]),
    ("ranking", "The best of many", &["serving"]),
    ("evaluation", "Evaluation", &["evaluation"]),
    ("features", "Summaries and series", &["summaries"]),
    ("encoders", "Encoders", &["encoders"]),
    ("feature_view", "Feature views", &["feature_views", "launch_features"]),
    ("training", "Training", &["training"]),
    ("models", "Models", &["models"]),
    ("retraining", "Retraining", &["serving"]),
    ("schedule", "Schedules", &["schedules"]),
    ("ab_test", "A/B tests", &["ab_tests"]),
    ("monitoring", "Monitoring", &["monitoring"]),
    ("metrics", "Metrics", &["metrics"]),
    ("report", "Report", &["report"]),
    ("lake", "Data lake", &["lake"]),
    ("setup", "The installation", &["for_dbas"]),
    ("catalog_views", "Views of the catalog", &["models", "training"]),
    ("catalog", "Tables of the catalog", &["architecture"]),
];

/// Comments as Markdown: what is a name in them is set as code.
const PROSE: &str = r"
CREATE FUNCTION pg_temp.prose(comment text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT regexp_replace(regexp_replace(comment, '([\\<>*`#\[\]])', '\\\1', 'g'),
        '((?:reco\.[a-z_]+|\m[a-z][a-z0-9]*(?:_[a-z0-9]+)+|\m[a-z]+(?=\(\)))(?:\([a-z_, ]*\))?)', '`\1`', 'g')
$$;
CREATE FUNCTION pg_temp.cell(comment text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT replace(replace(pg_temp.prose(comment), E'\n', ' '), '|', '\|')
$$;
CREATE VIEW pg_temp.member AS
SELECT d.classid, d.objid, obj_description(d.objid, d.classid::regclass::name) AS comment
FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'pg_recommend' AND d.deptype = 'e'";

/// Functions, aggregates and procedures. A part is what an aggregate or a type is made of.
const ROUTINES: &str = r"
SELECT p.proname,
       concat('reco.', p.proname, '(',
              CASE WHEN length(a.arguments) < 70 THEN a.arguments
                   ELSE E'\n    ' || replace(a.arguments, ', ', E',\n    ') || E'\n' END, ')',
              ' RETURNS ' || CASE WHEN length(a.result) < 70 THEN a.result
                   ELSE replace(replace(replace(a.result, 'TABLE(', E'TABLE(\n    '), ', ', E',\n    '), ')', E'\n)') END) AS signature,
       concat_ws(', ',
              CASE p.prokind WHEN 'a' THEN 'Aggregate' WHEN 'p' THEN 'Procedure' WHEN 'w' THEN 'Window function'
                             ELSE CASE p.provolatile WHEN 'i' THEN 'Immutable' WHEN 's' THEN 'Stable' ELSE 'Volatile' END END,
              CASE WHEN p.prokind <> 'p' THEN
                  CASE p.proparallel WHEN 's' THEN 'parallel safe' WHEN 'r' THEN 'parallel restricted' ELSE 'parallel unsafe' END END,
              CASE WHEN p.proisstrict AND p.prokind IN ('f', 'w') THEN 'NULL where an argument is NULL' END,
              CASE WHEN p.prosecdef THEN 'with the rights of the extension''s owner' END) AS properties,
       pg_temp.prose(m.comment) AS prose, pg_temp.cell(m.comment) AS cell,
       EXISTS (SELECT FROM pg_aggregate g
               WHERE p.oid IN (g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn, g.aggdeserialfn, g.aggmtransfn,
                               g.aggminvtransfn, g.aggmfinalfn))
       OR EXISTS (SELECT FROM pg_type t WHERE p.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend)) AS part
FROM pg_proc p JOIN pg_temp.member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
CROSS JOIN LATERAL (SELECT pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result) a
ORDER BY p.proname, p.oid";

const RELATIONS: &str = r"
SELECT CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' ELSE 'type' END AS kind, c.relname,
       pg_temp.prose(coalesce(m.comment, obj_description(c.reltype, 'pg_type'))) AS prose,
       ARRAY(SELECT concat_ws(' | ', format('| `%s`', a.attname), format('`%s`', format_type(a.atttypid, a.atttypmod)),
                              pg_temp.cell(col_description(c.oid, a.attnum)))
             FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND col_description(c.oid, a.attnum) IS NOT NULL) AS described
FROM pg_class c JOIN pg_temp.member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid OR
                                         m.classid = 'pg_type'::regclass AND m.objid = c.reltype
WHERE c.relkind IN ('r', 'v', 'c')
UNION ALL
SELECT 'type', t.typname, pg_temp.prose(m.comment), '{}', false
FROM pg_type t JOIN pg_temp.member m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
WHERE t.typtype <> 'c'";

/// The objects that a file of `sql/` creates, in its order: kind and name.
fn created(file: &str) -> Vec<(&'static str, String)> {
    let text = std::fs::read_to_string(root().join(format!("sql/{file}.sql"))).unwrap();
    let kinds = [
        ("CREATE FUNCTION ", "routine"),
        ("CREATE AGGREGATE ", "routine"),
        ("CREATE PROCEDURE ", "routine"),
        ("CREATE VIEW ", "view"),
        ("CREATE TABLE ", "table"),
        ("CREATE TYPE ", "type"),
    ];
    let mut found = Vec::new();
    for line in text.lines() {
        for (start, kind) in kinds {
            let Some(rest) = line.strip_prefix(start) else { continue };
            let rest = rest.trim_start_matches('"');
            let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
            let object = (kind, name.to_owned());
            if !found.contains(&object) {
                found.push(object);
            }
        }
    }
    found
}

/// What the server has of each object: the text of its entry, or of its line among the parts.
struct Entries {
    whole: BTreeMap<(String, String), String>,
    parts: BTreeMap<String, String>,
}

fn entries(client: &mut Client) -> Entries {
    client.batch_execute(PROSE).unwrap();
    let mut entries = Entries { whole: BTreeMap::new(), parts: BTreeMap::new() };
    for row in client.query(ROUTINES, &[]).unwrap() {
        routine(&row, &mut entries);
    }
    for row in client.query(RELATIONS, &[]).unwrap() {
        let [kind, name]: [String; 2] = ["kind", "relname"].map(|column| row.get(column));
        entries.whole.insert((kind, name), relation(&row));
    }
    entries
}

/// Functions of one name are one entry, in the order in which they were made: later ones are "the same for …".
fn routine(row: &Row, entries: &mut Entries) {
    let [name, signature, properties, prose, cell]: [String; 5] =
        ["proname", "signature", "properties", "prose", "cell"].map(|column| row.get(column));
    if row.get("part") {
        entries.parts.entry(name).or_insert(cell);
        return;
    }
    let entry = entries.whole.entry(("routine".into(), name.clone())).or_insert(format!("## `{name}`\n"));
    write!(entry, "\n```postgresql\n{signature}\n```\n\n{prose}\n\n*{properties}.*\n").unwrap();
}

fn relation(row: &Row) -> String {
    let [kind, name]: [String; 2] = ["kind", "relname"].map(|column| row.get(column));
    let columns: Vec<String> = row.get("columns");
    let mut entry = format!("## {}{} `{name}`\n", kind[..1].to_uppercase(), &kind[1..]);
    if let Some(prose) = row.get::<_, Option<String>>("prose") {
        write!(entry, "\n{prose}\n").unwrap();
    }
    if columns.is_empty() {
        return entry;
    }
    let described: bool = row.get("described");
    entry += if described {
        "\n| column | type | meaning |\n| --- | --- | --- |\n"
    } else {
        "\n| column | type |\n| --- | --- |\n"
    };
    for column in columns {
        let without = described && column.matches(" | ").count() < 2;
        writeln!(entry, "{column}{} |", if without { " |" } else { "" }).unwrap();
    }
    entry
}

/// The pages as they should be, by name; what no file of `sql/` creates has none.
fn reference(client: &mut Client) -> BTreeMap<String, String> {
    let entries = entries(client);
    let mut texts = BTreeMap::new();
    let mut index = BTreeMap::new();
    for (file, title, guides) in PAGES {
        let guides: Vec<_> =
            guides.iter().map(|guide| format!("[{}](../{guide}.md)", title_of(guide))).collect();
        let mut text = format!("# Reference: {title}\n\nHow it is used: {}.\n", guides.join(", "));
        let mut parts = String::new();
        for (kind, name) in created(file) {
            if let Some(entry) = entries.whole.get(&(kind.to_owned(), name.clone())) {
                write!(text, "\n{entry}").unwrap();
                let (anchor, label) = match kind {
                    "routine" => (name.clone(), format!("`{name}`")),
                    kind => (format!("{kind}-{name}"), format!("{kind} `{name}`")),
                };
                index.insert((name.clone(), kind), format!("[{label}]({file}.md#{anchor})"));
            } else if let Some(cell) = entries.parts.get(&name) {
                writeln!(parts, "| `{name}` | {cell} |").unwrap();
            }
        }
        if !parts.is_empty() {
            write!(text, "\n## Parts\n\nWhat aggregates and types are made of; nobody calls these.\n\n| function | |\n| --- | --- |\n{parts}").unwrap();
        }
        texts.insert(format!("{file}.md"), text);
    }
    texts.insert("README.md".into(), index_page(&index));
    texts
}

/// The heading of a page of `docs/`.
fn title_of(page: &str) -> String {
    let text = std::fs::read_to_string(root().join(format!("docs/{page}.md"))).unwrap();
    text.lines().next().unwrap_or_default().trim_start_matches("# ").to_owned()
}

fn index_page(index: &BTreeMap<(String, &str), String>) -> String {
    let mut text = String::from(
        "# Reference\n\nEvery object that `CREATE EXTENSION pg_recommend` brings, with the comment that the server has of it (`\\df+ reco.*`\n\
         shows the same). All are in the schema `reco`. These pages are written by `scripts/docs`, and a test compares them\n\
         with a server. Elsewhere: the [parameters of a training](../training.md#parameters), the [settings](../settings.md), the\n\
         [errors](../troubleshooting.md).\n\n| subject | how it is used |\n| --- | --- |\n",
    );
    for (file, title, guides) in PAGES {
        let guides: Vec<_> =
            guides.iter().map(|guide| format!("[{}](../{guide}.md)", title_of(guide))).collect();
        writeln!(text, "| [{title}]({file}.md) | {} |", guides.join(", ")).unwrap();
    }
    let names: BTreeSet<_> = index.keys().map(|(name, _)| name.chars().next().unwrap()).collect();
    text += "\n## By name\n";
    for letter in names {
        let links =
            index.iter().filter(|((name, _), _)| name.starts_with(letter)).map(|(_, link)| link.as_str());
        write!(text, "\n{}\n", links.collect::<Vec<_>>().join(", ")).unwrap();
    }
    text
}

#[test]
fn the_reference_says_what_the_server_says() {
    let folder = root().join("docs/reference");
    let texts = reference(&mut Database::with_data().connect());
    if std::env::var_os("WRITE_DOCS").is_some() {
        for (name, text) in &texts {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    let there: Vec<_> =
        pages(&folder).iter().map(|page| page.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(there, texts.keys().cloned().collect::<Vec<_>>(), "the pages of docs/reference");
    for (name, text) in texts {
        let written = std::fs::read_to_string(folder.join(&name)).unwrap();
        let differs = written.lines().zip(text.lines()).find(|(written, said)| written != said);
        assert!(written == text, "docs/reference/{name} differs (run scripts/docs write): {differs:?}");
    }
}

#[test]
fn the_reference_has_every_object_of_the_extension() {
    let whole: String = pages(&root().join("docs/reference"))
        .iter()
        .map(|page| std::fs::read_to_string(page).unwrap())
        .collect();
    let mut client = Database::with_data().connect();
    let members = "FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid AND e.extname = 'pg_recommend' AND d.deptype = 'e'";
    let named = rows(
        &mut client,
        &format!(
            "SELECT proname {members} JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
             UNION SELECT relname {members} JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND relkind IN ('r', 'v')
             UNION SELECT typname {members} JOIN pg_type t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid WHERE typelem = 0"
        ),
    );
    assert!(named.len() > 200, "{named:?}");
    for name in named.iter().map(|row| row.trim_matches(['(', ')'])) {
        assert!(whole.contains(&format!("`{name}`")), "docs/reference lacks {name}");
    }
    let columns = rows(
        &mut client,
        &format!(
            "SELECT attname {members} JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND relkind IN ('r', 'v')
             JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0"
        ),
    );
    for name in columns.iter().map(|row| row.trim_matches(['(', ')', '"'])) {
        assert!(whole.contains(&format!("\n| `{name}` | `")), "docs/reference lacks the column {name}");
    }
}
