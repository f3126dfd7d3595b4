package engineio

import (
	"log/slog"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/internal/notice"
)

// What a Server reports: see docs/troubleshooting.md. How a connection that was accepted
// ends is for its Receiver to report, which gets the reason and the cause.
var (
	originRefusedNotice = notice.Kind{
		Name: "origin_refused", Level: slog.LevelWarn,
		Text: "engineio: request refused because of its origin",
	}
	tooManyConnsNotice = notice.Kind{
		Name: "too_many_connections", Level: slog.LevelWarn,
		Text:    "engineio: connections are refused: there are too many in total, or from one address",
		Setting: "Config.Limits.MaxConns, MaxConnsPerIP, ConnRatePerIP",
	}
	protocolVersionNotice = notice.Kind{
		Name: "protocol_version", Level: slog.LevelWarn,
		Text: "engineio: a client was refused: it speaks another version of the protocol",
	}
	badRequestNotice = notice.Kind{
		Name: "bad_request", Level: slog.LevelInfo,
		Text: "engineio: a request was refused: it is not one of the protocol",
	}
	unknownConnNotice = notice.Kind{
		Name: "connection_unknown", Level: slog.LevelInfo,
		Text: "engineio: a request was refused: its connection has ended, or is on another node; with several nodes, the proxy must send all requests of a polling client to one of them",
	}
	tooLargeNotice = notice.Kind{
		Name: "payload_too_large", Level: slog.LevelWarn,
		Text:    "engineio: a request was refused: its body is too large",
		Setting: "Config.MaxPayload",
	}
	bodyTooLargeNotice = notice.Kind{
		Name: "body_too_large", Level: slog.LevelInfo,
		Text:    "engineio: a request to the app was refused with 413: its body is too large",
		Setting: "fiber.Config.BodyLimit",
	}
	bodiesFullNotice = notice.Kind{
		Name: "bodies_full", Level: slog.LevelWarn,
		Text:    "engineio: requests with large bodies are refused with 503: too many of them are being received or handled",
		Setting: "fiber.Config.BodyLimit, Config.MaxPayload",
	}
	ambiguousNotice = notice.Kind{
		Name: "ambiguous_request", Level: slog.LevelWarn,
		Text: "engineio: a request was refused with 400, because a proxy in front may have read it as another request; check what the proxy passes on",
	}
	handshakeRefusedNotice = notice.Kind{
		Name: "handshake_refused", Level: slog.LevelInfo,
		Text: "engineio: a handshake was refused by the app or its session",
	}
	shuttingDownNotice = notice.Kind{
		Name: "handshake_at_shutdown", Level: slog.LevelDebug,
		Text: "engineio: a handshake was refused: the server is shutting down",
	}
	notOpenedNotice = notice.Kind{
		Name: "not_opened", Level: slog.LevelInfo,
		Text:    "engineio: a connection has ended before it was open",
		Setting: "Config.Timeouts.Upgrade",
	}
	upgradeFailedNotice = notice.Kind{
		Name: "upgrade_failed", Level: slog.LevelInfo,
		Text:    "engineio: an upgrade to WebSocket did not complete, and its connection stays on polling; if this repeats, a proxy may not pass WebSockets on",
		Setting: "Config.Timeouts.Upgrade",
	}
	slowClientNotice = notice.Kind{
		Name: "slow_client", Level: slog.LevelWarn,
		Text: "engineio: connection closed: the client reads too slowly",
	}
	slowedDownNotice = notice.Kind{
		Name: "slowed_down", Level: slog.LevelInfo,
		Text:    "engineio: a client sends faster than its limit, and is read more slowly",
		Setting: "Config.Limits.PacketsPerSecond, BytesPerSecond",
	}
	receiverPanicNotice = notice.Kind{
		Name: "receiver_panic", Level: slog.LevelError,
		Text: "engineio: the receiver panicked; its connection is closed",
	}
	hookPanicNotice = notice.Kind{
		Name: "refused_hook_panic", Level: slog.LevelError,
		Text: "engineio: a handler of OnRefused panicked: the stack names the line",
	}
	originFuncPanicNotice = notice.Kind{
		Name: "origin_func_panic", Level: slog.LevelError,
		Text:    "engineio: a request was refused: AllowOriginFunc panicked; the stack names the line",
		Setting: "Config.AllowOriginFunc",
	}
	randomNotice = notice.Kind{
		Name: "random_failed", Level: slog.LevelError,
		Text: "engineio: connection refused: cannot read random bytes for its ID",
	}
	unreadableAddrNotice = notice.Kind{
		Name: "client_address_unreadable", Level: slog.LevelWarn,
		Text: "engineio: the proxy's header does not tell the client's address; such clients are counted together: " +
			"have the proxy set the header, or change ProxyHeader in fiber.Config",
		Setting: "Config.Limits.MaxConnsPerIP, ConnRatePerIP",
	}
	noHijackNotice = notice.Kind{
		Name: "websocket_impossible", Level: slog.LevelWarn, Once: true,
		Text: "engineio: WebSockets are refused with 400, and clients stay on polling: this app is served by net/http through an adaptor " +
			"or by app.Test, which have no connection to hand over; serve it with Fiber's Listen to have WebSockets",
	}
	mountNotice = notice.Kind{
		Name: "mounted_wrongly", Level: slog.LevelWarn, Once: true,
		Text: "engineio: a middleware that breaks the server runs before its handler (docs/middleware.md)",
	}
	otherPathNotice = notice.Kind{
		Name: "other_path", Level: slog.LevelWarn, Once: true,
		Text: "engineio: a client asks for a path that is not the server's, and gets no connection: Config.Path counts from the root of the site, " +
			"also in a group, a mounted app or behind a proxy that keeps a prefix; set it to the path that clients use",
		Setting: "Config.Path",
	}
	headerSizeNotice = notice.Kind{
		Name: "header_nearly_full", Level: slog.LevelWarn, Once: true,
		Text: "engineio: the header of a request nearly fills the buffer for it, and larger ones get 431: have smaller cookies, " +
			"or set ReadBufferSize in fiber.Config to 16384",
		Setting: "fiber.Config.ReadBufferSize",
	}
	readTimeoutNotice = notice.Kind{
		Name: "read_timeout_unset", Level: slog.LevelWarn, Once: true,
		Text:    "engineio: fiber.Config.ReadTimeout is not set: clients can hold connections with requests that they never finish; 10s is a good value",
		Setting: "fiber.Config.ReadTimeout",
	}
	writeTimeoutNotice = notice.Kind{
		Name: "write_timeout_unset", Level: slog.LevelInfo, Once: true,
		Text: "engineio: fiber.Config.WriteTimeout is not set: clients that do not read the app's responses hold them in memory (polls have a limit of their own); " +
			"set it to the time that the largest response may take, unless the app streams responses without end",
		Setting: "fiber.Config.WriteTimeout",
	}
	bodiesUnlimitedNotice = notice.Kind{
		Name: "bodies_unlimited", Level: slog.LevelWarn, Once: true,
		Text: "engineio: each request can make the server allocate fiber.Config.BodyLimit bytes by announcing a body that it never sends: " +
			"call LimitBodies(app) after fiber.New",
		Setting: "LimitBodies",
	}
	idleTimeoutNotice = notice.Kind{
		Name: "idle_timeout_unset", Level: slog.LevelWarn, Once: true,
		Text:    "engineio: fiber.Config.IdleTimeout is not set: idle keep-alive connections are never closed; 60s is a good value",
		Setting: "fiber.Config.IdleTimeout",
	}
)

