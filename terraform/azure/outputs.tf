output "settings" {
  description = "What k8s/ has to know: written to settings.yaml of the overlay, by terraform output -raw settings"
  value       = <<-YAML
    # Written by `terraform output -raw settings` (terraform/examples/${var.environment}). The image is set here, and nowhere else.
    apiVersion: v1
    kind: ConfigMap
    metadata:
      name: settings
      annotations:
        config.kubernetes.io/local-config: "true"
    data:
      image: ${var.image}
      training_image: ${coalesce(var.training_image, "${var.image}-cuda")}
      backup_path: https://${azurerm_storage_account.backups.name}.blob.core.windows.net/${azurerm_storage_container.backups.name}
      key_vault_url: ${azurerm_key_vault.this.vault_uri}
      tenant_id: ${data.azurerm_client_config.current.tenant_id}
      database_client_id: ${azurerm_user_assigned_identity.this["database"].client_id}
      secrets_client_id: ${azurerm_user_assigned_identity.this["secrets"].client_id}
  YAML
}

output "resource_group" {
  description = "Name of the resource group"
  value       = azurerm_resource_group.this.name
}

output "cluster" {
  description = "Name of the cluster: az aks get-credentials --resource-group … --name …"
  value       = azurerm_kubernetes_cluster.this.name
}

output "registry" {
  description = "Server of the registry: az acr import brings images there"
  value       = azurerm_container_registry.this.login_server
}

output "key_vault" {
  description = "Name of the vault in which the passwords are"
  value       = azurerm_key_vault.this.name
}

output "lake" {
  description = "URL of the data lake, for Parquet once the extension reads and writes it"
  value       = "abfss://${azurerm_storage_container.lake.name}@${azurerm_storage_account.lake.name}.dfs.core.windows.net/"
}

output "grafana" {
  description = "Address of Grafana, if there is one"
  value       = one(azurerm_dashboard_grafana.this[*].endpoint)
}
