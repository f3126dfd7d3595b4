package adminui

import (
	"slices"
	"sync"
	"time"

	"github.com/fiberbridge/fiberbridge/internal/notice"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// UI is the admin namespace of a server. All methods are safe for concurrent use.
type UI struct {
	io       *socketbridge.Server
	cfg      Config
	ns       *socketbridge.Namespace
	notices  *notice.Board
	node     string // names this node in what FetchSockets shows others
	started  time.Time
	features []string

	tokens    tokens
	attempts  attempts
	comparing chan struct{} // full while a password is compared

	mu       sync.Mutex // guards the fields below
	local    int        // pages of the UI that are connected to this node
	remote   bool       // there may be some on other nodes
	heard    uint64     // announcements of other nodes
	reporter *reporter  // nil while there are no pages
}

// Stats are the counts of an admin namespace on this node.
type Stats struct {
	Admins  int               // connected pages of the UI
	Notices map[string]uint64 // by the names in docs/troubleshooting.md, since Instrument
}

// Stats returns the current counts.
func (u *UI) Stats() Stats {
	u.mu.Lock()
	defer u.mu.Unlock()
	return Stats{Admins: u.local, Notices: u.notices.Counts()}
}

// Instrument creates the admin namespace of a server. It panics if cfg is invalid, and must be
// called once, before clients connect. What it starts ends with the server's Shutdown.
func Instrument(io *socketbridge.Server, cfg Config) *UI {
	cfg = cfg.withDefaults()
	u := &UI{
		io: io, cfg: cfg, ns: io.Of(cfg.Namespace), notices: notice.New(cfg.Logger),
		node: io.ID(), started: time.Now(), features: supportedFeatures(cfg),
		comparing: make(chan struct{}, 1), tokens: newTokens(cfg),
	}
	if cfg.Insecure {
		u.notices.Report(&insecureNotice, "")
	}
	if cfg.Authorize == nil {
		u.ns.SetMode(socketbridge.SessionNone)
	}
	u.ns.Use(u.admit)
	u.ns.OnConnection(u.connected)
	u.ns.OnSessionChange(func(s *socketbridge.Socket, _ []string) { u.recheck(s) })
	u.registerCommands()
	if !cfg.Production {
		io.DescribeSockets(metaKey, u.describe)
	}
	u.ns.OnServerSideEmit(announcement, func(*socketbridge.ServerEvent) { u.announced() })
	_ = io.Go(u.lookOut) // it returns an error after Shutdown only, when there is nothing to look for
	return u
}

// Features of the protocol, which the UI shows buttons for.
func supportedFeatures(cfg Config) []string {
	var features []string
	if !cfg.ReadOnly {
		features = []string{"EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"}
	}
	features = append(features, "AGGREGATED_EVENTS")
	if !cfg.Production {
		features = append(features, "ALL_EVENTS")
	}
	return slices.Clip(features)
}

// connected is the connection handler of the admin namespace.
func (u *UI) connected(s *socketbridge.Socket) {
	if s.Data().Get(loggedIn) != nil {
		_ = s.Emit("session", u.tokens.issue(time.Now())) // an error means that the client has left
	}
	_ = s.Emit("config", map[string]any{"supportedFeatures": u.features})
	s.OnError(u.commandFailed)
	u.mu.Lock()
	u.local++
	r := u.startReporter()
	u.mu.Unlock()
	s.OnDisconnect(func(socketbridge.Reason) {
		u.mu.Lock()
		u.local--
		u.stopReporter()
		u.mu.Unlock()
	})
	if r != nil {
		_ = u.ns.ServerSideEmit(announcement) // without it, other nodes find the page with their next lookOut
		r.queue.add(record{kind: adminJoined, socket: s})
	}
}

// recheck disconnects a page whose session does not allow it any more.
func (u *UI) recheck(s *socketbridge.Socket) {
	if !u.authorized(s) {
		u.notices.Report(&refusedNotice, "", "remote", notice.Text(s.Handshake().RemoteIP), "cause", "Authorize returned false after a change of the session")
		s.Disconnect()
	}
}
