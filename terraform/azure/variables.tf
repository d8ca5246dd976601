variable "name" {
  description = "Short name that every resource begins with"
  type        = string
  default     = "recommend"

  validation {
    # With environment and purpose it is the name of a storage account, which has 24 characters.
    condition     = can(regex("^[a-z][a-z0-9]{2,9}$", var.name))
    error_message = "name has 3 to 10 lower-case letters and digits, a letter first."
  }
}

variable "environment" {
  description = "What it is for: staging or production, for example"
  type        = string

  validation {
    condition     = can(regex("^[a-z]{3,10}$", var.environment))
    error_message = "environment has 3 to 10 lower-case letters."
  }
}

variable "location" {
  description = "Azure region"
  type        = string
}

variable "zones" {
  description = "Availability zones of the region, in which the nodes of each pool are spread"
  type        = list(string)
  default     = ["1", "2", "3"]

  validation {
    condition     = length(var.zones) > 0 && length(distinct(var.zones)) == length(var.zones) && alltrue([for zone in var.zones : contains(["1", "2", "3"], zone)])
    error_message = "zones are 1, 2 and 3, each once at most."
  }
}

variable "address_space" {
  description = "Private addresses of the network, in CIDR notation; the nodes get the lower half, private endpoints a part of the upper"
  type        = string
  default     = "10.40.0.0/16"

  validation {
    condition     = can(cidrhost(var.address_space, 0)) && can(regex("/(1[6-9]|20)$", var.address_space))
    error_message = "address_space is a network of /16 to /20, such as 10.40.0.0/16."
  }
}

variable "kubernetes_version" {
  description = "Minor version of Kubernetes, such as 1.35; its patches are installed by themselves"
  type        = string
  default     = "1.35"

  validation {
    # Image volumes, with which CloudNativePG mounts an extension, are on by default since 1.35.
    condition     = can(regex("^1\\.(3[5-9]|[4-9][0-9])$", var.kubernetes_version))
    error_message = "kubernetes_version is 1.35 or newer, without a patch level."
  }
}

variable "authorized_ip_ranges" {
  description = "Networks that may reach the Kubernetes API, in CIDR notation. Empty: the API has a private address only"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for range in var.authorized_ip_ranges : can(cidrhost(range, 0)) && !endswith(range, "/0")])
    error_message = "authorized_ip_ranges are networks in CIDR notation, and not the whole internet."
  }
}

variable "admin_group_object_ids" {
  description = "Entra groups that administer the cluster; there are no local accounts"
  type        = list(string)

  validation {
    condition     = length(var.admin_group_object_ids) > 0 && alltrue([for id in var.admin_group_object_ids : can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", id))])
    error_message = "admin_group_object_ids has at least one object id of an Entra group: nobody could administer the cluster otherwise."
  }
}

variable "system_pool" {
  description = "Nodes of Kubernetes itself, the operators and the pooler"
  type = object({
    vm_size   = optional(string, "Standard_D4ds_v5")
    min_count = optional(number, 2)
    max_count = optional(number, 4)
  })
  default = {}

  validation {
    condition     = var.system_pool.min_count >= 2 && var.system_pool.max_count >= var.system_pool.min_count
    error_message = "system_pool has at least 2 nodes, and max_count is not less than min_count."
  }
}

variable "database_pool" {
  description = "Nodes of the instances of PostgreSQL, one each"
  type = object({
    vm_size = optional(string, "Standard_E4ds_v5")
    count   = optional(number, 3)
  })
  default = {}

  validation {
    condition     = var.database_pool.count >= 3
    error_message = "database_pool has at least 3 nodes: two instances never share one."
  }
}

variable "gpu_pool" {
  description = "Nodes that train. There is none unless a training asks for one. Null: no such pool"
  type = object({
    vm_size   = optional(string, "Standard_NC4as_T4_v3")
    max_count = optional(number, 1)
  })
  default = null

  validation {
    condition     = var.gpu_pool == null ? true : startswith(var.gpu_pool.vm_size, "Standard_N") && var.gpu_pool.max_count >= 1
    error_message = "gpu_pool is of a size with a GPU (Standard_N…), and of at least one node at most."
  }
}

variable "namespace" {
  description = "Namespace of the database in Kubernetes: its service accounts get the identities"
  type        = string
  default     = "pg-recommend"
}

variable "image" {
  description = "Image of PostgreSQL with the extension, as k8s/ installs it: PostgreSQL's major version first in the tag"
  type        = string

  validation {
    condition     = can(regex("^[^:@]+:(1[5-9]|2[0-9])[-._][0-9][-._0-9A-Za-z]*$", var.image))
    error_message = "image has a tag that begins with PostgreSQL's major version, as in ghcr.io/OWNER/pg_recommend:15-0.2.0; latest tells no version."
  }
}

variable "training_image" {
  description = "Image with CUDA that trains in a job. Null: the image with -cuda behind its tag"
  type        = string
  default     = null
}

variable "storage_replication" {
  description = "How backups and data lake are copied: ZRS within the region, GZRS to another one too"
  type        = string
  default     = "ZRS"

  validation {
    condition     = contains(["LRS", "ZRS", "GRS", "GZRS", "RAGRS", "RAGZRS"], var.storage_replication)
    error_message = "storage_replication is LRS, ZRS, GRS, GZRS, RAGRS or RAGZRS."
  }
}

variable "deleted_backups_days" {
  description = "Days for which a backup that was deleted or overwritten can be brought back"
  type        = number
  default     = 14

  validation {
    condition     = var.deleted_backups_days >= 7 && var.deleted_backups_days <= 365
    error_message = "deleted_backups_days is from 7 to 365."
  }
}

variable "log_days" {
  description = "Days for which logs are kept"
  type        = number
  default     = 30

  validation {
    condition     = var.log_days >= 30 && var.log_days <= 730
    error_message = "log_days is from 30 to 730."
  }
}

variable "alert_emails" {
  description = "Who is told of alerts"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alert_emails : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "alert_emails are addresses of e-mail."
  }
}

variable "rules_files" {
  description = "Files of Prometheus's rules: those of monitoring/prometheus of this project"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for file in var.rules_files : fileexists(file) && can(yamldecode(file(file)).groups)])
    error_message = "rules_files are files of Prometheus's rules, with groups."
  }
}

variable "grafana" {
  description = "Whether there is a managed Grafana"
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of every resource"
  type        = map(string)
  default     = {}
}
