//! Whether settings of foreign servers let them do the work on their own rows, or have it pulled to this one.

use super::finding::Finding;
use crate::error::{or_raise, Error};
use pgrx::spi::quote_identifier;
use pgrx::Spi;

const ITEM: &str = "foreign servers";

/// What `postgres_fdw` makes of the foreign tables of this database; nothing where there are none.
pub fn findings() -> Vec<Finding> {
    let servers = or_raise(servers());
    let Some(first) = servers.first() else { return Vec::new() };
    let mut findings: Vec<Finding> = servers.iter().flat_map(Server::faults).collect();
    if servers.iter().any(|server| server.has_partitions) && !first.partitionwise {
        findings.push(Finding::bad(
            ITEM,
            "enable_partitionwise_aggregate is off: aggregates over partitioned tables pull the rows of their foreign partitions",
            "ALTER DATABASE … SET enable_partitionwise_aggregate = on, so that GROUP BY the partition key runs on the servers.",
        ));
    }
    if findings.is_empty() {
        let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
        findings.push(Finding::good(ITEM, format!("they compute on their own rows: {}", names.join(", "))));
    }
    findings
}

/// A server of `postgres_fdw` that has foreign tables.
struct Server {
    name: String,
    /// Whether functions of this extension are sent to it.
    takes_functions: bool,
    /// Whether one of its tables is a partition.
    has_partitions: bool,
    /// How many partitions beside others are read one after the other.
    not_async: i64,
    /// The session's `enable_partitionwise_aggregate`.
    partitionwise: bool,
}

impl Server {
    fn faults(&self) -> Vec<Finding> {
        let (mut faults, name) = (Vec::new(), quote_identifier(&self.name));
        if !self.takes_functions {
            faults.push(Finding::bad(
                ITEM,
                format!("{name} is sent no function of pg_recommend: reco.sales_summary(…) pulls its rows"),
                &format!(
                    "With the extension there: ALTER SERVER {name} OPTIONS (ADD extensions 'pg_recommend'), or SET, where it \
                     has others."
                ),
            ));
        }
        if self.not_async > 0 {
            faults.push(Finding::bad(
                ITEM,
                format!("partitions of {name} are read one after the other: {}", self.not_async),
                &format!("ALTER SERVER {name} OPTIONS (ADD async_capable 'true'), so that servers work at the same time."),
            ));
        }
        faults
    }
}

/// A table's `async_capable` is that of its server unless it has its own.
fn servers() -> Result<Vec<Server>, Error> {
    let sql = "
        WITH foreign_table AS (
            SELECT s.oid AS server, s.srvname, s.srvoptions, i.inhparent AS parent, coalesce(
                       (SELECT o.option_value FROM pg_catalog.pg_options_to_table(t.ftoptions) AS o
                        WHERE o.option_name OPERATOR(pg_catalog.=) 'async_capable'),
                       (SELECT o.option_value FROM pg_catalog.pg_options_to_table(s.srvoptions) AS o
                        WHERE o.option_name OPERATOR(pg_catalog.=) 'async_capable'), 'false')::pg_catalog.bool AS is_async
            FROM pg_catalog.pg_foreign_table AS t
            JOIN pg_catalog.pg_foreign_server AS s ON s.oid OPERATOR(pg_catalog.=) t.ftserver
            JOIN pg_catalog.pg_foreign_data_wrapper AS w ON w.oid OPERATOR(pg_catalog.=) s.srvfdw
            JOIN pg_catalog.pg_proc AS h ON h.oid OPERATOR(pg_catalog.=) w.fdwhandler
            LEFT JOIN pg_catalog.pg_inherits AS i ON i.inhrelid OPERATOR(pg_catalog.=) t.ftrelid
            WHERE h.proname OPERATOR(pg_catalog.=) 'postgres_fdw_handler')
        SELECT f.srvname::pg_catalog.text,
               EXISTS (SELECT FROM pg_catalog.pg_options_to_table(f.srvoptions) AS o
                       WHERE o.option_name OPERATOR(pg_catalog.=) 'extensions'
                         AND o.option_value OPERATOR(pg_catalog.~) '(^|[\\s,\"])pg_recommend($|[\\s,\"])'),
               pg_catalog.bool_or(f.parent IS NOT NULL),
               pg_catalog.count(*) FILTER (WHERE NOT f.is_async AND EXISTS (
                   SELECT FROM foreign_table AS b
                   WHERE b.parent OPERATOR(pg_catalog.=) f.parent AND b.server OPERATOR(pg_catalog.<>) f.server)),
               pg_catalog.current_setting('enable_partitionwise_aggregate')::pg_catalog.bool
        FROM foreign_table AS f
        GROUP BY f.server, f.srvname, f.srvoptions
        ORDER BY f.srvname";
    Spi::connect(|client| {
        let rows = client.select(sql, None, &[])?;
        let server = |row: pgrx::spi::SpiHeapTupleData| {
            Ok(Server {
                name: row.get(1)?.unwrap_or_default(),
                takes_functions: row.get(2)?.unwrap_or_default(),
                has_partitions: row.get(3)?.unwrap_or_default(),
                not_async: row.get(4)?.unwrap_or_default(),
                partitionwise: row.get(5)?.unwrap_or_default(),
            })
        };
        rows.map(server).collect()
    })
}
