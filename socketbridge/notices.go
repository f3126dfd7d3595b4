package socketbridge

import (
	"errors"
	"log/slog"
	"maps"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge/adapter"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport"
)

// What a Server reports: see docs/troubleshooting.md. The first group is about connections.
var (
	floodNotice = notice.Kind{
		Name: "flood", Level: slog.LevelWarn,
		Text:    "socketbridge: a connection is closed: its client sends too fast",
		Setting: "Config.Limits.EventsPerSecond, BytesPerSecond",
	}
	parseErrorNotice = notice.Kind{
		Name: "parse_error", Level: slog.LevelWarn,
		Text: "socketbridge: a connection is closed: its client sent what is not valid in Socket.IO's protocol, or not at this moment",
	}
	pingTimeoutNotice = notice.Kind{
		Name: "ping_timeout", Level: slog.LevelInfo,
		Text:    "socketbridge: a connection is closed: its client did not answer a ping in time",
		Setting: "Config.Engine.PingTimeout, PingInterval",
	}
	transportErrorNotice = notice.Kind{
		Name: "transport_error", Level: slog.LevelInfo,
		Text: "socketbridge: a connection is closed: its transport failed, or its client broke the transport's rules",
	}
	transportCloseNotice = notice.Kind{
		Name: "transport_close", Level: slog.LevelDebug,
		Text: "socketbridge: a connection has ended: its client has left, or its network failed",
	}
	closedByServerNotice = notice.Kind{
		Name: "closed_by_server", Level: slog.LevelDebug,
		Text: "socketbridge: a connection was closed by the server",
	}
	connectTimeoutNotice = notice.Kind{
		Name: "connect_timeout", Level: slog.LevelInfo,
		Text: "socketbridge: a connection is closed: its client is in no namespace; " +
			"if it polls, something in front of io.Handler() may refuse its POST requests, such as csrf or a limiter (docs/middleware.md)",
		Setting: "Config.Timeouts.Connect",
	}
	attachmentsNotice = notice.Kind{
		Name: "attachments_missing", Level: slog.LevelInfo,
		Text: "socketbridge: a connection is closed: the binary attachments of a packet did not arrive within 10 s",
	}
	wrongParserNotice = notice.Kind{
		Name: "wrong_parser", Level: slog.LevelWarn,
		Text:    "socketbridge: a client was refused: its parser is not that of the server",
		Setting: "Config.Parser",
	}
	packetRefusedNotice = notice.Kind{
		Name: "packet_refused", Level: slog.LevelWarn,
		Text: "socketbridge: a packet of a client was refused: it exceeds a limit; the connection goes on",
	}
	namespaceUnknownNotice = notice.Kind{
		Name: "namespace_unknown", Level: slog.LevelWarn,
		Text: "socketbridge: a client was refused: its namespace does not exist; Server.Of creates it",
	}
	connectFloodNotice = notice.Kind{
		Name: "connect_flood", Level: slog.LevelWarn,
		Text: "socketbridge: a connection is closed: 129 CONNECTs of its client were refused within a minute; connect_refused, namespace_unknown or packet_refused say why",
	}
	earlyFullNotice = notice.Kind{
		Name: "early_full", Level: slog.LevelWarn,
		Text:    "socketbridge: connection closed: more was sent to its client before its CONNECT was confirmed than may be queued",
		Setting: "Config.Engine.Limits.MaxBacklogBytes",
	}
	tooManyNamespacesNotice = notice.Kind{
		Name: "too_many_namespaces", Level: slog.LevelWarn,
		Text: "socketbridge: a client was refused: it is in 64 namespaces",
	}
	tooManyChildrenNotice = notice.Kind{
		Name: "too_many_children", Level: slog.LevelWarn,
		Text:    "socketbridge: clients are refused: there are too many namespaces of patterns",
		Setting: "Config.Limits.MaxChildNamespaces",
	}
	connectRefusedNotice = notice.Kind{
		Name: "connect_refused", Level: slog.LevelInfo,
		Text: "socketbridge: a client was refused",
	}
	connectErrorDataNotice = notice.Kind{
		Name: "connect_error_data", Level: slog.LevelError,
		Text: "socketbridge: the Data of a ConnectError cannot be encoded as JSON, and its client was refused without it: correct the type's MarshalJSON, or what the middleware puts into Data",
	}
	ticketRefusedNotice = notice.Kind{
		Name: "ticket_refused", Level: slog.LevelInfo,
		Text: "socketbridge: no ticket was issued",
	}
	cookieRefusedNotice = notice.Kind{
		Name: "cookie_url_refused", Level: slog.LevelInfo,
		Text:    "socketbridge: no cookie was given for the URL of Socket.SendCookie",
		Setting: "fibersession.Config.Timeouts.Ticket",
	}
	shutdownRefusedNotice = notice.Kind{
		Name: "refused_at_shutdown", Level: slog.LevelDebug,
		Text: "socketbridge: a request was refused: the server is shutting down",
	}
	notReadyNotice = notice.Kind{
		Name: "not_ready", Level: slog.LevelWarn,
		Text: "socketbridge: a health check is answered with 503: this node cannot serve at present",
	}
	drainingNotice = notice.Kind{
		Name: "draining", Level: slog.LevelInfo,
		Text:    "socketbridge: the server sends its clients to other nodes before it shuts down",
		Setting: "Config.Drain",
	}
	drainHurriedNotice = notice.Kind{
		Name: "drain_hurried", Level: slog.LevelWarn,
		Text:    "socketbridge: connections are closed faster, or sooner, than configured: the context of Shutdown ends too early; give Shutdown more time",
		Setting: "Config.Drain.Delay, Rate",
	}
)

