package filesystem

import (
	"fmt"
	"regexp"
	"strings"
)

// HasMeta says whether a pattern has a character that makes it stand for many files.
func HasMeta(pattern string) bool { return strings.ContainsAny(pattern, `*?[`) }

// Fixed returns the part of a pattern before the path element with its first special
// character: the folder or prefix to list.
func Fixed(pattern string) string {
	i := strings.IndexAny(pattern, `*?[`)
	if i < 0 {
		return pattern
	}
	return pattern[:strings.LastIndexByte(pattern[:i], '/')+1]
}

// CompileGlob translates a pattern with the rules of [FS.Glob] to a regular expression
// over whole paths. Storages that list by prefix match with it.
func CompileGlob(pattern string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString(`(?s)^`)
	for i := 0; i < len(pattern); {
		switch c := pattern[i]; {
		case strings.HasPrefix(pattern[i:], "**/") && (i == 0 || pattern[i-1] == '/'):
			b.WriteString(`(?:[^/]+/)*`)
			i += len("**/")
		case pattern[i:] == "**" && (i == 0 || pattern[i-1] == '/'):
			b.WriteString(`.+`)
			i += len("**")
		case c == '*':
			b.WriteString(`[^/]*`)
			i++
		case c == '?':
			b.WriteString(`[^/]`)
			i++
		case c == '[':
			end := strings.IndexByte(pattern[i:], ']')
			if end < 2 {
				return nil, fmt.Errorf("glob %q: [ without its ]", pattern)
			}
			class := pattern[i+1 : i+end]
			if class[0] == '!' {
				class = "^" + class[1:]
			}
			b.WriteString("[" + strings.ReplaceAll(class, `\`, `\\`) + "]")
			i += end + 1
		default:
			n := strings.IndexAny(pattern[i:], `*?[`)
			if n < 0 {
				n = len(pattern) - i
			}
			b.WriteString(regexp.QuoteMeta(pattern[i : i+n]))
			i += n
		}
	}
	re, err := regexp.Compile(b.String() + `$`)
	if err != nil {
		return nil, fmt.Errorf("glob %q: %w", pattern, err)
	}
	return re, nil
}
