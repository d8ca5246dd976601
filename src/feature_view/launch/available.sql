-- The first sale, and the moment up to which sales are complete: a week is over when its last day of trade has passed and
-- something was sold on that day or later. What is sold out of the plausible days or in the future is not believed.
SELECT {first_moment}, least({last_moment} + interval '1 day', {now}) + interval '{closed_days} days'
FROM {sales} AS s
WHERE {plausible_sale} AND s.{sold_at} <= {now_of_sales}
