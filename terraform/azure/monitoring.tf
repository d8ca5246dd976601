resource "azurerm_log_analytics_workspace" "this" {
  name                         = local.name
  resource_group_name          = azurerm_resource_group.this.name
  location                     = var.location
  sku                          = "PerGB2018"
  retention_in_days            = var.log_days
  local_authentication_enabled = false
  tags                         = local.tags
}

# Managed Prometheus: what the PodMonitors of k8s/ name is kept here.
resource "azurerm_monitor_workspace" "this" {
  name                = local.name
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = local.tags
}

resource "azurerm_monitor_data_collection_endpoint" "this" {
  name                = "${local.name}-metrics"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  kind                = "Linux"
  tags                = local.tags
}

resource "azurerm_monitor_data_collection_rule" "this" {
  name                        = "${local.name}-metrics"
  resource_group_name         = azurerm_resource_group.this.name
  location                    = var.location
  kind                        = "Linux"
  data_collection_endpoint_id = azurerm_monitor_data_collection_endpoint.this.id
  tags                        = local.tags

  data_sources {
    prometheus_forwarder {
      name    = "prometheus"
      streams = ["Microsoft-PrometheusMetrics"]
    }
  }

  destinations {
    monitor_account {
      name               = "workspace"
      monitor_account_id = azurerm_monitor_workspace.this.id
    }
  }

  data_flow {
    streams      = ["Microsoft-PrometheusMetrics"]
    destinations = ["workspace"]
  }
}

resource "azurerm_monitor_data_collection_rule_association" "this" {
  name                    = "${local.name}-metrics"
  target_resource_id      = azurerm_kubernetes_cluster.this.id
  data_collection_rule_id = azurerm_monitor_data_collection_rule.this.id
}

resource "azurerm_dashboard_grafana" "this" {
  count = var.grafana ? 1 : 0

  name                  = "${var.name}-${var.environment}"
  resource_group_name   = azurerm_resource_group.this.name
  location              = var.location
  grafana_major_version = "11"
  api_key_enabled       = false
  tags                  = local.tags

  identity {
    type = "SystemAssigned"
  }

  azure_monitor_workspace_integrations {
    resource_id = azurerm_monitor_workspace.this.id
  }
}

resource "azurerm_role_assignment" "grafana" {
  count = var.grafana ? 1 : 0

  principal_id         = azurerm_dashboard_grafana.this[0].identity[0].principal_id
  principal_type       = "ServicePrincipal"
  role_definition_name = "Monitoring Data Reader"
  scope                = azurerm_monitor_workspace.this.id
}

# Who did what: calls of the Kubernetes API, and reads of secrets.
resource "azurerm_monitor_diagnostic_setting" "cluster" {
  name                       = "audit"
  target_resource_id         = azurerm_kubernetes_cluster.this.id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  dynamic "enabled_log" {
    for_each = ["kube-audit-admin", "guard", "kube-controller-manager", "cluster-autoscaler"]

    content {
      category = enabled_log.value
    }
  }
}

resource "azurerm_monitor_diagnostic_setting" "vault" {
  name                       = "audit"
  target_resource_id         = azurerm_key_vault.this.id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  enabled_log {
    category = "AuditEvent"
  }
}

resource "azurerm_monitor_diagnostic_setting" "storage" {
  for_each = { backups = azurerm_storage_account.backups.id, lake = azurerm_storage_account.lake.id }

  name                       = "audit"
  target_resource_id         = "${each.value}/blobServices/default"
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  dynamic "enabled_log" {
    for_each = ["StorageRead", "StorageWrite", "StorageDelete"]

    content {
      category = enabled_log.value
    }
  }
}
