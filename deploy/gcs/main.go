// Command gcs sets the lifecycle rules of a bucket from a file in the form of gcloud's
// --lifecycle-file, and reads back what the service has then:
//
//	go run ./deploy/gcs -bucket my-flows -lifecycle deploy/gcs/lifecycle.json
//
// It is what `gcloud storage buckets update gs://my-flows --lifecycle-file=…` does, for
// where there is no gcloud. Credentials are Application Default Credentials; the role is
// storage.buckets.update and storage.buckets.get. STORAGE_EMULATOR_HOST names an emulator.
// All rules of the bucket are replaced. Exit status 1: nothing or not all was set.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"time"

	"cloud.google.com/go/storage"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("gcs", flag.ContinueOnError)
	flags.SetOutput(errOut)
	bucket := flags.String("bucket", "", "name of the bucket, without gs://")
	file := flags.String("lifecycle", "", "file of the rules, as JSON")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *bucket == "" || *file == "" {
		fmt.Fprintln(errOut, "gcs: give -bucket and -lifecycle")
		return 2
	}
	text, err := os.ReadFile(*file)
	if err != nil {
		fmt.Fprintf(errOut, "gcs: %v\n", err)
		return 1
	}
	rules, err := parse(text)
	if err != nil {
		fmt.Fprintf(errOut, "gcs: %s: %v\n", *file, err)
		return 1
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := apply(ctx, *bucket, rules); err != nil {
		fmt.Fprintf(errOut, "gcs: gs://%s: %v\n", *bucket, err)
		return 1
	}
	fmt.Fprintf(out, "gs://%s has %d lifecycle rules\n", *bucket, len(rules.Rules))
	return 0
}

// lifecycle is the file's form.
//
// Source: https://cloud.google.com/storage/docs/lifecycle-configurations
type lifecycle struct {
	Rule []struct {
		Action    struct{ Type, StorageClass string }
		Condition struct {
			Age                                               *int64
			MatchesStorageClass, MatchesPrefix, MatchesSuffix []string
			NumNewerVersions, DaysSinceNoncurrentTime         int64
			IsLive                                            *bool
		}
	}
}

// parse reads the rules. What it doesn't know is an error: a condition that is passed over
// would delete more than was meant.
func parse(text []byte) (storage.Lifecycle, error) {
	var file lifecycle
	if err := strict(text, &file); err != nil {
		return storage.Lifecycle{}, err
	}
	var out storage.Lifecycle
	for i, r := range file.Rule {
		switch r.Action.Type {
		case storage.DeleteAction, storage.AbortIncompleteMPUAction:
		case storage.SetStorageClassAction:
			if r.Action.StorageClass == "" {
				return out, fmt.Errorf("rule %d: no storage class", i+1)
			}
		default:
			return out, fmt.Errorf("rule %d: unknown action %q", i+1, r.Action.Type)
		}
		c := storage.LifecycleCondition{
			MatchesStorageClasses: r.Condition.MatchesStorageClass, MatchesPrefix: r.Condition.MatchesPrefix, MatchesSuffix: r.Condition.MatchesSuffix,
			NumNewerVersions: r.Condition.NumNewerVersions, DaysSinceNoncurrentTime: r.Condition.DaysSinceNoncurrentTime,
		}
		if r.Condition.Age != nil {
			c.AgeInDays, c.AllObjects = *r.Condition.Age, *r.Condition.Age == 0
		}
		if live := r.Condition.IsLive; live != nil {
			c.Liveness = storage.Archived
			if *live {
				c.Liveness = storage.Live
			}
		}
		if reflect.DeepEqual(c, storage.LifecycleCondition{}) {
			return out, fmt.Errorf("rule %d: no condition", i+1)
		}
		out.Rules = append(out.Rules, storage.LifecycleRule{Action: storage.LifecycleAction{Type: r.Action.Type, StorageClass: r.Action.StorageClass}, Condition: c})
	}
	return out, nil
}

func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// apply sets the rules, which is the same however often it is done, and compares them with
// what the service has then.
func apply(ctx context.Context, bucket string, rules storage.Lifecycle) error {
	c, err := storage.NewClient(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetRetry(storage.WithPolicy(storage.RetryAlways))
	b := c.Bucket(bucket)
	if _, err := b.Update(ctx, storage.BucketAttrsToUpdate{Lifecycle: &rules}); err != nil {
		return err
	}
	have, err := b.Attrs(ctx)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(have.Lifecycle, rules) {
		return fmt.Errorf("it was asked for %d lifecycle rules and has others: %d", len(rules.Rules), len(have.Lifecycle.Rules))
	}
	return nil
}
