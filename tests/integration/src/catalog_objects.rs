//! The objects of the extension in a database, with all that can differ between two ways to the same version: a fresh
//! installation, and an update.

use postgres::Client;
use std::collections::BTreeSet;

/// A text for each property of each object: what it is of, and what it is. Objects are named as PostgreSQL names them, so
/// that two databases can be compared.
const OBJECTS: &str = r#"
WITH RECURSIVE member AS (
    SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
    WHERE e.extname = 'pg_recommend' AND d.deptype = 'e'
), owned AS (
    -- What belongs to a member: indexes, constraints, defaults, rules, row types, toast.
    SELECT classid, objid FROM member
    UNION
    SELECT d.classid, d.objid FROM owned o JOIN pg_depend d ON d.refclassid = o.classid AND d.refobjid = o.objid AND d.deptype IN ('i', 'a')
), object AS (
    SELECT classid, objid, pg_describe_object(classid, objid, 0) AS name FROM owned
    -- A table for large values is named after the number of its table.
    WHERE NOT (classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_class c WHERE c.oid = objid AND c.relnamespace = 'pg_toast'::regnamespace))
), acl AS (
    SELECT 'pg_class'::regclass AS classid, c.oid AS objid, c.relowner AS owner, coalesce(c.relacl, acldefault('r', c.relowner)) AS acl FROM pg_class c
    UNION ALL SELECT 'pg_proc'::regclass, p.oid, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)) FROM pg_proc p
    UNION ALL SELECT 'pg_type'::regclass, t.oid, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner)) FROM pg_type t
    UNION ALL SELECT 'pg_namespace'::regclass, n.oid, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner)) FROM pg_namespace n
), property AS (
    SELECT name, 'is there' AS what, '' AS value FROM object
    UNION ALL
    SELECT o.name, 'definition', pg_get_functiondef(p.oid) FROM object o JOIN pg_proc p ON o.classid = 'pg_proc'::regclass AND p.oid = o.objid
    WHERE p.prokind <> 'a'
    UNION ALL
    -- Of an aggregate, and what a definition does not say of a function. The planner's numbers too.
    SELECT o.name, 'row of pg_proc', (to_jsonb(p) - '{oid,proowner,proacl,proargdefaults,prosqlbody,pronamespace,prosupport,prorettype,proargtypes,proallargtypes,provariadic}'::text[]
           || jsonb_build_object('result', pg_get_function_result(p.oid), 'arguments', pg_get_function_arguments(p.oid),
                                 'support', p.prosupport::regproc))::text
    FROM object o JOIN pg_proc p ON o.classid = 'pg_proc'::regclass AND p.oid = o.objid
    UNION ALL
    SELECT o.name, 'row of pg_aggregate', (to_jsonb(a) - '{aggfnoid,aggtranstype,aggmtranstype}'::text[]
           || jsonb_build_object('state', a.aggtranstype::regtype, 'moving', a.aggmtranstype::regtype))::text
    FROM object o JOIN pg_aggregate a ON o.classid = 'pg_proc'::regclass AND a.aggfnoid = o.objid
    UNION ALL
    SELECT o.name, 'row of pg_class', concat_ws(' ', c.relkind, c.relpersistence, 'security', c.relrowsecurity, c.relforcerowsecurity,
           'identity', c.relreplident, 'partition', c.relispartition, 'options', c.reloptions, am.amname, s.spcname)
    FROM object o JOIN pg_class c ON o.classid = 'pg_class'::regclass AND c.oid = o.objid
    LEFT JOIN pg_am am ON am.oid = c.relam LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
    UNION ALL
    SELECT o.name, 'definition', pg_get_viewdef(c.oid) FROM object o JOIN pg_class c ON o.classid = 'pg_class'::regclass AND c.oid = o.objid
    WHERE c.relkind = 'v'
    UNION ALL
    SELECT o.name, 'definition', pg_get_indexdef(c.oid) FROM object o JOIN pg_class c ON o.classid = 'pg_class'::regclass AND c.oid = o.objid
    WHERE c.relkind = 'i'
    UNION ALL
    -- With its number: some columns are read by it.
    SELECT o.name, 'column ' || a.attname, concat_ws(' ', a.attnum, format_type(a.atttypid, a.atttypmod), co.collname, 'not null', a.attnotnull,
           'storage', a.attstorage, a.attcompression, 'generated', a.attgenerated, a.attidentity, 'options', a.options,
           'statistics', nullif(a.attstattarget, -1), 'default', pg_get_expr(d.adbin, d.adrelid))
    FROM object o
    -- Without the number that a server may give each column of a view.
    JOIN (SELECT pg_attribute.*, (SELECT array_agg(x) FROM unnest(attoptions) x WHERE x NOT LIKE 'pg_attver=%') AS options FROM pg_attribute) a
        ON o.classid = 'pg_class'::regclass AND a.attrelid = o.objid
    LEFT JOIN pg_collation co ON co.oid = a.attcollation LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT o.name, 'definition', concat(pg_get_constraintdef(c.oid), ' validated ', c.convalidated)
    FROM object o JOIN pg_constraint c ON o.classid = 'pg_constraint'::regclass AND c.oid = o.objid
    UNION ALL
    SELECT o.name, 'definition', pg_get_triggerdef(t.oid) FROM object o JOIN pg_trigger t ON o.classid = 'pg_trigger'::regclass AND t.oid = o.objid
    UNION ALL
    SELECT o.name, 'definition', concat_ws(' ', p.polcmd, p.polpermissive, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    FROM object o JOIN pg_policy p ON o.classid = 'pg_policy'::regclass AND p.oid = o.objid
    UNION ALL
    SELECT o.name, 'definition', pg_get_statisticsobjdef(s.oid) FROM object o JOIN pg_statistic_ext s ON o.classid = 'pg_statistic_ext'::regclass AND s.oid = o.objid
    UNION ALL
    SELECT o.name, 'row of pg_type', (to_jsonb(t) - '{oid,typowner,typacl,typnamespace,typrelid,typelem,typarray,typbasetype,typdefaultbin,typcollation,typsubscript}'::text[]
           || jsonb_build_object('element', t.typelem::regtype, 'base', t.typbasetype::regtype, 'subscript', t.typsubscript::regproc,
                  'labels', (SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)))::text
    FROM object o JOIN pg_type t ON o.classid = 'pg_type'::regclass AND t.oid = o.objid
    UNION ALL
    SELECT o.name, 'definition', concat_ws(' ', op.oprkind, op.oprcanmerge, op.oprcanhash, op.oprleft::regtype, op.oprright::regtype, op.oprresult::regtype,
           op.oprcom::regoperator, op.oprnegate::regoperator, op.oprcode::regprocedure, op.oprrest::regproc, op.oprjoin::regproc)
    FROM object o JOIN pg_operator op ON o.classid = 'pg_operator'::regclass AND op.oid = o.objid
    UNION ALL
    SELECT o.name, 'definition', concat_ws(' ', c.castfunc::regprocedure, c.castcontext, c.castmethod)
    FROM object o JOIN pg_cast c ON o.classid = 'pg_cast'::regclass AND c.oid = o.objid
    UNION ALL
    SELECT o.name, 'comment' || coalesce(' of column ' || a.attname, ''), d.description
    FROM object o JOIN pg_description d ON d.classoid = o.classid AND d.objoid = o.objid
    LEFT JOIN pg_attribute a ON o.classid = 'pg_class'::regclass AND d.objsubid > 0 AND a.attrelid = o.objid AND a.attnum = d.objsubid
    UNION ALL
    SELECT o.name, 'owner', acl.owner::regrole::text FROM object o JOIN acl USING (classid, objid)
    UNION ALL
    SELECT o.name, 'privileges', (SELECT string_agg(concat_ws(' ', x.grantee::regrole, x.privilege_type, x.is_grantable, 'by', x.grantor::regrole), ', '
                                                    ORDER BY x.grantee::regrole::text, x.privilege_type) FROM aclexplode(acl.acl) x)
    FROM object o JOIN acl USING (classid, objid)
    UNION ALL
    SELECT o.name, 'privileges of column ' || a.attname, (SELECT string_agg(concat_ws(' ', x.grantee::regrole, x.privilege_type, x.is_grantable), ', '
                                                    ORDER BY x.grantee::regrole::text, x.privilege_type) FROM aclexplode(a.attacl) x)
    FROM object o JOIN pg_attribute a ON o.classid = 'pg_class'::regclass AND a.attrelid = o.objid WHERE a.attacl IS NOT NULL
    UNION ALL
    -- What a dump leaves out, because the extension brings it.
    SELECT o.name, 'privileges that the extension gave' || coalesce(' of column ' || i.objsubid, ''),
           (SELECT string_agg(concat_ws(' ', x.grantee::regrole, x.privilege_type, x.is_grantable), ', '
                              ORDER BY x.grantee::regrole::text, x.privilege_type) FROM aclexplode(i.initprivs) x)
    FROM object o JOIN pg_init_privs i ON i.classoid = o.classid AND i.objoid = o.objid AND i.privtype = 'e'
    UNION ALL
    SELECT pg_describe_object('pg_class'::regclass, c.oid, 0), 'filter of a dump', coalesce(e.extcondition[array_position(e.extconfig, c.oid)], '')
    FROM pg_extension e JOIN pg_class c ON c.oid = ANY (e.extconfig) WHERE e.extname = 'pg_recommend'
    UNION ALL
    SELECT o.name, 'depends' || coalesce(' (column ' || a.attname || ')', '') || ' on', concat_ws(' ', d.deptype, pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid))
    FROM object o JOIN pg_depend d USING (classid, objid)
    LEFT JOIN pg_attribute a ON d.classid = 'pg_class'::regclass AND d.objsubid > 0 AND a.attrelid = d.objid AND a.attnum = d.objsubid
    UNION ALL
    SELECT 'extension', w.what, w.value FROM pg_extension e, LATERAL (VALUES ('version', e.extversion), ('schema', e.extnamespace::regnamespace::text),
        ('owner', e.extowner::regrole::text), ('relocatable', e.extrelocatable::text), ('comment', obj_description(e.oid, 'pg_extension'))) AS w (what, value)
    WHERE e.extname = 'pg_recommend'
    UNION ALL
    SELECT 'schema', w.what, w.value FROM pg_namespace n, LATERAL (VALUES ('owner', n.nspowner::regrole::text), ('comment', obj_description(n.oid, 'pg_namespace')),
        ('privileges', (SELECT string_agg(concat_ws(' ', x.grantee::regrole, x.privilege_type, x.is_grantable), ', '
                                          ORDER BY x.grantee::regrole::text, x.privilege_type) FROM aclexplode(n.nspacl) x))) AS w (what, value)
    WHERE n.nspname = 'reco'
)
SELECT DISTINCT name, what, value FROM property ORDER BY 1, 2, 3
"#;

