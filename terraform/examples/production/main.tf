terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "4.73.0"
    }
  }

  # State lies in a storage account of its own: terraform init -backend-config=backend.hcl (README.md).
  backend "azurerm" {
    use_azuread_auth = true
  }
}

provider "azurerm" {
  # No keys of storage accounts exist.
  storage_use_azuread = true

  features {
    resource_group {
      prevent_deletion_if_contains_resources = true
    }
  }
}

variable "image" {
  description = "Image of PostgreSQL with the extension; a deployment sets it"
  type        = string
  default     = "ghcr.io/OWNER/pg_recommend:15-0.2.0"
}

variable "admin_group_object_ids" {
  description = "Entra groups that administer the cluster"
  type        = list(string)
}

variable "alert_emails" {
  description = "Who is told of alerts"
  type        = list(string)
}

module "azure" {
  source = "../../azure"

  environment            = "production"
  location               = "westeurope"
  image                  = var.image
  admin_group_object_ids = var.admin_group_object_ids
  # The API has a private address: it is reached from the network, or one that is joined to it.
  authorized_ip_ranges = []

  database_pool = { vm_size = "Standard_E8ds_v5" }
  gpu_pool      = { vm_size = "Standard_NC4as_T4_v3", max_count = 1 }

  storage_replication  = "GZRS"
  deleted_backups_days = 35
  log_days             = 90
  alert_emails         = var.alert_emails
  rules_files          = [for file in ["alerting", "recording"] : "${path.module}/../../../monitoring/prometheus/${file}.rules.yaml"]
  grafana              = true
}

output "settings" {
  description = "settings.yaml of k8s/overlays/production"
  value       = module.azure.settings
}

output "resource_group" {
  description = "Name of the resource group"
  value       = module.azure.resource_group
}

output "cluster" {
  description = "Name of the cluster"
  value       = module.azure.cluster
}

output "registry" {
  description = "Server of the registry"
  value       = module.azure.registry
}

output "key_vault" {
  description = "Name of the vault in which the passwords are"
  value       = module.azure.key_vault
}

output "lake" {
  description = "URL of the data lake"
  value       = module.azure.lake
}
