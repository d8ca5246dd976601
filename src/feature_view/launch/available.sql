-- The first sale, and the moment up to which sales are complete: a week is over when its end has passed and something
-- was sold on its last day or later. Sales dated in the future are not believed.
SELECT min({moment}), least(max({moment}) + interval '1 day', {now})
FROM {sales} AS s
WHERE {moment} <= {now}
