package main

import "strings"

// others are values that differ from text as little as may be: one digit, of which the last comes
// first, or a character more. Which of them a field may have is for its format to say.
func others(text string) []string {
	var out []string
	for i := len(text) - 1; i >= 0 && len(out) < 40; i-- {
		c := text[i]
		if c < '0' || c > '9' {
			continue
		}
		for _, d := range [...]byte{c + 1, c - 1} {
			if d >= '0' && d <= '9' {
				out = append(out, text[:i]+string(d)+text[i+1:])
			}
		}
	}
	if !strings.HasSuffix(text, "=") {
		out = append(out, text+"x")
	}
	return out
}
