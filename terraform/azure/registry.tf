# Copies of the images: nodes pull from here, whatever becomes of where they were published. az acr import brings them, through
# Azure's own API, so that the registry itself needs no public address.
resource "azurerm_container_registry" "this" {
  #checkov:skip=CKV_AZURE_164:content trust is being retired; images carry signed provenance, which the release writes
  #checkov:skip=CKV_AZURE_165:the cluster is in one region, and images can be imported again
  #checkov:skip=CKV_AZURE_166:quarantine is a preview that needs a scanner to release each image
  name                   = "${var.name}${var.environment}"
  resource_group_name    = azurerm_resource_group.this.name
  location               = var.location
  sku                    = "Premium"
  admin_enabled          = false
  anonymous_pull_enabled = false

  public_network_access_enabled = false
  network_rule_bypass_option    = "AzureServices"

  zone_redundancy_enabled = true
  data_endpoint_enabled   = true
  # Untagged images go after so many days.
  retention_policy_in_days = 30
  tags                     = local.tags
}
