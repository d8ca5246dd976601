, plan_{n}_since AS MATERIALIZED (
    -- Weeks since it was planned last, in the last 13 weeks.
    SELECT c.product_id, p.region, c.week{since}
    FROM candidates AS c
    JOIN plan_{n} AS p ON p.product_id = c.product_id AND p.week BETWEEN c.week - {rest_of_quarter} AND c.week
    GROUP BY 1, 2, 3
), plan_{n}_sales AS MATERIALIZED (
    -- What was sold in a week, with the plan and without: of a product everywhere, of a category in a region, in a region.
    SELECT s.product_id, s.category_key, s.region, s.week{sold}
    FROM (
        SELECT s.product_id, k.category_key, s.region, s.week, coalesce(reco.total_quantity(s.sales), 0) AS quantity{of_sale}
        FROM {weekly} AS s
        JOIN known AS k ON k.product_id = s.product_id
        LEFT JOIN plan_{n} AS p ON p.product_id = s.product_id AND p.region = s.region AND p.week = s.week
        WHERE s.week BETWEEN $1 - {rest_of_quarter} AND $2
    ) AS s
    GROUP BY GROUPING SETS ((s.product_id, s.week), (s.category_key, s.region, s.week), (s.region, s.week))
), plan_{n}_lift AS MATERIALIZED (
    SELECT s.product_id, s.category_key, s.region, w.week{lift}
    FROM plan_{n}_sales AS s
    JOIN weeks AS w ON s.week BETWEEN w.week - {rest_of_quarter} AND w.week
    WHERE s.product_id IS NULL OR EXISTS (SELECT FROM candidates AS c WHERE c.product_id = s.product_id)
    GROUP BY s.product_id, s.category_key, s.region, w.week
)
