//! Names, owners and columns of relations, and the locks under which they are read.

use crate::error::Error;
use crate::pg::{tuples, values};
use model::recipe::Family;
use pgrx::pg_sys;
use pgrx::spi::quote_qualified_identifier;
use std::ffi::{CStr, CString};
use std::fmt;

/// The schema and the name of a relation; `None` if no relation has this OID.
pub fn schema_and_name(relation: pg_sys::Oid) -> Option<(String, String)> {
    // SAFETY: these are catalog look-ups, which return a palloc'd NUL-terminated string or null.
    unsafe {
        let name = pg_sys::get_rel_name(relation);
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(relation));
        (!name.is_null() && !schema.is_null()).then(|| (owned(schema), owned(name)))
    }
}

/// A relation's schema and name, as the catalog holds them: unquoted, because whether a name needs quotes depends on
/// settings. `Display` writes them as SQL does, with quotes where they are needed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelationName {
    pub schema: String,
    pub name: String,
}

impl RelationName {
    pub fn of(relation: pg_sys::Oid) -> Result<Self, Error> {
        match schema_and_name(relation) {
            Some((schema, name)) => Ok(Self { schema, name }),
            None => Err(Error::NoRelation { name: None, oid: relation.to_u32() }),
        }
    }

    /// The name from two columns; both are NULL where there is no relation.
    pub fn of_columns(schema: Option<String>, name: Option<String>) -> Option<Self> {
        schema.zip(name).map(|(schema, name)| Self { schema, name })
    }

    /// Whether this value stands for no relation.
    pub fn is_empty(&self) -> bool {
        self.name.is_empty()
    }

    /// The table or view that has the name now; `None` if there is none. The search path plays no part, and temporary
    /// tables are left out. It is an error if the caller may not look into the schema.
    pub fn find(&self) -> Option<pg_sys::Oid> {
        self.find_locked(pg_sys::NoLock)
    }

    /// Does the same as [`Self::find`], and takes a lock that is held to the end of the transaction.
    pub fn find_locked(&self, lock: u32) -> Option<pg_sys::Oid> {
        let (schema, name) = (CString::new(&*self.schema).ok()?, CString::new(&*self.name).ok()?);
        if self.is_empty() {
            return None;
        }
        // SAFETY: this is a look-up by names, and both strings outlive it.
        unsafe {
            let range = pg_sys::makeRangeVar(schema.as_ptr().cast_mut(), name.as_ptr().cast_mut(), -1);
            let missing_ok = pg_sys::RVROption::RVR_MISSING_OK;
            let oid =
                pg_sys::RangeVarGetRelidExtended(range, lock as i32, missing_ok, None, std::ptr::null_mut());
            let is_meant = oid != pg_sys::InvalidOid
                && matches!(pg_sys::get_rel_relkind(oid) as u8, b'r' | b'p' | b'v' | b'm' | b'f')
                && !is_temporary(oid);
            is_meant.then_some(oid)
        }
    }
}

impl fmt::Display for RelationName {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        to.write_str(&quote_qualified_identifier(&self.schema, &self.name))
    }
}

/// A relation's qualified name, with quotes where they are needed.
pub fn qualified_name(relation: pg_sys::Oid) -> Result<String, Error> {
    RelationName::of(relation).map(|name| name.to_string())
}

/// Whether a relation goes with the session that made it: it is a temporary table, or a view that reads one. False if there
/// is no such relation.
pub fn is_temporary(relation: pg_sys::Oid) -> bool {
    // SAFETY: the row of the syscache is released after its last use. `get_rel_persistence` raises an internal error if the
    // relation does not exist.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::RELOID as i32;
        let row = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(relation));
        if row.is_null() {
            return false;
        }
        let persistence = (*pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_class>()).relpersistence;
        pg_sys::ReleaseSysCache(row);
        persistence as u8 == pg_sys::RELPERSISTENCE_TEMP
    }
}

/// Refuses a temporary relation: other sessions cannot read it, and it goes with this session. `what` names who would read
/// its rows later.
pub fn refuse_temporary(relation: pg_sys::Oid, what: &str) -> Result<(), Error> {
    match is_temporary(relation) {
        false => Ok(()),
        true => Err(Error::InvalidArgument(
            format!("{} is temporary, and {what} is to read it later", qualified_name(relation)?),
            Some("Put its rows into a table of their own: CREATE TABLE … AS TABLE …".into()),
        )),
    }
}

/// The schema in which a relation with this name would be created, and the name without its schema.
pub fn creation_place(name: &str) -> Result<RelationName, Error> {
    let text = pgrx::rust_str_to_text_p(name);
    // SAFETY: the range variable is palloc'd; a schema that is missing or forbidden is raised as an error.
    unsafe {
        let range = pg_sys::makeRangeVarFromNameList(pg_sys::textToQualifiedNameList(text.into_pg()));
        let schema = pg_sys::get_namespace_name(pg_sys::RangeVarGetCreationNamespace(range));
        if schema.is_null() {
            return Err(Error::Changed(format!("the schema of {name} was dropped")));
        }
        Ok(RelationName { schema: owned(schema), name: owned((*range).relname) })
    }
}

