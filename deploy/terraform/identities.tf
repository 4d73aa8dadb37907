# The workers: what they read and write, and nothing else.
resource "google_service_account" "worker" {
  account_id   = "${var.name}-worker"
  display_name = "Workers of ${var.name}"
}

resource "google_project_iam_member" "worker" {
  for_each = toset(["roles/dataflow.worker", "roles/bigquery.jobUser", "roles/monitoring.metricWriter"])
  project  = var.project
  role     = each.key
  member   = google_service_account.worker.member
}

resource "google_storage_bucket_iam_member" "worker" {
  for_each = { data = google_storage_bucket.data.name, staging = google_storage_bucket.staging.name }
  bucket   = each.value
  role     = "roles/storage.objectUser"
  member   = google_service_account.worker.member
}

resource "google_bigquery_dataset_iam_member" "worker" {
  dataset_id = google_bigquery_dataset.flows.dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = google_service_account.worker.member
}

resource "google_pubsub_subscription_iam_member" "worker" {
  for_each     = module.names.sources
  subscription = google_pubsub_subscription.flows[each.key].id
  role         = "roles/pubsub.subscriber"
  member       = google_service_account.worker.member
}

# Dataflow reads the subscription's description to estimate its backlog.
resource "google_pubsub_subscription_iam_member" "viewer" {
  for_each     = module.names.sources
  subscription = google_pubsub_subscription.flows[each.key].id
  role         = "roles/pubsub.viewer"
  member       = google_service_account.worker.member
}

resource "google_secret_manager_secret_iam_member" "worker" {
  for_each  = toset(var.secrets)
  secret_id = each.key
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.worker.member
}

resource "google_artifact_registry_repository_iam_member" "worker" {
  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.worker.member
}

# What CI runs as: it builds images, writes specs, launches, and runs as nobody but the workers.
resource "google_service_account" "deployer" {
  account_id   = "${var.name}-deployer"
  display_name = "Launches ${var.name} from CI"
}

resource "google_project_iam_member" "deployer" {
  for_each = toset(["roles/dataflow.developer"])
  project  = var.project
  role     = each.key
  member   = google_service_account.deployer.member
}

resource "google_storage_bucket_iam_member" "deployer" {
  bucket = google_storage_bucket.staging.name
  role   = "roles/storage.objectUser"
  member = google_service_account.deployer.member
}

resource "google_artifact_registry_repository_iam_member" "deployer" {
  repository = google_artifact_registry_repository.images.name
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.deployer.member
}

resource "google_service_account_iam_member" "deployer_as_worker" {
  service_account_id = google_service_account.worker.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.deployer.member
}

# GitHub's workflows come without a key: their token is exchanged, and only those of the repository.
resource "google_iam_workload_identity_pool" "ci" {
  count                     = var.github_repository == "" ? 0 : 1
  workload_identity_pool_id = "${var.name}-ci"
}

resource "google_iam_workload_identity_pool_provider" "github" {
  count                              = var.github_repository == "" ? 0 : 1
  workload_identity_pool_id          = google_iam_workload_identity_pool.ci[0].workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  attribute_condition                = "assertion.repository == '${var.github_repository}' && assertion.ref == 'refs/heads/main'"
  attribute_mapping = {
    "google.subject"       = "assertion.sub"
    "attribute.repository" = "assertion.repository"
  }
  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account_iam_member" "github" {
  count              = var.github_repository == "" ? 0 : 1
  service_account_id = google_service_account.deployer.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.ci[0].name}/attribute.repository/${var.github_repository}"
}
