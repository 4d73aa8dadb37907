module "names" {
  source       = "./names"
  project      = var.project
  name         = var.name
  data_centers = var.data_centers
  kafka        = var.kafka
  spec         = var.spec
  parameters   = var.parameters
}

locals {
  # One file says what becomes of old parts, whoever applies it.
  lifecycle = jsondecode(file("${path.module}/../gcs/lifecycle.json")).rule
}

# Records, raw records and dead letters. _layout.json is deleted by no rule: a dataset without it
# would be laid out anew (deploy/gcs/README.md).
resource "google_storage_bucket" "data" {
  name                        = module.names.bucket
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  dynamic "lifecycle_rule" {
    for_each = local.lifecycle
    content {
      action {
        type          = lifecycle_rule.value.action.type
        storage_class = lookup(lifecycle_rule.value.action, "storageClass", null)
      }
      condition {
        age                   = lifecycle_rule.value.condition.age
        matches_storage_class = lookup(lifecycle_rule.value.condition, "matchesStorageClass", null)
        matches_prefix        = lookup(lifecycle_rule.value.condition, "matchesPrefix", null)
        matches_suffix        = lookup(lifecycle_rule.value.condition, "matchesSuffix", null)
      }
    }
  }
}

# Binaries and graphs of launches, specs of templates, plans of the launcher.
resource "google_storage_bucket" "staging" {
  name                        = "${module.names.bucket}-staging"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  # Specs and plans stay, for rollbacks: only what launches leave goes.
  lifecycle_rule {
    action { type = "Delete" }
    condition {
      age            = 90
      matches_prefix = ["staging/template_launches/", "tmp/"]
    }
  }
}

resource "google_artifact_registry_repository" "images" {
  repository_id = var.name
  location      = var.region
  format        = "DOCKER"
  description   = "Images of the template, by digest."
}
