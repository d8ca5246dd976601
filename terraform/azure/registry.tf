# Copies of the images: nodes pull from here, whatever becomes of where they were published.
resource "azurerm_container_registry" "this" {
  name                    = "${var.name}${var.environment}"
  resource_group_name     = azurerm_resource_group.this.name
  location                = var.location
  sku                     = "Premium"
  admin_enabled           = false
  anonymous_pull_enabled  = false
  zone_redundancy_enabled = true
  # Untagged images go after so many days.
  retention_policy_in_days = 30
  data_endpoint_enabled    = true
  tags                     = local.tags
}
