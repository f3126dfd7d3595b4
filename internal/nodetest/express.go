package nodetest

import "testing"

// ExpressOptions are how an Express app keeps its sessions.
type ExpressOptions struct {
	// Redis is the URL of the Redis. Required.
	Redis string
	// Secrets are express-session's. Required.
	Secrets []string
	// Session holds further options of express-session.
	//
	// Optional. Default: nil, so resave and saveUninitialized are false
	Session map[string]any
	// Store holds further options of connect-redis.
	//
	// Optional. Default: nil
	Store map[string]any
	// Passport mounts passport: POST /passport/login/:id and /passport/logout, and GET
	// /passport, which answers with the user.
	//
	// Optional. Default: false
	Passport bool
}

// Express starts an Express app with express-session over connect-redis on a free port
// and returns its URL. Its routes are those of driver-express.mjs: GET /express answers
// with the session, the others change it.
func (n *Node) Express(t testing.TB, o ExpressOptions) string {
	t.Helper()
	number, _ := n.number()
	var url string
	n.must(t, "express", map[string]any{
		"server": number, "redis": o.Redis, "secrets": o.Secrets, "session": o.Session, "store": o.Store, "passport": o.Passport,
	}, &url)
	return url
}

// ExpressSign returns the Cookie header that express-session's packages (cookie and
// cookie-signature) make of a session ID.
func (n *Node) ExpressSign(t testing.TB, name, id, secret string) string {
	t.Helper()
	var header string
	n.must(t, "expressSign", map[string]any{"name": name, "value": id, "secret": secret}, &header)
	return header
}

// ExpressUnsign returns the session ID that they read from a Cookie header; ok is false
// for none.
func (n *Node) ExpressUnsign(t testing.TB, name, header string, secrets ...string) (id string, ok bool) {
	t.Helper()
	var v any
	n.must(t, "expressUnsign", map[string]any{"name": name, "header": header, "secrets": secrets}, &v)
	id, ok = v.(string)
	return id, ok
}

// ExpressReserved returns the keys that a session of express-session has of its own.
func (n *Node) ExpressReserved(t testing.TB) []string {
	t.Helper()
	var all []string
	n.must(t, "expressReserved", nil, &all)
	return all
}