/// What the extension has in this database.
pub struct Objects(BTreeSet<Property>);

/// An object, a property of it, and its value.
type Property = (String, String, String);

impl Objects {
    pub fn of(client: &mut Client) -> Self {
        let mut transaction = client.transaction().expect("a transaction begins");
        transaction.batch_execute("SET LOCAL search_path = pg_catalog").expect("the path is set");
        let rows = transaction.query(OBJECTS, &[]).unwrap_or_else(|error| panic!("{error:?}"));
        let text = |row: &postgres::Row, n| row.get::<_, Option<String>>(n).unwrap_or_default();
        Self(rows.iter().map(|row| (text(row, 0), text(row, 1), text(row, 2))).collect())
    }

    pub fn count(&self) -> usize {
        self.0.iter().filter(|(_, what, _)| what == "is there").count()
    }

    /// Where `other` differs, a line for each property: `-` has it here, `+` there.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let line = |sign| move |(name, what, value): &Property| format!("{name}, {what}: {sign} {value}");
        let (here, there) = (self.0.difference(&other.0), other.0.difference(&self.0));
        let mut lines: Vec<String> = here.map(line("-")).chain(there.map(line("+"))).collect();
        lines.sort();
        lines
    }
}

/// The functions of C, each with its symbol first, and then what the library relies on when it is called: the types of
/// arguments and columns, and what is done with NULL.
pub fn functions_of_c(client: &mut Client) -> Vec<(String, String)> {
    let sql =
        "SELECT p.prosrc, concat_ws(' ', p.prokind, p.prorettype::regtype, p.proretset, p.proisstrict, \
                      p.proargtypes::regtype[], p.proallargtypes::regtype[], p.proargmodes) \
               FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang \
               WHERE l.lanname = 'c' AND p.pronamespace = 'reco'::regnamespace ORDER BY 1, 2";
    let rows = client.query(sql, &[]).unwrap_or_else(|error| panic!("{error:?}"));
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}
