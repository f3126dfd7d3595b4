package nodetest

import (
	"cmp"
	"testing"
)

// ExpressOptions configure the sessions of an Express app.
type ExpressOptions struct {
	// Redis is the URL of the Redis server. Required.
	Redis string
	// Package and Client are the names in package.json of the versions of connect-redis
	// and redis.
	//
	// Optional. Default: connect-redis, redis
	Package, Client string
	// Secrets are the secrets of express-session. Required.
	Secrets []string
	// Session contains additional options of express-session.
	//
	// Optional. Default: nil, so resave and saveUninitialized are false
	Session map[string]any
	// Store contains additional options of connect-redis.
	//
	// Optional. Default: nil
	Store map[string]any
	// Passport enables passport, with the routes POST /passport/login/:id, POST
	// /passport/logout, and GET /passport, which returns the user.
	//
	// Optional. Default: false
	Passport bool
}

// Express starts an Express app with express-session over connect-redis on a free port and
// returns its URL. driver-express.mjs defines its routes: GET /express returns the session,
// the others modify it.
func (n *Node) Express(t testing.TB, o ExpressOptions) string {
	t.Helper()
	number, _ := n.number()
	var url string
	n.must(t, "express", map[string]any{
		"server": number, "redis": o.Redis, "storePackage": cmp.Or(o.Package, "connect-redis"), "clientPackage": cmp.Or(o.Client, "redis"),
		"secrets": o.Secrets, "session": o.Session, "store": o.Store, "passport": o.Passport,
	}, &url)
	return url
}

// ExpressSign returns the Cookie header for a session ID, as created by the packages cookie
// and cookie-signature of express-session.
func (n *Node) ExpressSign(t testing.TB, name, id, secret string) string {
	t.Helper()
	var header string
	n.must(t, "expressSign", map[string]any{"name": name, "value": id, "secret": secret}, &header)
	return header
}

// ExpressUnsign returns the session ID in a Cookie header, as read by the same packages. ok
// is false if there is none.
func (n *Node) ExpressUnsign(t testing.TB, name, header string, secrets ...string) (id string, ok bool) {
	t.Helper()
	var v any
	n.must(t, "expressUnsign", map[string]any{"name": name, "header": header, "secrets": secrets}, &v)
	id, ok = v.(string)
	return id, ok
}

// ExpressReserved returns the keys that express-session itself uses in a session.
func (n *Node) ExpressReserved(t testing.TB) []string {
	t.Helper()
	var all []string
	n.must(t, "expressReserved", nil, &all)
	return all
}
