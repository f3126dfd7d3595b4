package fibersession

import (
	"log/slog"
	"time"

	"github.com/gofiber/fiber/v2"
)

// Config configures a Store. Zero values mean the defaults.
//
// It has every field of Config in Fiber's middleware/session, with the same name and type, so
// that literals of that type compile here. Those fields come first. New panics if fields
// contradict each other or have an invalid value; the panic names the field and what is
// allowed.
type Config struct {
	// Expiration is the idle timeout: a session ends when it has not been used for this
	// long. At most 100 years. Zero and negative values mean the default, as in Fiber.
	// Optional. Default: 24 * time.Hour
	Expiration time.Duration

	// Storage keeps the sessions. A fiber.Storage that is no storage.Storage is wrapped
	// with storage.From, which is safe on one node only (see docs/storages.md).
	//
	// In the sealed layout, which is the default, New replaces the field, because the keys of
	// sessions are not their IDs. Store.Storage then gives access to sessions by ID: Get
	// returns a session's values as Fiber encodes them, Set replaces them, and Delete ends the
	// session. For other keys, it is the app's own storage. Its Close also closes the Store.
	// Store.Backend returns the storage itself.
	//
	// Optional. Default: memory.New()
	Storage fiber.Storage

	// KeyLookup says where a request carries the session ID, as "<source>:<name>".
	// Sources are "cookie", "header" and "query". The last two put the ID where logs
	// and other sites can see it, so New logs a warning. With "query", a cookie of the same
	// name is set, and read first, as in Fiber.
	// Optional. Default: "", a cookie (see Store.CookieNameOf); with Builtin "cookie:session_id"
	KeyLookup string

	// CookieDomain is the cookie's Domain attribute. With one, the cookie is also sent
	// to all subdomains.
	// Optional. Default: ""
	CookieDomain string

	// CookiePath is the cookie's Path attribute.
	// Optional. Default: "/"
	CookiePath string

	// CookieSecure makes all cookies Secure, and gives them the names of https. Without
	// it, a cookie is Secure if Fiber takes its request for https, because of TLS or of a
	// proxy that it trusts. Set it behind a proxy that terminates TLS without saying so.
	// Optional. Default: false
	CookieSecure bool

	// CookieHTTPOnly is here for compatibility: cookies are always HttpOnly.
	// Optional. Default: false
	CookieHTTPOnly bool

	// CookieSameSite is "Lax", "Strict" or "None".
	// Optional. Default: "Lax"
	CookieSameSite string

	// CookieSessionOnly makes the browser drop the cookie when it closes.
	// Optional. Default: false
	CookieSessionOnly bool

	// KeyGenerator returns a new session ID of 16 to 128 characters A-Z a-z 0-9 _ . ~ -
	// It must be safe for concurrent use. New calls it once and panics if the ID is refused.
	// Optional. Default: 256 random bits, base64url; with Builtin a random UUID
	KeyGenerator func() string

	// CookieName is Fiber's deprecated form of KeyLookup "cookie:<name>".
	// Optional. Default: ""
	CookieName string

	// Extractor replaces KeyLookup: FromCookie, FromHeader, FromQuery, FromCustom, or a
	// Chain of them. New logs a warning for every one but the cookie.
	// Optional. Default: Extractor{}, the cookie of KeyLookup
	Extractor Extractor

	// Cookie has the settings of the cookie that Fiber's fields do not cover: signing,
	// another format.
	// Optional. Default: Cookie{}
	Cookie Cookie

	// CookiePartitioned adds Partitioned to the cookie: a page of another site that embeds
	// this one then has a cookie of its own there, also in browsers that block third-party
	// cookies. Such cookies are always Secure, so browsers drop them on plain http. Use it
	// with CookieSameSite "None".
	// Optional. Default: false
	CookiePartitioned bool

	// UserKey names the key whose value is the ID of the session's user: a non-empty
	// string or a non-zero integer. Login sets it and User returns it. Sockets join and
	// leave their user's room when it changes. The storage keeps an index of each user's
	// sessions (see Session.Devices).
	// Optional. Default: "", sessions have no users
	UserKey string

	// Freshness says how a session is read at the start of a request and by
	// Handle.Refresh: Strict or Tracked.
	// Optional. Default: Strict
	Freshness Freshness

	// Tracking says how this node keeps its copies of watched sessions up to date.
	// Optional. Default: see Tracking
	Tracking Tracking

	// Timeouts are the session's other time limits, beside Expiration.
	// Optional. Default: see Timeouts
	Timeouts Timeouts

	// Limits bound what one session can hold.
	// Optional. Default: see Limits
	Limits Limits

	// Prefix begins every key in the storage, so that several apps can share one. End it
	// with a separator: if one app's prefix begins with another app's, the shorter one
	// includes the other app's keys, also in Reset. It must be printable ASCII. A store that
	// limits keys to 64 characters, such as postgres, takes a prefix of at most 19.
	// Optional. Default: "fiberbridge:"
	Prefix string

	// Codec encodes a session's values.
	// Optional. Default: new(Typed)
	Codec Codec

	// Builtin stores sessions exactly as Fiber's middleware/session does: the ID is the
	// key, without Prefix, and a gob map is the value. A session.Store over the same
	// storage, as in another program, then shares the sessions. Middlewares of the same
	// program do not need it: see Store.Fiber. It is weaker: IDs can be read in the storage, nothing ties a value to its key, there is no
	// absolute limit, and the other store saves whole sessions, which can overwrite
	// changes made here.
	// Optional. Default: false
	Builtin bool

	// Express shares sessions with an Express app. KeyLookup is then "cookie:connect.sid"
	// by default, and Expiration is what connect-redis calls ttl.
	// Optional. Default: nil
	Express *Express

	// OldLogins says whether sessions that Fiber's middleware/session stored are taken over.
	// They are by default, so that users stay logged in when the import line changes.
	// Optional. Default: OldLogins{}
	OldLogins OldLogins

	// Logger receives warnings. They never contain a session ID.
	// Optional. Default: slog.Default()
	Logger *slog.Logger

	// Next makes Handler skip a request when it returns true.
	// Optional. Default: nil
	Next func(c *fiber.Ctx) bool

	// ErrorHandler answers a request whose session Handler could not load or save.
	// Optional. Default: 401 for ErrSessionGone, 503 for ErrUnavailable and ErrUnknownOutcome, else 500
	ErrorHandler func(c *fiber.Ctx, err error) error
}

