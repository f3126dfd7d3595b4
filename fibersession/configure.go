package fibersession

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/utils"
	"github.com/valyala/fasthttp"
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
		refuse("Codec with Builtin, which has its own")
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
	if c.Expiration > 0 && c.IdleTimeout > 0 && c.Expiration != c.IdleTimeout {
		refuse("Expiration and IdleTimeout differ; they are one limit: set one of them")
	}
	c.IdleTimeout = min(max(c.IdleTimeout, c.Expiration), maxLimit)
	positive(&c.IdleTimeout, ConfigDefault.Expiration)
	c.Expiration = c.IdleTimeout

	s.hardLimit = c.AbsoluteTimeout > 0
	switch {
	case (c.Builtin || c.Express != nil) && s.hardLimit:
		refuse("AbsoluteTimeout with Builtin or Express, whose stored form has no place for it")
	case c.Builtin || c.Express != nil:
		c.AbsoluteTimeout = -1
	case c.AbsoluteTimeout == 0:
		c.AbsoluteTimeout = max(ConfigDefault.AbsoluteTimeout, c.IdleTimeout)
	}
	c.AbsoluteTimeout = min(c.AbsoluteTimeout, maxLimit)
	positive(&c.TouchInterval, ConfigDefault.TouchInterval)
	positive(&c.StorageTimeout, ConfigDefault.StorageTimeout)
	positive(&c.MaxLag, ConfigDefault.MaxLag)
	if c.Recheck == 0 {
		c.Recheck = ConfigDefault.Recheck
		if c.Express != nil {
			c.Recheck = expressRecheck
		}
	}
	switch c.Freshness {
	case 0:
		c.Freshness = ConfigDefault.Freshness
	case Strict, Tracked:
	default:
		refuse("Freshness is neither Strict nor Tracked")
	}
	positive(&c.TicketTTL, ConfigDefault.TicketTTL)
	positive(&c.MaxSize, ConfigDefault.MaxSize)
	positive(&c.MaxKeys, ConfigDefault.MaxKeys)
	positive(&c.MaxKeyLength, ConfigDefault.MaxKeyLength)
}

func (s *Store) configureSource() {
	c := &s.cfg
	if c.CookieName != "" {
		if c.KeyLookup != "" && c.KeyLookup != "cookie:"+c.CookieName {
			refuse("CookieName and KeyLookup differ; set KeyLookup")
		}
		c.KeyLookup = "cookie:" + c.CookieName
	}
	switch {
	case c.KeyLookup != "" && len(c.Extractor.ways) > 0:
		refuse("KeyLookup with Extractor; set Extractor")
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
			refuse("Extractor: FromCustom(nil)")
		case w.source != SourceCustom && w.source != SourceCookie && w.name == "", !only(w.name, isTokenByte):
			refuse(fmt.Sprintf("Extractor: %s %q is not a name", w.source, w.name))
		case w.back() && s.back == nil:
			s.back = w
		}
	}
}

func parseKeyLookup(lookup string) []way {
	source, name, ok := strings.Cut(lookup, ":")
	if !ok || name == "" || !only(name, isTokenByte) {
		refuse(fmt.Sprintf("KeyLookup %q; it is \"<source>:<name>\"", lookup))
	}
	switch Source(source) {
	case SourceCookie, SourceHeader, SourceURLQuery:
	default:
		refuse(fmt.Sprintf("KeyLookup source %q; it is cookie, header or query", source))
	}
	return []way{{source: Source(source), name: name}}
}

// configureForm settles what a cookie holds.
func (s *Store) configureForm() {
	c := &s.cfg
	switch {
	case len(c.Secrets) == 0 && c.CookieFormat == nil, c.Express != nil:
		return
	case !s.hasWay(SourceCookie):
		refuse("Secrets or CookieFormat without a cookie")
	case len(c.Secrets) > 0 && c.CookieFormat != nil:
		refuse("Secrets with CookieFormat, which has its own")
	case len(c.Secrets) > 0 && c.Builtin:
		refuse("Secrets with Builtin, whose other stores know no signed cookies")
	case len(c.Secrets) > 0:
		c.CookieFormat = newSigned(c.Secrets)
		c.Secrets = nil // what is in use is a copy
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
		if c.Insecure {
			refuse("CookieSameSite None with Insecure: browsers drop such cookies")
		}
	default:
		refuse(fmt.Sprintf("CookieSameSite %q; it is Lax, Strict or None", c.CookieSameSite))
	}
	switch {
	case c.Insecure && c.CookieSecure:
		refuse("CookieSecure with Insecure")
	case !only(c.CookieDomain, isAttributeByte):
		refuse("CookieDomain with a character that no cookie attribute has")
	case !only(c.CookiePath, isAttributeByte) || c.CookiePath[0] != '/':
		refuse("CookiePath that is no path")
	}
	for _, w := range s.ways {
		switch {
		case w.source != SourceCookie:
		case strings.HasPrefix(w.name, "__Host-") && (c.Insecure || c.CookieDomain != "" || c.CookiePath != "/"):
			refuse("a __Host- cookie with Insecure, CookieDomain or CookiePath: browsers drop such cookies")
		case strings.HasPrefix(w.name, "__Secure-") && c.Insecure:
			refuse("a __Secure- cookie with Insecure: browsers drop such cookies")
		}
	}
}

// warnOfWeakness names at start each setting that is weaker than the default.
func (s *Store) warnOfWeakness() {
	for what, on := range map[string]bool{
		"Insecure: session cookies go over plain http":                                      s.cfg.Insecure,
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

func refuse(what string) { panic("fibersession: Config: " + what) }

func setDefault(s *string, def string) {
	if *s == "" {
		*s = def
	}
}

func positive[T int | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// isTokenByte: RFC 9110, section 5.6.2, what names of cookies and headers are made of.
func isTokenByte(b byte) bool {
	return isBase64URL(b) || strings.IndexByte("!#$%&'*+.^`|~", b) >= 0
}

// isAttributeByte: RFC 6265, section 4.1.1, any character but controls and ";".
func isAttributeByte(b byte) bool { return b > ' ' && b < 0x7f && b != ';' && b != ',' }
