# The job, where Terraform owns it. Most will leave var.spec empty and launch from CI, which
# checks steps and coders before it replaces a job, and can go back (docs/ci.md).
resource "google_dataflow_flex_template_job" "flows" {
  provider                = google-beta
  count                   = var.spec == "" ? 0 : 1
  name                    = var.name
  region                  = var.region
  container_spec_gcs_path = module.names.spec
  on_delete               = var.on_delete
  parameters              = local.parameters
  service_account_email   = google_service_account.worker.email
  staging_location        = "gs://${google_storage_bucket.staging.name}/staging"
  temp_location           = "gs://${google_storage_bucket.staging.name}/tmp"
  machine_type            = var.machine_type
  max_workers             = var.max_workers
  subnetwork              = var.subnetwork == "" ? null : var.subnetwork
  ip_configuration        = "WORKER_IP_PRIVATE"
  enable_streaming_engine = true
  labels                  = { app = "flowbeam" }

  depends_on = [
    google_project_iam_member.worker, google_storage_bucket_iam_member.worker, google_bigquery_dataset_iam_member.worker,
    google_pubsub_subscription_iam_member.worker, google_secret_manager_secret_iam_member.worker,
    google_artifact_registry_repository_iam_member.worker, google_bigquery_table.records,
  ]
}

locals {
  input = var.kafka != null ? {
    kafka_input        = join(",", var.kafka.brokers)
    kafka_input_topics = join(",", var.kafka.topics)
    } : {
    pubsub_input = join(",", [for s in google_pubsub_subscription.flows : s.id])
  }
  parameters = merge(
    local.input,
    var.format == "" ? {} : { format = var.format },
    {
      output   = "gs://${google_storage_bucket.data.name}"
      bigquery = "${var.project}.${google_bigquery_dataset.flows.dataset_id}"
    },
    module.names.parameters,
  )
}