// Sessions and users.
var (
	sessionInvalidNotice = notice.Kind{
		Name: "session_invalid", Level: slog.LevelInfo,
		Text: "socketbridge: a client without a valid session is disconnected after its OnInvalidSession handlers",
	}
	sessionEndedNotice = notice.Kind{
		Name: "session_ended", Level: slog.LevelDebug,
		Text:    "socketbridge: a socket is disconnected: its session has ended",
		Setting: "Config.OnExpiry",
	}
	sessionRenewedNotice = notice.Kind{
		Name: "session_renewed", Level: slog.LevelDebug,
		Text:    "socketbridge: a socket is disconnected: its session has a new ID",
		Setting: "Config.OnRegenerate",
	}
	policyNotice = notice.Kind{
		Name: "policy_invalid", Level: slog.LevelError,
		Text:    "socketbridge: a policy panicked or returned none of the Action constants, so its socket is disconnected: correct the function",
		Setting: "Config.OnExpiry, OnRegenerate",
	}
	handshakeSessionNotice = notice.Kind{
		Name: "handshake_session_failed", Level: slog.LevelWarn,
		Text: "socketbridge: the session of a handshake could not be loaded; namespaces that share it refuse the client",
	}
	otherVisitorNotice = notice.Kind{
		Name: "other_visitor", Level: slog.LevelWarn,
		Text: "socketbridge: a polling request or upgrade was refused: it does not carry the session of its connection; see docs/session-id.md",
	}
	tooManyOfUserNotice = notice.Kind{
		Name: "too_many_of_user", Level: slog.LevelWarn,
		Text:    "socketbridge: a handshake was refused: the user has too many connections",
		Setting: "Config.Limits.MaxConnsPerUser",
	}
	tooManyOfSessionNotice = notice.Kind{
		Name: "too_many_of_session", Level: slog.LevelWarn,
		Text:    "socketbridge: a handshake was refused: the session has too many connections",
		Setting: "Config.Limits.MaxConnsPerSession",
	}
	userChangeNotice = notice.Kind{
		Name: "user_change_refused", Level: slog.LevelWarn,
		Text:    "socketbridge: a socket is disconnected because it cannot follow its session to another user",
		Setting: "Config.Limits.MaxConnsPerUser",
	}
	changesLostNotice = notice.Kind{
		Name: "session_changes_lost", Level: slog.LevelWarn,
		Text: "socketbridge: what a handler changed in Socket.Session was not saved",
	}
	presenceRetriedNotice = notice.Kind{
		Name: "presence_retried", Level: slog.LevelWarn,
		Text:    "socketbridge: a user's presence cannot be recorded for the other nodes at present; it is tried again",
		Setting: "Config.Sessions.Storage",
	}
)

