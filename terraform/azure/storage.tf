# Base backups and WAL. Nothing has a key: the instances come with the identity of their service account.
resource "azurerm_storage_account" "backups" {
  #checkov:skip=CKV_AZURE_33:there are no queues
  #checkov:skip=CKV_AZURE_206:storage_replication says; the example of production takes GZRS
  #checkov:skip=CKV2_AZURE_1:encrypted with the platform's keys
  name                            = "${var.name}${var.environment}bak"
  resource_group_name             = azurerm_resource_group.this.name
  location                        = var.location
  account_tier                    = "Standard"
  account_kind                    = "StorageV2"
  account_replication_type        = var.storage_replication
  min_tls_version                 = "TLS1_2"
  https_traffic_only_enabled      = true
  shared_access_key_enabled       = false
  default_to_oauth_authentication = true
  allow_nested_items_to_be_public = false
  public_network_access_enabled   = false
  local_user_enabled              = false
  tags                            = local.tags

  blob_properties {
    # What is deleted by mistake, or by somebody who got into the cluster, can be brought back.
    versioning_enabled = true

    delete_retention_policy {
      days = var.deleted_backups_days
    }

    container_delete_retention_policy {
      days = var.deleted_backups_days
    }
  }

  network_rules {
    default_action = "Deny"
    bypass         = ["AzureServices"]
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_storage_container" "backups" {
  #checkov:skip=CKV2_AZURE_21:reads are logged by the diagnostic settings in monitoring.tf
  name                  = "backups"
  storage_account_id    = azurerm_storage_account.backups.id
  container_access_type = "private"
}

# Old versions would stay for ever otherwise.
resource "azurerm_storage_management_policy" "backups" {
  storage_account_id = azurerm_storage_account.backups.id

  rule {
    name    = "versions"
    enabled = true

    filters {
      blob_types = ["blockBlob"]
    }

    actions {
      version {
        delete_after_days_since_creation = var.deleted_backups_days
      }
    }
  }
}

# For Parquet, once the extension reads and writes it: until then nobody has a role there.
resource "azurerm_storage_account" "lake" {
  #checkov:skip=CKV_AZURE_33:there are no queues
  #checkov:skip=CKV_AZURE_206:storage_replication says; the example of production takes GZRS
  #checkov:skip=CKV2_AZURE_1:encrypted with the platform's keys
  name                            = "${var.name}${var.environment}lake"
  resource_group_name             = azurerm_resource_group.this.name
  location                        = var.location
  account_tier                    = "Standard"
  account_kind                    = "StorageV2"
  account_replication_type        = var.storage_replication
  is_hns_enabled                  = true
  min_tls_version                 = "TLS1_2"
  https_traffic_only_enabled      = true
  shared_access_key_enabled       = false
  default_to_oauth_authentication = true
  allow_nested_items_to_be_public = false
  public_network_access_enabled   = false
  local_user_enabled              = false
  tags                            = local.tags

  blob_properties {
    delete_retention_policy {
      days = var.deleted_backups_days
    }

    container_delete_retention_policy {
      days = var.deleted_backups_days
    }
  }

  network_rules {
    default_action = "Deny"
    bypass         = ["AzureServices"]
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_storage_container" "lake" {
  #checkov:skip=CKV2_AZURE_21:reads are logged by the diagnostic settings in monitoring.tf
  name                  = "lake"
  storage_account_id    = azurerm_storage_account.lake.id
  container_access_type = "private"
}
