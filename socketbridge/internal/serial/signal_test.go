package serial

import (
	"testing"
	"testing/synctest"
)

func TestSignal(t *testing.T) {
	happened := func(s *Signal) bool {
		select {
		case <-s.Done():
			return true
		default:
			return false
		}
	}
	for _, asked := range []bool{false, true} {
		var s Signal
		if asked && happened(&s) {
			t.Error("Done is closed before Fire")
		}
		s.Fire()
		s.Fire()
		if !happened(&s) {
			t.Error("Done is not closed after Fire")
		}
		if ch := s.Done(); ch != s.Done() {
			t.Error("Done returned another channel")
		}
	}
}

func TestSignal_WakesAllWhoWait(t *testing.T) {
	synctest.Test(t, func(*testing.T) {
		var s Signal
		for range 10 {
			go func() { <-s.Done() }() // ends with the bubble, or the test hangs
		}
		synctest.Wait()
		s.Fire()
	})
}