// Events.
var (
	handlerErrorNotice = notice.Kind{
		Name: "handler_error", Level: slog.LevelWarn,
		Text: "socketbridge: an event ended with an error",
	}
	badArgumentsNotice = notice.Kind{
		Name: "bad_arguments", Level: slog.LevelWarn,
		Text: "socketbridge: an event was refused: its arguments do not fit the handler, or exceed a limit",
	}
	invalidArgumentNotice = notice.Kind{
		Name: "invalid_argument", Level: slog.LevelWarn,
		Text: "socketbridge: an event was refused: its arguments do not fit its Go type; correct the client, or the type and its tags",
	}
	panicNotice = notice.Kind{
		Name: "handler_panic", Level: slog.LevelError,
		Text: "socketbridge: the app's code panicked: the stack names the line",
	}
	answerDataNotice = notice.Kind{
		Name: "answer_data", Level: slog.LevelError,
		Text: "socketbridge: the Data of an EventError cannot be encoded as JSON, and the client got internal_error: correct the type's MarshalJSON, or what the handler puts into Data",
	}
	eventDroppedNotice = notice.Kind{
		Name: "event_dropped", Level: slog.LevelDebug,
		Text: "socketbridge: a client's event was dropped: its socket has ended, or the server is shutting down",
	}
	eventUnhandledNotice = notice.Kind{
		Name: "event_unhandled", Level: slog.LevelDebug,
		Text: "socketbridge: a client's event was ignored: no handler of Server.On, Socket.On or Socket.OnAny is for it",
	}
	eventUnansweredNotice = notice.Kind{
		Name: "event_unanswered", Level: slog.LevelDebug,
		Text: "socketbridge: the handlers of an event have returned without Packet.Ack, and its client waits for an answer; it can still be given later",
	}
	handlerSlowNotice = notice.Kind{
		Name: "handler_slow", Level: slog.LevelWarn,
		Text:    "socketbridge: a handler has not returned for 30 seconds; the later events of its socket wait for it",
		Setting: "Config.Concurrency",
	}
	inboxFullNotice = notice.Kind{
		Name: "inbox_full", Level: slog.LevelInfo,
		Text:    "socketbridge: a client is not read from: its events wait for handlers that are slower than they arrive",
		Setting: "Config.Limits.MaxInbox, Config.Concurrency",
	}
	ackUnknownNotice = notice.Kind{
		Name: "ack_unexpected", Level: slog.LevelDebug,
		Text:    "socketbridge: a client answered an event for whose answer nothing waits any more",
		Setting: "Config.Timeouts.Ack",
	}
	ackUnaskedNotice = notice.Kind{
		Name: "ack_unasked", Level: slog.LevelDebug,
		Text: "socketbridge: Packet.Ack did nothing: the client asked for no answer",
	}
	volatileNotice = notice.Kind{
		Name: "volatile_dropped", Level: slog.LevelDebug,
		Text: "socketbridge: a volatile event was dropped: the client's connection was not ready",
	}
	roomEventsNotice = notice.Kind{
		Name: "room_events_dropped", Level: slog.LevelWarn,
		Text: "socketbridge: room events were dropped: the handlers of OnRoomEvent are too slow",
	}
	leaveIgnoredNotice = notice.Kind{
		Name: "leave_ignored", Level: slog.LevelWarn,
		Text: "socketbridge: Leave did nothing: a socket cannot leave the room of its own ID, nor those of its session and user",
	}
)

// Repeated events: see Idempotent.
var (
	repeatUnrecordedNotice = notice.Kind{
		Name: "repeat_unrecorded", Level: slog.LevelWarn,
		Text:    "socketbridge: the outcome of an event was not recorded; its repeats get unknown_outcome unless a later attempt succeeds",
		Setting: "Config.Repeats.Storage",
	}
	repeatLargeNotice = notice.Kind{
		Name: "repeat_answer_large", Level: slog.LevelWarn,
		Text: "socketbridge: an answer is too large to be kept; repeats of its event get offset_expired (Idempotent)",
	}
	repeatCorruptNotice = notice.Kind{
		Name: "repeat_ledger_foreign", Level: slog.LevelError,
		Text:    "socketbridge: repeats of a session's earlier events are not recognised: another program wrote under its key in Config.Repeats.Storage",
		Setting: "Config.Repeats.Storage",
	}
)

// Other nodes.
var (
	adapterStoppedNotice = notice.Kind{
		Name: "adapter_stopped", Level: slog.LevelError,
		Text:    "socketbridge: the adapter has stopped: other nodes cannot be reached",
		Setting: "Config.Adapter",
	}
	nodeMalformedNotice = notice.Kind{
		Name: "node_message_malformed", Level: slog.LevelWarn,
		Text: "socketbridge: a message of another node was dropped: it is malformed",
	}
	nodeNamespaceNotice = notice.Kind{
		Name: "node_namespace_unknown", Level: slog.LevelInfo,
		Text: "socketbridge: a message of another node was dropped: this node does not serve its namespace; Server.Of creates it",
	}
	nodeJoinNotice = notice.Kind{
		Name: "node_join_failed", Level: slog.LevelWarn,
		Text:    "socketbridge: a socket cannot join the rooms that another node asked for",
		Setting: "Config.Limits.MaxRooms",
	}
	nodeEventDroppedNotice = notice.Kind{
		Name: "server_event_dropped", Level: slog.LevelWarn,
		Text: "socketbridge: an event of ServerSideEmit was dropped: 1024 wait for their handlers",
	}
	nodeEventUnhandledNotice = notice.Kind{
		Name: "server_event_unhandled", Level: slog.LevelDebug,
		Text: "socketbridge: an event of ServerSideEmit was ignored: this node has no handler of OnServerSideEmit for it",
	}
)