// Cookie is the part of Config about the session cookie's value and transport.
type Cookie struct {
	// Secrets sign the cookie with HMAC-SHA-256 over its name and the ID. Each has at
	// least 32 bytes. The first one signs and all are accepted: a cookie signed with
	// another one is replaced in the response to the next request that uses its session.
	// To rotate, add the new secret at the end on all nodes, then move it to the front,
	// then remove the old one after Expiration. A cookie without a valid signature counts
	// as no cookie. An ID has 256 random bits and is safe without a signature; a
	// signature keeps made-up IDs away from the storage.
	// Optional. Default: nil, cookies are not signed
	Secrets [][]byte

	// Format is another format of the cookie's value, such as that of a program that
	// shares the sessions. It cannot be combined with Secrets.
	// Optional. Default: nil, the ID, signed if there are Secrets
	Format CookieFormat
}

// Timeouts is the part of Config about time limits. New rejects negative values, except of
// Absolute.
type Timeouts struct {
	// Absolute is how long a session can live even if it is used all the time. At most 100
	// years. A negative duration means no limit.
	// Optional. Default: 7 * 24 * time.Hour, or Expiration or SetExpiry if one is longer
	Absolute time.Duration

	// TouchInterval is the shortest time between two writes that only move a session's
	// idle limit. A session can therefore end up to TouchInterval earlier than Expiration
	// after its last use. A tenth of the idle timeout is used if that is shorter.
	// Optional. Default: 1 * time.Minute
	TouchInterval time.Duration

	// Storage bounds each wait for the storage. A wait can be up to a sixty-fourth shorter. It
	// must be at least 1ms.
	// Optional. Default: 1 * time.Second
	Storage time.Duration

	// Ticket is how long a ticket can be redeemed (Store.Ticket, Handle.CookieTicket). It
	// must be at least 1ms.
	// Optional. Default: 30 * time.Second
	Ticket time.Duration
}

// Tracking is the part of Config about this node's copies of sessions that it watches.
type Tracking struct {
	// MaxLag is how far behind the storage's feed may be before Tracked reads from the
	// storage instead. Redis reports its lag to half a second, so with a smaller value
	// Tracked is Strict there.
	// Optional. Default: 2 * time.Second
	MaxLag time.Duration

	// Recheck is how often a watched session is read again although the feed reported no
	// change. It bounds how long a change or a logout stays unseen if the feed lost it
	// unnoticed, or if Express made it. A negative duration means never.
	// Optional. Default: 30 * time.Second, with Express 10 * time.Second
	Recheck time.Duration

	// OutageGrace is how long requests and Handle.Refresh are served this node's last
	// confirmed copy of a session while the storage does not answer. There is a copy only
	// of sessions that something on this node holds, such as a socket. Meanwhile nothing
	// can be saved and a logout on another node is not seen, so keep it short.
	// Optional. Default: 0, they fail with ErrUnavailable
	OutageGrace time.Duration
}

// Limits is the part of Config about a session's size. A key has at most 256 bytes.
type Limits struct {
	// MaxSize is the most bytes that a session's encoded values can have.
	// Optional. Default: 64 * 1024
	MaxSize int

	// MaxKeys is the most keys that a session can have.
	// Optional. Default: 128
	MaxKeys int
}

// maxKeyLength is the longest key of a session, in bytes.
const maxKeyLength = 256

// Source is where a request carries the session's ID.
type Source string

// The sources that Config.KeyLookup knows.
const (
	SourceCookie   Source = "cookie"
	SourceHeader   Source = "header"
	SourceURLQuery Source = "query"
	SourceCustom   Source = "custom" // of FromCustom alone
)

// ConfigDefault holds the defaults. It has no Storage, Codec and Logger, because New makes
// them for each Store.
var ConfigDefault = Config{
	Expiration:     24 * time.Hour,
	CookiePath:     "/",
	CookieSameSite: "Lax",
	Freshness:      Strict,
	Tracking:       Tracking{MaxLag: 2 * time.Second, Recheck: 30 * time.Second},
	Timeouts: Timeouts{
		Absolute:      7 * 24 * time.Hour,
		TouchInterval: time.Minute,
		Storage:       time.Second,
		Ticket:        30 * time.Second,
	},
	Limits:       Limits{MaxSize: 64 * 1024, MaxKeys: 128},
	Prefix:       "fiberbridge:",
	ErrorHandler: defaultErrorHandler,
}
