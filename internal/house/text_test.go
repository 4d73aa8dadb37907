package house

import (
	"bytes"
	"regexp"
	"testing"
)

// local matches what names one machine: absolute paths of its folders, and the settings
// and addresses by which it reaches package registries. Whoever clones the repository has
// others.
var local = regexp.MustCompile(`(^|[^\w.*)])/(work|root|home)/\w|\b(GOPROXY|GONOSUMDB|PIP_INDEX_URL|NPM_CONFIG_REGISTRY)=\S|--(index-url|registry)[= ]\S|\bhttps?://(localhost|127\.0\.0\.1|10\.\d+\.\d+\.\d+)(:\d+)?/(go|npm|pypi|simple)\b`)

func TestNoFileNamesOneMachine(t *testing.T) {
	walk(t, func(file string) {
		text := read(t, file)
		if bytes.IndexByte(text, 0) >= 0 {
			return // not text
		}
		for i, line := range bytes.Split(text, []byte("\n")) {
			if m := local.Find(line); m != nil && file != "internal/house/text_test.go" {
				t.Errorf("%s:%d: %q", file, i+1, m)
			}
		}
	})
}

func TestLocalMatches(t *testing.T) {
	for text, want := range map[string]bool{
		"cd /work/main":                    true,
		`path := "/root/x"`:                true,
		"see /home/me/data":                true,
		"GOPROXY=http://mirror go build":   true,
		"npm install --registry=http://x":  true,
		"http://localhost:8081/npm/":       true,
		"net/work/main":                    false,
		"../shared/data/zeek/large":        false,
		"/data/dc=fra/conn.log":            false,
		"https://www.maxmind.com":          false,
		"GOPROXY says where modules are":   false,
		"the home of the root of the work": false,
	} {
		if local.MatchString(text) != want {
			t.Errorf("%q: matched %v, want %v", text, !want, want)
		}
	}
}
