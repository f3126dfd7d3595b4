package inspector

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"
)

const (
	passFor   = 30 * time.Second // how long a pass is valid
	maxPasses = 1024             // that are kept
)

// passes are the passes that this node has given out and that were not used. The zero value is
// ready.
type passes struct {
	mu  sync.Mutex
	all map[string]pass // by the hash of their text
}

type pass struct {
	administrator string
	until         time.Time
}

// hashPass returns the name of a pass in tables and messages.
func hashPass(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// issue returns a new pass. It returns false if there are too many.
func (p *passes) issue(administrator string) (text string, ok bool) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) >= maxPasses {
		for hash, one := range p.all {
			if now.After(one.until) {
				delete(p.all, hash)
			}
		}
		if len(p.all) >= maxPasses {
			return "", false
		}
	}
	if p.all == nil {
		p.all = make(map[string]pass)
	}
	text = rand.Text()
	p.all[hashPass(text)] = pass{administrator, now.Add(passFor)}
	return text, true
}

// redeem uses up a pass of this node.
func (p *passes) redeem(hash string) (administrator string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, ok := p.all[hash]
	delete(p.all, hash)
	return one.administrator, ok && time.Now().Before(one.until)
}
