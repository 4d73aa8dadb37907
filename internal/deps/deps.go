//go:build deps

// Package deps is temporary.
package deps
import (
 _ "github.com/go-json-experiment/json"
 _ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
 _ "github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"
 _ "github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
 _ "github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
 _ "github.com/apache/beam/sdks/v2/go/pkg/beam/testing/teststream"
 _ "github.com/parquet-go/parquet-go"
 _ "github.com/hamba/avro/v2/ocf"
 _ "github.com/klauspost/compress/zstd"
 _ "github.com/oschwald/maxminddb-golang/v2"
 _ "github.com/maxmind/mmdbwriter"
 _ "github.com/axiomhq/hyperloglog"
 _ "github.com/DataDog/sketches-go/ddsketch"
 _ "go.yaml.in/yaml/v3"
 _ "github.com/google/go-cmp/cmp"
)

