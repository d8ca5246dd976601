"""pg-recommend-mlflow export --from pg-recommend://… --to https://…"""

import argparse
import sys

from mlflow.exceptions import MlflowException

from pg_recommend_mlflow.export import export_to


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pg-recommend-mlflow", description="The catalog of pg_recommend in MLflow.")
    export = parser.add_subparsers(dest="command", required=True).add_parser(
        "export",
        help="copy a catalog into another MLflow; what is there already is not copied again",
        description="Copies a catalog into another MLflow. It can be repeated: nothing is there twice.",
    )
    export.add_argument("--from", dest="source", required=True, metavar="URI", help="pg-recommend://user@host:port/database")
    export.add_argument("--to", dest="tracking", required=True, metavar="URI", help="the tracking URI of the other MLflow")
    export.add_argument("--registry", metavar="URI", help="its registry, where that is another than its tracking URI")
    export.add_argument("--model", dest="models", action="append", metavar="NAME", help="only this model; may be repeated")
    export.add_argument("--prefix", default="", help="before the names of experiments and models there")
    export.add_argument("--without-files", dest="files", action="store_false", help="no weights and model cards")
    return parser


def main(argv: list[str] | None = None) -> int:
    given = arguments().parse_args(argv)
    try:
        copied = export_to(
            given.tracking,
            given.source,
            registry_uri=given.registry,
            models=given.models,
            prefix=given.prefix,
            files=given.files,
        )
    except MlflowException as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    print(
        f"copied {copied.runs} runs, {copied.models} models and {copied.versions} versions, and moved {copied.aliases} aliases;"
        f" now as in the catalog: {', '.join(copied.names) or 'nothing'}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
