# The daily commands. Each is one line that can be typed as well.
.PHONY: build test race lint fuzz bench mutants sample generate clean

build: ## the programs, into bin/
	go build -o bin/ ./pipelines/...

test: ## all tests, and the names of the skipped ones
	scripts/test

race: ## the packages where it pays, under the race detector
	scripts/race

lint:
	scripts/lint

fuzz: ## each fuzz target for 30 seconds
	scripts/fuzz -each 30

bench: ## the reference job against a plain Go loop
	scripts/bench -n 1000000

mutants: ## take each guard away and see its test fail
	scripts/mutants

sample: ## the pipeline over the bundled records
	go run ./pipelines/flows

generate: ## schemas, field reference, sample records
	go generate ./...

clean:
	rm -rf bin out flowbeam-out loadgen-output
