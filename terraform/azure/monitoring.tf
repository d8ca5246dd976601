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

locals {
  groups = { for group in flatten([for file in var.rules_files : yamldecode(file(file)).groups]) : group.name => group }

  # Azure counts severity from 0, the worst; Prometheus has words.
  severity = { critical = 1, warning = 2, info = 3 }
}

resource "azurerm_monitor_action_group" "this" {
  count = length(var.alert_emails) > 0 ? 1 : 0

  name                = local.name
  resource_group_name = azurerm_resource_group.this.name
  short_name          = substr(local.name, 0, 12)
  tags                = local.tags

  dynamic "email_receiver" {
    for_each = toset(var.alert_emails)

    content {
      name          = email_receiver.value
      email_address = email_receiver.value
    }
  }
}

# The project's own rules, as Prometheus reads them: a duration there, 15m, is PT15M here.
resource "azurerm_monitor_alert_prometheus_rule_group" "this" {
  for_each = local.groups

  name                = each.key
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  cluster_name        = azurerm_kubernetes_cluster.this.name
  scopes              = [azurerm_monitor_workspace.this.id, azurerm_kubernetes_cluster.this.id]
  interval            = "PT1M"
  tags                = local.tags

  dynamic "rule" {
    for_each = each.value.rules

    content {
      alert       = try(rule.value.alert, null)
      record      = try(rule.value.record, null)
      expression  = rule.value.expr
      for         = can(rule.value.alert) ? "PT${upper(try(rule.value.for, "0m"))}" : null
      severity    = can(rule.value.alert) ? local.severity[rule.value.labels.severity] : null
      labels      = try(rule.value.labels, null)
      annotations = try(rule.value.annotations, null)

      dynamic "action" {
        for_each = can(rule.value.alert) ? azurerm_monitor_action_group.this[*].id : []

        content {
          action_group_id = action.value
        }
      }
    }
  }
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
