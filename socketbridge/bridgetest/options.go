package bridgetest

import (
	"maps"
	"net"
	"net/http"
	"net/url"

	"github.com/gofiber/fiber/v2"
)

// Option configures a visitor or a handshake. Visit, Dial and TryDial take all options.
// Visitor.Dial takes those of a handshake: Namespace, Auth, Header, Query and On.
type Option func(*options)

type options struct {
	// of the visitor
	app     *fiber.App
	values  map[string]any
	user    any
	cookies []*http.Cookie
	host    string
	plain   bool // http, not https
	addr    net.IP

	// of the handshake
	namespace string
	auth      any
	header    http.Header
	query     url.Values
	on        map[string]func(*Event)
}

// defaultHost and defaultAddr are those of net/http/httptest.
const defaultHost = "example.com"

var defaultAddr = net.IPv4(192, 0, 2, 1)

// begins reports whether the options describe a session.
func (o *options) begins() bool { return o.values != nil || o.user != nil }

// with returns a copy of o, changed by opts.
func (o options) with(opts []Option) options {
	o.header, o.query, o.on = o.header.Clone(), maps.Clone(o.query), maps.Clone(o.on)
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// App makes the requests and the handshakes go through an app: its middlewares, its routes, and
// the io.Handler() that it mounts. Without App, there is an app of the session middleware and
// io.Handler() alone.
func App(app *fiber.App) Option { return func(o *options) { o.app = app } }

// Session stores a session with these values, which can be nil, and gives the visitor its
// cookie. The values are those that fibersession.Session.Set takes. It panics in Visitor.Dial:
// a visitor has one session.
func Session(values map[string]any) Option {
	return func(o *options) {
		if o.values == nil {
			o.values = make(map[string]any)
		}
		maps.Copy(o.values, values)
	}
}

// User stores a session in which this user has logged in (fibersession.Session.Login). It needs
// fibersession.Config.UserKey, and can be combined with Session.
func User(id any) Option { return func(o *options) { o.user = id } }

// Cookie gives the visitor a cookie.
func Cookie(name, value string) Option {
	return func(o *options) {
		o.cookies = append(o.cookies[:len(o.cookies):len(o.cookies)], &http.Cookie{Name: name, Value: value, Path: "/"})
	}
}

// Host is the host, and the port if any, that the visitor's requests name. Default:
// example.com.
func Host(host string) Option { return func(o *options) { o.host = host } }

// PlainHTTP makes the visitor's requests come over plain HTTP, as those of app.Test. Without it
// they come over TLS. A session that began on one gives no access on the other.
func PlainHTTP() Option { return func(o *options) { o.plain = true } }

// RemoteAddr is the IP address that the visitor's requests come from. Default: 192.0.2.1. It
// panics if addr is not an IP address.
func RemoteAddr(addr string) Option {
	ip := net.ParseIP(addr)
	if ip == nil {
		panic("bridgetest: RemoteAddr needs an IP address, not " + addr)
	}
	return func(o *options) { o.addr = ip }
}

// Header sets a header. Given to Visit, all requests of the visitor carry it.
func Header(name, value string) Option {
	return func(o *options) {
		if o.header == nil {
			o.header = make(http.Header)
		}
		o.header.Set(name, value)
	}
}

// Query sets a parameter of the handshake's URL, as the client's query option does. With
// Query("transport", "polling") the server takes the handshake for one of long-polling.
func Query(name, value string) Option {
	return func(o *options) {
		if o.query == nil {
			o.query = make(url.Values)
		}
		o.query.Set(name, value)
	}
}

// Namespace is the namespace that the client joins. Default: "/".
func Namespace(name string) Option { return func(o *options) { o.namespace = name } }

// Auth is the client's auth option: a map, or a struct that is a JSON object.
func Auth(v any) Option { return func(o *options) { o.auth = v } }

// On is Client.On for events that can arrive while the client connects.
func On(event string, fn func(e *Event)) Option {
	return func(o *options) {
		if o.on == nil {
			o.on = make(map[string]func(*Event))
		}
		o.on[event] = fn
	}
}
