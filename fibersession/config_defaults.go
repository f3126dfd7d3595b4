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

	"github.com/fiberbridge/fiberbridge/fibersession/internal/codec"
	"github.com/fiberbridge/fiberbridge/internal/setting"
	"github.com/fiberbridge/fiberbridge/storage/memory"
)

// configure checks the configuration and fills in all defaults, before anything else
// reads it.
func (s *Store) configure() {
	c := &s.Config
	setDefault(&c.Prefix, ConfigDefault.Prefix)
	if !only(c.Prefix, isPrintable) {
		refuse("Prefix", fmt.Sprintf("is %q: it must be printable ASCII, because some stores take no other keys", c.Prefix))
	}
	s.configureLimits()
	s.configureSources()
	s.configureExpress()
	s.configureCookieFormat()
	s.configureCookie()
	s.configureCodec()
	s.configureIDs()
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	s.log = c.Logger
	if c.ErrorHandler == nil {
		c.ErrorHandler = defaultErrorHandler
	}
	if c.Storage == nil { // last: it starts a goroutine
		c.Storage, s.ownsStorage = memory.New(), true
	}
}

func (s *Store) configureLimits() {
	c := &s.Config
	if c.Expiration <= 0 { // Fiber gives negative values the default too
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
	setting.AtLeast(field("Timeouts.Storage"), &t.Storage, time.Millisecond, def.Storage)
	setting.AtLeast(field("Timeouts.Ticket"), &t.Ticket, time.Millisecond, def.Ticket)

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

// configureIDs settles how IDs are made. It calls the app's KeyGenerator once, because IDs
// that are refused would otherwise fail every request of a new visitor.
func (s *Store) configureIDs() {
	c := &s.Config
	s.foreignIDs = c.KeyGenerator != nil || c.Builtin || c.Express != nil
	switch {
	case c.KeyGenerator != nil:
		id := c.KeyGenerator()
		if err := s.checkGenerated(id); err != nil {
			refuse("KeyGenerator", err.Error())
		}
		s.firstID.Store(&id)
	case c.Builtin:
		c.KeyGenerator = utils.UUIDv4 // as in Fiber's middleware/session
	default:
		c.KeyGenerator, s.ownIDs = s.randomID, true
	}
}

// configureSources settles where requests carry the ID, and where responses do.
func (s *Store) configureSources() {
	c := &s.Config
	if c.CookieName != "" {
		if c.KeyLookup != "" && c.KeyLookup != "cookie:"+c.CookieName {
			refuse("CookieName", "and KeyLookup differ: set KeyLookup only")
		}
		c.KeyLookup = "cookie:" + c.CookieName
	}
	switch {
	case c.KeyLookup != "" && len(c.Extractor.sources) > 0:
		refuse("KeyLookup", "with Extractor: set one of them")
	case c.KeyLookup != "":
		s.sources = parseKeyLookup(c.KeyLookup)
		if s.sources[0].kind == SourceURLQuery { // Fiber reads and sets a cookie of this name, too
			s.sources = append(FromCookie(s.sources[0].name).sources, s.sources...)
		}
	case len(c.Extractor.sources) > 0:
		s.sources = slices.Clone(c.Extractor.sources)
	default:
		s.sources = FromCookie("").sources
		if name := s.fixedCookieName(); name != "" {
			c.KeyLookup = "cookie:" + name
		}
	}
	for i := range s.sources {
		src := &s.sources[i]
		if src.kind == SourceCookie && src.name == "" {
			src.name = s.fixedCookieName()
		}
		switch {
		case src.kind == SourceCustom && src.custom == nil:
			refuse("Extractor", "is FromCustom(nil): it needs a function")
		case src.kind != SourceCustom && src.kind != SourceCookie && src.name == "", !only(src.name, isTokenByte):
			refuse("Extractor", fmt.Sprintf("has the %s %q, which is not a valid name", src.kind, src.name))
		case src.inResponses() && s.responseSource == nil:
			s.responseSource = src
		}
	}
}

// fixedCookieName returns the default name of the cookie, or "" if it depends on the
// request (see Store.CookieNameOf).
func (s *Store) fixedCookieName() string {
	switch {
	case s.Config.Builtin:
		return builtinCookie
	case s.Config.Express != nil:
		return expressCookie
	}
	return ""
}

func parseKeyLookup(lookup string) []idSource {
	kind, name, ok := strings.Cut(lookup, ":")
	if !ok || name == "" || !only(name, isTokenByte) {
		refuse("KeyLookup", fmt.Sprintf("is %q: it must be \"<source>:<name>\"", lookup))
	}
	switch Source(kind) {
	case SourceCookie, SourceHeader, SourceURLQuery:
	default:
		refuse("KeyLookup", fmt.Sprintf("has the source %q: it must be cookie, header or query", kind))
	}
	return []idSource{{kind: Source(kind), name: name}}
}

// configureCookieFormat settles the format of the cookie's value. With Express,
// configureExpress does.
func (s *Store) configureCookieFormat() {
	c := &s.Config
	switch {
	case len(c.Cookie.Secrets) == 0 && c.Cookie.Format == nil, c.Express != nil:
		return
	case !s.readsFrom(SourceCookie):
		refuse("Cookie", "has Secrets or Format, but no Extractor reads a cookie")
	case len(c.Cookie.Secrets) > 0 && c.Cookie.Format != nil:
		refuse("Cookie.Secrets", "with Cookie.Format, which signs in its own way: set one of them")
	case len(c.Cookie.Secrets) > 0 && c.Builtin:
		refuse("Cookie.Secrets", "with Builtin: the other stores of these sessions cannot read signed cookies")
	case len(c.Cookie.Secrets) > 0:
		c.Cookie.Format = newSignedFormat(c.Cookie.Secrets)
		c.Cookie.Secrets = nil // the format has a copy
	}
}

func (s *Store) configureCookie() {
	c := &s.Config
	setDefault(&c.CookiePath, "/")
	setDefault(&c.CookieSameSite, "Lax")
	switch utils.ToLower(c.CookieSameSite) {
	case "lax", fiber.CookieSameSiteDisabled:
		s.sameSite = int(fasthttp.CookieSameSiteLaxMode)
	case "strict":
		s.sameSite = int(fasthttp.CookieSameSiteStrictMode)
	case "none":
		s.sameSite = int(fasthttp.CookieSameSiteNoneMode)
	default:
		refuse("CookieSameSite", fmt.Sprintf("is %q: it must be Lax, Strict or None", c.CookieSameSite))
	}
	switch {
	case !only(c.CookieDomain, isAttributeByte):
		refuse("CookieDomain", "has a character that cookie attributes cannot have")
	case !only(c.CookiePath, isAttributeByte) || c.CookiePath[0] != '/':
		refuse("CookiePath", fmt.Sprintf("is %q: it must be a path that begins with a slash", c.CookiePath))
	}
	for _, src := range s.sources {
		if src.kind == SourceCookie && hasPrefixFold(src.name, hostPrefix) && (c.CookieDomain != "" || c.CookiePath != "/") {
			refuse("KeyLookup", "names a __Host- cookie with CookieDomain or CookiePath: browsers drop such cookies")
		}
	}
	s.configureSecure()
}

func (s *Store) configureCodec() {
	c := &s.Config
	switch {
	case c.Builtin && c.Codec != nil:
		refuse("Codec", "with Builtin, which has its own")
	case c.Builtin:
		c.Codec = codec.Builtin{}
	case c.Express != nil: // configureExpress refuses another Codec
		c.Codec = JSON{}
	case c.Codec == nil:
		c.Codec = new(Typed)
	}
	s.typed, _ = c.Codec.(*Typed)
}

// newLayout chooses the layout.
func (s *Store) newLayout() layout {
	switch {
	case s.Config.Builtin:
		return newBuiltinLayout(&s.Config)
	case s.Config.Express != nil:
		return s.newExpressLayout()
	default:
		return s.newSealedLayout()
	}
}

// warnOfWeakness logs each setting that is weaker than the default.
func (s *Store) warnOfWeakness() {
	for warning, on := range map[string]bool{
		"session IDs come in a header, where scripts and logs can see them":                       s.readsFrom(SourceHeader),
		"session IDs come in the URL, where logs and other sites can see them":                    s.readsFrom(SourceURLQuery),
		"Extractor: session IDs are only as safe as the place that the custom function reads":     s.readsFrom(SourceCustom),
		"KeyGenerator: session IDs are only as random as it makes them; the default has 256 bits": !s.ownIDs && !s.Config.Builtin,
		"Builtin: session IDs can be read in the storage, and nothing ties a value to its ID":     s.Config.Builtin,
		"Express: session IDs can be read in the storage, and nothing ties a value to its ID":     s.Config.Express != nil,
		"Express.Secrets: a secret has fewer than 32 bytes and could be guessed":                  s.Config.Express.hasShortSecret(),
	} {
		if on {
			s.log.Warn("fibersession: weaker than the default: " + warning)
		}
	}
}

// warnOfPrefork logs, in a worker of Fiber's Prefork, that the workers do not share sessions.
func (s *Store) warnOfPrefork() {
	if _, one := s.base.(interface{ OneProcess() }); !one || !fiber.IsChild() {
		return
	}
	s.log.Warn("fibersession: Prefork runs several processes, and Config.Storage works within one: in memory, a visitor loses the session when another worker answers; " +
		`in a database, workers overwrite each other's changes. Set Storage to one for several processes, such as storage.Open("redis://..."), or remove Prefork from fiber.Config`)
}

// defaultErrorHandler answers with a status and no part of the error's text.
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

// field returns the full name of a field of Config, for messages.
func field(name string) string { return "fibersession: Config." + name }

func setDefault(s *string, def string) {
	if *s == "" {
		*s = def
	}
}

// isTokenByte reports whether b may be in a cookie's or header's name (RFC 9110, section
// 5.6.2).
func isTokenByte(b byte) bool {
	return isBase64URL(b) || strings.IndexByte("!#$%&'*+.^`|~", b) >= 0
}

// isPrintable reports whether b is printable ASCII, and no space.
func isPrintable(b byte) bool { return b > ' ' && b < 0x7f }

// isAttributeByte reports whether b may be in a cookie's attribute: any character but
// controls and ";" (RFC 6265, section 4.1.1). It also excludes space and ",".
func isAttributeByte(b byte) bool { return b > ' ' && b < 0x7f && b != ';' && b != ',' }
