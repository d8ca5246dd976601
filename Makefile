# Thin: each target is the script of its name in scripts/.

.PHONY: help demo test test-monitoring docs test-docs test-bare test-images test-replicas test-mlflow test-upgrade test-report all install deb test-deb bench lint audit dist test-dist torture test-assert lint-deploy fuzz psql stop clean test-citus test-lake test-export test-import test-torchrun
.DEFAULT_GOAL := help

# Not $(dir …), which takes a path with a space for two.
here := $(shell dirname "$(strip $(MAKEFILE_LIST))")

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' "$(here)"/Makefile

demo: ## From nothing to recommendations out of SQL (DATA=generator: on generated sales)
	@"$(here)"/scripts/demo $(DATA) $(PRODUCTS)

test: ## Every test (PART=crates, sql, server, torture or core: only those; PG=16, 17 or 18: on that PostgreSQL)
	@PG_MAJOR=$(PG) "$(here)"/scripts/test $(PART)

test-monitoring: ## Debian's Prometheus, exporter and Alertmanager on what the extension measures
	@"$(here)"/scripts/test-monitoring

docs: ## The documentation as a site, in the state folder
	@"$(here)"/scripts/docs

test-docs: ## The documentation: its site in a browser, its SQL, the tutorial, the reference
	@"$(here)"/scripts/docs test

test-bare: ## The demo and the SQL tests on a bare Debian 12, as root and as a user (PART=all: root's every test)
	@"$(here)"/scripts/test-bare $(PART)

test-images: ## The images of docker/: checked, built and run, without Docker (PART=lint: only checked; KEEP=1: left for the next call)
	@KEEP="$(KEEP)" "$(here)"/scripts/test-images $(PART)

test-replicas: ## Three servers under Debian's Patroni, scored on while versions are promoted and the leader is killed
	@"$(here)"/scripts/test-replicas

test-mlflow: ## The Python package for MLflow, with MLflow's server and a browser
	@"$(here)"/scripts/test-mlflow

test-lake: ## Parquet files in object stores, which run on the loopback (Azurite, moto)
	@"$(here)"/scripts/test-lake

test-upgrade: ## From each release to this version, with the release's own library, which is built for it
	@"$(here)"/scripts/test-upgrade

test-citus: ## On Citus, a coordinator and two workers: the same answers as on one server (PG_CONFIG=/path/to/the/pg_config/of/a/PostgreSQL/with/it)
	@PG_CONFIG="$(PG_CONFIG)" "$(here)"/scripts/test-citus

test-report: ## The page of a model in a browser
	@"$(here)"/scripts/test-report

test-export: ## Versions of every algorithm exported as ONNX, their scores by ONNX Runtime beside predict's
	@"$(here)"/scripts/test-export

test-import: ## Models of Keras, PyTorch, scikit-learn, LightGBM, XGBoost and CatBoost as ONNX, against their makers' own scores
	@"$(here)"/scripts/test-import

test-torchrun: ## Training sets trained by PyTorch on one process and on two, imported, beside the server's own training
	@"$(here)"/scripts/test-torchrun

all: ## Nothing: PGXN's client asks for it before install, which builds
	@:

install: ## Into a PostgreSQL one already has: make install PG_CONFIG=/path/to/pg_config
	@test -n "$(PG_CONFIG)" || { echo "error: which PostgreSQL? make install PG_CONFIG=/path/to/its/pg_config" >&2; exit 1; }
	@"$(here)"/scripts/setup toolchain
	@"$(here)"/scripts/install "$(PG_CONFIG)"

deb: ## Debian packages in target/debian (PG="15 17": for these; PG_CONFIG=/path/to/pg_config: for that)
	@PG_CONFIG="$(PG_CONFIG)" "$(here)"/scripts/deb $(PG)

test-deb: ## The packages on a bare Debian: installed, upgraded, removed, purged (PG=17: on Debian 13; OLD=folder: from these, NEW=folder: these)
	@OLD="$(OLD)" NEW="$(NEW)" "$(here)"/scripts/test-deb $(PG)

bench: ## The benchmarks, each beside its peer
	@"$(here)"/scripts/bench

lint: ## Formatting, warnings, and where unsafe code stands
	@"$(here)"/scripts/lint

audit: ## Known vulnerabilities of the crates that are linked in (asks RustSec)
	@"$(here)"/scripts/audit

dist: ## The source of a release in target/dist: archives, what is linked in (SBOM), checksums
	@"$(here)"/scripts/dist

test-dist: ## What a release is made of, its notes, how it is published and deployed
	@"$(here)"/scripts/test-dist

options = SEED=$(SEED) STATEMENTS=$(STATEMENTS) SESSIONS=$(SESSIONS) SECONDS=$(SECONDS) KEEP_GOING=$(KEEP_GOING) TRACE=$(TRACE)

torture: ## Random statements of several sessions, every answer checked (SEED=…, STATEMENTS=…, SESSIONS=…, SECONDS=…, PG_CONFIG=…)
	@"$(here)"/scripts/torture $(options) PG_CONFIG=$(PG_CONFIG)

test-assert: ## SQL files, integration tests and torture on a PostgreSQL with assertions, built for it (takes an hour)
	@"$(here)"/scripts/test-assert $(options)

lint-deploy: ## Kubernetes's manifests and Terraform, without a cluster and without Azure
	@"$(here)"/scripts/lint-deploy

fuzz: ## The reader of artifacts on damaged ones, for a minute (SECONDS=…)
	@"$(here)"/scripts/fuzz $(SECONDS)

psql: ## psql against the demo's cluster
	@"$(here)"/scripts/psql

stop: ## Stops the demo's cluster
	@"$(here)"/scripts/cluster stop demo

clean: ## Stops our clusters and removes all that was fetched and built
	@"$(here)"/scripts/clean