// Recovery.
var (
	recoveryRefusedNotice = notice.Kind{
		Name: "recovery_refused", Level: slog.LevelInfo,
		Text:    "socketbridge: a client that came back gets a new socket",
		Setting: "Config.Recovery.Window, MaxBytes, MaxBytesPerSession, MaxSockets",
	}
	recoveryUnsavedNotice = notice.Kind{
		Name: "recovery_unsaved", Level: slog.LevelWarn,
		Text: "socketbridge: a client that reconnects will get a new socket: its state was not saved",
	}
	recoveryUnreadableNotice = notice.Kind{
		Name: "recovery_unreadable", Level: slog.LevelWarn,
		Text: "socketbridge: a client gets a new socket: its saved state, or the events that it missed, cannot be read",
	}
	recoveryEventLostNotice = notice.Kind{
		Name: "recovery_event_lost", Level: slog.LevelWarn,
		Text: "socketbridge: an event that a connect middleware emitted may be lost",
	}
)

// report reports something about the socket.
func (s *Socket) report(k *notice.Kind, key string, args ...any) {
	s.server().notices.Report(k, key, append([]any{"", (*loggedSocket)(s)}, args...)...)
}

// report reports something about the client.
func (c *client) report(k *notice.Kind, key string, args ...any) {
	c.server.notices.Report(k, key, append(args, "remote", (*loggedClient)(c))...)
}

// loggedSocket is logged as the socket's namespace, ID, session and client.
type loggedSocket Socket

// LogValue implements slog.LogValuer.
func (s *loggedSocket) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("namespace", s.ns.name), slog.String("socket", s.id)}
	if name := (*Socket)(s).logSession(); name != "" {
		attrs = append(attrs, slog.String("session", name))
	}
	return slog.GroupValue(append(attrs, slog.Any("remote", (*loggedClient)(s.client).LogValue()))...)
}

// logSession returns the pseudonym by which logs name the socket's session, or "".
func (s *Socket) logSession() string {
	if !s.opened.Load() || s.session == nil {
		return ""
	}
	return s.session.Pseudonym(fibersession.LogLabel)
}

// loggedClient is logged as the client's address. Handshake builds a new value each time.
type loggedClient client

// LogValue implements slog.LogValuer.
func (c *loggedClient) LogValue() slog.Value {
	return slog.StringValue(c.conn.Handshake().RemoteIP)
}

// noticeCounts returns the counts of the server and of its adapter.
func (s *Server) noticeCounts() map[string]uint64 {
	counts := s.notices.Counts()
	if r, ok := s.cfg.Adapter.(adapter.Reporter); ok {
		maps.Copy(counts, r.Notices())
	}
	return counts
}

// reportClosed reports the end of the connection. What the server closed on purpose was
// reported where it decided to.
func (c *client) reportClosed(reason transport.Reason, cause error) {
	var k *notice.Kind
	if errors.Is(cause, ErrFlood) {
		c.report(&floodNotice, "", "error", cause)
		return
	}
	switch reason {
	case transport.ParseError:
		k = &parseErrorNotice
	case transport.PingTimeout:
		k = &pingTimeoutNotice
	case transport.TransportError:
		k = &transportErrorNotice
	case transport.TransportClose:
		k = &transportCloseNotice
	default:
		k = &closedByServerNotice
	}
	args := []any{"reason", string(reason)}
	if cause != nil {
		args = append(args, "cause", cause)
	}
	c.report(k, "", args...)
}

// refusalKey returns the code that the client sees, so that each reason is logged.
func refusalKey(err error) string {
	if errors.Is(err, fibersession.ErrTicket) {
		return err.Error() // all have one code
	}
	if e, ok := connectErrorOf(err).Data.(*EventError); ok {
		return e.Code
	}
	return ""
}

// adviceFor returns what to do about err if its text does not say so, for handler_error.
func adviceFor(err error) string {
	switch {
	case errors.Is(err, fibersession.ErrReleased):
		return "the session was used after its handler or socket had ended: take a handle with Detach before, and Release it after"
	case errors.Is(err, fibersession.ErrUnsupportedType):
		return "call Store.RegisterType for the type at start"
	}
	return ""
}
