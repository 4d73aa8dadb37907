// Program bench runs the reference job twice over the same input, as the pipeline on
// Prism and as a plain single-threaded Go loop that shares its parser, lookups, rollup
// and encoders, compares what they wrote, and prints what each cost. With --flink it runs it on
// Flink as well, the workers in its own process.
//
// scripts/bench builds and starts it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"

	"github.com/flowbeam/flowbeam/internal/loadgen"
	"github.com/flowbeam/flowbeam/pipelines/internal/job"
)

// The reference job's rollup: one-minute windows by user and country.
const (
	rollupFields = "user_id,destination_country"
	rollupWindow = time.Minute
)

// cost is what one side used, set-up (loading the databases) excluded.
type cost struct {
	CPU, Wall float64 // seconds
	PeakMiB   float64 // resident memory, the whole process
	Flink     float64 // seconds of CPU of Flink's processes, in CPU as well
}

// config is what both sides are given.
type config struct {
	Input, Output       string
	City, ASN           string
	Format, Compression string
	Flink               flinkConfig // of the side on Flink
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	n := flag.Int("n", 1_000_000, "records")
	dir := flag.String("dir", ".state/bench", "folder for input and output")
	city := flag.String("geoip_city", "", "GeoIP city database")
	asn := flag.String("geoip_asn", "", "ASN database")
	only := flag.String("only", "", "ndjson or parquet: only this output format")
	var f flinkConfig
	flag.StringVar(&f.Endpoint, "flink", "", "also run it on Flink: host:port of Beam's job server")
	flag.StringVar(&f.PIDs, "flink_pids", ".state/stack/flink", "folder of the files pid of Flink's processes, whose CPU time counts too")
	parallelism := flag.String("flink_parallelism", "1", "of Flink, several separated by commas")
	child := flag.String("side", "", "run one side with the configuration on standard input (used by the program itself)")
	profile := flag.String("cpuprofile", "", "write the pipeline's CPU profile here")
	flag.Parse()
	if *child != "" {
		runSide(*child, *profile)
		return
	}
	sides := []side{{name: "loop"}, {name: "prism"}}
	if f.Endpoint != "" {
		for _, p := range strings.Split(*parallelism, ",") {
			f := f
			if _, err := fmt.Sscan(p, &f.Parallelism); err != nil || f.Parallelism < 1 {
				log.Fatalf("--flink_parallelism: %q is no number", p)
			}
			sides = append(sides, side{name: "flink-" + p, flink: f})
		}
	}
	if err := compareSides(sides, *n, *dir, *city, *asn, *only, *profile); err != nil {
		log.Fatal(err)
	}
}

// side is one way to run the job.
type side struct {
	name  string
	flink flinkConfig
}

func compareSides(sides []side, n int, dir, city, asn, only, profile string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	input, err := makeInput(n, dir)
	if err != nil {
		return err
	}
	fmt.Printf("%d records, %s; city database %s, ASN database %s\n", n, filepath.Base(input), base(city), base(asn))
	fmt.Printf("%-18s %-8s %10s %10s %12s %10s %8s\n", "output", "side", "CPU s", "wall s", "records/s", "peak MiB", "ratio")
	for _, f := range []struct{ format, compression string }{{"ndjson", "gzip"}, {"parquet", "snappy"}} {
		if only != "" && only != f.format {
			continue
		}
		costs, outputs := map[string]cost{}, map[string]string{}
		for _, side := range sides {
			out := filepath.Join(dir, fmt.Sprintf("out-%s-%s", side.name, f.format))
			if err := os.RemoveAll(out); err != nil {
				return err
			}
			c, err := start(side.name, profile, config{Input: input, Output: out, City: city, ASN: asn, Format: f.format, Compression: f.compression, Flink: side.flink})
			if err != nil {
				return fmt.Errorf("%s: %w", side.name, err)
			}
			costs[side.name], outputs[side.name] = c, out
			ratio := ""
			if side.name != "loop" {
				ratio = fmt.Sprintf("%.2f", c.CPU/costs["loop"].CPU)
			}
			fmt.Printf("%-18s %-8s %10.2f %10.2f %12.0f %10.0f %8s\n", f.format+" "+f.compression, side.name, c.CPU, c.Wall, float64(n)/c.Wall, c.PeakMiB, ratio)
			if c.Flink > 0 {
				fmt.Printf("%-18s %-8s %10.2f of it in Flink's processes; %.2f times Prism's\n", "", "", c.Flink, c.CPU/costs["prism"].CPU)
			}
		}
		for _, side := range sides[1:] {
			same, err := sameOutputs(outputs["loop"], outputs[side.name])
			if err != nil {
				return fmt.Errorf("%s: %w", side.name, err)
			}
			fmt.Printf("%-18s %-8s outputs equal: %s\n", "", side.name, same)
		}
	}
	return nil
}

