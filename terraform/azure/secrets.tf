# Passwords of the database's roles. Their values are set by people or pipelines (README.md), never by Terraform, whose state would
# hold them.
resource "azurerm_key_vault" "this" {
  name                          = "${local.name}-kv"
  resource_group_name           = azurerm_resource_group.this.name
  location                      = var.location
  tenant_id                     = data.azurerm_client_config.current.tenant_id
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  purge_protection_enabled      = true
  soft_delete_retention_days    = 90
  public_network_access_enabled = false
  tags                          = local.tags

  network_acls {
    default_action = "Deny"
    bypass         = "AzureServices"
  }
}
