package filesource

type watchFn struct {
	Config config
	Globs  []string
}
