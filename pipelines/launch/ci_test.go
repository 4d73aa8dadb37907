package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// runner is a machine of a user's CI: a shell, this repository, the launcher, and in the place of
// docker, gcloud and the tests programs that write down how they were called.
type runner struct {
	t   *testing.T
	dir string            // with the launcher and the programs
	env map[string]string // variables of all steps
}

const image = "europe-west1-docker.pkg.dev/p/flows/flows"

func newRunner(t *testing.T, s *service) *runner {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("bash is not installed")
	}
	r := &runner{t: t, dir: t.TempDir(), env: map[string]string{
		"CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAFLOW": s.url,
	}}
	for name, script := range map[string]string{
		"docker": `echo "docker $*" >>"$CALLS"; [ "$1" != login ] || cat >/dev/null; [ "$1" != inspect ] || echo ` + image + `@sha256:$(printf %s "$COMMIT" | sha256sum | cut -c1-64)`,
		"gcloud": `echo "gcloud $*" >>"$CALLS"`,
		// The launcher is this test's program: building it is seen, and not done again.
		"go":     `echo "go $*" >>"$CALLS"; case "$*" in "build -o launch ./pipelines/launch") exit 0 ;; "test ./...") exit 0 ;; *) echo "unknown: go $*" >&2; exit 2 ;; esac`,
		"lint":   `echo lint >>"$CALLS"`,
		"launch": `FLOWBEAM_TEST_LAUNCHER=1 exec "$SELF" "$@"`,
	} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(r.dir, "scripts"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(r.dir, "lint"), filepath.Join(r.dir, "scripts", "lint")); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r.env["SELF"], r.env["CALLS"], r.env["GITHUB_ENV"] = self, filepath.Join(r.dir, "calls"), filepath.Join(r.dir, "github-env")
	r.env["PATH"] = r.dir + string(os.PathListSeparator) + os.Getenv("PATH")
	return r
}

// step runs a script as CI would, and returns what it printed.
func (r *runner) step(script string) (string, error) {
	file := filepath.Join(r.dir, "step")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		r.t.Fatal(err)
	}
	c := exec.CommandContext(r.t.Context(), "bash", "-eo", "pipefail", file)
	c.Dir, c.Env = r.dir, os.Environ()
	for k, v := range r.env {
		c.Env = append(c.Env, k+"="+v)
	}
	out, err := c.CombinedOutput()
	b, _ := os.ReadFile(r.env["GITHUB_ENV"])
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			r.env[k] = v
		}
	}
	return string(out), err
}

