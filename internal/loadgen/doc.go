// Package loadgen makes flow records to test with: as many as wanted, in the formats that
// flowbeam reads, with the faults of real ones (duplicates, disorder, a data center that
// lags, broken lines, gaps) and with the truth about them.
//
// Everything follows from the seed: the same [Config] gives the same bytes on every
// machine. Record i is a pure function of (seed, i), so a duplicate is made anew rather
// than remembered, and memory stays flat: what waits for its turn costs 16 bytes a line.
// Numbers are integers throughout; floating point may round otherwise elsewhere.
package loadgen
