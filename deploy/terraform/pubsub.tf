resource "google_pubsub_topic" "flows" {
  for_each                   = module.names.sources
  name                       = each.key
  message_retention_duration = "604800s" # a week: a stream can be read again by time
}

resource "google_pubsub_topic" "undelivered" {
  count = length(module.names.sources) > 0 ? 1 : 0
  name  = "${var.name}-undelivered"
}

resource "google_pubsub_subscription" "undelivered" {
  count                      = length(module.names.sources) > 0 ? 1 : 0
  name                       = "${var.name}-undelivered"
  topic                      = google_pubsub_topic.undelivered[0].id
  message_retention_duration = "604800s"
  expiration_policy { ttl = "" } # never
}

# A broken record is a dead letter of the job and is acknowledged. What comes here was delivered
# a hundred times without an acknowledgement: the job itself does not get on.
resource "google_pubsub_subscription" "flows" {
  for_each                   = module.names.sources
  name                       = each.key
  topic                      = google_pubsub_topic.flows[each.key].id
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"
  expiration_policy { ttl = "" }
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.undelivered[0].id
    max_delivery_attempts = 100
  }
}

data "google_project" "this" {
  project_id = var.project
}

# Pub/Sub itself forwards to the dead-letter topic.
locals {
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_topic_iam_member" "forward" {
  count  = length(module.names.sources) > 0 ? 1 : 0
  topic  = google_pubsub_topic.undelivered[0].id
  role   = "roles/pubsub.publisher"
  member = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "forward" {
  for_each     = module.names.sources
  subscription = google_pubsub_subscription.flows[each.key].id
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}
