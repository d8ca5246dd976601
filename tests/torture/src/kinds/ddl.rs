//! DDL of every kind on the sources.

use super::{Frame, Place};
use crate::dice::Dice;
use crate::step::Step;
use crate::world;

/// Changes of the shaken sources after which their rows still say the same: there, or there and back.
const SHAKEN: &[&str] = &[
    "ALTER TABLE torture.h_table ALTER COLUMN product_id TYPE integer",
    "ALTER TABLE torture.h_table ALTER COLUMN product_id TYPE bigint",
    "ALTER TABLE torture.h_table ALTER COLUMN price TYPE double precision",
    "ALTER TABLE torture.h_table ALTER COLUMN price TYPE real",
    "ALTER TABLE torture.h_table ALTER COLUMN price TYPE numeric(8, 2)",
    "ALTER TABLE torture.h_table ALTER COLUMN households TYPE bigint",
    "ALTER TABLE torture.h_table ALTER COLUMN households TYPE smallint",
    "ALTER TABLE torture.h_table ALTER COLUMN households TYPE numeric",
    "ALTER TABLE torture.h_table ALTER COLUMN category TYPE varchar(20)",
    "ALTER TABLE torture.h_table ALTER COLUMN category TYPE text",
    "ALTER TABLE torture.h_table ALTER COLUMN category TYPE name",
    "ALTER TABLE torture.h_table ALTER COLUMN region TYPE varchar(10)",
    "ALTER TABLE torture.h_table ALTER COLUMN region TYPE text",
    "ALTER TABLE torture.h_table ALTER COLUMN region TYPE text COLLATE \"POSIX\"",
    "ALTER TABLE torture.h_table ALTER COLUMN size TYPE text",
    "ALTER TABLE torture.h_table ALTER COLUMN size TYPE torture.pack_size USING size::torture.pack_size",
    "ALTER TABLE torture.h_table ALTER COLUMN history TYPE double precision[]",
    "ALTER TABLE torture.h_table ALTER COLUMN history TYPE real[]",
    "ALTER TABLE torture.h_table ALTER COLUMN week TYPE timestamp",
    "ALTER TABLE torture.h_table ALTER COLUMN week TYPE date",
    "ALTER TABLE torture.h_table ADD COLUMN more integer DEFAULT 7",
    "ALTER TABLE torture.h_table ADD COLUMN note text DEFAULT pg_catalog.clock_timestamp()::text",
    "ALTER TABLE torture.h_table DROP COLUMN IF EXISTS more",
    "ALTER TABLE torture.h_table DROP COLUMN IF EXISTS note",
    "ALTER TABLE torture.h_table DROP CONSTRAINT IF EXISTS h_table_pkey",
    "ALTER TABLE torture.h_table ADD CONSTRAINT h_table_pkey PRIMARY KEY (product_id, region, week)",
    "ALTER TABLE torture.h_table SET (fillfactor = 50)",
    "ALTER TABLE torture.h_table SET UNLOGGED; ALTER TABLE torture.h_table SET LOGGED",
    "ALTER TABLE torture.h_table ALTER COLUMN category SET STORAGE EXTERNAL",
    "CREATE INDEX h_table_other ON torture.h_table (region, product_id, week DESC)",
    "CREATE INDEX h_table_other ON torture.h_table (product_id, region, week) WHERE region <> 'r1'",
    "DROP INDEX torture.h_table_other",
    "REINDEX TABLE torture.h_table",
    "CLUSTER torture.h_table USING h_table_pkey",
    "UPDATE torture.h_table SET price = price",
    "ALTER TABLE torture.h_text ALTER COLUMN product_id TYPE varchar(10)",
    "ALTER TABLE torture.h_text ALTER COLUMN product_id TYPE text",
    "ALTER TABLE torture.h_text ALTER COLUMN sales TYPE double precision",
    "ALTER TABLE torture.h_text ALTER COLUMN sales TYPE real",
    "ALTER TABLE torture.h_text DROP CONSTRAINT IF EXISTS h_text_pkey",
    "ALTER TABLE torture.h_text ADD CONSTRAINT h_text_pkey PRIMARY KEY (product_id, region, week)",
    "ALTER TABLE torture.h_text REPLICA IDENTITY FULL",
    "CREATE INDEX h_part_other ON torture.h_part (product_id, region, week)",
    "CREATE INDEX h_part_1_other ON torture.h_part_1 (product_id, region, week)",
    "CREATE INDEX h_part_2_other ON torture.h_part_2 (region, product_id, week)",
    "DROP INDEX torture.h_part_other",
    "DROP INDEX torture.h_part_1_other",
    "DROP INDEX torture.h_part_2_other",
    "ALTER TABLE torture.h_part DROP CONSTRAINT IF EXISTS h_part_pkey",
    "ALTER TABLE torture.h_part ADD CONSTRAINT h_part_pkey PRIMARY KEY (product_id, region, week)",
    "ALTER TABLE torture.h_part ALTER COLUMN price TYPE double precision",
    "ALTER TABLE torture.h_part ALTER COLUMN price TYPE numeric(8, 2)",
    "ALTER TABLE torture.h_part ALTER COLUMN category TYPE varchar(20)",
    "ALTER TABLE torture.h_part ALTER COLUMN category TYPE text",
    "ALTER TABLE torture.h_part ADD COLUMN more integer DEFAULT 7",
    "ALTER TABLE torture.h_part DROP COLUMN IF EXISTS more",
    "CREATE TABLE torture.h_part_3 PARTITION OF torture.h_part FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
    "ALTER TABLE torture.h_part DETACH PARTITION torture.h_part_3",
    "ALTER TABLE torture.h_part ATTACH PARTITION torture.h_part_3 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
    "DROP TABLE torture.h_part_3",
    "ALTER TABLE torture.h_part RENAME TO h_part_away; ALTER TABLE torture.h_part_away RENAME TO h_part",
    "REINDEX TABLE torture.h_part_1",
    "CLUSTER torture.h_part_1 USING h_part_1_pkey",
    "REFRESH MATERIALIZED VIEW torture.h_mat",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY torture.h_mat",
    "DROP INDEX torture.h_mat_other",
    "CREATE INDEX h_mat_other ON torture.h_mat (region, product_id, week)",
    "DROP INDEX torture.h_mat_key",
    "CREATE UNIQUE INDEX h_mat_key ON torture.h_mat (product_id, region, week)",
    "REINDEX TABLE torture.h_mat",
    "CLUSTER torture.h_mat USING h_mat_key",
    "ANALYZE torture.h_table, torture.h_part, torture.h_mat",
    "GRANT SELECT ON torture.h_table TO reader; REVOKE SELECT ON torture.h_table FROM stranger",
];

