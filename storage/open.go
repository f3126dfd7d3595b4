package storage

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Driver opens the storages of one or several URL schemes. Its package calls
// Register when it is imported.
type Driver interface {
	// Schemes are the schemes it serves, in lower case: "redis", "rediss".
	Schemes() []string
	// Open opens the storage that the URL names and makes sure that it answers.
	// It returns within a bounded time. Its errors wrap ErrBadURL or
	// ErrUnavailable and never carry the URL's password.
	Open(url string) (Storage, error)
}

var (
	driversMu sync.RWMutex
	drivers   = map[string]Driver{}
)

// ours are the packages of this module that serve a scheme, for the advice in
// ErrUnknownScheme.
var ours = map[string]string{
	"memory":          "memory",
	"redis":           "redis",
	"rediss":          "redis",
	"redis-sentinel":  "redis",
	"rediss-sentinel": "redis",
	"redis-cluster":   "redis",
	"rediss-cluster":  "redis",
}

// Register makes a driver known to Open, for all of its schemes. It panics when
// d is nil or when one of the schemes is taken: both are mistakes in the program.
// It is safe for concurrent use and meant for init functions.
func Register(d Driver) {
	if d == nil {
		panic("storage: Register(nil)")
	}
	driversMu.Lock()
	defer driversMu.Unlock()
	for _, scheme := range d.Schemes() {
		if _, taken := drivers[scheme]; taken {
			panic(fmt.Sprintf("storage: Register: scheme %q has a driver already", scheme))
		}
		drivers[scheme] = d
	}
}

// Schemes returns what Open can open at present, sorted.
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

// Open opens the storage that rawURL names, with the driver that registered its
// scheme: "memory://", "redis://user:password@host:6379/0". The driver's package
// must be imported (import _ "…/storage/redis"); ErrUnknownScheme names the line
// that is missing. Other errors wrap ErrBadURL or ErrUnavailable; none carries
// the URL's password. Open never panics, and takes as long as the driver's
// documented limit at most.
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
		if pkg, known := ours[scheme]; known {
			return nil, fmt.Errorf("%w %q: add the line\n\timport _ \"github.com/fiberbridge/fiberbridge/storage/%s\"",
				ErrUnknownScheme, scheme, pkg)
		}
		return nil, fmt.Errorf("%w %q: is its driver's package imported? Known here: %s",
			ErrUnknownScheme, scheme, strings.Join(Schemes(), ", "))
	}

	// Many constructors of storages panic when their server is down.
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

// MustOpen is Open for the start of a program: it panics with Open's error.
func MustOpen(rawURL string) Storage {
	s, err := Open(rawURL)
	if err != nil {
		panic(err.Error()) // the text, so that printing the panic cannot unfold more
	}
	return s
}

// isScheme reports whether s has the form of RFC 3986, section 3.1. What has not
// may be a password at the wrong place, and so is never repeated in an error.
func isScheme(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || !('0' <= c && c <= '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return s != ""
}

// openError is a driver's error with the secrets taken out of its text.
type openError struct {
	err  error
	text string
}

func (e *openError) Error() string { return e.text }
func (e *openError) Unwrap() error { return e.err }

const redacted = "xxxxx"

// secretInQuery finds the values of options that are secrets by their name.
var secretInQuery = regexp.MustCompile(`(?i)[?&][^=&#]*(?:pass|secret|token|key)[^=&#]*=([^&#]*)`)

// redact takes the secrets of rawURL out of text: the password, as written and
// as meant, and the options that are secrets by their name. It is the last line
// of defence: drivers are asked not to write secrets in the first place.
func redact(text, rawURL string) string {
	var secrets []string
	_, rest, _ := strings.Cut(rawURL, "://")
	// The password may hold any of "/?#@" when its author did not escape it, so
	// what stands before each "@" is taken for user and password.
	for at, c := range []byte(rest) {
		if c != '@' {
			continue
		}
		user, password, ok := strings.Cut(rest[:at], ":")
		if !ok {
			password = user // a token, perhaps
		}
		secrets = append(secrets, password)
	}
	for _, m := range secretInQuery.FindAllStringSubmatch(rawURL, -1) {
		secrets = append(secrets, m[1])
	}
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // none is cut by a part of it
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
