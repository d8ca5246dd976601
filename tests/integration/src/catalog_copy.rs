//! A server that has a copy of another's catalog, by logical replication.

use crate::query::value;
use crate::wait::wait_until;
use crate::Cluster;
use postgres::Client;

/// Lets the server of `to` have the catalog that `publisher` has published in a database, from then on.
pub fn subscribe(publisher: &Cluster, to: &mut Client, database: &str, name: &str) {
    let (socket, port) = publisher.address();
    let subscribe = format!(
        "CREATE SUBSCRIPTION {name} CONNECTION 'host={} port={port} dbname={database} user=postgres' \
         PUBLICATION reco_catalog",
        socket.display()
    );
    to.batch_execute(&subscribe).unwrap_or_else(|error| panic!("{error:?}"));
    let ready = "SELECT count(*) = 9 AND bool_and(srsubstate = 'r') FROM pg_subscription_rel";
    wait_until("the server has the catalog", || value::<bool>(to, ready));
}
