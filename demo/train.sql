-- Trains the model: one statement. The feature view knows its keys and its label. One year of sales cannot tell the season
-- from the date, so the season is left out. With the schedule one_cycle five passes over two million rows are enough.

\set ON_ERROR_STOP on
\set ECHO queries
CALL reco.train(
    model     => 'launch',
    source    => 'launch_features',
    algorithm => 'mlp',
    params    => '{"hidden":[128],"epochs":5,"schedule":"one_cycle","exclude":["season_sin","season_cos"]}');