/// Locks a relation to the end of the transaction. It is an error if the relation was dropped while this call waited for
/// the lock.
pub fn lock(relation: pg_sys::Oid, lock: u32) -> Result<(), Error> {
    let name = RelationName::of(relation)?;
    // SAFETY: any OID may be locked.
    unsafe { pg_sys::LockRelationOid(relation, lock as i32) };
    let gone = || Error::NoRelation { name: Some(name.to_string()), oid: relation.to_u32() };
    schema_and_name(relation).map(drop).ok_or_else(gone)
}

/// Opens a relation that may have been dropped since it was looked up, under a lock that is kept to the end of the
/// transaction; `None` if it was dropped. `relation_open` would raise an internal error there.
///
/// # Safety
/// The caller closes the relation before the transaction ends.
pub unsafe fn open_if_there(relation: pg_sys::Oid, lock: u32) -> Option<pg_sys::Relation> {
    // SAFETY: any OID may be asked for.
    let opened = unsafe { pg_sys::try_relation_open(relation, lock as i32) };
    (!opened.is_null()).then_some(opened)
}

/// An open relation, which is closed when this value is dropped.
pub struct Opened(pg_sys::Relation);

impl Opened {
    /// Opens a relation for reading.
    pub fn of(relation: pg_sys::Oid) -> Result<Self, Error> {
        Self::locked(relation, pg_sys::AccessShareLock)
    }

    pub fn locked(relation: pg_sys::Oid, lock: u32) -> Result<Self, Error> {
        // The name is looked up first, because a relation that was dropped has none.
        let name = RelationName::of(relation)?;
        let gone = || Error::NoRelation { name: Some(name.to_string()), oid: relation.to_u32() };
        Self::if_there(relation, lock).ok_or_else(gone)
    }

    pub fn if_there(relation: pg_sys::Oid, lock: u32) -> Option<Self> {
        // SAFETY: `drop` closes the relation.
        unsafe { open_if_there(relation, lock) }.map(Self)
    }

    /// The open relation, which is live as long as `self`.
    pub fn relation(&self) -> pg_sys::Relation {
        self.0
    }

    /// The relation's row of pg_class.
    pub fn class(&self) -> &pg_sys::FormData_pg_class {
        // SAFETY: an open relation has a row of pg_class in the relcache.
        unsafe { &*(*self.0).rd_rel }
    }

    /// Whether a column is computed when a query reads it: the rows as they are stored lack its value.
    pub fn computes_columns(&self) -> bool {
        // SAFETY: the descriptor is live, and its constraints are null or live with it.
        #[cfg(feature = "pg18")]
        return unsafe { (*self.descriptor()).constr.as_ref() }.is_some_and(|all| all.has_generated_virtual);
        #[cfg(not(feature = "pg18"))]
        false
    }

    /// The descriptor of the relation's rows, which is live as long as `self`.
    pub fn descriptor(&self) -> pg_sys::TupleDesc {
        // SAFETY: an open relation has a descriptor.
        unsafe { (*self.0).rd_att }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // While an error unwinds, the abort of the transaction closes the relation.
        if !std::thread::panicking() {
            // SAFETY: the relation was opened once and is closed once.
            unsafe { pg_sys::relation_close(self.0, pg_sys::NoLock as i32) };
        }
    }
}

/// Whether the current user may SELECT from all columns of a relation.
pub fn may_select(relation: pg_sys::Oid) -> bool {
    let select = pg_sys::ACL_SELECT as pg_sys::AclMode;
    // SAFETY: this is a look-up of the current user's rights on a relation.
    let found = unsafe { pg_sys::pg_class_aclcheck(relation, pg_sys::GetUserId(), select) };
    found == pg_sys::AclResult::ACLCHECK_OK
}

/// The role that owns a relation.
pub fn owner(relation: pg_sys::Oid) -> Result<pg_sys::Oid, Error> {
    Ok(Opened::of(relation)?.class().relowner)
}

/// The kind of a relation as `pg_class` has it; 0 if there is no such relation.
pub fn kind_of(relation: pg_sys::Oid) -> u8 {
    // SAFETY: this is a catalog look-up, which any OID may be given to.
    unsafe { pg_sys::get_rel_relkind(relation) as u8 }
}

pub const FOREIGN_TABLE: u8 = b'f';

/// The kind of a relation, in a word.
pub fn kind(relation: pg_sys::Oid) -> &'static str {
    match kind_of(relation) {
        b'v' => "view",
        b'm' => "materialized view",
        FOREIGN_TABLE => "foreign table",
        _ => "table",
    }
}

