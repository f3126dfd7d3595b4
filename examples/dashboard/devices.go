package main

import (
	"errors"
	"strings"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// device is a session of the user, as the page shows it.
type device struct {
	ID      string `json:"id"` // a pseudonym: the session's own ID never leaves the cookie
	Name    string `json:"name"`
	Phone   bool   `json:"phone"`
	Address string `json:"address"`
	Seen    int64  `json:"seen"` // Unix milliseconds
	Current bool   `json:"current"`
}

func (s *site) deviceList(p *socketbridge.Packet) error {
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

// endDevice logs another device of the user out: its tabs end at once.
func (s *site) endDevice(p *socketbridge.Packet) error {
	id, err := text(p)
	if err != nil {
		return err
	}
	user := me(p.Socket()).ID
	// One that has just ended by itself is as good.
	if err := s.sessions.EndDevice(p.Context(), user, id); err != nil && !errors.Is(err, fibersession.ErrNotFound) {
		return err
	}
	s.changed("devices", user)
	return p.Ack()
}

// browserName makes a name for people of what a browser says of itself. Browsers
// name others too, for old pages' sake; so the order matters.
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
