-- Trains the model: one statement.

\set ON_ERROR_STOP on
\set ECHO queries
CREATE EXTENSION IF NOT EXISTS pg_recommend;

CALL reco.train(
    model     => 'launch',
    source    => 'launch_features',
    label     => 'purchased',
    algorithm => 'mlp',
    params    => '{"hidden":[128],"epochs":50,"learning_rate":0.001}');
