# What is refused before anything is made. Each run must fail at the variable it names.

mock_provider "azurerm" {
  override_during = plan
}

variables {
  environment            = "test"
  location               = "westeurope"
  image                  = "ghcr.io/OWNER/pg_recommend:15-0.2.0"
  admin_group_object_ids = ["22222222-2222-2222-2222-222222222222"]
}

run "a_long_name" {
  command = plan

  variables {
    name = "recommendations"
  }

  expect_failures = [var.name]
}

run "an_environment_with_a_hyphen" {
  command = plan

  variables {
    environment = "pre-prod"
  }

  expect_failures = [var.environment]
}

run "a_zone_that_is_none" {
  command = plan

  variables {
    zones = ["4"]
  }

  expect_failures = [var.zones]
}

run "an_address_space_without_room" {
  command = plan

  variables {
    address_space = "10.0.0.0/24"
  }

  expect_failures = [var.address_space]
}

run "kubernetes_without_image_volumes" {
  command = plan

  variables {
    kubernetes_version = "1.32"
  }

  expect_failures = [var.kubernetes_version]
}

run "an_api_for_the_whole_internet" {
  command = plan

  variables {
    authorized_ip_ranges = ["0.0.0.0/0"]
  }

  expect_failures = [var.authorized_ip_ranges]
}

run "nobody_who_administers" {
  command = plan

  variables {
    admin_group_object_ids = []
  }

  expect_failures = [var.admin_group_object_ids]
}

run "a_group_by_its_name" {
  command = plan

  variables {
    admin_group_object_ids = ["dbas"]
  }

  expect_failures = [var.admin_group_object_ids]
}

run "one_node_for_the_system" {
  command = plan

  variables {
    system_pool = { min_count = 1 }
  }

  expect_failures = [var.system_pool]
}

run "two_nodes_for_three_instances" {
  command = plan

  variables {
    database_pool = { count = 2 }
  }

  expect_failures = [var.database_pool]
}

run "a_gpu_pool_without_a_gpu" {
  command = plan

  variables {
    gpu_pool = { vm_size = "Standard_D4ds_v5" }
  }

  expect_failures = [var.gpu_pool]
}

run "an_image_without_a_version" {
  command = plan

  variables {
    image = "ghcr.io/OWNER/pg_recommend:latest"
  }

  expect_failures = [var.image]
}

run "a_replication_that_is_none" {
  command = plan

  variables {
    storage_replication = "TWICE"
  }

  expect_failures = [var.storage_replication]
}

run "backups_gone_at_once" {
  command = plan

  variables {
    deleted_backups_days = 0
  }

  expect_failures = [var.deleted_backups_days]
}

run "logs_of_a_day" {
  command = plan

  variables {
    log_days = 1
  }

  expect_failures = [var.log_days]
}

run "an_address_that_is_none" {
  command = plan

  variables {
    alert_emails = ["dba"]
  }

  expect_failures = [var.alert_emails]
}

run "rules_that_are_not_there" {
  command = plan

  variables {
    rules_files = ["nothing.yaml"]
  }

  expect_failures = [var.rules_files]
}
