package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const declarations = `
export interface ThingConfig extends cdktf.TerraformMetaArguments {
    /**
    * Docs: {@link https://x/6.50.0/docs/resources/thing#keep_days Thing#keep_days}
    */
    readonly keepDays?: number;
    /**
    * Docs: {@link https://x/6.50.0/docs/resources/thing#labels Thing#labels}
    */
    readonly labels?: {
        [key: string]: string;
    };
    /**
    * Docs: {@link https://x/6.50.0/docs/resources/thing#name Thing#name}
    */
    readonly name: string;
    /**
    * rule block
    *
    * Docs: {@link https://x/6.50.0/docs/resources/thing#rule Thing#rule}
    */
    readonly rule?: ThingRule[] | cdktf.IResolvable;
}
export interface ThingRule {
    /**
    * Docs: {@link https://x/6.50.0/docs/resources/thing#age Thing#age}
    */
    readonly age: number;
}
`

func TestResource(t *testing.T) {
	kind, got := resource(declarations)
	want := map[string]Attribute{
		"keep_days": {}, "labels": {}, "name": {Required: true},
		"rule": {Block: map[string]Attribute{"age": {Required: true}}},
	}
	if d := cmp.Diff(want, got); kind != "google_thing" || d != "" {
		t.Errorf("%s: %s", kind, d)
	}
}
