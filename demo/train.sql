-- Trains the model: one statement. The feature view knows its keys and its label. One year of sales cannot tell the season
-- from the date, so the season is left out.

\set ON_ERROR_STOP on
\set ECHO queries
CALL reco.train(
    model     => 'launch',
    source    => 'launch_features',
    algorithm => 'mlp',
    params    => '{"hidden":[128],"epochs":50,"learning_rate":0.001,"exclude":["season_sin","season_cos"]}');
