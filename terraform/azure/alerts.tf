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
