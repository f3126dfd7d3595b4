package storage

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Driver opens storages for one or more URL schemes. Its package calls Register in
// an init function.
type Driver interface {
	// Schemes returns the URL schemes of the driver, in lower case: "redis", "rediss".
	Schemes() []string
	// Open opens the storage at url and verifies that it answers. It returns within
	// a bounded time. Its errors wrap ErrBadURL or ErrUnavailable, and never contain
	// the URL's password.
	Open(url string) (Storage, error)
}

var (
	driversMu sync.RWMutex
	drivers   = map[string]Driver{}
)

// bundled maps schemes to the package of this module that serves them, for the hint
// in ErrUnknownScheme.
var bundled = map[string]string{
	"memory":          "memory",
	"redis":           "redis",
	"rediss":          "redis",
	"redis-sentinel":  "redis",
	"rediss-sentinel": "redis",
	"redis-cluster":   "redis",
	"rediss-cluster":  "redis",
	"unix":            "redis",
}

// Register makes a driver available to Open, for all of its schemes. It is meant for
// init functions and safe for concurrent use. It panics if d is nil or if one of the
// schemes already has a driver.
func Register(d Driver) {
	if d == nil {
		panic("storage: Register(nil)")
	}
	driversMu.Lock()
	defer driversMu.Unlock()
	for _, scheme := range d.Schemes() {
		if _, taken := drivers[scheme]; taken {
			panic(fmt.Sprintf("storage: Register: scheme %q already has a driver", scheme))
		}
		drivers[scheme] = d
	}
}

// Schemes returns the registered schemes, sorted.
func Schemes() []string {
	driversMu.RLock()
	defer driversMu.RUnlock()
	all := make([]string, 0, len(drivers))
	for scheme := range drivers {
		all = append(all, scheme)
	}
	slices.Sort(all)
	return all
}

// Open opens the storage at rawURL with the driver that registered its scheme:
// "memory://", "redis://user:password@host:6379/0". The driver's package must be
// imported (import _ "…/storage/redis"); otherwise Open returns ErrUnknownScheme,
// with the missing import line for a driver of this module. Other errors wrap
// ErrBadURL or ErrUnavailable. No error contains the URL's password: a driver's text
// that repeats a piece of a password which is not percent-encoded is withheld. Open
// never panics, and returns within the driver's documented time limit.
func Open(rawURL string) (s Storage, err error) {
	scheme, _, ok := strings.Cut(rawURL, "://")
	if !ok || !isScheme(scheme) {
		return nil, fmt.Errorf(`%w: it must begin with a scheme, as in "memory://" or "redis://host:6379/0"`, ErrBadURL)
	}
	scheme = strings.ToLower(scheme)

	driversMu.RLock()
	driver := drivers[scheme]
	driversMu.RUnlock()
	if driver == nil {
		if pkg, known := bundled[scheme]; known {
			return nil, fmt.Errorf("%w %q: add the line\n\timport _ \"github.com/fiberbridge/fiberbridge/storage/%s\"",
				ErrUnknownScheme, scheme, pkg)
		}
		return nil, fmt.Errorf("%w %q: is its driver's package imported? Registered schemes: %s",
			ErrUnknownScheme, scheme, strings.Join(Schemes(), ", "))
	}

	// Many storage constructors panic if their server is down.
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, fmt.Errorf("%w: the driver of %q panicked: %s", ErrUnavailable, scheme, redact(fmt.Sprint(p), rawURL))
		}
	}()
	s, err = driver.Open(rawURL)
	if err != nil {
		return nil, &openError{err: err, text: category(err) + redact(strings.TrimPrefix(err.Error(), category(err)), rawURL)}
	}
	return s, nil
}

// category returns how the text of a driver's error begins, if the rest of it can be
// withheld: with the text of an error of this package.
func category(err error) string {
	for _, known := range []error{ErrBadURL, ErrUnavailable} {
		if prefix := known.Error() + ": "; errors.Is(err, known) && strings.HasPrefix(err.Error(), prefix) {
			return prefix
		}
	}
	return ""
}