/// What cannot run in a transaction block.
// One index each: where it is cancelled, REINDEX CONCURRENTLY leaves a copy of every index that it was about, and the next one of
// the whole table copies the copies.
const ALONE: &[&str] = &[
    "VACUUM FULL torture.h_table",
    "VACUUM FULL torture.h_text",
    "VACUUM FULL torture.h_mat",
    "VACUUM (FULL, ANALYZE) torture.h_part",
    "VACUUM torture.h_table, torture.c_table",
    "VACUUM FULL torture.c_table",
    "VACUUM FULL torture.c_view_base",
    "REINDEX INDEX CONCURRENTLY torture.h_table_pkey",
    "REINDEX INDEX CONCURRENTLY torture.h_part_pkey",
    "REINDEX INDEX CONCURRENTLY torture.h_text_pkey",
    "REINDEX INDEX CONCURRENTLY torture.s_table_pkey",
    "CREATE INDEX CONCURRENTLY h_table_other ON torture.h_table (region, product_id, week)",
    "DROP INDEX CONCURRENTLY torture.h_table_other",
    "CREATE INDEX CONCURRENTLY h_mat_other ON torture.h_mat (region, product_id, week)",
    "DROP INDEX CONCURRENTLY torture.h_mat_other",
    "ALTER TABLE torture.h_part DETACH PARTITION torture.h_part_3 CONCURRENTLY",
    "VACUUM FULL pg_catalog.pg_class",
    "VACUUM FULL pg_catalog.pg_attribute",
    "REINDEX INDEX CONCURRENTLY reco.alias_pkey",
    "VACUUM FULL reco.alias",
    "VACUUM FULL reco.artifact",
];

