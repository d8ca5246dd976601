//! The stored weights of versions. They are split into chunks, so that a dump can hold them and weights of any size can be
//! stored. Their digest is checked whenever they are read.

use super::columns;
use super::read::VersionRow;
use super::table::{Catalog, KeyValue, RowsFound, Table};
use crate::error::Error;
use crate::pg::acting_as::as_owner;
use model::bytes::Bytes;
use pgrx::Uuid;
use sha2::{Digest, Sha256};

/// The size of every chunk but the last, in bytes.
const CHUNK: usize = 16 << 20;

/// What is known of weights without reading them.
#[derive(Clone, Copy)]
pub struct Summary {
    /// The SHA-256 of all chunks in their order.
    pub digest: [u8; 32],
    pub size: usize,
}

/// The summary of a version's weights.
pub fn summary(version: &VersionRow) -> Result<Summary, Error> {
    let found = Table::open(Catalog::Artifact)?.find(&[KeyValue::Uuid(version.artifact_id)], |row| {
        let digest = row.bytes(columns::artifact::DIGEST)?.as_slice().try_into();
        let size = usize::try_from(row.required::<i64>(columns::artifact::SIZE)?);
        match (digest, size) {
            (Ok(digest), Ok(size)) => Ok(Summary { digest, size }),
            _ => Err(damaged(version, "their size or their digest cannot be one")),
        }
    });
    found.unwrap_or_else(|| Err(damaged(version, "they have no row in the catalog")))
}

/// The weights of a version, exactly as they were stored.
pub fn read(version: &VersionRow) -> Result<Vec<u8>, Error> {
    let Summary { digest, size } = summary(version)?;
    let mut weights = Vec::new();
    if weights.try_reserve_exact(size).is_err() {
        return Err(Error::Limit {
            message: format!("there is no memory for the {size} bytes of {}", named(version)),
            hint: "The server, or its container, is to have more memory.".into(),
        });
    }
    let mut sum = Sha256::new();
    let mut expected = 0;
    Table::open(Catalog::Chunk)?.all(
        &[KeyValue::Uuid(version.artifact_id)],
        RowsFound::ByStatement,
        |row| {
            pgrx::check_for_interrupts!();
            if row.required::<i32>(columns::chunk::POSITION)? != expected {
                return Err(damaged(version, &format!("chunk {expected} is missing")));
            }
            let body = row.bytes(columns::chunk::BODY)?;
            if body.as_slice().len() > size - weights.len() {
                return Err(damaged(version, &format!("their chunks have more than their {size} bytes")));
            }
            sum.update(body.as_slice());
            weights.extend_from_slice(body.as_slice());
            expected += 1;
            Ok(())
        },
    )?;
    if weights.len() < size {
        return Err(damaged(version, &format!("their chunks have {} of their {size} bytes", weights.len())));
    }
    if sum.finalize()[..] != digest {
        return Err(damaged(version, "they are not what was stored: their digest is another one"));
    }
    Ok(weights)
}

/// Stores weights, a chunk at a time, and returns their id.
pub fn store(weights: &dyn Bytes) -> Result<Uuid, Error> {
    let artifact_id = as_owner(|client| {
        let id = client.select("SELECT pg_catalog.gen_random_uuid()", Some(1), &[])?;
        id.first().get_one::<Uuid>()?.ok_or_else(|| Error::invalid("the weights could not be stored"))
    })?;
    let unreadable = || Error::system("could not read a temporary file");
    let size = weights.size().map_err(unreadable())?;
    let (mut sum, mut room) = (Sha256::new(), Vec::new());
    for (position, at) in (0_i32..).zip((0..size).step_by(CHUNK)) {
        pgrx::check_for_interrupts!();
        let chunk = weights.piece(at, CHUNK.min(size - at), &mut room).map_err(unreadable())?;
        sum.update(chunk);
        // Each chunk has an SPI connection of its own, so that its copies are freed before the next chunk.
        as_owner(|client| {
            let insert = "INSERT INTO reco.artifact_chunk (artifact_id, position, body) VALUES ($1, $2, $3)";
            client.update(insert, None, &[artifact_id.into(), position.into(), chunk.into()])?;
            Ok(())
        })?;
    }
    as_owner(|client| {
        let insert = "INSERT INTO reco.artifact (artifact_id, size, digest) VALUES ($1, $2, $3)";
        let row = [artifact_id.into(), (size as i64).into(), sum.finalize().as_slice().into()];
        client.update(insert, None, &row)?;
        Ok(artifact_id)
    })
}

fn damaged(version: &VersionRow, how: &str) -> Error {
    Error::Damaged(format!("{} are damaged: {how}", named(version)))
}

fn named(version: &VersionRow) -> String {
    format!("the weights of version {} of model \"{}\"", version.number, version.model)
}
