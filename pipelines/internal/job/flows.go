package job

// Flows is the program that reads flow records and writes them.
func Flows() *Program {
	return &Program{
		Name:    "flows",
		About:   "flow records in, deduplicated, enriched, counted by windows, and written",
		Without: []string{"dead_letters", "raw", "replace"},
	}
}