// MustOpen is Open for program start-up: it panics with the text of Open's error.
func MustOpen(rawURL string) Storage {
	s, err := Open(rawURL)
	if err != nil {
		panic(err.Error()) // the text only: printing the error could unwrap the driver's own
	}
	return s
}

// isScheme reports whether s is a scheme by RFC 3986, section 3.1. Anything else may
// be a misplaced password, so Open does not repeat it in an error.
func isScheme(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || !('0' <= c && c <= '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

// openError is a driver's error with the secrets redacted from its text.
type openError struct {
	err  error
	text string
}

func (e *openError) Error() string { return e.text }
func (e *openError) Unwrap() error { return e.err }

const redacted = "xxxxx"

// withheld replaces the text of a driver's error that repeats a piece of the password.
const withheld = `the driver's reason is withheld, because it repeats a part of the URL that may be a password. ` +
	`Percent-encode these characters of user and password: "@" as %40, ":" as %3A, "/" as %2F, "?" as %3F, "#" as %23, ` +
	`"%" as %25, and all others but letters, digits and - . _ ~`

// minPiece is the length of the shortest piece of a password that no error contains.
const minPiece = 3

// redact removes the secrets of rawURL from text: the password, both as written and
// percent-decoded, and the values of options whose name suggests a secret. It is the
// second line of defence: a driver must not put secrets into errors in the first place.
func redact(text, rawURL string) string {
	_, rest, _ := strings.Cut(rawURL, "://")
	var secrets []string
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, password, ok := strings.Cut(rest[:at], ":")
		if !ok {
			password = user // possibly a token
		}
		if encoded(rest[:at]) {
			secrets = append(secrets, password)
		} else {
			// A driver may have taken any part of it for a host, a path or an option.
			if !encoded(user) {
				password = rest[:at]
			}
			for _, form := range forms(password) {
				if sharesPiece(text, form) {
					return withheld
				}
			}
		}
	}
	secrets = append(secrets, secretOptions(rest)...)
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // longest first, so that no secret is cut by a part of itself
	for _, secret := range secrets {
		for _, form := range forms(secret) {
			text = strings.ReplaceAll(text, form, redacted)
		}
	}
	return text
}

// encoded reports whether s is user and password as RFC 3986, section 3.2.1, defines
// them: nothing in it can be taken for another part of the URL.
func encoded(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', strings.IndexByte("-._~!$&'()*+,;=:", c) >= 0:
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			i += 2
		default:
			return false
		}
	}
	return true
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

// forms returns a secret as written, percent-decoded, and quoted as url.Error does.
func forms(secret string) []string {
	if secret == "" {
		return nil
	}
	all := []string{secret}
	for _, unescape := range []func(string) (string, error){url.PathUnescape, url.QueryUnescape} {
		if plain, err := unescape(secret); err == nil && plain != "" {
			all = append(all, plain)
		}
	}
	for _, plain := range all {
		quoted := strconv.Quote(plain)
		all = append(all, quoted[1:len(quoted)-1])
	}
	return slices.Compact(all)
}

// sharesPiece reports whether text contains a piece of secret, or all of a short one.
func sharesPiece(text, secret string) bool {
	n := min(minPiece, len(secret))
	for i := 0; i+n <= len(secret); i++ {
		if strings.Contains(text, secret[i:i+n]) {
			return true
		}
	}
	return false
}

// secretName matches the names of options that suggest a secret.
var secretName = regexp.MustCompile(`(?i)pass|secret|token|key`)

// secretOptions returns the values of the options that secretName matches. The name of
// a file is no secret.
func secretOptions(rest string) []string {
	_, query, _ := strings.Cut(rest, "?")
	query, fragment, _ := strings.Cut(query, "#")
	var secrets []string
	inSecret := false
	for part := range strings.SplitSeq(query, "&") {
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			if inSecret { // the rest of a value with an "&" that is not encoded
				secrets = append(secrets, part)
			}
			continue
		}
		if inSecret = secretName.MatchString(name) && !strings.HasSuffix(strings.ToLower(name), "file"); inSecret {
			secrets = append(secrets, value)
		}
	}
	if inSecret { // the rest of a value with a "#" that is not encoded
		secrets = append(secrets, fragment)
	}
	return secrets
}
