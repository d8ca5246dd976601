data "azurerm_client_config" "current" {}

locals {
  name = "${var.name}-${var.environment}"
  tags = merge({ application = "pg_recommend", environment = var.environment }, var.tags)

  # Labels and taints by which k8s/ finds the pools.
  pool = "pg-recommend.io/pool"
}

resource "azurerm_resource_group" "this" {
  name     = local.name
  location = var.location
  tags     = local.tags
}