/// The role with this name.
pub fn role(name: &str) -> Option<pg_sys::Oid> {
    let name = CString::new(name).ok()?;
    // SAFETY: this is a catalog look-up by a NUL-terminated name.
    let oid = unsafe { pg_sys::get_role_oid(name.as_ptr(), true) };
    (oid != pg_sys::InvalidOid).then_some(oid)
}

/// The role that owns this session's database.
pub fn database_owner() -> pg_sys::Oid {
    // SAFETY: the row is in the syscache, because the backend is connected to this database; it is released once, after its
    // last use.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::DATABASEOID as i32;
        let row = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(pg_sys::MyDatabaseId));
        if row.is_null() {
            return pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID);
        }
        let owner = (*pg_sys::GETSTRUCT(row).cast::<pg_sys::FormData_pg_database>()).datdba;
        pg_sys::ReleaseSysCache(row);
        owner
    }
}

/// A role's name; the role's number if there is no such role any more.
pub fn role_name(role: pg_sys::Oid) -> String {
    // SAFETY: this is a catalog look-up, which returns a palloc'd NUL-terminated string or null.
    unsafe {
        let name = pg_sys::GetUserNameFromId(role, true);
        if name.is_null() {
            role.to_u32().to_string()
        } else {
            owned(name)
        }
    }
}

/// A relation and its columns, as they were at one moment.
pub struct Relation {
    pub oid: pg_sys::Oid,
    pub name: RelationName,
    pub columns: Vec<Column>,
}

/// A column of a relation, or of a query's result.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    /// The attribute number, from 1.
    pub number: i16,
    pub type_oid: pg_sys::Oid,
    pub type_modifier: i32,
    pub collation: pg_sys::Oid,
}

impl Column {
    /// Those of a row, without the ones that were dropped.
    ///
    /// # Safety
    /// `descriptor` is live.
    pub unsafe fn all(descriptor: pg_sys::TupleDesc) -> Vec<Self> {
        let column = |(_, attribute): (usize, &pg_sys::FormData_pg_attribute)| Self {
            name: tuples::attribute_name(attribute),
            number: attribute.attnum,
            type_oid: attribute.atttypid,
            type_modifier: attribute.atttypmod,
            collation: attribute.attcollation,
        };
        // SAFETY: as the caller says.
        unsafe { tuples::attributes(descriptor).map(column).collect() }
    }

    /// The family of its type; `None` if the type belongs to none.
    pub fn family(&self) -> Option<Family> {
        values::reader_of(self.type_oid).map(|(family, _)| family)
    }

    /// Its type as people read it.
    pub fn type_name(&self) -> String {
        values::type_name(self.type_oid, self.type_modifier)
    }

    /// Its type as SQL has it.
    pub fn sql_type(&self) -> String {
        values::sql_type(self.type_oid, self.type_modifier)
    }
}

impl Relation {
    pub fn of(oid: pg_sys::Oid) -> Result<Self, Error> {
        let name = RelationName::of(oid)?;
        let opened = Opened::of(oid)?;
        // SAFETY: the relation is open.
        let columns = unsafe { Column::all(opened.descriptor()) };
        Ok(Self { oid, name, columns })
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// A column's attribute number, from 1; 0 where there is no such column.
    pub fn position(&self, name: &str) -> i16 {
        self.column(name).map_or(0, |column| column.number)
    }

    pub fn type_of(&self, name: &str) -> Option<pg_sys::Oid> {
        self.column(name).map(|column| column.type_oid)
    }

    /// The family of a column's type; `None` if there is no such column, or its type belongs to no family.
    pub fn family(&self, name: &str) -> Option<Family> {
        self.column(name).and_then(Column::family)
    }

    /// The column with this name. If there is none, `what` says in the error what the column is wanted for.
    pub fn require(&self, name: &str, what: &str) -> Result<&Column, Error> {
        self.column(name).ok_or_else(|| Error::UndefinedColumn {
            message: format!("{what} column \"{name}\" does not exist in {}", self.name),
            hint: self.columns_hint(),
        })
    }

    /// A hint that lists the columns of the relation.
    pub fn columns_hint(&self) -> String {
        columns_hint(self.columns.iter().map(|column| column.name.as_str()))
    }
}

/// A hint that lists the columns, for an error about a column that does not exist.
pub fn columns_hint<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("Its columns are: {}.", names.collect::<Vec<_>>().join(", "))
}

/// # Safety
/// `text` is a NUL-terminated string.
unsafe fn owned(text: *const std::ffi::c_char) -> String {
    // SAFETY: the string is NUL-terminated, as the caller says.
    unsafe { CStr::from_ptr(text).to_string_lossy().into_owned() }
}
