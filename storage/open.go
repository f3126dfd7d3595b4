package storage

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
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
// ErrBadURL or ErrUnavailable. No error contains the URL's password. Open never
// panics, and returns within the driver's documented time limit.
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
		return nil, &openError{err: err, text: redact(err.Error(), rawURL)}
	}
	return s, nil
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

// secretInQuery matches the values of options whose name suggests a secret.
var secretInQuery = regexp.MustCompile(`(?i)[?&][^=&#]*(?:pass|secret|token|key)[^=&#]*=([^&#]*)`)

// redact replaces the secrets of rawURL in text: the password, both as written and
// percent-decoded, and the values that secretInQuery finds. It is the second line of
// defence: a driver must not put secrets into errors in the first place.
func redact(text, rawURL string) string {
	var secrets []string
	_, rest, _ := strings.Cut(rawURL, "://")
	// An unescaped password may contain any of "/?#@", so the text before each "@"
	// counts as user and password.
	for at, c := range []byte(rest) {
		if c != '@' {
			continue
		}
		user, password, ok := strings.Cut(rest[:at], ":")
		if !ok {
			password = user // possibly a token
		}
		secrets = append(secrets, password)
	}
	for _, m := range secretInQuery.FindAllStringSubmatch(rawURL, -1) {
		secrets = append(secrets, m[1])
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // longest first, so that no secret is cut by a part of itself
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		text = strings.ReplaceAll(text, secret, redacted)
		for _, unescape := range []func(string) (string, error){url.PathUnescape, url.QueryUnescape} {
			if plain, err := unescape(secret); err == nil {
				text = strings.ReplaceAll(text, plain, redacted)
			}
		}
	}
	return text
}
