"""Prints the Grafana dashboard. Needs PyPI's grafana-foundation-sdk; scripts/test-monitoring brings the version that it was made
with:

    python monitoring/grafana/dashboard.py > monitoring/grafana/pg_recommend.json"""

import json

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.common import VizLegendOptions, VizTooltipOptions
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync, DataSourceRef, DataTransformerConfig, VariableRefresh
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
# What the variables of the dashboard choose.
OF_MODEL = '{datname=~"$datname", model=~"$model"}'
OF_DATABASE = '{datname=~"$datname"}'


def target(ref, expr, legend, instant=False):
    built = prometheus.Dataquery().ref_id(ref).expr(expr).legend_format(legend).datasource(SOURCE)
    return built.instant().format(PromQueryFormat.TABLE) if instant else built.range()


def with_targets(panel, title, about, targets, width, height=8, instant=False):
    panel.title(title).description(about).datasource(SOURCE).span(width).height(height)
    for ref, (expr, legend) in zip("ABCD", targets):
        panel.with_target(target(ref, expr, legend, instant))
    return panel


def lines(title, about, unit, *targets, width=8, least=0, most=None):
    """Lines over time."""
    panel = timeseries.Panel().unit(unit).fill_opacity(8).line_width(2).show_points(common.VisibilityMode.NEVER)
    panel.legend(common_legend()).tooltip(common_tooltip())
    if least is not None:
        panel.min(least)
    if most is not None:
        panel.max(most)
    return with_targets(panel, title, about, targets, width)


def common_legend():
    return VizLegendOptions().display_mode(common.LegendDisplayMode.LIST).placement(common.LegendPlacement.BOTTOM).show_legend(True)


def common_tooltip():
    return VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)


def number(title, about, unit, expr, legend, width=4):
    """What it is now."""
    return with_targets(stat.Panel().unit(unit), title, about, [(expr, legend)], width, height=4, instant=False)


def rows_of(title, about, *targets, width=8):
    """A table of what it is now."""
    # One row for each set of labels, not one table for each query.
    panel = table.Panel().with_transformation(DataTransformerConfig(id_val="merge", options={}))
    return with_targets(panel, title, about, targets, width, instant=True)


VERSION = "{{model}} v{{version}}"
ARM = "{{test}}: {{arm}} (v{{version}})"

