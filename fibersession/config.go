package fibersession

import (
	"log/slog"
	"time"

	"github.com/gofiber/fiber/v2"
)

// Config configures a Store. It has every field of Config in Fiber's
// middleware/session, with the same names and types, so that literals of that
// type compile here. Zero values mean the defaults.
type Config struct {
	// Expiration is how long a session lives without use: Fiber's name for
	// IdleTimeout, of which one is enough.
	// Optional. Default: 24 * time.Hour
	Expiration time.Duration

	// Storage keeps the sessions. A storage.Storage is used as it is, any other
	// fiber.Storage through storage.From, which is safe on one node.
	// Optional. Default: memory.New()
	Storage fiber.Storage

	// KeyLookup says where a request carries the session's ID, as
	// "<source>:<name>". Sources are "cookie", and "header" and "query", which
	// put the ID where logs and other sites can see it and are warned of at start.
	// Optional. Default: "" (a cookie; see CookieName of Store), with Builtin "cookie:session_id"
	KeyLookup string

	// Extractor says where requests carry the ID, in place of KeyLookup: FromCookie,
	// FromHeader, FromQuery, FromCustom, or a Chain of them. All but the cookie are
	// warned of at start.
	// Optional. Default: Extractor{}, the cookie of KeyLookup
	Extractor Extractor

	// Secrets sign the cookie with HMAC-SHA-256, over its name and the ID; each has
	// 32 bytes or more. The first signs, all are accepted, and a cookie that another
	// one signed is replaced by the next response of a request that uses its session.
	// So a new secret is first added at the end, on all nodes, then moved to the
	// front, and the old one is taken away when it has been replaced. A cookie without
	// a good signature is none. (An ID has 256 random bits and needs no signature to
	// be safe; with one, made-up IDs never reach the storage.)
	// Optional. Default: nil, cookies are not signed
	Secrets [][]byte

	// CookieFormat is another form of the cookie's value, such as that of another
	// program whose sessions are shared.
	// Optional. Default: nil, the ID, signed when there are Secrets
	CookieFormat CookieFormat

	// CookieDomain is the cookie's Domain. With one, the cookie is also sent to
	// all subdomains.
	// Optional. Default: ""
	CookieDomain string

	// CookiePath is the cookie's Path.
	// Optional. Default: "/"
	CookiePath string

	// CookieSecure is here for compatibility: cookies are Secure unless Insecure
	// is set or the request is plain http to this very machine.
	// Optional. Default: false
	CookieSecure bool

	// CookieHTTPOnly is here for compatibility: cookies are always HttpOnly.
	// Optional. Default: false
	CookieHTTPOnly bool

	// CookieSameSite is "Lax", "Strict" or "None".
	// Optional. Default: "Lax"
	CookieSameSite string

	// CookieSessionOnly makes the browser forget the cookie when it closes.
	// Optional. Default: false
	CookieSessionOnly bool

	// KeyGenerator makes session IDs of 16 to 128 characters of A-Z a-z 0-9 _ . ~ -
	// in place of the store's own: 256 bits of the system's random source.
	// Optional. Default: nil
	KeyGenerator func() string

	// CookieName is Fiber's deprecated form of KeyLookup "cookie:<name>".
	// Optional. Default: ""
	CookieName string

	// Insecure is for sites on plain http: the cookie is named "session" and is
	// not Secure. Anyone on the way can then read it.
	// Optional. Default: false
	Insecure bool

	// IdleTimeout is how long a session lives without use, 100 years at most.
	// Optional. Default: Expiration
	IdleTimeout time.Duration

	// AbsoluteTimeout is how long a session lives at most, however much it is
	// used, 100 years at most. Negative means no limit.
	// Optional. Default: 7 * 24 * time.Hour, or the longer of IdleTimeout and SetExpiry
	AbsoluteTimeout time.Duration

	// TouchInterval is how often at most use of a session writes its new idle
	// limit to the store. So a session may end up to TouchInterval earlier than
	// IdleTimeout after its last use. At most a tenth of the idle limit is used.
	// Optional. Default: 1 * time.Minute
	TouchInterval time.Duration

	// StorageTimeout bounds each wait for the store.
	// Optional. Default: 1 * time.Second
	StorageTimeout time.Duration

	// Freshness says how a session is read at the start of a request, and by
	// Handle.Refresh: Strict or Tracked.
	// Optional. Default: Strict
	Freshness Freshness

	// MaxLag is how late the storage's feed may be for Tracked to rely on it. With
	// Redis it is known to the half second, so less is always Strict there.
	// Optional. Default: 2 * time.Second
	MaxLag time.Duration

	// Recheck is how often a session that is watched is read again though nothing was
	// told of it: so long at most can a change, or a logout, stay unseen that the feed
	// lost without knowing, or that Express made. A negative duration means never.
	// Optional. Default: 30 * time.Second, with Express 10 * time.Second
	Recheck time.Duration

	// OutageGrace is for how long, while the store does not answer, requests and
	// Handle.Refresh are served a session as it was last confirmed, if this node has it
	// (somebody holds it, as sockets do). Nothing can be saved meanwhile, and a logout
	// on another node is not seen: so it is short or nothing.
	// Optional. Default: 0, they fail with ErrUnavailable
	OutageGrace time.Duration

	// TicketTTL is how long a ticket can be used (Store.Ticket, Handle.CookieTicket).
	// Optional. Default: 30 * time.Second
	TicketTTL time.Duration

	// Prefix stands before every key in the store, and keeps apps that share one
	// apart. End it with a separator: a prefix that another one begins with would
	// take in the other's keys, also at Reset.
	// Optional. Default: "fiberbridge:"
	Prefix string

	// Codec turns a session's values into bytes.
	// Optional. Default: new(Typed)
	Codec Codec

	// Builtin keeps sessions exactly as Fiber's middleware/session does: the ID
	// itself as key without Prefix, a gob map as value. A session.Store over the
	// same storage, such as that of the csrf middleware, then shares them. It is
	// weaker: IDs can be read in the store, nothing ties a value to its key, there
	// is no absolute limit, and a whole-session save by the other store can
	// overwrite a change made here.
	// Optional. Default: false
	Builtin bool

	// Express shares sessions with an Express app: see there. KeyLookup is
	// "cookie:connect.sid" then, and IdleTimeout what connect-redis calls ttl.
	// Optional. Default: nil
	Express *Express

	// UserKey names the key whose value is the ID of the user that the session
	// belongs to: a string that is not empty, or an integer that is not 0. It is what
	// Login sets, User returns and sockets follow; the storage keeps an index of each
	// user's sessions for it (see Devices), and a session remembers the browser that
	// it began in and that its user logged in with.
	// Optional. Default: "", sessions have no users
	UserKey string

	// MaxSize is the size limit of a session's encoded values in bytes.
	// Optional. Default: 64 * 1024
	MaxSize int

	// MaxKeys is how many keys a session can have.
	// Optional. Default: 128
	MaxKeys int

	// MaxKeyLength is the length limit of one key in bytes.
	// Optional. Default: 256
	MaxKeyLength int

	// Logger receives warnings. IDs are never among what is logged.
	// Optional. Default: slog.Default()
	Logger *slog.Logger

	// Next skips Handler for a request when it returns true.
	// Optional. Default: nil
	Next func(c *fiber.Ctx) bool

	// ErrorHandler answers a request whose session could not be loaded or saved by
	// Handler.
	// Optional. Default: 401 for ErrSessionGone, 503 for ErrUnavailable and ErrUnknownOutcome, else 500
	ErrorHandler func(c *fiber.Ctx, err error) error
}

// Source is where a request carries the session's ID.
type Source string

// The sources that Config.KeyLookup knows.
const (
	SourceCookie   Source = "cookie"
	SourceHeader   Source = "header"
	SourceURLQuery Source = "query"
	SourceCustom   Source = "custom" // of FromCustom alone
)

// ConfigDefault holds the defaults, but for IdleTimeout, which follows
// Expiration, and Storage, Codec and Logger, of which each Store gets its own.
var ConfigDefault = Config{
	Expiration:      24 * time.Hour,
	CookiePath:      "/",
	CookieSameSite:  "Lax",
	AbsoluteTimeout: 7 * 24 * time.Hour,
	TouchInterval:   time.Minute,
	StorageTimeout:  time.Second,
	Freshness:       Strict,
	MaxLag:          2 * time.Second,
	Recheck:         30 * time.Second,
	TicketTTL:       30 * time.Second,
	Prefix:          "fiberbridge:",
	MaxSize:         64 * 1024,
	MaxKeys:         128,
	MaxKeyLength:    256,
	ErrorHandler:    defaultErrorHandler,
}
