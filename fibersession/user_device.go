package fibersession

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
)

// What is remembered of a browser is bounded: it is the browser's to choose.
const (
	maxUserAgent = 256
	maxAddress   = 64
)

// device is what a session remembers of the browser that it began in, or that its
// user logged in with. Other devices are told by it, and nothing is decided by it.
type device struct {
	userAgent string
	address   string
}

// deviceOf returns private copies of what a request tells.
func deviceOf(c *fiber.Ctx) device {
	return device{
		userAgent: bounded(c.Get(fiber.HeaderUserAgent), maxUserAgent),
		address:   bounded(c.IP(), maxAddress),
	}
}

// bounded returns a copy of what is printable of s: at most n bytes of valid UTF-8,
// without control characters and what turns the direction of writing.
func bounded(s string, n int) string {
	return strings.Clone(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) { // also for each byte of a character that was cut through
			return -1
		}
		return r
	}, s[:min(n, len(s))]))
}

// encode returns the length of the address, the address and the user agent; nothing
// for the zero device.
func (d device) encode() []byte {
	if d == (device{}) {
		return nil
	}
	b := make([]byte, 0, 1+len(d.address)+len(d.userAgent))
	b = append(b, byte(len(d.address)))
	return append(append(b, d.address...), d.userAgent...)
}

func decodeDevice(b []byte) (device, error) {
	if len(b) == 0 {
		return device{}, nil
	}
	n := int(b[0])
	if len(b) == 1 || n > len(b)-1 || n > maxAddress || len(b)-1-n > maxUserAgent {
		return device{}, fmt.Errorf("%w: bad device", errEnvelope)
	}
	return device{address: string(b[1 : 1+n]), userAgent: string(b[1+n:])}, nil
}
