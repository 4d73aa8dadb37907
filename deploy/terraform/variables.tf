variable "project" {
  type        = string
  description = "Project that everything is made in."
}

variable "region" {
  type        = string
  description = "Region of the job, the buckets and the dataset, such as europe-west1."
}

variable "name" {
  type        = string
  default     = "flows"
  description = "Name of the job; the names of all else begin with it."
}

variable "data_centers" {
  type        = list(string)
  default     = []
  description = "Data centers that publish to subscriptions of their own. Empty: one subscription for all, or no Pub/Sub where kafka is given."
}

variable "kafka" {
  type = object({
    brokers = list(string)
    topics  = list(string)
  })
  default     = null
  description = "Read these topics instead of Pub/Sub."
}

variable "format" {
  type        = string
  default     = ""
  description = "Format of the records; empty: detected."
}

variable "parameters" {
  type        = map(string)
  default     = {}
  description = "More parameters of the template (docs/dataflow-parameters.md)."
}

variable "secrets" {
  type        = list(string)
  default     = []
  description = "Secrets that parameters name and workers read: ids in this project."
}

variable "spec" {
  type        = string
  default     = ""
  description = "Spec of the template, gs://bucket/templates/flows-COMMIT.json. Empty: the job is launched from CI."
}

variable "machine_type" {
  type        = string
  default     = "n2-standard-4"
  description = "Of the workers."
}

variable "max_workers" {
  type        = number
  default     = 10
  description = "Workers at most: the bound of the cost."
}

variable "subnetwork" {
  type        = string
  default     = ""
  description = "Of the workers, regions/R/subnetworks/S. Empty: the default network."
}

variable "on_delete" {
  type        = string
  default     = "drain"
  description = "What becomes of the job when it is destroyed: drain or cancel."
  validation {
    condition     = contains(["drain", "cancel"], var.on_delete)
    error_message = "on_delete is drain or cancel."
  }
}

variable "table_days" {
  type        = number
  default     = 120
  description = "Days that rows are kept in BigQuery. Of files the rules are in deploy/gcs/lifecycle.json."
}

variable "dead_letter_ratio" {
  type        = number
  default     = 0.01
  description = "Share of records that are refused in ten minutes, above which it alerts."
}

variable "github_repository" {
  type        = string
  default     = ""
  description = "OWNER/NAME whose workflows may build and launch. Empty: none."
}

variable "notification_channels" {
  type        = list(string)
  default     = []
  description = "Where alerts go: ids of channels of Cloud Monitoring."
}

variable "freshness_seconds" {
  type        = number
  default     = 600
  description = "Age of the watermark that alerts. The watermark is behind by the lateness that the job allows."
}

variable "alert_on_launch_logs" {
  type        = bool
  default     = false
  description = "Alert on failed launches. The metric must have had an entry before the policy can be made: set it after the first launch."
}