// loggedConn is logged as the client's address. A handshake is built for each call.
type loggedConn conn

// LogValue implements slog.LogValuer.
func (c *loggedConn) LogValue() slog.Value {
	return slog.StringValue(c.request.handshake().RemoteIP)
}

// refusalOf returns the kind that reports the refusal of a request with err, or nil if it is
// reported where it was decided, with its cause.
func refusalOf(err *Error) *notice.Kind {
	switch err {
	case ErrUnknownSID:
		return &unknownConnNotice
	case errTooLarge:
		return &tooLargeNotice
	case ErrShuttingDown:
		return &shuttingDownNotice
	case ErrUnknownTransport, ErrBadHandshakeMethod, ErrBadRequest, errEncoding, errNoUpgrade, errVersion:
		return &badRequestNotice
	}
	return nil
}

// noticeRefusal reports that a request is answered with err.
func (s *Server) noticeRefusal(c *fiber.Ctx, err *Error) {
	if k := refusalOf(err); k != nil {
		s.notices.Report(k, err.Message, "error", err.Message, "", loggedRequest{s, c})
	}
}

// loggedRequest is logged as the parts of a request that tell why it was refused. Its
// connection ID is a secret.
type loggedRequest struct {
	server *Server
	ctx    *fiber.Ctx
}

// LogValue implements slog.LogValuer.
func (r loggedRequest) LogValue() slog.Value {
	c := r.ctx
	return slog.GroupValue(
		slog.String("method", c.Method()),
		slog.Any("transport", notice.Text(c.Query("transport")).LogValue()),
		slog.Any("eio", notice.Text(c.Query("EIO")).LogValue()),
		slog.String("remote", r.server.RemoteIP(c)),
		slog.Any("user_agent", notice.Text(c.Get(fiber.HeaderUserAgent)).LogValue()),
	)
}

// nodeAttr returns the attribute of every line of the log.
func nodeAttr(hooks []Hooks) []any {
	if len(hooks) == 0 || hooks[0].Node == "" {
		return nil
	}
	return []any{"node", hooks[0].Node}
}