PARTS = [
    ("Scoring", [
        lines("Calls", "Statements a second that score with the version", "reqps", (f"reco:scoring_calls:rate5m{OF_MODEL}", VERSION)),
        lines("Rows", "Rows that are scored a second", "rowsps", (f"reco:scoring_rows:rate5m{OF_MODEL}", VERSION)),
        lines("Latency", "From the look-up of the version to the end of its statement: the half of the calls, and all but one in a hundred", "s",
              (f"reco:scoring_latency_seconds:p50_5m{OF_MODEL}", f"{VERSION} p50"), (f"reco:scoring_latency_seconds:p99_5m{OF_MODEL}", f"{VERSION} p99")),
        lines("Time of a row", "Time of the statements divided by the rows that they score", "s", (f"reco:scoring_row_seconds:mean5m{OF_MODEL}", VERSION)),
        lines("Errors", "Share of calls whose statement failed, and calls a second that found no version", "percentunit",
              (f"reco:scoring_errors:ratio5m{OF_MODEL}", VERSION),
              (f'sum by (datname) (rate(reco_scoring_errors_total{{datname=~"$datname", model=""}}[5m]))', "no version, a second")),
        lines("Cache hits", "Share of look-ups that found the decoded model in the backend's cache", "percentunit",
              (f"reco:scoring_cache_hits:ratio5m{OF_MODEL}", VERSION), most=1),
    ]),
    ("Quality", [
        lines("AUROC on test weeks", "Of versions that have an alias or an arm, beside popularity on the same rows", "none",
              (f"reco_test_auroc{OF_MODEL}", VERSION), (f"reco_test_popularity_auroc{OF_MODEL}", f"{VERSION}, popularity"), least=None),
        rows_of("Calibration on test weeks", "Mean probability (A) and share of purchases (B) of the test rows in each bin of scores",
                (f"reco_test_bin_score_mean{OF_MODEL}", ""), (f"reco_test_bin_label_mean{OF_MODEL}", "")),
        lines("Calibration error and log loss", "Of the test weeks; lower is better", "none",
              (f"reco_test_calibration_error{OF_MODEL}", f"{VERSION} calibration error"), (f"reco_test_log_loss{OF_MODEL}", f"{VERSION} log loss")),
    ]),
    ("Weeks whose outcome is known", [
        lines("AUROC of the newest week", "Of the version that served, beside what it had on its test weeks", "none",
              (f"reco:monitored_auroc:max{OF_MODEL}", VERSION), (f"reco:monitored_test_auroc:max{OF_MODEL}", f"{VERSION}, test weeks"), least=None),
        lines("Calibration of the newest week", "Mean probability and share of purchases, and their mean distance over the bins of scores", "percentunit",
              (f"reco_monitored_score_mean{OF_MODEL}", f"{VERSION} mean probability"),
              (f"reco_monitored_label_mean{OF_MODEL}", f"{VERSION} share of purchases"),
              (f"reco_monitored_calibration_error{OF_MODEL}", f"{VERSION} calibration error")),
        lines("Calibration slope", "1 if log odds of purchases and of probabilities agree; less if probabilities are too extreme", "none",
              (f"reco_monitored_calibration_slope{OF_MODEL}", VERSION), least=None),
        lines("Drift by column", "Population stability index of the newest week beside training, of the inputs whose drift matters most", "none",
              (f"topk by (datname, model) (10, reco:drift_psi:max{OF_MODEL})", "{{model}} {{column}}"),
              (f"reco_drift_score_psi{OF_MODEL}", "{{model}} scores")),
        rows_of("Drift and importance", "Of each input in the newest week: index (A), importance for the model (B), share of NULLs (C)",
                (f"reco_drift_psi{OF_MODEL}", ""), (f"reco_drift_importance{OF_MODEL}", ""), (f"reco_drift_null_share{OF_MODEL}", "")),
        number("Status", "0 ok, 1 warning, 2 alarm", "none", f"reco_health_status{OF_MODEL}", "{{model}}"),
        number("Newest week that was judged", "When it began", "dateTimeAsIso", f"1000 * reco_monitored_week_timestamp_seconds{OF_MODEL}", "{{model}}"),
    ]),
    ("Schedules", [
        rows_of("Next run, attempts left, failures in a row", "Next run (A, in seconds from now), attempts left of this time (B), failures for good in a row (C)",
                (f"reco_schedule_next_run_timestamp_seconds{OF_DATABASE} - time()", ""), (f"reco_schedule_attempts_left{OF_DATABASE}", ""),
                (f"reco_schedule_failures_in_a_row{OF_DATABASE}", ""), width=12),
        lines("Attempts by how they ended", "As far back as reco.max_schedule_history", "none",
              (f"reco_schedule_attempts_kept{OF_DATABASE}", "{{kind}} {{subject}} {{status}}"), width=8),
        number("Last call of run_due()", "Seconds since; it is to be called once a minute", "s", f"reco:schedules_call_age:seconds{OF_DATABASE}", "{{datname}}"),
    ]),
    ("Models and trainings", [
        number("Champion", "The version that predict and recommend use", "none", f"reco_champion_version{OF_MODEL}", "{{model}}"),
        number("Age of the champion", "Since it was trained", "s", f"reco:champion_age:seconds{OF_MODEL}", "{{model}}"),
        number("Trainings under way", "Now", "none", f"reco_model_trainings_running{OF_MODEL}", "{{model}}"),
        lines("Trainings that ended", "By how they ended, since the model was made", "none", (f"reco_runs_total{OF_MODEL}", "{{model}} {{status}}"), width=6),
        lines("Duration of the last training", "By how it ended", "s", (f"reco_run_last_duration_seconds{OF_MODEL}", "{{model}} {{status}}"), width=6),
    ]),
    ("Features", [
        lines("Age of the newest week", "Since the end of the newest week that is stored", "s", (f"reco:features_age:seconds{OF_DATABASE}", "{{view}}")),
        lines("Rows", "Stored in the feature view", "none", (f"reco_features_rows{OF_DATABASE}", "{{view}}")),
        lines("Refreshes", "By how they ended", "none", (f"reco_refreshes_total{OF_DATABASE}", "{{view}} {{status}}")),
    ]),
    ("A/B tests", [
        lines("Rows by arm", "Scored a second by the version of the arm", "rowsps",
              (f"reco:scoring_rows:rate5m{OF_MODEL} * on (datname, model, version) group_right () (reco_ab_arm_share{OF_MODEL} > bool 0)", ARM)),
        lines("Shown and share", "Recommendations logged in the newest week, by arm", "none", (f"reco_ab_arm_shown{OF_MODEL}", ARM)),
        lines("Mean score of what was shown", "In the newest week, by arm", "none", (f"reco_ab_shown_score_mean{OF_MODEL}", ARM)),
    ]),
    ("Counters", [
        number("Scoring is counted", "1 if the library is preloaded", "none", f"reco_counters_enabled{OF_DATABASE}", "{{datname}}"),
        number("Slots in use", "Share of reco.counted_versions", "percentunit",
               f"reco_counters_slots_used{OF_DATABASE} / (reco_counters_slots{OF_DATABASE} > 0)", "{{datname}}"),
        number("Release", "Of the extension", "none", f"reco_extension_info{OF_DATABASE}", "{{release}}"),
    ]),
]


def variable(name, query):
    return (
        dashboard.QueryVariable(name).label(name).datasource(SOURCE).query(query).multi(True).include_all(True).all_value(".*")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
    )


def built():
    made = (
        dashboard.Dashboard("pg_recommend").uid("pg-recommend").tags(["postgresql", "pg_recommend"])
        .description("Scoring, quality, trainings, features and A/B tests of pg_recommend").tooltip(DashboardCursorSync.CROSSHAIR)
        .refresh("1m").time("now-6h", "now").timezone("browser").readonly()
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(variable("datname", "label_values(reco_extension_info, datname)"))
        .with_variable(variable("model", 'label_values(reco_model_versions{datname=~"$datname"}, model)'))
    )
    for title, panels in PARTS:
        made.with_row(dashboard.Row(title))
        for panel in panels:
            made.with_panel(panel)
    return made.build()


def without_nulls(value):
    """Grafana's schema has no null where the SDK leaves out a value."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def plain(made):
    value = without_nulls(json.loads(JSONEncoder(sort_keys=True).encode(made)))
    value.pop("style", None)  # of older schemas
    for variable in value["templating"]["list"]:
        # The schema of these variables does not have them.
        for field in ("auto", "auto_count", "auto_min", "id"):
            variable.pop(field, None)
    return value


print(json.dumps(plain(built()), indent=2, sort_keys=True))
