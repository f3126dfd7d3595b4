package redisadapter

import "context"

// checkPeers warns about nodes that this one, or other nodes, cannot exchange requests with.
// It runs at the interval of heartbeats. A problem is reported when two checks in a row found
// it, because nodes come and go while they are counted.
func (l *streamLink) checkPeers(ctx context.Context) {
	type suspect struct {
		namespace            string
		active, only, common int
	}
	var suspects []suspect
	l.mu.Lock()
	for name, ns := range l.namespaces {
		s := suspect{namespace: name}
		for _, p := range ns.peers {
			switch {
			case p.streamOnly:
				s.only++
			case p.both:
				s.common++
			}
			if p.sent && !p.streamOnly {
				s.active++
			}
			p.sent = false
		}
		if s.active == 0 {
			ns.unreachable = 0
		}
		if s.only == 0 {
			ns.mixed = 0
		}
		if s.active > 0 || s.only > 0 {
			suspects = append(suspects, s)
		}
	}
	l.mu.Unlock()
	for _, s := range suspects {
		if !l.receivesReplies(s.namespace) {
			continue
		}
		counting, cancel := context.WithTimeout(ctx, l.a.cfg.Timeout)
		n, err := l.requests.countNodes(counting, s.namespace)
		cancel()
		if err != nil {
			continue
		}
		others := n - 1
		l.mu.Lock()
		ns := l.namespaces[s.namespace]
		unreachable := again(&ns.unreachable, s.active > others)
		mixed := again(&ns.mixed, s.only > 0 && others > s.common)
		l.mu.Unlock()
		if unreachable {
			l.a.warn("redisadapter: a node adds to the stream but does not listen for requests (FetchSockets, ServerSideEmit, acknowledgements): its channelPrefix differs from Config.ChannelPrefix, or its useShardedPubSub from Config.Mode",
				"namespace", s.namespace, "channel", l.requests.mainChannel(s.namespace), "mode", modeNames[l.a.cfg.Mode])
		}
		if mixed {
			l.a.warn("redisadapter: servers with @socket.io/redis-streams-adapter 0.2 and 0.3 are in one cluster: this node works with both, but they do not answer each other's requests (fetchSockets, serverSideEmit, acknowledgements); give all the same version",
				"namespace", s.namespace)
		}
	}
}

// again counts the checks in a row that found a problem. It reports whether there are two.
func again(count *int, found bool) bool {
	if !found {
		*count = 0
		return false
	}
	*count++
	return *count >= 2
}
