package flink

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
)

// Environment is where the workers of a job run.
type Environment struct{ kind, config string }

const (
	loopback = "loopback"
	external = "external"
	process  = "process"
	docker   = "docker"
)

// ParseEnvironment reads Beam's --environment_type and --environment_config:
//
//	loopback               in the process that submits (also where no type is given)
//	external, host:port    in a pool beside each TaskManager (see [Pool])
//	process, JSON or path  the TaskManager starts {"command": path, "env": {...}}; none: the running program
//	docker, image          the TaskManager starts a container
func ParseEnvironment(kind, config string) (Environment, error) {
	e := Environment{strings.ToLower(kind), config}
	switch e.kind {
	case "":
		e.kind = loopback
	case loopback:
	case external:
		if config == "" {
			return e, fmt.Errorf("environment_config: external needs the host:port of a worker pool")
		}
	case docker:
		if config == "" {
			return e, fmt.Errorf("environment_config: docker needs an image")
		}
	case process:
		if config != "" && !strings.HasPrefix(config, "{") {
			b, err := json.Marshal(map[string]string{"command": config})
			if err != nil {
				return e, err
			}
			e.config = string(b)
		}
	default:
		return e, fmt.Errorf("environment_type: %q is none of loopback, external, process, docker", kind)
	}
	return e, nil
}

// InThisProcess says that the workers end with this process.
func (e Environment) InThisProcess() bool { return e.kind == loopback }

// start gives what the pipeline says of its environment, and starts the workers that are in this
// process.
func (e Environment) start(ctx context.Context) (urn, config string, stop func(), err error) {
	stop = func() {}
	switch e.kind {
	case loopback:
		p, err := StartPool(ctx, "localhost:0")
		if err != nil {
			return "", "", stop, err
		}
		return graphx.URNEnvExternal, p.Address(), p.Stop, nil
	case external:
		return graphx.URNEnvExternal, e.config, stop, nil
	case process:
		if e.config == "" {
			self, err := os.Executable()
			if err != nil {
				return "", "", stop, err
			}
			if e, err = ParseEnvironment(process, self); err != nil {
				return "", "", stop, err
			}
		}
		return graphx.URNEnvProcess, e.config, stop, nil
	default:
		return graphx.URNEnvDocker, e.config, stop, nil
	}
}
