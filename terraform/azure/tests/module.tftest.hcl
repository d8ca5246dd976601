# What the module makes, planned against the provider's schema. Values that only Azure gives are the mock's.

mock_provider "azurerm" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  environment            = "test"
  location               = "westeurope"
  image                  = "ghcr.io/OWNER/pg_recommend:15-0.2.0"
  admin_group_object_ids = ["22222222-2222-2222-2222-222222222222"]
}

run "without_ranges_the_api_is_private" {
  command = plan

  assert {
    condition     = azurerm_kubernetes_cluster.this.private_cluster_enabled && length(azurerm_kubernetes_cluster.this.api_server_access_profile) == 0
    error_message = "the API has a public address that anybody reaches"
  }
}

run "with_ranges_only_these_reach_the_api" {
  command = plan

  variables {
    authorized_ip_ranges = ["192.0.2.0/24"]
  }

  assert {
    condition     = !azurerm_kubernetes_cluster.this.private_cluster_enabled && tolist(azurerm_kubernetes_cluster.this.api_server_access_profile[0].authorized_ip_ranges) == tolist(["192.0.2.0/24"])
    error_message = "the API is not reached from the ranges"
  }
}

run "a_deployment_reaches_the_private_api_through_azure" {
  command = plan

  assert {
    condition     = azurerm_kubernetes_cluster.this.run_command_enabled
    error_message = "az aks command invoke, by which scripts/deploy runs kubectl, is off"
  }
}

run "nobody_logs_in_but_by_entra" {
  command = plan

  assert {
    condition     = azurerm_kubernetes_cluster.this.local_account_disabled && azurerm_kubernetes_cluster.this.azure_active_directory_role_based_access_control[0].azure_rbac_enabled
    error_message = "local accounts of the cluster are left"
  }

  assert {
    condition     = !azurerm_container_registry.this.admin_enabled && !azurerm_storage_account.backups.shared_access_key_enabled && !azurerm_storage_account.lake.shared_access_key_enabled && azurerm_key_vault.this.rbac_authorization_enabled
    error_message = "a key or an administrator's password opens the registry, the storage or the vault"
  }
}

run "nothing_that_holds_data_has_a_public_address" {
  command = plan

  assert {
    condition = alltrue([
      !azurerm_storage_account.backups.public_network_access_enabled,
      !azurerm_storage_account.lake.public_network_access_enabled,
      !azurerm_key_vault.this.public_network_access_enabled,
      !azurerm_container_registry.this.public_network_access_enabled,
    ])
    error_message = "backups, lake, vault or registry are reached from outside the network"
  }

  assert {
    condition     = toset(keys(azurerm_private_endpoint.this)) == toset(["vault", "backups", "lake", "lakedfs", "registry"])
    error_message = "not everything that is private has an endpoint in the network"
  }
}

run "the_pools_are_those_that_the_manifests_ask_for" {
  command = plan

  variables {
    gpu_pool = {}
  }

  assert {
    condition     = azurerm_kubernetes_cluster_node_pool.database.node_labels["pg-recommend.io/pool"] == yamldecode(file("../../k8s/base/cluster.yaml")).spec.affinity.nodeSelector["pg-recommend.io/pool"]
    error_message = "no node has the label that the instances are placed by"
  }

  assert {
    condition = join("", [for taint in yamldecode(file("../../k8s/base/cluster.yaml")).spec.affinity.tolerations : "${taint.key}=${taint.value}:${taint.effect}"
    ]) == azurerm_kubernetes_cluster_node_pool.database.node_taints[0]
    error_message = "the instances do not tolerate their nodes' taint"
  }

  assert {
    condition     = tomap(yamldecode(file("../../k8s/components/gpu-training/cronjob.yaml")).spec.jobTemplate.spec.template.spec.nodeSelector) == azurerm_kubernetes_cluster_node_pool.gpu[0].node_labels
    error_message = "no node has the label that the training is placed by"
  }

  assert {
    condition     = azurerm_kubernetes_cluster_node_pool.gpu[0].min_count == 0
    error_message = "GPUs are paid for while nothing trains"
  }
}