/// Changes of the churned sources.
const CHURNED: &[&str] = &[
    "ALTER TABLE torture.c_table ALTER COLUMN category TYPE bigint USING 81985529216486895",
    "ALTER TABLE torture.c_table ALTER COLUMN category TYPE text USING 'drinks'",
    "ALTER TABLE torture.c_table ALTER COLUMN size TYPE torture.pack_size USING 'small'",
    "ALTER TABLE torture.c_table ALTER COLUMN history TYPE text USING 'x'",
    "ALTER TABLE torture.c_table ALTER COLUMN history TYPE real[] USING ARRAY[1.5, 0.5]",
    "ALTER TABLE torture.c_table ALTER COLUMN history TYPE real[] USING ARRAY[1.5]",
    "ALTER TABLE torture.c_table ALTER COLUMN price TYPE text USING 'x'",
    "ALTER TABLE torture.c_table ALTER COLUMN price TYPE numeric(8, 2) USING 2.5",
    "ALTER TABLE torture.c_table ALTER COLUMN week TYPE timestamptz",
    "ALTER TABLE torture.c_table ALTER COLUMN week TYPE date USING week::date",
    "ALTER TABLE torture.c_table ALTER COLUMN region TYPE integer USING substr(region::text, 2)::integer",
    // There or not there already: other regions than those of torture.keys would be ranked, and not be expected.
    "ALTER TABLE torture.c_table ALTER COLUMN region TYPE text USING 'r' || ltrim(region::text, 'r')",
    "ALTER TABLE torture.c_table ALTER COLUMN product_id TYPE text",
    "ALTER TABLE torture.c_table ALTER COLUMN product_id TYPE bigint USING product_id::bigint",
    "ALTER TABLE torture.c_table DROP COLUMN sales",
    "ALTER TABLE torture.c_table ADD COLUMN sales real DEFAULT 1.5",
    "ALTER TABLE torture.c_table RENAME COLUMN sales TO sold",
    "ALTER TABLE torture.c_table RENAME COLUMN sold TO sales",
    "ALTER TABLE torture.c_table RENAME COLUMN region TO area",
    "ALTER TABLE torture.c_table RENAME COLUMN area TO region",
    "ALTER TABLE torture.c_table RENAME TO c_table_away",
    "ALTER TABLE torture.c_table_away RENAME TO c_table",
    "ALTER TABLE torture.c_table SET SCHEMA elsewhere",
    "ALTER TABLE elsewhere.c_table SET SCHEMA torture",
    "ALTER TABLE torture.c_table DROP CONSTRAINT IF EXISTS c_table_pkey",
    "ALTER TABLE torture.c_table ADD CONSTRAINT c_table_pkey PRIMARY KEY (product_id, region, week)",
    "DROP TABLE IF EXISTS torture.c_table, torture.c_table_away, elsewhere.c_table; CALL torture.make_source('c_table', 'table', 11)",
    "DROP TABLE IF EXISTS torture.c_table, torture.c_table_away, elsewhere.c_table; CALL torture.make_source('c_table', 'table', 11)",
    "DROP TABLE IF EXISTS torture.c_table, torture.c_table_away, elsewhere.c_table; CALL torture.make_source('c_table', 'bare', 11)",
    "CALL torture.make_source('c_table', 'table', 11)",
    "TRUNCATE torture.c_table; INSERT INTO torture.c_table SELECT * FROM torture.s_table",
    "ALTER TABLE torture.c_table ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE torture.c_table DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE torture.c_table FORCE ROW LEVEL SECURITY",
    "CREATE POLICY not_r1 ON torture.c_table USING (region <> 'r1')",
    "DROP POLICY not_r1 ON torture.c_table",
    "ALTER TABLE torture.c_table OWNER TO keeper",
    "ALTER TABLE torture.c_table OWNER TO postgres",
    "REVOKE SELECT ON torture.c_table FROM reader",
    "GRANT SELECT ON torture.c_table TO reader",
    "GRANT SELECT (product_id, region, week) ON torture.c_table TO stranger",
    "ALTER TABLE torture.c_part DETACH PARTITION torture.c_part_1",
    // A partition may be attached beside a query that runs, which does not see it, and a query within it then does: not here.
    "LOCK TABLE torture.c_part; ALTER TABLE torture.c_part ATTACH PARTITION torture.c_part_1 FOR VALUES FROM ('2023-01-01') TO ('2024-01-29')",
    "ALTER TABLE torture.c_part DETACH PARTITION torture.c_part_2",
    "LOCK TABLE torture.c_part; ALTER TABLE torture.c_part ATTACH PARTITION torture.c_part_2 FOR VALUES FROM ('2024-01-29') TO ('2025-01-01')",
    "TRUNCATE torture.c_part_2; INSERT INTO torture.c_part SELECT * FROM torture.s_part WHERE week >= '2024-01-29'",
    "ALTER TABLE torture.c_part_1 ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE torture.c_part ALTER COLUMN households TYPE bigint",
    "ALTER TABLE torture.c_part ALTER COLUMN households TYPE integer",
    "ALTER TABLE torture.c_part DROP CONSTRAINT IF EXISTS c_part_pkey",
    "ALTER TABLE torture.c_part ADD CONSTRAINT c_part_pkey PRIMARY KEY (product_id, region, week)",
    "DROP TABLE IF EXISTS torture.c_part, torture.c_part_1, torture.c_part_2; CALL torture.make_source('c_part', 'part', 12)",
    "DROP TABLE IF EXISTS torture.c_part, torture.c_part_1, torture.c_part_2; CALL torture.make_source('c_part', 'part', 12)",
    "CREATE OR REPLACE VIEW torture.c_view AS SELECT * FROM torture.c_view_base WHERE product_id % 3 <> 1",
    "CREATE OR REPLACE VIEW torture.c_view AS SELECT * FROM torture.c_view_base",
    "DROP VIEW torture.c_view; CREATE VIEW torture.c_view AS SELECT 1 AS more, * FROM torture.c_view_base; GRANT SELECT ON torture.c_view TO reader",
    "REFRESH MATERIALIZED VIEW torture.c_mat",
    "REFRESH MATERIALIZED VIEW torture.c_mat",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY torture.c_mat",
    "REFRESH MATERIALIZED VIEW torture.c_mat WITH NO DATA",
    "DROP INDEX torture.c_mat_key",
    "CREATE UNIQUE INDEX c_mat_key ON torture.c_mat (product_id, region, week)",
    "CREATE INDEX c_mat_key ON torture.c_mat USING hash (product_id)",
];

