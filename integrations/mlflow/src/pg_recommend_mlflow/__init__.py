"""The catalog of pg_recommend in MLflow.

address.py    pg-recommend:// URIs, and how names and ids are spelled in them
database.py   connections, their transactions, and errors as MLflow's
catalog.py    the queries: views of the schema reco, and nothing else
runs.py       rows into MLflow's runs and metrics;  versions.py into models and versions
tracking.py   the tracking store;  registry.py the model registry;  artifacts.py and mlmodel.py the files
refused.py    what cannot be done from here, and the SQL that does it;  absent.py what a catalog of models does not have
export.py     a copy into another MLflow;  command.py the command line
"""
