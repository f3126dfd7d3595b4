package redis

import "time"

// SetSilence makes the watches that are opened from now on find a dead connection sooner.
func (s *Storage) SetSilence(d time.Duration) { s.silence = d }

// WorkersPerNode is how many batches travel at a time.
const WorkersPerNode = workersPerNode
