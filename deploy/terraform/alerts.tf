# Filters name the job, not its id: an id changes with each replacement.
# Metrics: https://cloud.google.com/monitoring/api/metrics_gcp
locals {
  job = "resource.type = \"dataflow_job\" AND resource.labels.job_name = \"${var.name}\""

  alerts = {
    watermark = {
      title     = "the watermark is old"
      help      = "Records come late or not at all, or the job does not keep up. Is the backlog growing? Then workers are missing (max_workers) or a store is slow. Is it not? Then one source is silent or its clock is wrong: the stage with the oldest watermark names it."
      filter    = "${local.job} AND metric.type = \"dataflow.googleapis.com/job/data_watermark_age\""
      above     = var.freshness_seconds
      for       = "300s"
      aligner   = "ALIGN_MAX"
      alignment = "60s"
    }
    lag = {
      title     = "elements wait long"
      help      = "The oldest element has waited in a stage for longer than five minutes: a store answers slowly, or a bundle fails and is tried again. The workers' log has the errors."
      filter    = "${local.job} AND metric.type = \"dataflow.googleapis.com/job/system_lag\""
      above     = 300
      for       = "300s"
      aligner   = "ALIGN_MAX"
      alignment = "60s"
    }
    failed = {
      title     = "the job has failed"
      help      = "A stream never ends by itself. Launch it again: it goes on where its topics' offsets or its subscriptions stand, and nothing is written twice. A launch that fails is not counted here, but by the log's metric."
      filter    = "${local.job} AND metric.type = \"dataflow.googleapis.com/job/is_failed\""
      above     = 0
      for       = "0s"
      aligner   = "ALIGN_MAX"
      alignment = "60s"
    }
    backlog = {
      title     = "the backlog takes long"
      help      = "At the present pace what waits takes more than ten minutes. Raise max_workers, or look for the stage that does not scale."
      filter    = "${local.job} AND metric.type = \"dataflow.googleapis.com/job/estimated_backlog_processing_time\""
      above     = 600
      for       = "600s"
      aligner   = "ALIGN_MAX"
      alignment = "60s"
    }
  }

  subscription_alerts = {
    unacknowledged = {
      title = "messages wait in Pub/Sub"
      help  = "The oldest message has not been acknowledged for ten minutes."
      type  = "pubsub.googleapis.com/subscription/oldest_unacked_message_age"
      names = module.names.sources
      above = 600
    }
    undelivered = {
      title = "messages that nobody could take"
      help  = "Messages were delivered a hundred times and never acknowledged. They lie in the subscription ${var.name}-undelivered for a week."
      type  = "pubsub.googleapis.com/subscription/num_undelivered_messages"
      names = toset(length(module.names.sources) > 0 ? ["${var.name}-undelivered"] : [])
      above = 0
    }
  }
}

resource "google_monitoring_alert_policy" "job" {
  for_each              = local.alerts
  display_name          = "${var.name}: ${each.value.title}"
  combiner              = "OR"
  notification_channels = var.notification_channels

  conditions {
    display_name = each.value.title
    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.above
      duration        = each.value.for
      aggregations {
        alignment_period     = each.value.alignment
        per_series_aligner   = each.value.aligner
        cross_series_reducer = "REDUCE_MAX"
      }
      trigger { count = 1 }
    }
  }

  documentation {
    content   = each.value.help
    mime_type = "text/markdown"
  }
  alert_strategy { auto_close = "86400s" }
}

resource "google_monitoring_alert_policy" "subscription" {
  for_each              = { for k, a in local.subscription_alerts : k => a if length(a.names) > 0 }
  display_name          = "${var.name}: ${each.value.title}"
  combiner              = "OR"
  notification_channels = var.notification_channels

  dynamic "conditions" {
    for_each = each.value.names
    content {
      display_name = conditions.value
      condition_threshold {
        filter          = "resource.type = \"pubsub_subscription\" AND resource.labels.subscription_id = \"${conditions.value}\" AND metric.type = \"${each.value.type}\""
        comparison      = "COMPARISON_GT"
        threshold_value = each.value.above
        duration        = "600s"
        aggregations {
          alignment_period   = "60s"
          per_series_aligner = "ALIGN_MAX"
        }
      }
    }
  }

  documentation {
    content   = each.value.help
    mime_type = "text/markdown"
  }
}

# Counters of the program are gauges to Monitoring, so their pace is asked for in PromQL.
locals {
  counters = "dataflow_googleapis_com:job_user_counter{monitored_resource=\"dataflow_job\",job_name=\"${var.name}\""
}

resource "google_monitoring_alert_policy" "dead_letters" {
  display_name          = "${var.name}: many dead letters"
  combiner              = "OR"
  notification_channels = var.notification_channels

  conditions {
    display_name = "share of records that are refused"
    condition_prometheus_query_language {
      query               = "sum(rate(${local.counters},metric_name=~\"dead_letters_.*\"}[10m])) / sum(rate(${local.counters},metric_name=\"read\"}[10m])) > ${var.dead_letter_ratio}"
      duration            = "300s"
      evaluation_interval = "60s"
    }
  }

  documentation {
    content   = "SELECT stage, reason, ANY_VALUE(error), COUNT(*) FROM ${module.names.dataset}.dead_letters GROUP BY 1, 2 says why. After a fix pipelines/replay reads them again."
    mime_type = "text/markdown"
  }
}

# A launch that fails leaves no metric of the job: only entries of the launcher in the log.
resource "google_logging_metric" "failed_launches" {
  name        = "${var.name}_failed_launches"
  description = "Errors of the machine that launches the template."
  filter      = "resource.type=\"dataflow_step\" AND resource.labels.job_name=\"${var.name}\" AND log_id(\"dataflow.googleapis.com/launcher\") AND severity>=ERROR"
  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }
}

resource "google_monitoring_alert_policy" "failed_launches" {
  count                 = var.alert_on_launch_logs ? 1 : 0
  display_name          = "${var.name}: a launch has failed"
  combiner              = "OR"
  notification_channels = var.notification_channels

  conditions {
    display_name = "errors of the launcher"
    condition_threshold {
      filter          = "resource.type = \"dataflow_step\" AND metric.type = \"logging.googleapis.com/user/${google_logging_metric.failed_launches.name}\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"
      aggregations {
        alignment_period   = "300s"
        per_series_aligner = "ALIGN_DELTA"
      }
    }
  }

  documentation {
    content   = "The launcher's whole log is in the staging bucket, under template_launches/JOB/console_logs."
    mime_type = "text/markdown"
  }
}