run "without_a_gpu_there_is_no_gpu_pool" {
  command = plan

  assert {
    condition     = length(azurerm_kubernetes_cluster_node_pool.gpu) == 0
    error_message = "a GPU pool that nobody asked for"
  }
}

run "there_is_a_node_for_each_instance" {
  command = plan

  assert {
    condition     = azurerm_kubernetes_cluster_node_pool.database.node_count >= yamldecode(file("../../k8s/base/cluster.yaml")).spec.instances
    error_message = "fewer nodes than instances"
  }
}

run "identities_are_of_the_service_accounts_in_the_manifests" {
  command = plan

  assert {
    condition     = azurerm_federated_identity_credential.this["database"].subject == "system:serviceaccount:${yamldecode(file("../../k8s/base/kustomization.yaml")).namespace}:${yamldecode(file("../../k8s/base/cluster.yaml")).metadata.name}"
    error_message = "the instances' service account is not the one that may write backups"
  }

  assert {
    condition     = azurerm_federated_identity_credential.this["secrets"].subject == "system:serviceaccount:pg-recommend:${yamldecode(split("---", file("../../k8s/base/secrets.yaml"))[0]).metadata.name}"
    error_message = "External Secrets' service account is not the one that may read the vault"
  }
}

run "each_identity_may_do_one_thing" {
  command = plan

  assert {
    condition = { for key, one in azurerm_role_assignment.workload : key => one.role_definition_name } == {
      images  = "AcrPull"
      backups = "Storage Blob Data Contributor"
      secrets = "Key Vault Secrets User"
    }
    error_message = "a role was added or changed"
  }
}

run "settings_are_what_the_overlays_read" {
  command = plan

  assert {
    condition     = keys(yamldecode(output.settings).data) == keys(yamldecode(file("../../k8s/overlays/production/settings.yaml")).data)
    error_message = "the overlay's settings have other keys than the output"
  }

  assert {
    condition = yamldecode(output.settings).data.image == "ghcr.io/OWNER/pg_recommend:15-0.2.0" && (
    yamldecode(output.settings).data.training_image == "ghcr.io/OWNER/pg_recommend:15-0.2.0-cuda")
    error_message = "the images are not those that were asked for"
  }

  assert {
    condition     = yamldecode(output.settings).data.backup_path == "https://recommendtestbak.blob.core.windows.net/backups" && yamldecode(output.settings).data.key_vault_url == "https://vault.example/"
    error_message = "backups or secrets are looked for elsewhere"
  }
}

run "the_projects_rules_are_alerts_in_azure" {
  command = plan

  variables {
    rules_files  = ["../../monitoring/prometheus/alerting.rules.yaml", "../../monitoring/prometheus/recording.rules.yaml"]
    alert_emails = ["dba@example.com"]
  }

  assert {
    condition = sum([for group in azurerm_monitor_alert_prometheus_rule_group.this : length(group.rule)]) == sum(flatten([
      for file in ["alerting", "recording"] : [for group in yamldecode(file("../../monitoring/prometheus/${file}.rules.yaml")).groups : length(group.rules)]
    ]))
    error_message = "a rule was lost"
  }

  assert {
    condition     = alltrue(flatten([for group in azurerm_monitor_alert_prometheus_rule_group.this : [for rule in group.rule : rule.alert == null || (can(regex("^PT[0-9]+[MH]$", rule.for)) && rule.severity >= 1 && length(rule.action) == 1)]]))
    error_message = "an alert without a duration, a severity or somebody who is told"
  }

  # Azure takes 20 rules in a group.
  assert {
    condition     = alltrue([for group in azurerm_monitor_alert_prometheus_rule_group.this : length(group.rule) <= 20])
    error_message = "a group has more rules than Azure takes"
  }
}

run "names_fit_into_what_azure_allows" {
  command = plan

  variables {
    name        = "abcdefghij"
    environment = "production"
  }

  assert {
    condition     = length(azurerm_storage_account.backups.name) <= 24 && length(azurerm_storage_account.lake.name) <= 24 && length(azurerm_key_vault.this.name) <= 24
    error_message = "a name is longer than Azure allows"
  }
}
