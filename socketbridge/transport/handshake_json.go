package transport

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// nodeTime is the format in which JavaScript prints a Date.
const nodeTime = "Mon Jan 02 2006 15:04:05 GMT+0000 (Coordinated Universal Time)"

// secretWords occur in the names of headers, parameters and fields that hold secrets.
var secretWords = []string{"auth", "cookie", "csrf", "key", "pass", "pid", "secret", "session", "sid", "ticket", "token", "xsrf"}

// MarshalJSON returns the object that is socket.handshake in Socket.IO for Node: auth,
// headers, query, time, address, secure, xdomain, issued and url. So an app can emit a
// handshake to its client or to an inspector.
//
// What may be a secret is left out: Cookies, Locals, and the headers, URL parameters and
// top-level fields of auth whose name contains auth, cookie, csrf, key, pass, pid, secret,
// session, sid, ticket, token or xsrf. Read such values from the fields of Handshake.
func (h Handshake) MarshalJSON() ([]byte, error) {
	node := struct {
		Headers map[string]string          `json:"headers"`
		Time    string                     `json:"time"`
		Address string                     `json:"address"`
		Xdomain bool                       `json:"xdomain"`
		Secure  bool                       `json:"secure"`
		Issued  int64                      `json:"issued"`
		URL     string                     `json:"url"`
		Query   map[string]any             `json:"query"`
		Auth    map[string]json.RawMessage `json:"auth"`
	}{
		Headers: publicHeaders(h.Header),
		Time:    h.Time.UTC().Format(nodeTime),
		Address: h.RemoteIP,
		Xdomain: h.Header.Get("Origin") != "",
		Secure:  h.Secure,
		Issued:  h.Time.UnixNano() / int64(time.Millisecond),
		URL:     h.Path,
		Query:   map[string]any{},
		Auth:    map[string]json.RawMessage{},
	}
	if _, ok := node.Headers["host"]; !ok && h.Host != "" {
		node.Headers["host"] = h.Host
	}
	query := url.Values{}
	for name, values := range h.Query {
		switch {
		case mayBeSecret(name) || len(values) == 0:
			continue
		case len(values) == 1:
			node.Query[name] = values[0]
		default:
			node.Query[name] = values
		}
		query[name] = values
	}
	if len(query) > 0 {
		node.URL += "?" + query.Encode()
	}
	if len(h.Auth) > 0 {
		if err := json.Unmarshal(h.Auth, &node.Auth); err != nil {
			return nil, err
		}
		for name := range node.Auth {
			if mayBeSecret(name) {
				delete(node.Auth, name)
			}
		}
	}
	return json.Marshal(node)
}

func publicHeaders(header http.Header) map[string]string {
	public := make(map[string]string, len(header))
	for name, values := range header {
		if name = strings.ToLower(name); !mayBeSecret(name) {
			public[name] = strings.Join(values, ", ")
		}
	}
	return public
}

func mayBeSecret(name string) bool {
	name = strings.ToLower(name)
	for _, word := range secretWords {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
