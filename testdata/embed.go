// Package testdata embeds the small tables that the bundled sample is enriched with, so
// that a program finds them wherever it is run from.
package testdata

import "embed"

// Files holds networks.csv and the databases under geoip: see their README.md.
//
//go:embed networks.csv geoip/*.mmdb
var Files embed.FS
