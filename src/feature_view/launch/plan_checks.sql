UNION ALL
SELECT 'warning', format('%s of %s rows of %s for these weeks are of no known product, place or day; they are left out', unusable, rows, {table_name}), NULL
FROM (
    SELECT count(*) AS rows, count(*) FILTER (WHERE NOT coalesce((
               p.{product_id} IN (SELECT l.{listed_id} FROM {products} AS l WHERE l.{listed_id} IS NOT NULL)
               OR p.{product_id} IN (SELECT s.product_id FROM {weekly} AS s)) AND {usable}, false)) AS unusable
    FROM {table} AS p
    WHERE NOT coalesce({has_time}, false) OR {in_weeks}
) AS n
WHERE unusable > 0
