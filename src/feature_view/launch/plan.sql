-- What was planned for a week, as known when it began: for how much of the region, or which number on average.
SELECT p.product_id, {region} AS region, p.week{planned}
FROM (
    SELECT p.{product_id} AS product_id, {place} AS place, w.week{values}
    FROM {table} AS p
    JOIN (SELECT $1 + 7 * n AS week FROM generate_series(1 - {quarter}, ($2 - $1) / 7 + 1) AS n) AS w ON {in_week}
    WHERE p.{product_id} IS NOT NULL AND {known}
    GROUP BY 1, 2, 3
) AS p
{places}
