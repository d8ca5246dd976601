COMMENT ON FUNCTION archive_version(text, integer) IS
'Deletes the weights of a version; its row, metrics and lineage stay, and reco.versions shows it as archived. It cannot come
back. Refused while an alias stands for it. For those who manage the model.';

COMMENT ON FUNCTION drop_model(text, boolean) IS
'Deletes a model with its versions, aliases, history and privileges; its runs and the audit stay. Refused while it has an
alias, which somebody may score with; force drops it all the same. For those who manage the model.';
