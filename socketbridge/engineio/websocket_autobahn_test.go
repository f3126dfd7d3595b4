package engineio_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/wsframe"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

// The cases of the Autobahn suite, categories 1 to 7 and 9, against a server that echoes
// plain WebSocket messages over TCP. Each has its number there. Where that suite waits for a
// second to see that nothing comes, the client here sends its next frame: the server answers
// in order, so an answer that should not be there arrives before the one that should.
//
// The server differs from what the suite prefers in these cases, on purpose:
//
//	6.4.3, 6.4.4         Invalid text is found when its frame is complete, not inside the
//	                     frame. The suite calls this non-strict. A frame is never larger
//	                     than MaxPayload.
//	9.1.5, 9.1.6,        The messages exceed MaxPayload: close code 1009.
//	9.2.5, 9.2.6
//	9.3.1, 9.3.2,        A message may have 4096 fragments, these have 65536 and 16384:
//	9.4.1, 9.4.2         close code 1008.
//
// To save time, category 9 is smaller than in the suite: 9.1 to 9.4 send a quarter (messages up
// to 4 MiB, fragments in proportion, MaxPayload 1 MiB), 9.5 and 9.6 send 64 KiB instead of
// 1 MiB, and 9.7 and 9.8 send 100 messages instead of 1000.

// autobahnCase is one case: the client writes, the server answers.
type autobahnCase struct {
	number, about string
	exchanges     []exchange
	code          uint16 // of the server's close frame, its last frame
}

// exchange is what the client writes and the frames that the server then answers with.
type exchange struct {
	writes  []string
	answers []frame
}

// autobahnPayload is the limit of the server under test.
const autobahnPayload = 1 << 20

// autobahnCount is the number of the suite's cases by category.
var autobahnCount = map[string]int{"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 54}

func TestR2_Autobahn(t *testing.T) {
	t.Parallel()
	var all []autobahnCase
	for _, group := range [][]autobahnCase{
		autobahnFraming(), autobahnPings(), autobahnReserved(), autobahnFragments(), autobahnUTF8(), autobahnClose(), autobahnLimits(),
	} {
		all = append(all, group...)
	}
	count, seen := map[string]int{}, map[string]bool{}
	for _, c := range all {
		category, _, _ := strings.Cut(c.number, ".")
		if count[category]++; seen[c.number] {
			t.Errorf("case %s is here twice", c.number)
		}
		seen[c.number] = true
	}
	for category, want := range autobahnCount {
		if count[category] != want {
			t.Errorf("category %s has %d cases, want %d", category, count[category], want)
		}
	}
	s := openAutobahn(t)
	for _, c := range all {
		t.Run(c.number+" "+c.about, func(t *testing.T) {
			t.Parallel()
			c.run(t, s)
		})
	}
}

// openAutobahn starts a site that echoes plain WebSocket messages at /ws.
func openAutobahn(t *testing.T) (s *site) {
	limits := engineio.Limits{MaxConnsPerIP: -1, ConnRatePerIP: -1, PacketsPerSecond: -1, BytesPerSecond: -1}
	s = open(t, &transporttest.Recorder{}, engineio.Config{MaxPayload: autobahnPayload, Limits: limits}, siteOptions{before: func(app *fiber.App) {
		app.Get("/ws", func(c *fiber.Ctx) error { return s.engine.Plain(echoes{})(c) })
	}})
	return s
}

func (c *autobahnCase) run(t *testing.T, s *site) {
	client, a := handshakeWS(t, s.dial(), s.addr, "/ws")
	if client == nil {
		t.Fatalf("the handshake was answered with %d %s", a.status, a.body)
	}
	defer client.nc.Close()
	for _, e := range c.exchanges {
		for _, w := range e.writes {
			client.write(w)
		}
		for _, want := range e.answers {
			got, err := client.read()
			if err != nil || got != want {
				t.Fatalf("the server answered %s, %v; want %s", got, err, want)
			}
		}
	}
	want := frame{wsframe.Close, strings.TrimPrefix(string(wsframe.AppendClose(nil, c.code)), "\x88\x02")}
	if c.code == wsframe.NoStatus {
		want.data = ""
	}
	if got, err := client.read(); err != nil || got != want {
		t.Fatalf("the server answered %s, %v; want %s", got, err, want)
	}
	got, err := client.read()
	if timeout := (net.Error)(nil); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("after its close frame, the server sent %s, %v; want the end", got, err)
	}
}

// The client of a case.

const (
	text    = wsframe.Text
	bin     = wsframe.Binary
	ping    = wsframe.Ping
	pong    = wsframe.Pong
	closing = wsframe.Close
)

// whole, begin, more and end return a complete message or one of its fragments.
func whole(op wsframe.Opcode, data string) string { return clientFrame(true, op, data) }
func begin(op wsframe.Opcode, data string) string { return clientFrame(false, op, data) }
func more(data string) string                     { return clientFrame(false, wsframe.Continuation, data) }
func end(data string) string                      { return clientFrame(true, wsframe.Continuation, data) }

// reserve sets reserved bits of a frame: 4, 2 and 1 are RSV1, RSV2 and RSV3.
func reserve(bits byte, frame string) string { return string(frame[0]|bits<<4) + frame[1:] }

// inOne, framewise and octetwise return the writes that send frames: all in one, one for each
// frame, and one for each octet.
func inOne(frames ...string) []string     { return []string{strings.Join(frames, "")} }
func framewise(frames ...string) []string { return frames }
func octetwise(frames ...string) []string { return chops(1, strings.Join(frames, "")) }

// chops cuts s into writes of n octets.
func chops(n int, s string) (writes []string) {
	for len(s) > n {
		writes, s = append(writes, s[:n]), s[n:]
	}
	return append(writes, s)
}

var clientClose = whole(closing, "\x03\xe8")

// good is a case that the client ends with close code 1000.
func good(number, about string, writes []string, answers ...frame) autobahnCase {
	return bad(wsframe.NormalClosure, number, about, writes, answers...)
}

// bad is a case that the server ends with the given close code. The client's close frame, which
// follows, must come too late.
func bad(code uint16, number, about string, writes []string, answers ...frame) autobahnCase {
	return ends(code, number, about, append(writes, clientClose), answers...)
}

// ends is a case whose writes include the client's close frame.
func ends(code uint16, number, about string, writes []string, answers ...frame) autobahnCase {
	return autobahnCase{number, about, []exchange{{writes, answers}}, code}
}

// after makes e precede a case.
func (c autobahnCase) after(e exchange) autobahnCase {
	c.exchanges = append([]exchange{e}, c.exchanges...)
	return c
}
