variables {
  project      = "acme"
  name         = "flows"
  data_centers = []
  kafka        = null
  spec         = ""
  parameters   = {}
}

run "defaults" {
  command = plan
  assert {
    condition     = output.bucket == "acme-flows" && output.dataset == "flows" && output.sources == toset(["flows"])
    error_message = "bucket, dataset and one subscription"
  }
}

run "a_subscription_for_each_data_center" {
  command = plan
  variables {
    name         = "net-flows"
    data_centers = ["fra", "iad"]
  }
  assert {
    condition     = output.dataset == "net_flows" && output.sources == toset(["net-flows-fra", "net-flows-iad"])
    error_message = "names of the data centers"
  }
}

run "kafka_needs_no_subscription" {
  command = plan
  variables {
    kafka = { brokers = ["k:9092"], topics = ["flows"] }
  }
  assert {
    condition     = length(output.sources) == 0
    error_message = "a subscription beside Kafka"
  }
}

run "data_centers_of_kafka" {
  command = plan
  variables {
    kafka        = { brokers = ["k:9092"], topics = ["flows"] }
    data_centers = ["fra"]
  }
  expect_failures = [output.sources]
}

run "a_name_that_no_job_can_have" {
  command = plan
  variables {
    name = "Flows_1"
  }
  expect_failures = [output.sources]
}

run "a_name_that_is_too_long_for_a_bucket" {
  command = plan
  variables {
    project = "a-project-of-thirty-letters-xx"
    name    = "a-name-of-thirty-three-letters-xyz"
  }
  expect_failures = [output.bucket, output.sources]
}

run "parameters_of_the_service" {
  command = plan
  variables {
    parameters = { region = "europe-west1", shards = "64" }
  }
  expect_failures = [output.parameters]
}

run "a_spec_on_this_machine" {
  command = plan
  variables {
    spec = "flows.json"
  }
  expect_failures = [output.spec]
}
