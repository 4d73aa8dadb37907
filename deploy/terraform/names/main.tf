# Names and their rules, without a provider: terraform test runs here with nothing installed.

variable "project" { type = string }
variable "name" { type = string }
variable "data_centers" { type = list(string) }
variable "kafka" { type = any }
variable "spec" { type = string }
variable "parameters" { type = map(string) }

locals {
  # The service's rules: jobs [a-z]([-a-z0-9]*[a-z0-9])?, datasets without hyphens.
  bucket  = "${var.project}-${var.name}"
  dataset = replace(var.name, "-", "_")

  # One subscription per data center: each has a watermark of its own, and one that lags
  # holds back no more than the job's allowed lateness.
  sources = var.kafka != null ? toset([]) : toset(length(var.data_centers) > 0 ? [for d in var.data_centers : "${var.name}-${d}"] : [var.name])

  reserved = ["runner", "project", "region", "job_name", "staging_location", "temp_location", "template_location"]
}

output "bucket" {
  value = local.bucket
  precondition {
    condition     = length(local.bucket) <= 63
    error_message = "The bucket ${local.bucket} has a name of more than 63 letters: choose a shorter name."
  }
}

output "dataset" { value = local.dataset }

output "sources" {
  value = local.sources
  precondition {
    condition     = can(regex("^[a-z]([-a-z0-9]{0,30}[a-z0-9])?$", var.name))
    error_message = "name: ${var.name} is no name of a job: small letters, digits and hyphens, a letter first, at most 32."
  }
  precondition {
    condition     = var.kafka == null || length(var.data_centers) == 0
    error_message = "data_centers are those of Pub/Sub; with kafka the topics' names tell them (parameter kafka_input_datacenter)."
  }
}

output "parameters" {
  value = var.parameters
  precondition {
    condition     = length(setintersection(keys(var.parameters), local.reserved)) == 0
    error_message = "parameters: ${join(", ", setintersection(keys(var.parameters), local.reserved))} belong to the service."
  }
}

output "spec" {
  value = var.spec
  precondition {
    condition     = var.spec == "" || can(regex("^gs://[^/]+/.+[.]json$", var.spec))
    error_message = "spec: ${var.spec} is no gs://bucket/name.json."
  }
}
