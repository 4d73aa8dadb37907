package job

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flowbeam/flowbeam/flow"
	"github.com/flowbeam/flowbeam/internal/metrics"
	"github.com/flowbeam/flowbeam/internal/shard"
	"github.com/flowbeam/flowbeam/sinks/filesink"
	"github.com/flowbeam/flowbeam/transforms/anonymize"
	"github.com/flowbeam/flowbeam/transforms/dedupe"
	"github.com/flowbeam/flowbeam/transforms/geoip"
	"github.com/flowbeam/flowbeam/transforms/prefix"
	"github.com/flowbeam/flowbeam/transforms/rollup"
)

// Validate returns every problem of the options, before anything runs.
func (o *Options) Validate() (problems []error) {
	add := func(flag string, err error) {
		if err != nil {
			for _, e := range split(err) {
				problems = append(problems, fmt.Errorf("--%s: %w", flag, e))
			}
		}
	}
	one := func(flag, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			add(flag, fmt.Errorf("%q is none of %s", value, strings.Join(allowed, ", ")))
		}
	}

	o.validateInput(add, one)
	if o.Format != "" {
		one("format", o.Format, flow.FormatNames()...)
	}
	if o.MaxLine < 1 {
		add("max_line", fmt.Errorf("%d is not positive", o.MaxLine))
	}
	if o.MaxInFlight < 0 {
		add("max_in_flight", fmt.Errorf("%d is negative", o.MaxInFlight))
	}
	lo, err := parseTime(o.MinTime)
	add("min_event_time", err)
	hi, err2 := parseTime(o.MaxTime)
	add("max_event_time", err2)
	if err == nil && err2 == nil && o.MaxTime != "" && hi < lo {
		add("max_event_time", fmt.Errorf("%s is before min_event_time %s", o.MaxTime, o.MinTime))
	}

	if o.GeoIPCity != "" {
		_, err := geoip.Open(o.GeoIPCity, "")
		add("geoip_city", err)
	}
	if o.GeoIPASN != "" {
		_, err := geoip.Open("", o.GeoIPASN)
		add("geoip_asn", err)
	}
	for _, n := range o.Networks {
		_, err := prefix.Open(n)
		add("networks", err)
	}
	if o.Anonymize != "" {
		add("anonymize", anonymize.Check(o.Anonymize))
	}

	if o.Metrics != "" {
		add("metrics", metrics.Check(o.Metrics))
	}
	one("log_format", o.LogFormat, "text", "json")
	switch o.Runner {
	case flinkRunner:
		o.validateFlink(add)
	case dataflowRunner:
		o.validateDataflow(add)
	}

	one("dedupe", o.Dedupe, "exact", "off")
	add("dedupe_shards", shard.Check(o.DedupeShards))
	if o.DedupeHorizon <= 0 {
		add("dedupe_horizon", fmt.Errorf("%v is not positive", o.DedupeHorizon))
	}
	if o.AllowedLateness < 0 {
		add("allowed_lateness", fmt.Errorf("%v is negative", o.AllowedLateness))
	}
	if o.Skew < 0 {
		add("watermark_skew", fmt.Errorf("%v is negative", o.Skew))
	}
	if o.MaxHold < 0 {
		add("max_watermark_hold", fmt.Errorf("%v is negative", o.MaxHold))
	}
	if o.Dedupe == "exact" && o.rollups() {
		add("dedupe_horizon", dedupe.CheckHorizon(o.DedupeHorizon, o.AllowedLateness))
	}
	policies := []string{"off"}
	for _, p := range dedupe.Policies() {
		policies = append(policies, string(p))
	}
	one("observations", o.Observations, policies...)
	if o.Observations == string(dedupe.Priority) && len(o.Exporters) == 0 {
		add("exporters", fmt.Errorf("observations=priority needs the exporters in their order"))
	}

	if o.Output == "" {
		add("output", fmt.Errorf("is empty"))
	} else {
		problems = append(problems, o.validateOutput()...)
	}
	if levels, err := o.levels(); err == nil { // else it is told above
		for _, st := range o.stores() {
			add(st.name(), st.validate(levels))
		}
	}
	if o.Install && len(o.stores()) == 0 {
		add("install", fmt.Errorf("there is no store to install anything in: name one, such as --elasticsearch"))
	}
	if o.Summary != "" {
		if fi, err := os.Stat(filepath.Dir(o.Summary)); err != nil || !fi.IsDir() {
			add("summary", fmt.Errorf("there is no folder %s", filepath.Dir(o.Summary)))
		}
	}
	return problems
}

func (o *Options) validateOutput() (problems []error) {
	add := func(flag string, err error) {
		for _, e := range split(err) {
			problems = append(problems, fmt.Errorf("--%s: %w", flag, e))
		}
	}
	add("output", filesink.Validate(o.dir("flows"), append(o.sinkOptions("files"), filesink.Partition(o.Partition...))...))
	add("output", filesink.ValidateFailures(o.dir("dead_letters"), deadLetterOptions()...))
	if o.RawBackup {
		add("raw_backup", filesink.ValidateRaw(o.dir("raw"), o.rawOptions()...))
	}
	if !o.rollups() {
		return problems
	}
	if err := rollup.Validate(o.Rollup, o.RollupMeasures, o.RollupWindows); err != nil {
		add("rollup", err)
		return problems
	}
	levels, err := o.levels()
	add("rollup", err)
	for _, l := range levels {
		add("output", filesink.ValidateRollups(o.dir("rollup_"+l.name), l.table, o.sinkOptions("files_rollup_"+l.name)...))
	}
	return problems
}

// split undoes errors.Join, so that each problem gets its line.
func split(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, split(e)...)
		}
		return out
	}
	return []error{err}
}

func parseTime(s string) (flow.Time, error) {
	if s == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0, fmt.Errorf("%q is no time such as 2026-01-31T00:00:00Z", s)
	}
	return flow.TimeOf(t), nil
}
