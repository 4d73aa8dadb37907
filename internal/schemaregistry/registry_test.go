package schemaregistry

import (
	"strings"
	"testing"
)

func TestAllProblemsOfARegistryAreSaid(t *testing.T) {
	for _, c := range []struct {
		r    Registry
		want []string
	}{
		{Registry{URL: "https://registry:8081"}, nil},
		{Registry{URL: "http://registry:8081/api/ccompat", User: "u", Password: "env:P", CA: "file:ca.pem"}, nil},
		{Registry{URL: "https://registry", Token: "file:token"}, nil},
		{Registry{}, []string{"http(s)"}},
		{Registry{URL: "registry:8081", Password: "hunter2"}, []string{"http(s)", "password: a secret is given as", "come together"}},
		{Registry{URL: "https://u:hunter2@registry"}, []string{"has a user in it"}},
		{Registry{URL: "https://registry\x7f:hunter2@"}, []string{"no URL"}},
		{Registry{URL: "https://registry", User: "u", Token: "hunter2", CA: "hunter2"}, []string{"token: a secret", "CA: a secret", "both a token and a user", "come together"}},
	} {
		err := c.r.Check()
		if (err == nil) != (c.want == nil) {
			t.Errorf("%+v: %v", c.r, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %q is not in %v", c.r, want, err)
			}
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a secret in %v", err)
		}
	}
}
