-- Trains the model: one statement, no parameter. The feature view knows its keys and its label. This is a network; with
-- algorithm => 'auto' all algorithms are tried and the best on the validation weeks is kept, which takes several times as long.

\set ON_ERROR_STOP on
\set ECHO queries
CALL reco.train('launch', 'launch_features');
