//go:build !linux

package engineio

import "sync"

// idleWaits does nothing: an idle WebSocket has a reader that waits.
type idleWaits struct{ runs sync.WaitGroup }

func (*idleWaits) wait(*conn) bool    { return false }
func (*idleWaits) unregister(*reader) {}
