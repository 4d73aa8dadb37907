output "output" {
  value       = "gs://${google_storage_bucket.data.name}"
  description = "Parameter output of the job."
}

output "staging_location" {
  value       = "gs://${google_storage_bucket.staging.name}/staging"
  description = "For the launcher's --staging_location."
}

output "templates" {
  value       = "gs://${google_storage_bucket.staging.name}/templates"
  description = "Where specs are put."
}

output "image" {
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}/flows"
  description = "Name of the image, without its digest."
}

output "worker" {
  value       = google_service_account.worker.email
  description = "For the launcher's --service_account."
}

output "deployer" {
  value       = google_service_account.deployer.email
  description = "What CI runs as."
}

output "workload_identity_provider" {
  value       = one(google_iam_workload_identity_pool_provider.github[*].name)
  description = "For google-github-actions/auth."
}

output "parameters" {
  value       = local.parameters
  description = "Parameters of the job as Terraform launches it, for a launch from CI."
}
