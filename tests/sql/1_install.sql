-- What the extension brings, and that all of it says what it is for.
CREATE EXTENSION pg_recommend;

SELECT c.relkind, c.relname
FROM pg_class c
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'pg_recommend' AND c.relkind IN ('r', 'v')
ORDER BY 1, 2;

SELECT p.prokind, p.proname, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
       p.provolatile, p.proparallel, p.prosecdef
FROM pg_proc p
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'pg_recommend'
ORDER BY 1, 2, 3;

-- Objects without a comment: none.
SELECT pg_describe_object(d.classid, d.objid, 0) AS uncommented
FROM pg_depend d
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
WHERE e.extname = 'pg_recommend' AND d.deptype = 'e'
  AND (d.classid = 'pg_proc'::regclass OR c.relkind IN ('r', 'v'))
  AND obj_description(d.objid, d.classid::regclass::name) IS NULL
ORDER BY 1;

-- What everybody may do with the catalog: look at the views, nothing else.
SELECT c.relname, string_agg(lower(a.privilege_type), ', ' ORDER BY a.privilege_type) AS everybody
FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace = 'reco'::regnamespace AND a.grantee = 0
GROUP BY c.relname ORDER BY c.relname;

-- What a dump takes with it.
SELECT c.relname AS dumped FROM pg_extension e JOIN pg_class c ON c.oid = ANY (e.extconfig)
WHERE e.extname = 'pg_recommend' ORDER BY 1;
