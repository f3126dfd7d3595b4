package engineio

import (
	"log/slog"
	"strings"
	"sync"
	"time"
)

// refusals tells the log which requests were refused for where they come from, and
// what to change if they should not have been: a page sees nothing but that it failed.
// Whoever floods the server must not flood its log, so that each refusal is told once
// in a window of time, and only so many of them. The zero value is ready.
type refusals struct {
	mu    sync.Mutex
	since time.Time                // begin of the window
	told  map[refusedPage]struct{} // in the window
	more  int                      // were not told
}

// refusedPage is what counts as the same.
type refusedPage struct {
	why    cause
	origin string
}

const (
	refusalWindow = time.Minute
	maxRefusals   = 10 // told in a window
	maxOriginText = 200
)

// add counts a refusal, and reports whether to tell it, and how many were not told
// since the last one.
func (l *refusals) add(r refusedPage, now time.Time) (tell bool, more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told == nil || now.Sub(l.since) >= refusalWindow {
		l.since, l.told = now, make(map[refusedPage]struct{}, maxRefusals)
	}
	if _, again := l.told[r]; again || len(l.told) >= maxRefusals {
		l.more++
		return false, 0
	}
	r.origin = strings.Clone(r.origin) // it is the request's memory
	l.told[r] = struct{}{}
	more, l.more = l.more, 0
	return true, more
}

// refuse tells the log of a refused request.
func (s *Server) refuse(why cause, r originRequest) {
	origin := strings.Join(r.Origins, ", ")
	if len(origin) > maxOriginText {
		origin = origin[:maxOriginText]
	}
	tell, more := s.refusals.add(refusedPage{why, origin}, time.Now())
	if !tell {
		return
	}
	setting, advice := s.advise(why, r)
	s.log.Warn("engineio: a request was refused for where it comes from: "+advice, slog.String("origin", origin),
		slog.String("site", r.Scheme+"://"+r.Host), slog.String("setting", setting), slog.Int("others", more))
}

// advise names the setting that refused a request, and says what to do about it.
func (s *Server) advise(why cause, r originRequest) (setting, advice string) {
	switch why {
	case originMissing:
		return "RequireOrigin", "it has neither an Origin nor a Sec-Fetch-Site header, and RequireOrigin is set"
	case twoOrigins:
		return "", "it has two headers where a browser sends one; look at the proxy in front of this server"
	case otherSite:
		return "", "a link, an image or a form of another site made it, without an Origin; no setting allows that"
	case notAnOrigin:
		return "", "its Origin is no site's, as that of a sandboxed frame or a file is; no setting allows that with cookies"
	}
	origin, _ := parseOrigin(r.Origins[0])
	if host := strings.TrimPrefix(origin, "https://"); host != origin && r.Scheme == "http" && host == r.Host+":443" {
		return "AllowOrigins", "it is this site's by https, which this server takes for http; " +
			"have the proxy in front set X-Forwarded-Proto, and fiber.Config trust it (TrustedProxies)"
	}
	if s.cfg.AllowOriginFunc != nil {
		return "AllowOriginFunc", "AllowOriginFunc says no to the origin of its page, and AllowOrigins does not list it"
	}
	return "AllowOrigins", "the origin of its page is not this site's own; " +
		"if its pages may act for their visitors, list it in AllowOrigins"
}
