resource "google_bigquery_dataset" "flows" {
  dataset_id  = module.names.dataset
  location    = var.region
  description = "Flow records, rollups and dead letters of ${var.name}."
}

# The tables whose columns do not depend on options; rollups and views are made by the program's
# --install. Columns are added by it too (--bigquery_add_columns), so they are not compared here.
locals {
  tables = {
    flows        = { field = "event_time", type = "HOUR", cluster = ["user_id", "source_ip", "destination_ip"] }
    dead_letters = { field = "source_time", type = "DAY", cluster = ["stage", "reason"] }
  }
}

resource "google_bigquery_table" "records" {
  for_each   = local.tables
  dataset_id = google_bigquery_dataset.flows.dataset_id
  table_id   = each.key
  clustering = each.value.cluster
  schema     = file("${path.module}/../../schemas/${each.key}.bigquery.json")

  time_partitioning {
    type          = each.value.type
    field         = each.value.field
    expiration_ms = var.table_days * 24 * 3600 * 1000
  }

  lifecycle {
    ignore_changes = [schema]
  }
}
