resource "azurerm_virtual_network" "this" {
  name                = local.name
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  address_space       = [var.address_space]
  tags                = local.tags
}

resource "azurerm_subnet" "nodes" {
  name                 = "nodes"
  resource_group_name  = azurerm_resource_group.this.name
  virtual_network_name = azurerm_virtual_network.this.name
  address_prefixes     = [cidrsubnet(var.address_space, 1, 0)]
}

resource "azurerm_subnet" "endpoints" {
  name                              = "endpoints"
  resource_group_name               = azurerm_resource_group.this.name
  virtual_network_name              = azurerm_virtual_network.this.name
  address_prefixes                  = [cidrsubnet(var.address_space, 4, 8)]
  private_endpoint_network_policies = "Enabled"
}

# What the nodes reach comes through their subnet's rules and the cluster's network policies; this refuses the rest.
resource "azurerm_network_security_group" "this" {
  for_each = toset(["nodes", "endpoints"])

  name                = "${local.name}-${each.key}"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = local.tags

  security_rule {
    name                       = "nothing-from-the-internet"
    priority                   = 4000
    direction                  = "Inbound"
    access                     = "Deny"
    protocol                   = "*"
    source_address_prefix      = "Internet"
    source_port_range          = "*"
    destination_address_prefix = "*"
    destination_port_range     = "*"
  }
}

resource "azurerm_subnet_network_security_group_association" "this" {
  for_each = { nodes = azurerm_subnet.nodes.id, endpoints = azurerm_subnet.endpoints.id }

  subnet_id                 = each.value
  network_security_group_id = azurerm_network_security_group.this[each.key].id
}

locals {
  # What has a private address in the network, and no public one.
  private = {
    vault    = { id = azurerm_key_vault.this.id, subresource = "vault", zone = "privatelink.vaultcore.azure.net" }
    backups  = { id = azurerm_storage_account.backups.id, subresource = "blob", zone = "privatelink.blob.core.windows.net" }
    lake     = { id = azurerm_storage_account.lake.id, subresource = "blob", zone = "privatelink.blob.core.windows.net" }
    lakedfs  = { id = azurerm_storage_account.lake.id, subresource = "dfs", zone = "privatelink.dfs.core.windows.net" }
    registry = { id = azurerm_container_registry.this.id, subresource = "registry", zone = "privatelink.azurecr.io" }
  }
}

resource "azurerm_private_dns_zone" "this" {
  for_each = toset([for endpoint in local.private : endpoint.zone])

  name                = each.key
  resource_group_name = azurerm_resource_group.this.name
  tags                = local.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "this" {
  for_each = azurerm_private_dns_zone.this

  name                  = local.name
  resource_group_name   = azurerm_resource_group.this.name
  private_dns_zone_name = each.value.name
  virtual_network_id    = azurerm_virtual_network.this.id
  tags                  = local.tags
}

resource "azurerm_private_endpoint" "this" {
  for_each = local.private

  name                = "${local.name}-${each.key}"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  subnet_id           = azurerm_subnet.endpoints.id
  tags                = local.tags

  private_service_connection {
    name                           = each.key
    private_connection_resource_id = each.value.id
    subresource_names              = [each.value.subresource]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "default"
    private_dns_zone_ids = [azurerm_private_dns_zone.this[each.value.zone].id]
  }
}
