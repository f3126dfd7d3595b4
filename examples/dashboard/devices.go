package main

import (
	"errors"
	"strings"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// device describes one session of a user for the page.
type device struct {
	ID      string `json:"id"` // a pseudonym: the session ID itself is only ever in the cookie
	Name    string `json:"name"`
	Phone   bool   `json:"phone"`
	Address string `json:"address"`
	Seen    int64  `json:"seen"` // Unix milliseconds
	Current bool   `json:"current"`
}

// listDevices handles "devices": it answers with the user's sessions.
func (s *server) listDevices(p *socketbridge.Packet) error {
	all, err := p.Session().Devices(p.Context())
	if err != nil {
		return err
	}
	list := make([]device, 0, len(all))
	for _, d := range all {
		name, phone := browserName(d.UserAgent)
		list = append(list, device{d.ID, name, phone, d.Address, d.LastSeen.UnixMilli(), d.Current})
	}
	return p.Ack(list)
}

// endDevice handles "end": it ends another session of the user and disconnects its tabs.
func (s *server) endDevice(p *socketbridge.Packet) error {
	id, err := textArg(p)
	if err != nil {
		return err
	}
	user := currentUser(p.Socket()).ID
	// ErrNotFound means that the session has already ended, which is the result we want.
	if err := s.sessions.EndDevice(p.Context(), user, id); err != nil && !errors.Is(err, fibersession.ErrNotFound) {
		return err
	}
	s.notifyChanged("devices", user)
	return p.Ack()
}

// browserName turns a User-Agent header into a readable name, such as "Safari on iPhone".
// The order matters: for compatibility, browsers also list the names of others.
func browserName(agent string) (name string, phone bool) {
	first := func(pairs ...string) string {
		for i := 0; i < len(pairs); i += 2 {
			if strings.Contains(agent, pairs[i]) {
				return pairs[i+1]
			}
		}
		return ""
	}
	browser := first("Edg", "Edge", "OPR/", "Opera", "SamsungBrowser", "Samsung Internet", "Firefox", "Firefox", "FxiOS", "Firefox",
		"CriOS", "Chrome", "Chrome", "Chrome", "Safari", "Safari")
	system := first("iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "Windows", "Windows", "Mac OS X", "Mac", "CrOS", "ChromeOS", "Linux", "Linux")
	phone = system == "iPhone" || system == "Android"
	switch {
	case browser == "" && system == "":
		return "A device", phone
	case browser == "":
		return "A program on " + system, phone
	case system == "":
		return browser, phone
	}
	return browser + " on " + system, phone
}
