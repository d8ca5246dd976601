resource "azurerm_kubernetes_cluster" "this" {
  #checkov:skip=CKV_AZURE_117:disks are encrypted with the platform's keys, and on the host too (host_encryption_enabled)
  #checkov:skip=CKV_AZURE_172:the CSI driver for secrets is not used: External Secrets reads the vault
  #checkov:skip=CKV_AZURE_232:operators and pooler run on the system nodes; database and training have nodes of their own
  name                = local.name
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  dns_prefix          = local.name
  node_resource_group = "${local.name}-nodes"
  tags                = local.tags

  sku_tier                  = "Standard"
  kubernetes_version        = var.kubernetes_version
  automatic_upgrade_channel = "patch"
  node_os_upgrade_channel   = "NodeImage"

  private_cluster_enabled           = length(var.authorized_ip_ranges) == 0
  local_account_disabled            = true
  role_based_access_control_enabled = true
  azure_policy_enabled              = true
  oidc_issuer_enabled               = true
  workload_identity_enabled         = true
  image_cleaner_enabled             = true
  image_cleaner_interval_hours      = 168
  # scripts/deploy runs kubectl through Azure's API, since the cluster's own has a private address.
  run_command_enabled = true

  dynamic "api_server_access_profile" {
    for_each = length(var.authorized_ip_ranges) > 0 ? [1] : []

    content {
      authorized_ip_ranges = var.authorized_ip_ranges
    }
  }

  azure_active_directory_role_based_access_control {
    tenant_id              = data.azurerm_client_config.current.tenant_id
    azure_rbac_enabled     = true
    admin_group_object_ids = var.admin_group_object_ids
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.this["cluster"].id]
  }

  kubelet_identity {
    client_id                 = azurerm_user_assigned_identity.this["nodes"].client_id
    object_id                 = azurerm_user_assigned_identity.this["nodes"].principal_id
    user_assigned_identity_id = azurerm_user_assigned_identity.this["nodes"].id
  }

  default_node_pool {
    name                         = "system"
    vm_size                      = var.system_pool.vm_size
    auto_scaling_enabled         = true
    min_count                    = var.system_pool.min_count
    max_count                    = var.system_pool.max_count
    zones                        = var.zones
    vnet_subnet_id               = azurerm_subnet.nodes.id
    os_sku                       = "AzureLinux"
    os_disk_type                 = "Ephemeral"
    max_pods                     = 110
    host_encryption_enabled      = true
    temporary_name_for_rotation  = "systemnew"
    only_critical_addons_enabled = false
    tags                         = local.tags

    upgrade_settings {
      max_surge = "33%"
    }
  }

  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    # It enforces the network policies of k8s/.
    network_data_plane = "cilium"
    network_policy     = "cilium"
    load_balancer_sku  = "standard"
    pod_cidr           = "172.20.0.0/16"
    service_cidr       = "172.21.0.0/16"
    dns_service_ip     = "172.21.0.10"
  }

  maintenance_window_auto_upgrade {
    frequency   = "Weekly"
    interval    = 1
    day_of_week = "Sunday"
    start_time  = "02:00"
    utc_offset  = "+00:00"
    duration    = 6
  }

  maintenance_window_node_os {
    frequency   = "Weekly"
    interval    = 1
    day_of_week = "Sunday"
    start_time  = "08:00"
    utc_offset  = "+00:00"
    duration    = 6
  }

  monitor_metrics {}

  oms_agent {
    log_analytics_workspace_id      = azurerm_log_analytics_workspace.this.id
    msi_auth_for_monitoring_enabled = true
  }

  lifecycle {
    # Set by the upgrades of the channel above.
    ignore_changes = [kubernetes_version, default_node_pool[0].orchestrator_version]
  }

  depends_on = [azurerm_role_assignment.cluster]
}

# One node for each instance: nothing else runs there.
resource "azurerm_kubernetes_cluster_node_pool" "database" {
  name                    = "database"
  kubernetes_cluster_id   = azurerm_kubernetes_cluster.this.id
  mode                    = "User"
  vm_size                 = var.database_pool.vm_size
  node_count              = var.database_pool.count
  zones                   = var.zones
  vnet_subnet_id          = azurerm_subnet.nodes.id
  os_sku                  = "AzureLinux"
  os_disk_type            = "Ephemeral"
  max_pods                = 50
  host_encryption_enabled = true
  node_labels             = { (local.pool) = "database" }
  node_taints             = ["${local.pool}=database:NoSchedule"]
  tags                    = local.tags

  upgrade_settings {
    # A switchover of the primary has to be done before its node goes.
    max_surge                = "1"
    drain_timeout_in_minutes = 30
  }
}

# Empty until a training asks for a GPU, and empty again after it.
resource "azurerm_kubernetes_cluster_node_pool" "gpu" {
  count = var.gpu_pool == null ? 0 : 1

  name                    = "gpu"
  kubernetes_cluster_id   = azurerm_kubernetes_cluster.this.id
  mode                    = "User"
  vm_size                 = var.gpu_pool.vm_size
  auto_scaling_enabled    = true
  min_count               = 0
  max_count               = var.gpu_pool.max_count
  gpu_driver              = "Install"
  vnet_subnet_id          = azurerm_subnet.nodes.id
  max_pods                = 50
  host_encryption_enabled = true
  node_labels             = { (local.pool) = "gpu" }
  node_taints             = ["${local.pool}=gpu:NoSchedule"]
  tags                    = local.tags
}
