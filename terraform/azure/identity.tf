locals {
  # Who acts: Kubernetes, its nodes, and two service accounts of the namespace.
  identities = {
    cluster  = null
    nodes    = null
    database = "reco"           # CloudNativePG names the service account as the cluster
    secrets  = "secrets-reader" # k8s/base/secrets.yaml
  }
}

resource "azurerm_user_assigned_identity" "this" {
  for_each = local.identities

  name                = "${local.name}-${each.key}"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = local.tags
}

# A token of the service account is as good as the identity: there is no secret to keep or to change.
resource "azurerm_federated_identity_credential" "this" {
  for_each = { for key, account in local.identities : key => account if account != null }

  name                      = each.value
  user_assigned_identity_id = azurerm_user_assigned_identity.this[each.key].id
  issuer                    = azurerm_kubernetes_cluster.this.oidc_issuer_url
  subject                   = "system:serviceaccount:${var.namespace}:${each.value}"
  audience                  = ["api://AzureADTokenExchange"]
}

# What the cluster needs before it is made.
resource "azurerm_role_assignment" "cluster" {
  for_each = {
    network = { role = "Network Contributor", scope = azurerm_subnet.nodes.id }
    kubelet = { role = "Managed Identity Operator", scope = azurerm_user_assigned_identity.this["nodes"].id }
  }

  principal_id         = azurerm_user_assigned_identity.this["cluster"].principal_id
  principal_type       = "ServicePrincipal"
  role_definition_name = each.value.role
  scope                = each.value.scope
}

# The least that each needs, on the one thing that it needs it for.
resource "azurerm_role_assignment" "workload" {
  for_each = {
    images  = { identity = "nodes", role = "AcrPull", scope = azurerm_container_registry.this.id }
    backups = { identity = "database", role = "Storage Blob Data Contributor", scope = azurerm_storage_container.backups.id }
    secrets = { identity = "secrets", role = "Key Vault Secrets User", scope = azurerm_key_vault.this.id }
  }

  principal_id         = azurerm_user_assigned_identity.this[each.value.identity].principal_id
  principal_type       = "ServicePrincipal"
  role_definition_name = each.value.role
  scope                = each.value.scope
}
