//! Which URIs a caller may give: those under the prefixes of `reco.lake_prefixes`, and files of the server's machine only with
//! the right to them that `COPY` asks for. A superuser may give any.

use crate::error::Error;
use crate::settings;
use lake_protocol::uri::{prefixes, Scheme, Uri};
use pgrx::pg_sys;

/// What is done with the files.
#[derive(Clone, Copy)]
pub enum Access {
    Read,
    Write,
}

/// The predefined roles that may read and write files of the server's machine (pg_authid.dat), with their names.
const READERS: (u32, &str) = (4569, "pg_read_server_files");
const WRITERS: (u32, &str) = (4570, "pg_write_server_files");

/// Reads a URI, and refuses one that the caller may not give.
pub fn check(text: &str, access: Access) -> Result<Uri, Error> {
    let uri = Uri::parse(text).map_err(Error::invalid)?;
    // SAFETY: the call looks the current user up.
    if unsafe { pg_sys::superuser() } {
        return Ok(uri);
    }
    if uri.scheme == Scheme::File {
        check_server_files(access)?;
    }
    let allowed = prefixes(&settings::lake_prefixes())
        .map_err(|why| Error::invalid(format!("reco.lake_prefixes cannot be read: {why}")))?;
    match allowed.iter().any(|prefix| uri.lies_under(prefix)) {
        true => Ok(uri),
        false => Err(Error::Privilege {
            message: format!("{uri} lies under no prefix that is allowed"),
            hint: Some("A superuser allows prefixes by the setting reco.lake_prefixes.".into()),
        }),
    }
}

fn check_server_files(access: Access) -> Result<(), Error> {
    let (role, name) = match access {
        Access::Read => READERS,
        Access::Write => WRITERS,
    };
    // SAFETY: this is a look-up of roles, inside a transaction.
    match unsafe { pg_sys::has_privs_of_role(pg_sys::GetUserId(), pg_sys::Oid::from(role)) } {
        true => Ok(()),
        false => Err(Error::Privilege {
            message: "files of the server's machine are for superusers".into(),
            hint: Some(format!("As for COPY, the role {name} may use them too.")),
        }),
    }
}
