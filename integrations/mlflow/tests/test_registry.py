"""Models, versions and aliases."""

import pytest
from mlflow.exceptions import MlflowException


def test_a_registered_model_is_a_model_with_its_purpose_and_aliases(registry):
    model = registry.get_registered_model("launch")
    assert model.description == "Which new products are bought where next week."
    assert list(model.aliases.items()) == [("champion", "2"), ("challenger", "3")]
    assert [version.version for version in model.latest_versions] == ["4"]
    assert {model.name for model in registry.search_registered_models()} == {"launch", "größe", "größe 1/2"}
    assert [model.name for model in registry.search_registered_models("name ILIKE 'LAUN%'")] == ["launch"]


def test_a_version_links_to_its_run_and_tells_what_it_is(registry, named, sql):
    version = registry.get_model_version("launch", "2")
    assert version.run_id == named["v2 boosted_trees"].info.run_id
    assert version.aliases == ["champion"] and version.user_id == "postgres" and version.status == "READY"
    assert version.description.startswith("# launch, version 2") and "- definition:" not in version.description
    (listed,) = registry.search_model_versions(f"run_id = '{version.run_id}'")
    assert "boosted_trees, trained from public.launch_features" in listed.description
    assert listed.description.endswith("Promoted by postgres: ranks new products better")


def test_versions_are_filtered_ordered_and_paged_by_mlflows_own_rules(registry):
    def numbers(versions):
        return [version.version for version in versions]

    order = ["version_number ASC"]
    assert numbers(registry.search_model_versions("name = 'launch'", order_by=order)) == ["1", "2", "3", "4"]
    first = registry.search_model_versions("name = 'launch'", 3, order)
    rest = registry.search_model_versions("name = 'launch'", 3, order, first.token)
    assert numbers(first) + numbers(rest) == ["1", "2", "3", "4"]
    assert numbers(registry.search_model_versions("tags.`reco.algorithm` = 'boosted_trees'")) == ["2"]


def test_an_alias_leads_to_its_version_as_soon_as_it_moves(registry, sql):
    assert registry.get_model_version_by_alias("launch", "champion").version == "2"
    sql("SELECT reco.promote('launch', 1)")
    try:
        assert registry.get_model_version_by_alias("launch", "champion").version == "1"
    finally:
        sql("SELECT reco.promote('launch', 2, 'ranks new products better')")


def test_an_imported_version_has_no_run(registry):
    version = registry.get_model_version("größe 1/2", 1)
    assert version.run_id is None and version.tags["reco.status"] == "imported"


@pytest.mark.parametrize("version", ["0", "-1", "x", "99999999999", "1; DROP TABLE few"])
def test_what_is_no_version_is_refused(registry, version):
    with pytest.raises(MlflowException) as refused:
        registry.get_model_version("launch", version)
    assert refused.value.get_http_status_code() == 400


def test_what_does_not_exist_is_not_found(registry):
    for ask in (lambda: registry.get_registered_model("nothing"), lambda: registry.get_model_version("launch", 99)):
        with pytest.raises(MlflowException) as refused:
            ask()
        assert refused.value.get_http_status_code() == 404
