// Two session cookies of one name with different values. A browser sends two after
// CookieDomain or CookiePath changed, or if another site of the domain set one. Neither is
// used, and this response removes both.

package fibersession

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

const (
	// maxRemovals bounds the bytes of Set-Cookie headers that remove cookies. Proxies refuse
	// responses with more than 4 KiB of headers by default.
	maxRemovals = 2 << 10

	maxParentDomains = 4 // of the host
	maxCookiePaths   = 4 // of the request's path
)

// cookiePlace is where a browser keeps a cookie of a name. Browsers remove a cookie only if
// all of it is given.
type cookiePlace struct {
	domain      string // "": the host alone
	path        string
	partitioned bool
}

// removeDuplicates makes the browser remove the cookies of one name that the request carried
// with different values. The response does not say which cookies a browser has, so this
// names every place where it is likely to have one. The caller holds s.mu.
func (s *Session) removeDuplicates(src *idSource) {
	name := s.store.sourceName(src, s.secure)
	s.store.reportDuplicates(name)
	places, own := s.cookiePlaces(name)
	size := 0
	for _, p := range append(places, own) { // setCookie replaces the last one
		c := s.newCookie(name, "")
		c.SetDomain(p.domain)
		c.SetPartitioned(p.partitioned) // before SetPath, because it also sets the path
		c.SetPath(p.path)
		c.SetHTTPOnly(false) // shorter, and makes no difference to a removal
		c.SetMaxAge(-1)
		line := c.Cookie()
		if size += len(line) + len("Set-Cookie: \r\n"); size <= maxRemovals || p == own {
			s.request.Response.Header.AddBytesV(fasthttp.HeaderSetCookie, line)
		}
		fasthttp.ReleaseCookie(c)
	}
}

// cookiePlaces returns the places where a browser may have a cookie of this name, and the
// configured one. Of domain and path, mostly one differs from the configuration. The most
// likely places come first.
func (s *Session) cookiePlaces(name string) (places []cookiePlace, own cookiePlace) {
	config := &s.store.Config
	own = cookiePlace{strings.TrimPrefix(strings.ToLower(config.CookieDomain), "."), config.CookiePath, config.CookiePartitioned}
	add := func(p cookiePlace) {
		if p != own && !slices.Contains(places, p) {
			places = append(places, p)
		}
	}
	if s.secure { // browsers keep a partitioned cookie apart from one that is not
		add(cookiePlace{own.domain, own.path, !own.partitioned})
	}
	if hasPrefixFold(name, hostPrefix) {
		return places, own // it has no domain, and the path is "/"
	}
	domains := append([]string{own.domain, ""}, domainsOf(s.request)...)
	for _, path := range []string{own.path, "/"} {
		for _, domain := range domains {
			add(cookiePlace{domain, path, own.partitioned})
		}
	}
	for _, path := range pathsOf(s.request) {
		add(cookiePlace{own.domain, path, own.partitioned})
		add(cookiePlace{"", path, own.partitioned})
	}
	return places, own
}

// domainsOf returns the request's host and its parent domains of at least two labels. A proxy
// may have put the browser's host into another header. The header may be made up: a browser
// ignores a cookie with a domain that is not its own.
func domainsOf(r *fasthttp.RequestCtx) []string {
	var domains []string
	forwarded, _, _ := strings.Cut(string(r.Request.Header.Peek("X-Forwarded-Host")), ",")
	for _, host := range []string{string(r.Request.Header.Host()), strings.TrimSpace(forwarded)} {
		host = hostName(host)
		if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || len(host) > 253 || !only(host, isAttributeByte) {
			continue
		}
		labels := strings.Split(host, ".")
		for i := range labels {
			first, left := i == 0, len(labels)-i
			if left >= 2 && (first || left <= maxParentDomains+1) {
				domains = append(domains, strings.Join(labels[i:], "."))
			}
		}
	}
	return domains
}

// pathsOf returns the paths, other than "/", whose cookies a browser sends with a request. A
// path with a slash at its end is another one.
func pathsOf(r *fasthttp.RequestCtx) []string {
	path := string(r.URI().PathOriginal())
	if !only(path, isAttributeByte) {
		return nil
	}
	var paths []string
	for i := 1; i <= len(path) && len(paths) < maxCookiePaths; i++ {
		if i == len(path) && path[i-1] != '/' {
			paths = append(paths, path)
		} else if i < len(path) && path[i] == '/' {
			paths = append(paths, path[:i], path[:i+1])
		}
	}
	return paths
}

// addSetCookie adds a cookie to the response. fasthttp keeps one cookie per name, and
// replaces the first one. After removeDuplicates there are several, and the last one is the
// session's: browsers apply them in order.
func addSetCookie(h *fasthttp.ResponseHeader, c *fasthttp.Cookie) {
	var lines [][]byte
	for name, line := range h.Cookies() {
		if bytes.Equal(name, c.Key()) {
			lines = append(lines, bytes.Clone(line))
		}
	}
	if len(lines) < 2 {
		h.SetCookie(c)
		return
	}
	h.DelCookieBytes(c.Key())
	for _, line := range lines[:len(lines)-1] {
		h.AddBytesV(fasthttp.HeaderSetCookie, line)
	}
	h.AddBytesV(fasthttp.HeaderSetCookie, c.Cookie())
}

// reportDuplicates reports a request with two session cookies.
func (s *Store) reportDuplicates(name string) {
	s.notices.Report(&cookieDuplicateNotice, "", "cookie", name)
}
