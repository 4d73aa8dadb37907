package main

import (
	"context"
	"io"
	"os"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"

	"github.com/flowbeam/flowbeam/pipelines/internal/job"
)

// pipeline runs flows itself, with nothing changed for the measurement.
func pipeline(profile string) func(config) error {
	log.LogLevel = "warn"
	beam.Init()
	return func(c config) error {
		if profile != "" {
			f, err := os.Create(profile)
			if err != nil {
				return err
			}
			defer f.Close()
			if err := pprof.StartCPUProfile(f); err != nil {
				return err
			}
			defer pprof.StopCPUProfile()
		}
		o := job.Defaults()
		o.Input, o.Output, o.OutputFormat, o.Compression = []string{c.Input}, c.Output, c.Format, c.Compression
		o.GeoIPCity, o.GeoIPASN = c.City, c.ASN
		o.Rollup, o.RollupWindows = strings.Split(rollupFields, ","), []time.Duration{rollupWindow}
		o.Quiet = true
		c.Flink.set(o)
		p := job.Program{Name: "bench"}
		s, err := p.Run(context.Background(), o, io.Discard)
		if err != nil {
			return err
		}
		for _, problem := range s.Check() {
			return problem
		}
		return nil
	}
}
