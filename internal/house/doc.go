// Package house holds the repository to its own rules by tests: which package may import
// which, that every exported transform is shown by an example, and that no file names
// the machine that it was written on.
package house
