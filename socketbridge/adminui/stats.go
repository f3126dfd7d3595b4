package adminui

import (
	"os"
	"time"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// serverStats is the argument of server_stats.
type serverStats struct {
	ServerID            string           `json:"serverId"`
	Hostname            string           `json:"hostname"`
	PID                 int              `json:"pid"`
	Uptime              float64          `json:"uptime"` // in seconds
	ClientsCount        int              `json:"clientsCount"`
	PollingClientsCount int              `json:"pollingClientsCount"`
	AggregatedEvents    []aggregated     `json:"aggregatedEvents"`
	Namespaces          []namespaceCount `json:"namespaces"`
}

type namespaceCount struct {
	Name         string `json:"name"`
	SocketsCount int    `json:"socketsCount"`
}

// aggregated is how often something has happened.
type aggregated struct {
	Timestamp int64  `json:"timestamp"` // in milliseconds
	Type      string `json:"type"`
	SubType   string `json:"subType,omitempty"`
	Count     int64  `json:"count"`
}

// maxCounted is how many namespaces are counted.
const maxCounted = 1000

// stats returns the current numbers of this node.
func (u *UI) stats(events []aggregated) serverStats {
	engine := u.io.Engine().Stats()
	s := serverStats{
		ServerID: u.cfg.ServerID, Hostname: hostname(), PID: os.Getpid(),
		Uptime:       time.Since(u.started).Seconds(),
		ClientsCount: engine.Connections, PollingClientsCount: max(0, engine.Connections-engine.WebSockets),
		AggregatedEvents: events, Namespaces: []namespaceCount{},
	}
	for i, ns := range u.namespaces() {
		if i == maxCounted {
			break
		}
		s.Namespaces = append(s.Namespaces, namespaceCount{ns.Name(), len(ns.Sockets())})
	}
	return s
}

// aggregate returns what was carried between two moments.
func aggregate(before, now engineio.Traffic) []aggregated {
	events := []aggregated{}
	second := time.Now().Truncate(time.Second).UnixMilli()
	add := func(typ, sub string, count int64) {
		if count > 0 {
			events = append(events, aggregated{second, typ, sub, count})
		}
	}
	add("rawConnection", "", now.Opened-before.Opened)
	add("packetsIn", "", now.PacketsIn-before.PacketsIn)
	add("bytesIn", "", now.BytesIn-before.BytesIn)
	add("packetsOut", "", now.PacketsOut-before.PacketsOut)
	add("bytesOut", "", now.BytesOut-before.BytesOut)
	for reason, count := range now.Closed {
		add("rawDisconnection", string(reason), count-before.Closed[reason])
	}
	return events
}
