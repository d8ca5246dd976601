-- What the extension brings, and that all of it says what it is for.
CREATE EXTENSION pg_recommend;

\pset format unaligned
\pset tuples_only on

SELECT CASE c.relkind WHEN 'r' THEN 'table' ELSE 'view' END, c.relname
FROM pg_class c
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'pg_recommend' AND c.relkind IN ('r', 'v')
ORDER BY 1, 2;

-- A long list of arguments or columns has a line for each.
SELECT concat(r.kind, ' ', r.proname, '(', r.arguments, ')', ' returns ' || r.result, r.properties)
FROM (
    SELECT CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' WHEN 'w' THEN 'window function'
                          ELSE 'function' END AS kind,
           p.proname,
           CASE WHEN length(a.arguments) < 80 THEN a.arguments
                ELSE E'\n    ' || replace(a.arguments, ', ', E',\n    ') END AS arguments,
           CASE WHEN length(a.result) < 80 THEN a.result
                ELSE replace(replace(a.result, 'TABLE(', E'TABLE(\n    '), ', ', E',\n    ') END AS result,
           concat(', ' || CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
                  ', parallel ' || CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END,
                  CASE WHEN p.proisstrict THEN ', strict' END,
                  CASE WHEN p.prosecdef THEN ', security definer' END) AS properties
    FROM pg_proc p
    JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
    CROSS JOIN LATERAL (
        SELECT pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result) a
    WHERE e.extname = 'pg_recommend') r
ORDER BY r.kind, r.proname, r.arguments;

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