func base(path string) string {
	if path == "" {
		return "none"
	}
	return filepath.Base(path)
}

// makeInput makes the reference job's input, once for each size.
func makeInput(n int, dir string) (string, error) {
	c := loadgen.Default()
	c.Records = n
	out := filepath.Join(dir, fmt.Sprintf("input-%d", n))
	matches, _ := filepath.Glob(filepath.Join(out, "*", "*canopus*"))
	if len(matches) == 1 {
		return matches[0], nil
	}
	if err := os.RemoveAll(out); err != nil {
		return "", err
	}
	if _, err := loadgen.WriteFiles(context.Background(), out, c); err != nil {
		return "", err
	}
	matches, _ = filepath.Glob(filepath.Join(out, "*", "*canopus*"))
	if len(matches) != 1 {
		return "", fmt.Errorf("%s: want one file of records, have %v", out, matches)
	}
	return matches[0], nil
}

// start runs one side in a process of its own, so that neither pays for the other's heap.
func start(side, profile string, c config) (cost, error) {
	self, err := os.Executable()
	if err != nil {
		return cost{}, err
	}
	in, err := json.Marshal(c)
	if err != nil {
		return cost{}, err
	}
	args := []string{"-side=" + side}
	if profile != "" && side == "prism" {
		args = append(args, "-cpuprofile="+profile)
	}
	cmd := exec.Command(self, args...)
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(in)), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return cost{}, err
	}
	var got cost
	return got, json.Unmarshal(out, &got)
}

func runSide(side, profile string) {
	var c config
	if err := json.NewDecoder(bufio.NewReader(os.Stdin)).Decode(&c); err != nil {
		log.Fatal(err)
	}
	run := loop
	if side != "loop" {
		run = pipeline(profile)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(job.GCPercent) // as the programs do
	}
	got, err := measure(c, run)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(got); err != nil {
		log.Fatal(err)
	}
}

// measure loads the databases, then measures the run.
func measure(c config, run func(config) error) (cost, error) {
	if err := load(c); err != nil {
		return cost{}, err
	}
	flinks, err := c.Flink.cpu()
	if err != nil {
		return cost{}, err
	}
	before, started := cpu(), time.Now()
	if err := run(c); err != nil {
		return cost{}, err
	}
	got := cost{CPU: cpu() - before, Wall: time.Since(started).Seconds(), PeakMiB: peak()}
	after, err := c.Flink.cpu()
	got.Flink = after - flinks
	got.CPU += got.Flink
	return got, err
}

func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// peak is the most memory that this process held, in MiB. Linux's getrusage would give
// that of the parent where it was more: the figure is handed on through fork and exec.
func peak() float64 {
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(status)) {
			var kib float64
			if _, err := fmt.Sscanf(line, "VmHWM: %f kB", &kib); err == nil {
				return kib / 1024
			}
		}
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return float64(u.Maxrss) / 1024
}