func (r *runner) calls() string {
	b, err := os.ReadFile(r.env["CALLS"])
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

type workflow struct {
	Env  map[string]string
	Jobs map[string]struct {
		Permissions map[string]string
		Steps       []struct {
			ID, Name, Uses, Run, If string
			With                    map[string]string
		}
	}
}

var expression = regexp.MustCompile(`\$\{\{ *vars\.(\w+)(?: \|\| '([^']*)')? *\}\}`)

// github runs the steps of the workflow's jobs for one commit; after one fails those that are for
// that case.
func (r *runner) github(w *workflow, commit string, vars map[string]string) (ran []string, failed error) {
	r.env["GITHUB_SHA"], r.env["COMMIT"] = commit, commit
	for k, v := range w.Env {
		r.env[k] = expression.ReplaceAllStringFunc(v, func(e string) string {
			m := expression.FindStringSubmatch(e)
			if v, ok := vars[m[1]]; ok {
				return v
			}
			return m[2]
		})
	}
	outcome := map[string]bool{}
	for _, job := range []string{"test", "deploy"} {
		for _, s := range w.Jobs[job].Steps {
			if s.Run == "" || (failed != nil) != strings.Contains(s.If, "failure()") {
				continue
			}
			if m := regexp.MustCompile(`steps\.(\w+)\.outcome == 'success'`).FindStringSubmatch(s.If); m != nil && !outcome[m[1]] {
				continue
			}
			out, err := r.step(s.Run)
			ran = append(ran, s.Name)
			r.t.Logf("%s: %v\n%s", s.Name, err, out)
			outcome[s.ID] = err == nil
			if err != nil && failed == nil {
				failed = fmt.Errorf("%s: %w\n%s", s.Name, err, out)
			}
		}
	}
	return ran, failed
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("../../deploy/ci/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func TestTheWorkflowOfGitHub(t *testing.T) {
	var w workflow
	readYAML(t, "github-actions.yml", &w)
	s := newService(t)
	r := newRunner(t, s)
	bucket := "gs://" + s.bucket.Name
	vars := map[string]string{
		"PROJECT": "p", "REGION": "r", "JOB": "flows", "IMAGE": image, "LAUNCHER": "base@sha256:00", "TEMPLATES": bucket + "/templates",
		"STAGING": bucket + "/staging", "WORKER": "worker@p", "PARAMETERS": "output=" + bucket + "/flows\n" + strings.Join(kafka, "\n"), "HEALTHY": "10ms",
	}
	for k := range w.Env {
		if !expression.MatchString(w.Env[k]) {
			t.Errorf("%s is no variable: %s", k, w.Env[k])
		}
	}
	if p := w.Jobs["deploy"].Permissions; p["id-token"] != "write" || p["contents"] != "read" || len(p) != 2 {
		t.Errorf("permissions %v", p)
	}

	ran, err := r.github(&w, strings.Repeat("a", 40), vars)
	if want := []string{"lint", "test", "launcher", "image", "spec", "validate", "deploy", "health"}; err != nil || !slices.Equal(ran, want) {
		t.Fatalf("ran %v: %v", ran, err)
	}
	first := s.asked[len(s.asked)-1]
	if first.ContainerSpecGcsPath != bucket+"/templates/flows-"+strings.Repeat("a", 40)+".json" || first.Environment.AdditionalUserLabels["commit"] != strings.Repeat("a", 12) ||
		first.Environment.ServiceAccountEmail != "worker@p" || first.Environment.IpConfiguration != "WORKER_IP_PRIVATE" {
		t.Errorf("%+v %+v", first, first.Environment)
	}
	for _, want := range []string{"lint\n", "go test ./...\n", "docker build -f deploy/dataflow/Dockerfile --build-arg LAUNCHER=base@sha256:00 -t " + image + ":aaaa", "docker push " + image + ":aaaa"} {
		if !strings.Contains(r.calls(), want) {
			t.Errorf("nobody called %s:\n%s", want, r.calls())
		}
	}
	if spec := string(s.bucket.Objects()["templates/flows-"+strings.Repeat("a", 40)+".json"]); !strings.Contains(spec, image+"@sha256:") {
		t.Errorf("the spec's image is not by digest: %s", spec)
	}

	// The next commit tells errors, and is taken back.
	s.errors = []string{"worker lost"}
	ran, err = r.github(&w, strings.Repeat("b", 40), vars)
	if err == nil || ran[len(ran)-1] != "rollback" {
		t.Fatalf("ran %v: %v", ran, err)
	}
	s.errors = nil
	if now := s.active("flows"); now == nil || now.Id != "2026-11-23_2" || s.asked[len(s.asked)-1].ContainerSpecGcsPath != first.ContainerSpecGcsPath {
		t.Errorf("runs %+v, launched from %s", now, s.asked[len(s.asked)-1].ContainerSpecGcsPath)
	}

	// One with parameters that the service refuses is never launched, and nothing is taken back.
	vars["PARAMETERS"] += "\noutptu=x"
	ran, err = r.github(&w, strings.Repeat("c", 40), vars)
	if err == nil || ran[len(ran)-1] != "validate" || len(s.jobs) != 3 {
		t.Errorf("ran %v: %v", ran, err)
	}
}

func TestTheBuildOfCloudBuild(t *testing.T) {
	var build struct {
		Substitutions map[string]string
		Steps         []struct{ ID, Script string }
	}
	readYAML(t, "cloudbuild.yaml", &build)
	s := newService(t)
	r := newRunner(t, s)
	bucket := "gs://" + s.bucket.Name
	given := map[string]string{
		"_REGION": "r", "_IMAGE": image, "_LAUNCHER": "base@sha256:00", "_TEMPLATES": bucket + "/templates", "_STAGING": bucket + "/staging",
		"_WORKER": "worker@p", "_PARAMETERS": "output=" + bucket + "/flows " + strings.Join(kafka, " "), "_HEALTHY": "10ms",
	}
	run := func(commit string) error {
		maps.Copy(r.env, build.Substitutions)
		maps.Copy(r.env, given)
		r.env["PROJECT_ID"], r.env["COMMIT_SHA"], r.env["COMMIT"] = "p", commit, commit
		for _, step := range build.Steps {
			if out, err := r.step(step.Script); err != nil {
				return fmt.Errorf("%s: %w\n%s", step.ID, err, out)
			}
		}
		return nil
	}
	for k := range given {
		if _, ok := build.Substitutions[k]; !ok {
			t.Errorf("%s is no substitution", k)
		}
	}
	if err := run(strings.Repeat("a", 40)); err != nil {
		t.Fatal(err)
	}
	first := s.asked[len(s.asked)-1].ContainerSpecGcsPath
	s.errors = []string{"worker lost"}
	if err := run(strings.Repeat("b", 40)); err == nil || !strings.Contains(err.Error(), "worker lost") {
		t.Errorf("the build with errors: %v", err)
	}
	if s.asked[len(s.asked)-1].ContainerSpecGcsPath != first || s.active("flows") == nil {
		t.Errorf("not back to the first: %+v", s.asked[len(s.asked)-1])
	}
}

// A release has archives of all platforms, their checksums and an image by digest; a tag that the
// sources do not name is none.
func TestTheReleaseWorkflow(t *testing.T) {
	var w workflow
	b, err := os.ReadFile("../../.github/workflows/release.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(b, &w); err != nil {
		t.Fatal(err)
	}
	r := newRunner(t, newService(t))
	for name, script := range map[string]string{
		"go": `echo "go $GOOS/$GOARCH $*" >>"$CALLS"; while [ $# -gt 1 ]; do [ "$1" != -o ] || echo "$3 $GOOS" >"$2"; shift; done`,
		"gh": `echo "gh $*" >>"$CALLS"`,
	} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"scripts/release", "LICENSE", "README.md", "CHANGELOG.md", "flow/failure.go"} {
		b, err := os.ReadFile(filepath.Join("../..", f))
		if err == nil {
			err = os.MkdirAll(filepath.Join(r.dir, filepath.Dir(f)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(r.dir, f), b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	version := regexp.MustCompile(`const Version = "(.*)"`).FindStringSubmatch(string(mustRead(t, filepath.Join(r.dir, "flow/failure.go"))))[1]
	maps.Copy(r.env, map[string]string{"IMAGE": image, "LAUNCHER": "base@sha256:00", "GITHUB_REF_NAME": "v" + version, "GITHUB_ACTOR": "a", "GH_TOKEN": "t", "COMMIT": "c"})
	for _, s := range w.Jobs["release"].Steps {
		if s.Run == "" {
			continue
		}
		if out, err := r.step(s.Run); err != nil {
			t.Fatalf("%s: %v\n%s", s.Name, err, out)
		}
	}
	sums := string(mustRead(t, filepath.Join(r.dir, "dist", "SHA256SUMS")))
	for _, platform := range []string{"linux_amd64", "linux_arm64", "darwin_arm64"} {
		if !strings.Contains(sums, "flowbeam_"+version+"_"+platform+".tar.gz") {
			t.Errorf("no %s in\n%s", platform, sums)
		}
	}
	for _, want := range []string{"gh release create v" + version, "docker push " + image + ":v" + version, "darwin/arm64 build -trimpath"} {
		if !strings.Contains(r.calls(), want) {
			t.Errorf("nobody called %s:\n%s", want, r.calls())
		}
	}
	if !strings.Contains(string(mustRead(t, filepath.Join(r.dir, "dist", "IMAGE"))), "@sha256:") {
		t.Error("the image is not by digest")
	}
	sum := regexp.MustCompile(`\w+  flowbeam_\S+_linux_amd64\.tar\.gz`).FindString(sums)
	if out, err := r.step(`PLATFORMS=linux/amd64 scripts/release v` + version); err != nil || !strings.Contains(out, sum) {
		t.Errorf("the same again has another checksum: %v\n%s\nbefore %s", err, out, sum)
	}
	if out, err := r.step("scripts/release v9.9.9"); err == nil || !strings.Contains(out, "flow.Version is "+version) || !strings.Contains(out, "CHANGELOG.md has no section") {
		t.Errorf("another tag: %v\n%s", err, out)
	}
}

func mustRead(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
