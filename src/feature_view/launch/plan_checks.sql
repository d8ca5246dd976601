UNION ALL
SELECT 'warning', format('%s of %s rows of %s are of no known product, place or day; they are left out', unusable, rows, {table_name}), NULL
FROM (SELECT count(*) AS rows, count(*) FILTER (WHERE NOT coalesce({usable}, false)) AS unusable FROM {table} AS p) AS n
WHERE unusable > 0
