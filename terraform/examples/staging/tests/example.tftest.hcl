mock_provider "azurerm" {
  source          = "../../azure/tests/mocks"
  override_during = plan
}

variables {
  admin_group_object_ids = ["22222222-2222-2222-2222-222222222222"]
  authorized_ip_ranges   = ["192.0.2.0/24"]
}

run "the_example_of_staging_is_whole" {
  command = plan

  assert {
    condition     = keys(yamldecode(output.settings).data) == keys(yamldecode(file("../../../k8s/overlays/staging/settings.yaml")).data)
    error_message = "k8s/overlays/staging reads other settings than this writes"
  }

  assert {
    condition     = yamldecode(output.settings).data.backup_path == yamldecode(file("../../../k8s/overlays/staging/settings.yaml")).data.backup_path
    error_message = "the settings that are checked in have another path of backups"
  }
}
