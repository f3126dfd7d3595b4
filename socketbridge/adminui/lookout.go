package adminui

import (
	"context"
	"time"
)

// announcement is the event by which a node tells other Go nodes that a page of the UI has
// connected to it. Servers on Node ignore it, and send none: lookOut finds their pages.
const announcement = "fiberbridge:adminui"

// lookEvery is how often a node looks for pages of the UI on other nodes.
const lookEvery = 5 * time.Second

// lookOut looks for pages of the UI on other nodes until the server shuts down.
func (u *UI) lookOut(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		u.look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look asks all nodes for pages of the UI.
func (u *UI) look(ctx context.Context) {
	u.mu.Lock()
	heard := u.heard
	u.mu.Unlock()
	admins, err := u.ns.FetchSockets(ctx)
	remote := false
	for _, a := range admins {
		remote = remote || u.ns.Socket(a.ID()) == nil
	}
	if err != nil && !remote {
		return // a node did not reply: what was known before stays true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case remote && !u.remote:
		u.remote = true
		if r := u.startReporter(); r != nil {
			r.queue.add(record{kind: adminFound})
		}
	case !remote && heard == u.heard: // no page was announced since
		u.remote = false
		u.stopReporter()
	}
}

// announced is called when another node has a new page of the UI.
func (u *UI) announced() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.heard++
	u.remote = true
	if r := u.startReporter(); r != nil {
		r.queue.add(record{kind: adminFound})
	}
}

// elsewhere reports whether there may be pages of the UI on other nodes.
func (u *UI) elsewhere() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.remote
}

// startReporter returns the reporter, which it starts if there is none. It returns nil after
// the server's Shutdown. The caller holds mu.
func (u *UI) startReporter() *reporter {
	if u.reporter == nil {
		r := newReporter(u)
		if u.io.Go(r.run) != nil {
			return nil
		}
		u.reporter = r
	}
	return u.reporter
}

// stopReporter ends the reporter if there are no pages of the UI. The caller holds mu. Shutdown
// of the server waits for the reporter.
func (u *UI) stopReporter() {
	if u.reporter != nil && u.local == 0 && !u.remote {
		close(u.reporter.stop)
		u.reporter = nil
	}
}
