package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"

	"github.com/flowbeam/flowbeam/pipelines/internal/job"
)

// flinkConfig says where Flink is; of the other sides it is empty.
type flinkConfig struct {
	Endpoint    string
	Parallelism int
	PIDs        string // folder of NAME/pid
}

// set makes the options those of a run there, with the workers in this process.
func (f flinkConfig) set(o *job.Options) {
	if f.Endpoint == "" {
		return
	}
	o.Runner = "flink"
	*jobopts.Endpoint, *jobopts.EnvironmentType, *jobopts.Parallelism = f.Endpoint, "loopback", f.Parallelism
}

// cpu is the CPU time, in seconds, that the processes of Flink have used: JobManager, TaskManager
// and Beam's job server.
// Source: proc_pid_stat(5), fields 14 and 15, in hundredths of a second.
func (f flinkConfig) cpu() (seconds float64, err error) {
	if f.Endpoint == "" {
		return 0, nil
	}
	files, err := filepath.Glob(filepath.Join(f.PIDs, "*", "pid"))
	if err == nil && len(files) == 0 {
		err = errors.New("--flink_pids: no file pid under " + f.PIDs)
	}
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		pid, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		_, after, _ := strings.Cut(string(stat), ") ") // a name may hold spaces
		fields := strings.Fields(after)
		var user, system float64
		if _, err := fmt.Sscan(strings.Join(fields[11:13], " "), &user, &system); err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		seconds += (user + system) / 100
	}
	return seconds, nil
}
