package redisadapter

import "context"

// checkPeers warns about nodes that this one, or other nodes, cannot exchange requests with.
// It runs at the interval of heartbeats. A problem is reported when two checks in a row found
// it, because nodes come and go while they are counted.
func (l *streamLink) checkPeers(ctx context.Context) {
	type suspect struct {
		namespace                    string
		active, silent, only, common int
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
				if !p.both {
					s.silent++
				}
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
		others, ok := l.countListening(ctx, s.namespace)
		if !ok {
			continue
		}
		l.mu.Lock()
		ns := l.namespaces[s.namespace]
		if ns == nil { // closed meanwhile
			l.mu.Unlock()
			continue
		}
		isUnreachable := again(&ns.unreachable, l.requests != nil && s.active > others || l.requests == nil && s.silent > 0)
		isMixed := again(&ns.mixed, l.requests != nil && s.only > 0 && others > s.common)
		l.mu.Unlock()
		if isUnreachable {
			l.a.notices.Report(&unreachable, s.namespace, "namespace", s.namespace, "mode", modeNames[l.a.cfg.Mode])
		}
		if isMixed {
			l.a.notices.Report(&mixed, "", "namespace", s.namespace)
		}
	}
}

// countListening returns the number of other nodes that listen for requests. It reports false
// if that is unknown at present.
func (l *streamLink) countListening(ctx context.Context, namespace string) (others int, ok bool) {
	if !l.receivesReplies(namespace) {
		return 0, false
	}
	if l.requests == nil {
		return 0, true
	}
	ctx, cancel := context.WithTimeout(ctx, l.a.cfg.Timeout)
	defer cancel()
	n, err := l.requests.countNodes(ctx, namespace)
	return n - 1, err == nil
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
