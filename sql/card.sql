COMMENT ON FUNCTION model_card(text, integer) IS
'What a version (the champion where it is NULL) is for, made from, how good and how limited it is, as JSON: purpose, metrics of
validation and test rows beside those of popularity, limits, lineage, aliases and the history of the champion. Data,
parameters and columns with their importance are shown to those who may train the model; it needs the privilege score.';

COMMENT ON FUNCTION model_card_text(text, integer) IS
'The same as Markdown to be read.';

COMMENT ON FUNCTION describe_model(text, text) IS
'Says what a model is for, in its card and in reco.models; NULL takes it away. At most 10,000
characters. For those who manage the model.';
