package fibersession

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/internal/setting"
)

// configure fills in the defaults and refuses what cannot be meant.
func (s *Store) configure() {
	c := &s.cfg
	s.configureLimits()
	s.configureSource()
	s.configureExpress()
	s.configureForm()
	s.configureCookie()
	setDefault(&c.Prefix, ConfigDefault.Prefix)
	if c.Builtin && c.Codec != nil {
		refuse("Codec", "with Builtin, which has its own")
	}
	if c.Builtin && c.KeyGenerator == nil {
		c.KeyGenerator = utils.UUIDv4 // what the other stores of these sessions make
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	s.log = c.Logger
	if c.ErrorHandler == nil {
		c.ErrorHandler = defaultErrorHandler
	}
}

func (s *Store) configureLimits() {
	c := &s.cfg
	if c.Expiration <= 0 { // Fiber takes these as the default too
		c.Expiration = ConfigDefault.Expiration
	}
	c.Expiration = min(c.Expiration, maxLimit)

	t, def := &c.Timeouts, ConfigDefault.Timeouts
	s.hardLimit = t.Absolute > 0
	switch {
	case (c.Builtin || c.Express != nil) && s.hardLimit:
		refuse("Timeouts.Absolute", "with Builtin or Express, whose stored form has no place for it")
	case c.Builtin || c.Express != nil:
		t.Absolute = -1
	case t.Absolute == 0:
		t.Absolute = max(def.Absolute, c.Expiration)
	}
	t.Absolute = min(t.Absolute, maxLimit)
	setting.Default(field("Timeouts.TouchInterval"), &t.TouchInterval, def.TouchInterval)
	setting.Default(field("Timeouts.Storage"), &t.Storage, def.Storage)
	setting.Default(field("Timeouts.Ticket"), &t.Ticket, def.Ticket)

	setting.Default(field("Tracking.MaxLag"), &c.Tracking.MaxLag, ConfigDefault.Tracking.MaxLag)
	recheck := ConfigDefault.Tracking.Recheck
	if c.Express != nil {
		recheck = expressRecheck
	}
	setting.DefaultOrNone(&c.Tracking.Recheck, recheck)
	setting.NotNegative(field("Tracking.OutageGrace"), c.Tracking.OutageGrace)

	switch c.Freshness {
	case 0:
		c.Freshness = ConfigDefault.Freshness
	case Strict, Tracked:
	default:
		refuse("Freshness", fmt.Sprintf("is %d: it must be Strict or Tracked", c.Freshness))
	}
	setting.Default(field("Limits.MaxSize"), &c.Limits.MaxSize, ConfigDefault.Limits.MaxSize)
	setting.Default(field("Limits.MaxKeys"), &c.Limits.MaxKeys, ConfigDefault.Limits.MaxKeys)
}

func (s *Store) configureSource() {
	c := &s.cfg
	if c.CookieName != "" {
		if c.KeyLookup != "" && c.KeyLookup != "cookie:"+c.CookieName {
			refuse("CookieName", "and KeyLookup differ: set KeyLookup only")
		}
		c.KeyLookup = "cookie:" + c.CookieName
	}
	switch {
	case c.KeyLookup != "" && len(c.Extractor.ways) > 0:
		refuse("KeyLookup", "with Extractor: set one of them")
	case c.KeyLookup != "":
		s.ways = parseKeyLookup(c.KeyLookup)
	case len(c.Extractor.ways) > 0:
		s.ways = slices.Clone(c.Extractor.ways)
	default:
		s.ways = FromCookie("").ways
	}
	for i := range s.ways {
		w := &s.ways[i]
		switch {
		case w.source == SourceCustom && w.custom == nil:
			refuse("Extractor", "is FromCustom(nil): it needs a function")
		case w.source != SourceCustom && w.source != SourceCookie && w.name == "", !only(w.name, isTokenByte):
			refuse("Extractor", fmt.Sprintf("has the %s %q, which is not a valid name", w.source, w.name))
		case w.back() && s.back == nil:
			s.back = w
		}
	}
}

func parseKeyLookup(lookup string) []way {
	source, name, ok := strings.Cut(lookup, ":")
	if !ok || name == "" || !only(name, isTokenByte) {
		refuse("KeyLookup", fmt.Sprintf("is %q: it must be \"<source>:<name>\"", lookup))
	}
	switch Source(source) {
	case SourceCookie, SourceHeader, SourceURLQuery:
	default:
		refuse("KeyLookup", fmt.Sprintf("has the source %q: it must be cookie, header or query", source))
	}
	return []way{{source: Source(source), name: name}}
}

// configureForm settles what a cookie holds.
func (s *Store) configureForm() {
	c := &s.cfg
	switch {
	case len(c.Cookie.Secrets) == 0 && c.Cookie.Format == nil, c.Express != nil:
		return
	case !s.hasWay(SourceCookie):
		refuse("Cookie", "has Secrets or Format, but no Extractor reads a cookie")
	case len(c.Cookie.Secrets) > 0 && c.Cookie.Format != nil:
		refuse("Cookie.Secrets", "with Cookie.Format, which signs in its own way: set one of them")
	case len(c.Cookie.Secrets) > 0 && c.Builtin:
		refuse("Cookie.Secrets", "with Builtin: the other stores of these sessions cannot read signed cookies")
	case len(c.Cookie.Secrets) > 0:
		c.Cookie.Format = newSigned(c.Cookie.Secrets)
		c.Cookie.Secrets = nil // what is in use is a copy
	}
}

func (s *Store) configureCookie() {
	c := &s.cfg
	setDefault(&c.CookiePath, "/")
	switch utils.ToLower(c.CookieSameSite) {
	case "", "lax", fiber.CookieSameSiteDisabled:
		s.sameSite = int(fasthttp.CookieSameSiteLaxMode)
	case "strict":
		s.sameSite = int(fasthttp.CookieSameSiteStrictMode)
	case "none":
		s.sameSite = int(fasthttp.CookieSameSiteNoneMode)
		if c.Cookie.Insecure {
			refuse("CookieSameSite", "is None with Cookie.Insecure: browsers drop such cookies")
		}
	default:
		refuse("CookieSameSite", fmt.Sprintf("is %q: it must be Lax, Strict or None", c.CookieSameSite))
	}
	switch {
	case c.Cookie.Insecure && c.CookieSecure:
		refuse("CookieSecure", "with Cookie.Insecure: set one of them")
	case !only(c.CookieDomain, isAttributeByte):
		refuse("CookieDomain", "has a character that cookie attributes cannot have")
	case !only(c.CookiePath, isAttributeByte) || c.CookiePath[0] != '/':
		refuse("CookiePath", fmt.Sprintf("is %q: it must be a path that begins with a slash", c.CookiePath))
	}
	for _, w := range s.ways {
		switch {
		case w.source != SourceCookie:
		case strings.HasPrefix(w.name, "__Host-") && (c.Cookie.Insecure || c.CookieDomain != "" || c.CookiePath != "/"):
			refuse("KeyLookup", "names a __Host- cookie with Cookie.Insecure, CookieDomain or CookiePath: browsers drop such cookies")
		case strings.HasPrefix(w.name, "__Secure-") && c.Cookie.Insecure:
			refuse("KeyLookup", "names a __Secure- cookie with Cookie.Insecure: browsers drop such cookies")
		}
	}
}

// warnOfWeakness names at start each setting that is weaker than the default.
func (s *Store) warnOfWeakness() {
	for what, on := range map[string]bool{
		"Cookie.Insecure: session cookies go over plain http":                               s.cfg.Cookie.Insecure,
		"session IDs come in a header, where scripts and logs can see them":                 s.hasWay(SourceHeader),
		"session IDs come in the URL, where logs and other sites can see them":              s.hasWay(SourceURLQuery),
		"Extractor: session IDs are as safe as what the custom function reads them from":    s.hasWay(SourceCustom),
		"KeyGenerator: session IDs are as good as it is; the default has 256 random bits":   s.cfg.KeyGenerator != nil && !s.cfg.Builtin,
		"Builtin: session IDs can be read in the store, and nothing ties a value to its ID": s.cfg.Builtin,
		"Express: session IDs can be read in the store, and nothing ties a value to its ID": s.cfg.Express != nil,
		"Express.Secrets: one has under 32 bytes, and could be guessed":                     s.cfg.Express.shortSecrets(),
	} {
		if on {
			s.log.Warn("fibersession: weaker than the default: " + what)
		}
	}
}

// defaultErrorHandler answers in plain words, with nothing of the error's text.
func defaultErrorHandler(_ *fiber.Ctx, err error) error {
	code := fiber.StatusInternalServerError
	switch {
	case errors.Is(err, ErrSessionGone):
		code = fiber.StatusUnauthorized
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrUnknownOutcome):
		code = fiber.StatusServiceUnavailable
	}
	return fiber.NewError(code)
}

// refuse panics with the name of a field and why its value is refused.
func refuse(name, why string) { setting.Refuse(field(name), why) }

// field is the full name of a field of Config in messages.
func field(name string) string { return "fibersession: Config." + name }

func setDefault(s *string, def string) {
	if *s == "" {
		*s = def
	}
}

// isTokenByte: RFC 9110, section 5.6.2, what names of cookies and headers are made of.
func isTokenByte(b byte) bool {
	return isBase64URL(b) || strings.IndexByte("!#$%&'*+.^`|~", b) >= 0
}

// isAttributeByte: RFC 6265, section 4.1.1, any character but controls and ";".
func isAttributeByte(b byte) bool { return b > ' ' && b < 0x7f && b != ';' && b != ',' }
