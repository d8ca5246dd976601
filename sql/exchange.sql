COMMENT ON FUNCTION export_model(text, integer) IS
'A version (the champion where it is NULL) as a safetensors file with its recipe: what import_model takes, here or in another
database, and what Python reads; an error where it has a gigabyte or more. For those who manage the model; it is recorded in the audit.';

COMMENT ON FUNCTION import_model(text, bytea, regclass, name[], name, name, boolean) IS
'Stores a version that was made elsewhere and returns its number: a safetensors file with a recipe, as export_model writes it and
the page "Models" of the documentation describes it; every length, shape and number in it is checked. source: a relation with
the recipe''s columns, whose rows recommend scores; keys and time_column: found as train finds them; without a source predict
alone works. label: what is predicted, for the record. promote: make it the champion even if there is one. A new model belongs to the caller; a version of one that exists needs
the privilege train, to promote it manage.';
