# What Azure would answer, as far as something here depends on it.

mock_data "azurerm_client_config" {
  defaults = { tenant_id = "11111111-1111-1111-1111-111111111111" }
}

mock_resource "azurerm_user_assigned_identity" {
  defaults = { client_id = "33333333-3333-3333-3333-333333333333" }
}

mock_resource "azurerm_key_vault" {
  defaults = { vault_uri = "https://vault.example/" }
}
