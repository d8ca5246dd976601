-- How good scores are. Two hundred rows with ties, and what scikit-learn 1.9.1 says of them.
CREATE TABLE scored AS
SELECT i, (i * 37 % 101) / 100.0::float8 AS score, (i * i * 7 + i * 3) % 11 < 2 + 6 * ((i * 37 % 101) / 100.0::float8) AS bought,
       i * 29 % 17 + 0.25::float8 AS units, 'r' || i % 4 AS region
FROM generate_series(1, 200) AS i;

SELECT abs(reco.auroc(score, bought) - 0.6807743795695602) < 1e-12 AS auroc,
       abs(reco.average_precision(score, bought) - 0.7443180007752218) < 1e-12 AS average_precision,
       abs(reco.log_loss(score, bought) - 1.0695865498323247) < 1e-12 AS log_loss,
       abs(reco.brier(score, bought) - 0.24560200000000001) < 1e-12 AS brier,
       abs(reco.rmse(10 * score, units) - 6.4741563156908715) < 1e-12 AS rmse,
       abs(reco.mae(10 * score, units) - 5.2425) < 1e-12 AS mae
FROM scored;

-- Labels that are 1 and 0, of any type of number.
SELECT reco.auroc(score, bought) = reco.auroc(score, bought::int) AS auroc,
       reco.average_precision(score, bought) = reco.average_precision(score, bought::int::numeric) AS average_precision,
       reco.log_loss(score, bought) = reco.log_loss(score, bought::int::smallint) AS log_loss,
       reco.brier(score, bought) = reco.brier(score::real, bought::int::real) AS "not the same as real"
FROM scored;
SELECT reco.auroc(score, units) FROM scored;

-- NULLs are left out; NaN ranks last; what cannot be said is NULL.
SELECT reco.auroc(s, l), reco.average_precision(s, l)
FROM (VALUES (0.9::float8, true), (NULL, true), (0.5, NULL), ('NaN', false), (0.1, false)) AS v (s, l);
SELECT reco.log_loss(s, l), reco.brier(s, l), reco.rmse(s, l::int), reco.mae(s, l::int)
FROM (VALUES (0.9::float8, true), (NULL, true), (0.5, NULL), (0.0, false), (0.1, false)) AS v (s, l);
-- What is no probability is none.
SELECT reco.log_loss(1.2, true);
SELECT reco.log_loss('NaN', 1);
SELECT reco.brier(-0.001, false);
SELECT reco.brier('Infinity', 0);
SELECT reco.calibration_bins(1.0000001, true, 10);
SELECT reco.calibration_bins('NaN', true, 10);
SELECT label, reco.auroc(score, label), reco.average_precision(score, label), round(reco.log_loss(score, label)::numeric, 6) AS log_loss,
       reco.roc_points(score, label, 10), (reco.confusion(score, label, 0.5)).recall
FROM (VALUES (0.5::float8, true), (0.5, true), (0.25, false)) AS v (score, label) GROUP BY label ORDER BY label;
SELECT reco.auroc(score, bought), reco.average_precision(score, bought), reco.log_loss(score, bought), reco.brier(score, bought),
       reco.rmse(score, units), reco.mae(score, units), reco.roc_points(score, bought, 10), reco.confusion(score, bought, 0.5),
       reco.calibration_bins(score, bought, 10), reco.lift_buckets(score, bought, 10)
FROM scored WHERE i < 0;

-- By group, filtered, and in grouping sets.
SELECT region, count(*), round(reco.auroc(score, bought)::numeric, 4) AS auroc,
       round(reco.auroc(score, bought) FILTER (WHERE i <= 100)::numeric, 4) AS first_half
FROM scored GROUP BY ROLLUP (region) ORDER BY region;
-- In windows: each week with those before it.
SELECT i, round(reco.auroc(score, bought) OVER w::numeric, 4) AS auroc, round(reco.brier(score, bought) OVER w::numeric, 4) AS brier
FROM scored WHERE i <= 8 WINDOW w AS (ORDER BY i) ORDER BY i;

-- Charts. scikit-learn counts 56 true negatives, 27 false positives, 43 false negatives and 74 true positives.
SELECT (reco.confusion(score, bought, 0.5)).* FROM scored;
SELECT p.* FROM (SELECT reco.roc_points(score, bought, 6) AS curve FROM scored) AS s, unnest(curve) AS p;
SELECT abs(sum((fpr - before) * (tpr + tpr_before) / 2) - (SELECT reco.auroc(score, bought) FROM scored)) < 1e-12 AS "area is AUROC"
FROM (SELECT false_positive_rate AS fpr, true_positive_rate AS tpr, lag(false_positive_rate) OVER w AS before,
             lag(true_positive_rate) OVER w AS tpr_before
      FROM (SELECT reco.roc_points(score, bought, 1000) AS curve FROM scored) AS s, unnest(curve) AS p WINDOW w AS (ORDER BY threshold DESC)) AS steps;
SELECT b.* FROM (SELECT reco.calibration_bins(score, bought, 4) AS bins FROM scored) AS s, unnest(bins) AS b;
SELECT b.bucket, b.rows, b.lowest_score, b.positives, b.rate, round(b.lift::numeric, 4) AS lift, round(b.cumulative_gain::numeric, 4) AS gain
FROM (SELECT reco.lift_buckets(score, bought, 6) AS buckets FROM scored) AS s, unnest(buckets) AS b;

SELECT reco.roc_points(score, bought, 2) FROM scored;
SELECT reco.lift_buckets(score, bought, i) FROM scored;
SELECT reco.calibration_bins(score, bought, NULL) FROM scored;
SELECT reco.confusion(score, bought, 'NaN') FROM scored;

-- A version on rows: all of them, and by a column. What is served has learned from them all in the refit; it is measured by the fit
-- before.
SELECT by, slice, rows, positives, auroc <> (SELECT reco.auroc(reco.predict('launch', l), purchased) FROM launches l) AS fit_before,
       auroc > 0.6 AS useful, log_loss < 0.7 AS sure, rmse
FROM reco.evaluate('launch', 'launches');
SELECT by, slice, rows, positives FROM reco.evaluate('launch', 'launches', by => 'category');
SELECT count(*), min(threshold) >= 0 AS probabilities FROM reco.roc_curve('launch', 'launches', points => 50);
SELECT true_positives + false_negatives AS positives, precision BETWEEN 0 AND 1 AS precision FROM reco.confusion_matrix('launch', 'launches', threshold => 0.3);
SELECT sum(rows) FROM reco.calibration('launch', 'launches', 'purchased', 5);
SELECT slice, max(bucket), max(cumulative_gain) FROM reco.lift('launch', 'launches', by => 'category') GROUP BY by, slice ORDER BY by NULLS FIRST, slice;

SELECT * FROM reco.evaluate('launch', 'launches', version => 99);
SELECT * FROM reco.evaluate('nobody', 'launches', version => 1);
SELECT * FROM reco.evaluate('launch', 'launches', label => 'bought');
SELECT * FROM reco.evaluate('launch', 'launches', label => 'category');
SELECT * FROM reco.evaluate('launch', 'launches', label => 'households');
SELECT * FROM reco.evaluate('launch', 'launches', by => 'country');
SELECT * FROM reco.evaluate('launch', 'scored');
SELECT * FROM reco.evaluate('launch', 'launches', from_week => '2030-01-01');
SELECT * FROM reco.evaluate('launch', NULL);
SELECT * FROM reco.lift('launch', 'launches', buckets => 0);
DROP TABLE scored;
