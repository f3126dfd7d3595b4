package engineio

import (
	"errors"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// originPattern is an entry of Config.AllowOrigins with a wildcard, in canonical form.
type originPattern struct {
	prefix string // what comes before the wildcard: "https://"
	suffix string // what comes after it: ".example.com:443"
}

// matches reports whether an origin in canonical form is prefix + one label + suffix. Its
// characters have been checked, so a label is any text without a dot.
func (p originPattern) matches(origin string) bool {
	label, ok := strings.CutPrefix(origin, p.prefix)
	if !ok {
		return false
	}
	label, ok = strings.CutSuffix(label, p.suffix)
	return ok && label != "" && !strings.Contains(label, ".")
}

// parseOriginPattern parses "https://*.example.com", with or without a port.
func parseOriginPattern(s string) (originPattern, bool) {
	scheme, rest, ok := strings.Cut(s, "://*.")
	if !ok {
		return originPattern{}, false
	}
	canonical, ok := parseOrigin(scheme + "://" + rest)
	if !ok || strings.Contains(rest, "[") {
		return originPattern{}, false
	}
	scheme, rest, _ = strings.Cut(canonical, "://")
	return originPattern{prefix: scheme + "://", suffix: "." + rest}, true
}

// Reasons why an entry of Config.AllowOrigins is refused.
var (
	errStarOrigin = errors.New(`"*" with cookies would let every page act on behalf of its visitors: ` +
		"list the origins, or set AllowAnyOrigin, which ignores cookies")
	errInvalidEntry = errors.New(`an entry must be an origin such as "https://app.example.com", with a scheme and without a path, ` +
		`or "https://*.example.com", where the wildcard matches one label, or "null"`)
	errWildcardAddress = errors.New("a wildcard stands for a label of a name, but this is an address")
	errPublicSuffix    = errors.New("anyone can register a name below that (publicsuffix.org): " +
		"list the origins one by one, or set AllowOriginFunc")
)

// validateOriginEntry returns an error if entry is not valid in Config.AllowOrigins.
func validateOriginEntry(entry string) error {
	switch entry {
	case "*":
		return errStarOrigin
	case nullOrigin:
		return nil
	}
	pattern, ok := parseOriginPattern(entry)
	if !ok {
		if _, ok := parseOrigin(entry); !ok {
			return errInvalidEntry
		}
		return nil
	}
	domain := pattern.suffix[1:strings.LastIndexByte(pattern.suffix, ':')]
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	switch {
	case last == "" || domain[0] == '.':
		return errInvalidEntry
	case strings.Trim(last, "0123456789") == "", strings.HasPrefix(last, "0x"): // browsers parse these as IPv4
		return errWildcardAddress
	case domain == "localhost":
		return nil // its subdomains are this machine
	}
	if suffix, _ := publicsuffix.PublicSuffix(domain); suffix == domain {
		return errPublicSuffix
	}
	return nil
}
