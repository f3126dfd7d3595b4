package fibersession

import (
	"errors"
	"log/slog"

	"github.com/valyala/fasthttp"

	"github.com/fiberbridge/fiberbridge/internal/notice"
)

// What a Store reports: see docs/troubleshooting.md.
var (
	cookieForgedNotice = notice.Kind{
		Name: "cookie_forged", Level: slog.LevelWarn,
		Text:    "fibersession: a session cookie with a wrong signature or format was ignored: it was made up, or signed with a secret that is not in Secrets",
		Setting: "Config.Secrets",
	}
	cookieCrossedNotice = notice.Kind{
		Name: "cookie_crossed", Level: slog.LevelWarn,
		Text: "fibersession: the session of a cookie was not accepted, because it began on the other of https and plain http, and the visitor got a new session: " +
			"redirect plain http to https, or set Config.CookieSecure if all visitors use https",
		Setting: "Config.CookieSecure",
	}
	cookieLocalNotice = notice.Kind{
		Name: "cookie_plain_local", Level: slog.LevelInfo, Once: true,
		Text: "fibersession: on plain http to this machine, session cookies are not Secure; if a proxy on this machine terminates TLS, make it set X-Forwarded-Proto",
	}
	cookiePlainHTTPNotice = notice.Kind{
		Name: "cookie_plain", Level: slog.LevelWarn, Once: true,
		Text: "fibersession: session cookies go over plain http, so anyone on the network path can read them, and act as the visitor, or set them: " +
			"serve over https; behind a proxy that terminates TLS, make it set X-Forwarded-Proto, or set Config.CookieSecure",
		Setting: "Config.CookieSecure",
	}
	cookieDroppedNotice = notice.Kind{
		Name: "cookie_dropped", Level: slog.LevelWarn, Once: true,
		Text: "fibersession: session cookies are always Secure because of a setting, and a request came over plain http, where browsers drop such cookies (some keep them on localhost), " +
			"so that each of its visitor's requests begins a new session: change the setting, or serve over https; behind a proxy that terminates TLS, " +
			"make it set X-Forwarded-Proto, or set Config.CookieSecure",
	}
	cookieDuplicateNotice = notice.Kind{
		Name: "cookie_duplicate", Level: slog.LevelWarn,
		Text: "fibersession: a request carried two session cookies of one name with different values; neither was used, and the response removes both: " +
			"CookieDomain or CookiePath was changed, or another site of the domain sets a cookie of this name (then set another name in KeyLookup)",
		Setting: "Config.KeyLookup",
	}
	proxyUntrustedNotice = notice.Kind{
		Name: "proxy_untrusted", Level: slog.LevelWarn, Once: true,
		Text: "fibersession: a header says that a request came over https, but Fiber does not trust the peer that sent it, " +
			"so the request counts as plain http and its cookie is not Secure: if the peer is your proxy, list its address in TrustedProxies of fiber.Config " +
			"(EnableTrustedProxyCheck is set)",
		Setting: "fiber.Config.TrustedProxies",
	}
	requestRefusedNotice = notice.Kind{
		Name: "request_refused", Level: slog.LevelWarn,
		Text:    "fibersession: a request was refused because its session could not be loaded or saved",
		Setting: "Config.ErrorHandler",
	}
	requestFailedNotice = notice.Kind{
		Name: "request_session_error", Level: slog.LevelInfo,
		Text:    "fibersession: a handler returned an error of its session, which Config.ErrorHandler answered",
		Setting: "Config.ErrorHandler",
	}
	sessionCorruptNotice = notice.Kind{
		Name: "session_corrupt", Level: slog.LevelWarn,
		Text: "fibersession: a stored session cannot be decoded and counts as none",
	}
	clockDiffersNotice = notice.Kind{
		Name: "clock_differs", Level: slog.LevelWarn,
		Text: "fibersession: a session is past its limit by this node's clock but not by the storage's, and goes on: the clocks of the nodes differ, or one was changed. " +
			"Synchronise them: absolute limits and tickets depend on them",
	}
	valueUnknownNotice = notice.Kind{
		Name: "session_value_unknown", Level: slog.LevelWarn, Once: true,
		Text: "fibersession: a session has a value that this build cannot decode: Get returns nil for its key, saves write it back unchanged; " +
			"if this build should know the type, add Store.RegisterType at start",
	}
	valueHiddenNotice = notice.Kind{
		Name: "session_value_hidden", Level: slog.LevelWarn, Once: true,
		Text: "fibersession: a value cannot be read through Store.Fiber() or Store.Storage, because gob cannot encode it: " +
			"pass a value of its type to Store.RegisterType",
	}
	userKeyTypeNotice = notice.Kind{
		Name: "user_key_type", Level: slog.LevelError, Once: true,
		Text:    "fibersession: the value of Config.UserKey is neither a string nor an integer: such sessions have no user",
		Setting: "Config.UserKey",
	}
	usedTooLateNotice = notice.Kind{
		Name: "session_used_too_late", Level: slog.LevelError,
		Text: "fibersession: a session was used after its request, its socket or its handle had ended; nothing was read or changed: " +
			"in the line that is named, use a handle from Detach",
	}
	usedWithoutHandlerNotice = notice.Kind{
		Name: "session_without_handler", Level: slog.LevelError,
		Text: "fibersession: a session was used that FromContext did not find; nothing was read or stored",
	}
	otherStoreNotice = notice.Kind{
		Name: "session_other_store", Level: slog.LevelError, Once: true,
		Text: "fibersession: a session was lifted from another Store than the one whose Handler the request passed, so sockets and pages have different sessions: " +
			"use one Store for app.Use(sessions.Handler()) and for socketbridge.Config.Sessions",
		Setting: "socketbridge.Config.Sessions",
	}
	middlewareStrayNotice = notice.Kind{
		Name: "middleware_without_session", Level: slog.LevelError, Once: true,
		Text: "fibersession: a middleware over Store.Fiber() has no session: put app.Use(sessions.Handler()) before it; " +
			"if it is there, another session.Store of Fiber runs before in the same request: give its middleware Store.Fiber() too",
	}
	callbackPanicNotice = notice.Kind{
		Name: "session_callback_panic", Level: slog.LevelError,
		Text: "fibersession: the app's code panicked; the stack names the line",
	}
	storageFailedNotice = notice.Kind{
		Name: "storage_failed", Level: slog.LevelWarn,
		Text:    "fibersession: the storage failed",
		Setting: "Config.Timeouts.Storage",
	}
	unconfirmedNotice = notice.Kind{
		Name: "session_unconfirmed", Level: slog.LevelWarn,
		Text: "fibersession: a new session was ended: the storage had not confirmed that it stored the session, and does not have it, " +
			"so another node may have destroyed it. Nothing that was confirmed is lost. If this repeats, repair what the line storage_failed names",
	}
	notExtendedNotice = notice.Kind{
		Name: "session_not_extended", Level: slog.LevelWarn,
		Text: "fibersession: the storage did not accept a write that extends a session; the request or event was served. " +
			"While this lasts, sessions in use end earlier than Config.Expiration after their last use. " +
			"Give the storage room for writes (Redis: maxmemory), or repair what the cause names",
	}
	takenOverNotice = notice.Kind{
		Name: "old_login_taken_over", Level: slog.LevelInfo, Once: true,
		Text: "fibersession: a session of Fiber's middleware/session was taken over; others are only counted in Stats.TakenOver. " +
			"Set Config.OldLogins.Until to a date after which none is left",
		Setting: "Config.OldLogins.Until",
	}
	takeoverDroppedNotice = notice.Kind{
		Name: "old_login_value_dropped", Level: slog.LevelWarn,
		Text: "fibersession: a value of an old session was left out when the session was taken over; pass a value of its type to Store.RegisterType",
	}
	takeoverTooLargeNotice = notice.Kind{
		Name: "old_login_too_large", Level: slog.LevelWarn,
		Text:    "fibersession: an old session was not taken over, so that its user has to log in again: it is larger than Config.Limits allows",
		Setting: "Config.Limits.MaxSize, MaxKeys",
	}
)

// reportTooLate reports that err, which the caller of a method does not see, made the method
// do nothing.
func (s *Store) reportTooLate(err error) {
	if errors.Is(err, ErrReleased) || errors.Is(err, ErrRequestOver) {
		s.notices.Report(&usedTooLateNotice, "", "error", err, "caller", notice.Caller{})
	}
}

// reportTooLate is Store.reportTooLate for a method of s, which may be nil.
func (s *Session) reportTooLate(err error) {
	if s != nil {
		s.store.reportTooLate(err)
	}
}

// reportPanic reports that the app's code has not returned. It must be called by the deferred
// function.
func (s *Store) reportPanic(where string, recovered any) {
	s.notices.Report(&callbackPanicNotice, where, append([]any{"where", where}, notice.Panic(recovered)...)...)
}

// loggedHost is a request whose Host header is logged.
type loggedHost fasthttp.RequestCtx

// LogValue implements slog.LogValuer.
func (h *loggedHost) LogValue() slog.Value {
	return slog.StringValue(hostOf((*fasthttp.RequestCtx)(h)))
}
