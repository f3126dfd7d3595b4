package dropin_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// seen is what a visitor, and the app, know after a step: an aspect's name and its value.
type seen struct {
	step    string
	aspects map[string]string
}

// aspectNames are all aspects, in the order of reports.
var aspectNames = []string{"start", "status", "location", "body", "login", "data", "known", "cookie", "sent"}

// script runs a pattern's script against an app.
type script struct {
	t        *testing.T
	site     *site
	visitors map[string]*visitor
	current  *visitor
	vars     map[string]string
	idHeader string      // the header that carries the ID, or ""
	running  chan answer // of "begin"
	cookies  []string    // the session cookies that were sent
	results  []seen
}

type answer struct {
	r   response
	err error
}

// play runs a pattern's script and returns what was seen after each step.
func play(t *testing.T, app served, scheme string) *script {
	t.Helper()
	s := &script{t: t, visitors: map[string]*visitor{}, vars: map[string]string{}}
	if app.Refused != "" {
		s.results = append(s.results, seen{"the start", map[string]string{"start": app.Refused}})
		return s
	}
	s.site = newSite(t, app, scheme)
	s.current = s.site.newVisitor()
	s.visitors["first"] = s.current
	for line := range strings.SplitSeq(app.Script, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			s.step(line)
		}
	}
	return s
}

func (s *script) step(line string) {
	words := strings.Fields(line)
	switch words[0] {
	case "use":
		name := strings.Join(words[1:], " ")
		if s.visitors[name] == nil {
			s.visitors[name] = s.site.newVisitor()
		}
		s.current = s.visitors[name]
	case "keep":
		s.visitors[words[1]] = s.current.clone()
	case "header":
		s.idHeader = words[1]
	case "set":
		if words[1] == "cookie" {
			s.current.setCookie(words[2], s.expand(words[3]))
		} else {
			s.current.header[words[1]] = s.expand(words[2])
		}
	case "begin":
		s.running = make(chan answer, 1)
		v, running := s.current, s.running
		go func() { // step "end" waits for it
			r, err := v.request(words[1], words[2], nil)
			running <- answer{r, err}
		}()
	case "end":
		a := <-s.running
		if a.err == nil {
			s.current.accept(a.r)
		}
		s.record(line, s.current.sessionCookie(), a.r, a.err, "", true)
	default:
		s.request(line, words)
	}
}

// request runs a step that is a request.
func (s *script) request(line string, words []string) {
	follow, look, capture := false, true, ""
	switch words[0] {
	case "follow":
		follow, words = true, words[1:]
	case "unseen":
		look, words = false, words[1:]
	}
	if i := slices.Index(words, ">"); i > 0 {
		capture, words = words[i+1], words[:i]
	}
	var form url.Values
	if words[0] == "POST" {
		form = url.Values{}
		for _, field := range words[2:] {
			name, value, _ := strings.Cut(field, "=")
			form.Set(name, s.expand(value))
		}
	}
	before, target := s.current.sessionCookie(), s.expand(words[1])
	r, err := s.current.send(words[0], target, form, follow)
	if id := r.header.Get(s.idHeader); s.idHeader != "" && id != "" {
		s.current.header[s.idHeader] = id
	}
	if capture != "" {
		s.capture(capture, r)
	}
	query := ""
	if strings.Contains(target, "session_id=") {
		_, query, _ = strings.Cut(target, "?")
	}
	s.record(line, before, r, err, query, look)
}

// capture sets a variable to what the step sent.
func (s *script) capture(name string, r response) {
	s.vars[name] = r.body
	if u, err := url.Parse(r.location); err == nil && u.Query().Get("state") != "" {
		s.vars[name] = u.Query().Get("state")
	}
}

// expand replaces variables.
func (s *script) expand(text string) string {
	for name, value := range s.vars {
		text = strings.ReplaceAll(text, "$"+name, value)
	}
	return text
}

// hide replaces the values of variables, which are random, with their names.
func (s *script) hide(text string) string {
	for name, value := range s.vars {
		switch {
		case text == value:
			return "$" + name
		case len(value) >= 16:
			text = strings.ReplaceAll(text, value, "$"+name)
			text = strings.ReplaceAll(text, url.QueryEscape(value), "$"+name)
		}
	}
	return text
}

// record notes what is known after a step. With look, it asks the app for the session.
func (s *script) record(line, before string, r response, err error, query string, look bool) {
	a := map[string]string{"status": strconv.Itoa(r.status), "location": s.hide(r.location), "body": s.hide(r.body)}
	if err != nil {
		a["status"] = "no answer"
	}
	switch now := s.current.sessionCookie(); {
	case now == "":
		a["cookie"] = "none"
	case now == before:
		a["cookie"] = "kept"
	default:
		a["cookie"] = "new"
	}
	a["sent"] = s.sent(r)
	if look {
		s.look(a, query)
	}
	s.results = append(s.results, seen{line, a})
}

// sent returns whether r carries the session cookie or removes it. An app that removes a
// cookie of another name as well makes no difference.
func (s *script) sent(r response) string {
	var all []string
	for _, c := range r.cookies {
		switch {
		case !isSessionCookie(c.Name):
		case !removes(c):
			all = append(all, "cookie")
			s.cookies = append(s.cookies, describe(c))
		case !slices.Contains(all, "removal"):
			all = append(all, "removal")
		}
	}
	return strings.Join(all, ", ")
}

// look asks the app for the visitor's session.
func (s *script) look(a map[string]string, query string) {
	r, err := s.current.clone().send("GET", "/dump?"+query, nil, false)
	var d struct {
		Known bool
		Login string
		Data  map[string]string
	}
	if err == nil && r.status != 200 {
		err = fmt.Errorf("%d %s", r.status, r.body)
	}
	if err == nil {
		err = json.Unmarshal([]byte(r.body), &d)
	}
	if err != nil {
		a["login"] = "error: " + err.Error()
		return
	}
	a["login"], a["known"] = d.Login, strconv.FormatBool(d.Known)
	delete(d.Data, "user")
	var data []string
	for key, value := range d.Data {
		if key == "fiber.csrf.token" || key == "faux" { // csrf's and goth_fiber's
			value, _, _ = strings.Cut(value, " ") // the rest is random
		}
		data = append(data, key+"="+s.hide(value))
	}
	slices.Sort(data)
	a["data"] = strings.Join(data, ", ")
}
