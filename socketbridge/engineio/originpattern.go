package engineio

import (
	"errors"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// originPattern is an entry of Config.AllowOrigins with a wildcard: what stands, in
// canonical form, before and behind the one label that may be any.
type originPattern struct {
	before string // "https://"
	behind string // ".example.com:443"
}

// matches reports whether an origin in canonical form is before + label + behind. Its
// characters were checked, so that a label is whatever has no dot.
func (p originPattern) matches(origin string) bool {
	label, ok := strings.CutPrefix(origin, p.before)
	if !ok {
		return false
	}
	label, ok = strings.CutSuffix(label, p.behind)
	return ok && label != "" && !strings.Contains(label, ".")
}

// parseOriginPattern takes "https://*.example.com", with a port or without.
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
	return originPattern{before: scheme + "://", behind: "." + rest}, true
}

// Why an entry of Config.AllowOrigins is none.
var (
	errStarOrigin = errors.New(`"*" with cookies would let every page act for its visitors: ` +
		"list the origins, or set AllowAnyOrigin, with which cookies are ignored")
	errNoOrigin = errors.New(`it wants origins such as "https://app.example.com", with a scheme and without a path, ` +
		`or "https://*.example.com" for one label of any name`)
	errNumberOrigin = errors.New("a wildcard stands for a label of a name; this is an address")
	errPublicOrigin = errors.New("anybody can have a name below that (publicsuffix.org): " +
		"list the origins one by one, or set AllowOriginFunc")
)

// checkOrigin checks an entry of Config.AllowOrigins.
func checkOrigin(entry string) error {
	if entry == "*" {
		return errStarOrigin
	}
	pattern, ok := parseOriginPattern(entry)
	if !ok {
		if _, ok := parseOrigin(entry); !ok {
			return errNoOrigin
		}
		return nil
	}
	domain := pattern.behind[1:strings.LastIndexByte(pattern.behind, ':')]
	last := domain[strings.LastIndexByte(domain, '.')+1:]
	switch {
	case last == "" || domain[0] == '.':
		return errNoOrigin
	case strings.Trim(last, "0123456789") == "", strings.HasPrefix(last, "0x"): // what browsers read as IPv4
		return errNumberOrigin
	case domain == "localhost":
		return nil // names of this machine
	}
	if suffix, _ := publicsuffix.PublicSuffix(domain); suffix == domain {
		return errPublicOrigin
	}
	return nil
}