/// Changes after which a value must not be read as it was before: a text that is a number now would be an address.
const CONFUSING: &[&str] = &[
    "ALTER TABLE torture.c_table ALTER COLUMN category TYPE bigint USING 81985529216486895",
    "ALTER TABLE torture.c_table ALTER COLUMN size TYPE bigint USING 81985529216486895",
    "ALTER TABLE torture.c_table ALTER COLUMN history TYPE bigint USING 81985529216486895",
    "ALTER TABLE torture.c_table ALTER COLUMN price TYPE bigint USING 81985529216486895",
    "DROP TABLE IF EXISTS torture.c_table, torture.c_table_away, elsewhere.c_table; CALL torture.make_source('c_table', 'table', 11)",
];

pub fn confusing(dice: &mut Dice) -> &'static str {
    dice.word(CONFUSING)
}

/// Any DDL, alone or in a block of the caller's.
pub fn any(dice: &mut Dice, _: &Place, frame: Frame) -> Step {
    if !frame.block && dice.percent(25) {
        return Step::new("ddl alone", dice.word(ALONE));
    }
    if dice.percent(60) {
        Step::new("ddl shaken", dice.word(SHAKEN))
    } else {
        Step::new("ddl churned", dice.word(CHURNED))
    }
}

/// A change of what this statement reads, for another connection to make at the same time.
pub fn of_what_it_reads(dice: &mut Dice, sql: &str) -> Option<&'static str> {
    let names = [world::SHAKEN, world::CHURNED].into_iter().flatten().map(|source| source.name);
    let name = names.into_iter().find(|name| sql.contains(name))?;
    let all = [SHAKEN, CHURNED].into_iter().flatten().copied().filter(|ddl| ddl.contains(name));
    let all: Vec<_> = all.collect();
    (!all.is_empty()).then(|| *dice.pick(&all))
}

/// Feature views: refreshed, dropped, made again.
pub fn feature_view(dice: &mut Dice, _: &Place, _: Frame) -> Step {
    let sql = match dice.below(8) {
        0..3 => "CALL reco.refresh_features('torture.c_feature')",
        3 => "CALL reco.refresh_features('torture.c_feature', lookback => 3)",
        4 => "CALL reco.refresh_features('torture.c_feature', from_week => '2024-01-08', to_week => '2024-02-04')",
        5 => "CALL reco.refresh_features('torture.s_feature', lookback => 2)",
        6 => "UPDATE torture.c_feature_base SET price = price + 0.25 WHERE product_id = 3",
        _ => "SELECT reco.drop_feature_view('torture.c_feature'); DROP TABLE torture.c_feature_base;
              CALL torture.make_source('c_feature', 'feature', 15)",
    };
    Step::new("feature view", sql)
}
