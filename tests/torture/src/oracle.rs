//! Whether an answer is right.

use integration::Cluster;
use postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

/// Rows as text, each with its columns.
pub type Rows = Vec<Vec<Option<String>>>;

pub fn rows(messages: Vec<SimpleQueryMessage>) -> Rows {
    let row = |message| match message {
        SimpleQueryMessage::Row(row) => Some(columns(&row)),
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

fn columns(row: &SimpleQueryRow) -> Vec<Option<String>> {
    (0..row.len()).map(|n| row.get(n).map(str::to_owned)).collect()
}

/// The first row whose last two columns differ.
pub fn first_wrong(rows: &Rows) -> Option<String> {
    let differs = |row: &&Vec<Option<String>>| {
        let Some(([.., got], right)) = row.split_last().map(|(right, rest)| (rest, right)) else {
            return false;
        };
        got != right
    };
    rows.iter().find(differs).map(|row| format!("{row:?}, of {} rows", rows.len()))
}

/// How a fresh session is made like another one: its snapshot, role and what its output depends on.
const LIKENESS: &str = "SELECT pg_export_snapshot(), current_user, current_setting('row_security'), \
                        current_setting('datestyle'), current_setting('timezone'), current_setting('transaction_isolation')";

/// What a role may do by being a member of others, which no snapshot keeps.
const MEMBERSHIPS: &str =
    "SELECT r.rolname, pg_has_role(r.oid, 'usage') FROM pg_roles AS r ORDER BY r.rolname";

pub fn memberships(client: &mut Client) -> Result<Rows, postgres::Error> {
    client.simple_query(MEMBERSHIPS).map(rows)
}

/// Whether a session has been told to prefer parallel plans.
pub fn may_be_parallel(client: &mut Client) -> Result<bool, postgres::Error> {
    let sql = "SELECT current_setting('force_parallel_mode') <> 'off' OR current_setting('parallel_setup_cost') = '0'";
    Ok(rows(client.simple_query(sql)?) == [[Some("t".to_owned())]])
}

/// What a session that is asked the same for the first time is told, under this one's snapshot. None where it cannot
/// be asked, or its role's memberships are others than they were `before`.
pub fn ask_fresh(
    cluster: &Cluster,
    client: &mut Client,
    sql: &str,
    before: &Rows,
) -> Result<Option<Rows>, postgres::Error> {
    let likeness = rows(client.simple_query(LIKENESS)?);
    let [snapshot, role, row_security, datestyle, timezone, _] =
        <[Option<String>; 6]>::try_from(likeness.into_iter().next().unwrap_or_default())
            .unwrap_or_default()
            .map(Option::unwrap_or_default);
    let Ok(mut fresh) = cluster.try_connect(crate::world::DATABASE) else { return Ok(None) };
    let told = fresh
        .batch_execute(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{snapshot}';
             SET row_security = {row_security}; SET datestyle = '{datestyle}'; SET timezone = '{timezone}'; SET ROLE \"{role}\""
        ))
        .and_then(|()| fresh.simple_query(sql))
        .and_then(|told| Ok((rows(told), memberships(&mut fresh)?)));
    Ok(told.ok().filter(|(_, memberships)| memberships == before).map(|(told, _)| told))
}
