package siopacket_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/fiberbridge/fiberbridge/internal/nodetest"
	"github.com/fiberbridge/fiberbridge/socketbridge/internal/siopacket"
)

// difference is a kind of input that our decoder rejects and the reference accepts.
type difference struct {
	name, why string
	is        func(c compared) bool
	example   []any
}

// compared is a sequence of messages on which the decoder and the reference disagree.
type compared struct {
	text     string                // the text message that our decoder rejected
	err      error                 // our decoder's error
	node     nodetest.ParsedPacket // the reference's packet, if produced is set
	produced bool                  // whether the reference produced a packet
}

var (
	oddCount   = regexp.MustCompile(`^[56]([^-]*)-`)
	plainCount = regexp.MustCompile(`^([1-9]|10)$`)
	longID     = regexp.MustCompile(`^([23]|[56]\d+-)(/[^,]*,)?\d{16,}`)
	oddID      = regexp.MustCompile(`^[0-6](\d*-)?(/[^,]*,)?\d*\s`)
	hasID      = regexp.MustCompile(`^[014](/[^,]*,)?\s*\d`)
	longSpace  = regexp.MustCompile(`^.[^/]*/[^,]{256,}`)
	deep       = regexp.MustCompile(`(\[\s*){60,}|(\{"a":){60,}`)
)

// differences lists all disagreements. In each our decoder is the one that rejects.
var differences = []difference{
	{"no type", "Number(\"\") and Number(\" \") are 0, a CONNECT, in JavaScript",
		func(c compared) bool { return strings.TrimLeft(c.text, " \t\n") != c.text || c.text == "" },
		[]any{""}},
	{"event or ack without an array", "its handlers would get arguments that the client did not send",
		func(c compared) bool { return c.produced && c.node.Type > 1 && c.node.Data == nil },
		[]any{`2`}},
	{"ack without an id", "no emit can be waiting for it",
		func(c compared) bool { return c.produced && c.node.Type == 3 && c.node.ID == nil },
		[]any{`3[]`}},
	{"id of a packet that is neither event nor ack", "it has no meaning",
		func(c compared) bool { return hasID.MatchString(c.text) },
		[]any{`012{}`}},
	{"id of more than 15 digits", "JavaScript could not hold it exactly",
		func(c compared) bool { return longID.MatchString(c.text) },
		[]any{`21234567890123456["e"]`}},
	{"white space in or for an id", "Number(\" \") is 0 in JavaScript",
		func(c compared) bool { return oddID.MatchString(c.text) },
		[]any{`2 ["e"]`}},
	{"white space after the payload", "nothing may follow it",
		func(c compared) bool { return c.text != strings.TrimRight(c.text, " \t\r\n") },
		[]any{`2["e"] `}},
	{"count of attachments in another form", "Number() accepts \"1.0\", \"01\", \" 1\", \"1e0\" and \"0x1\" as 1",
		func(c compared) bool {
			m := oddCount.FindStringSubmatch(c.text)
			return m != nil && !plainCount.MatchString(m[1])
		}, []any{`51.0-["e",{"_placeholder":true,"num":0}]`, nodetest.Binary{}}},
	{"placeholders that do not match", "every attachment has one placeholder: an object of two keys, a whole number",
		func(c compared) bool { return strings.Contains(c.err.Error(), "placeholders") },
		[]any{`51-["e"]`, nodetest.Binary{}}},
	{"namespace over the limit", "Limits.MaxNamespace",
		func(c compared) bool { return longSpace.MatchString(c.text) },
		[]any{`0/` + strings.Repeat("n", 300)}},
	{"event name over the limit", "Limits.MaxEventName",
		func(c compared) bool {
			return len(c.text) > 256 && c.produced && strings.Index(string(c.node.Data[2:]), `"`) > 256
		},
		[]any{`2["` + strings.Repeat("n", 300) + `"]`}},
	{"arguments over the limit", "Limits.MaxArgs",
		func(c compared) bool {
			var a []any
			return c.produced && json.Unmarshal(c.node.Data, &a) == nil && len(a) > 64
		}, []any{`2["e"` + strings.Repeat(",1", 65) + `]`}},
	{"nesting over the limit", "Limits.MaxDepth",
		func(c compared) bool { return deep.MatchString(c.text) },
		[]any{`2["e",` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `]`}},
}

// TestDifferential passes the same messages to our decoder and to the reference:
// valid packets, and packets with a few changed bytes. Both must accept with the same
// result or both must reject, except for the listed differences. To run more than
// the default 20,000 sequences, with a random seed, set DIFFERENTIAL to their number.
func TestDifferential(t *testing.T) {
	t.Parallel()
	n := nodetest.Start(t)
	total, seed := 20_000, uint64(1)
	if s := os.Getenv("DIFFERENTIAL"); s != "" {
		var err error
		if total, err = strconv.Atoi(s); err != nil {
			t.Fatalf("DIFFERENTIAL: %v", err)
		}
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))

	var sequences [][]any
	for _, d := range differences {
		sequences = append(sequences, d.example)
	}
	seeds := seedSequences(t)
	sequences = append(sequences, seeds...)

	seen := map[string]int{}
	agreed := map[string]int{}
	for done := 0; done < total; done += len(sequences) {
		if done > 0 {
			sequences = sequences[:0]
		}
		for len(sequences) < 2000 {
			sequences = append(sequences, mutate(rng, seeds[rng.IntN(len(seeds))]))
		}
		for i, node := range n.Parse(t, sequences) {
			how := compare(t, sequences[i], node, seen)
			agreed[how]++
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("agreed: %v", agreed)
	for _, d := range differences {
		t.Logf("%7d  %s: %s", seen[d.name], d.name, d.why)
		if seen[d.name] == 0 {
			t.Errorf("the difference %q did not occur: remove it if it no longer exists", d.name)
		}
	}
	for _, how := range []string{"accepted", "refused", "pending"} {
		if agreed[how] < total/200 {
			t.Errorf("only %d sequences were %s by both", agreed[how], how)
		}
	}
}

// compare passes a sequence to our decoder too and returns the common outcome.
func compare(t *testing.T, sequence []any, node nodetest.Parsed, seen map[string]int) string {
	t.Helper()
	var d siopacket.Decoder
	var packets []siopacket.Packet
	var refused string
	var err error
	for _, m := range sequence {
		var p siopacket.Packet
		var ok bool
		switch m := m.(type) {
		case string:
			refused = m
			p, ok, err = d.Text([]byte(m))
		case nodetest.Binary:
			p, ok, err = d.Binary(m)
		}
		if err != nil {
			break
		}
		if ok {
			packets = append(packets, p)
		}
	}
	if err == nil && node.Error != "" {
		t.Errorf("%q: our decoder accepts, the reference rejects: %q", sequence, node.Error)
		return ""
	}
	for i, p := range packets {
		if i == len(node.Packets) {
			t.Errorf("%q: our decoder returned more packets than the reference", sequence)
			return ""
		}
		if diff := unequal(p, node.Packets[i]); diff != "" {
			t.Errorf("%q: %s", sequence, diff)
		}
	}
	switch {
	case err == nil && (len(packets) != len(node.Packets) || d.Pending() != (node.Pending != nil)):
		t.Errorf("%q: our decoder returned %d packets, pending %v; the reference %+v", sequence, len(packets), d.Pending(), node)
		return ""
	case err == nil && d.Pending():
		return "pending"
	case err == nil:
		return "accepted"
	case node.Error != "" && len(packets) == len(node.Packets):
		return "refused"
	}
	// Our decoder rejected input that the reference accepts, at once or later.
	c := compared{text: refused, err: err}
	if len(node.Packets) > len(packets) {
		c.node, c.produced = node.Packets[len(packets)], true
	} else if node.Pending != nil {
		c.node, c.produced = *node.Pending, true
	}
	for _, diff := range differences {
		if diff.is(c) {
			seen[diff.name]++
			return "different"
		}
	}
	t.Errorf("%q: our decoder returned error %v, the reference %+v", sequence, err, node)
	return ""
}

// unequal describes how a packet differs from the reference's, or returns "".
func unequal(p siopacket.Packet, node nodetest.ParsedPacket) string {
	namespace, _, _ := strings.Cut(node.Namespace, "?") // Socket.IO strips the query in its server, not in its parser
	if int(p.Type) != node.Type || p.Namespace != namespace || p.HasID != (node.ID != nil) || p.HasID && float64(p.ID) != *node.ID {
		return fmt.Sprintf("header %+v, the reference %+v", p.Header, node)
	}
	if (p.Data == nil) != (node.Data == nil) {
		return fmt.Sprintf("data %s, the reference %s", p.Data, node.Data)
	}
	if p.Data == nil {
		return ""
	}
	if node.Name != string(p.Name) {
		return fmt.Sprintf("name %q, the reference %q", p.Name, node.Name)
	}
	var want, got any
	if err := json.Unmarshal(node.Data, &want); err != nil {
		return err.Error()
	}
	if err := siopacket.Unmarshal(p.Data, p.Attachments, &got); err != nil {
		if strings.Contains(err.Error(), "into Go value of type float64") {
			return "" // JavaScript's Infinity
		}
		return err.Error()
	}
	if want = revive(want); !reflect.DeepEqual(got, want) {
		return fmt.Sprintf("got %#v, the reference %#v", got, want)
	}
	return ""
}

// seedSequences returns the sequences to mutate: all recorded packets and a few more.
func seedSequences(t *testing.T) [][]any {
	t.Helper()
	var out [][]any
	for _, r := range readWire(t) {
		text, attachments := r.messages(t)
		sequence := []any{text}
		for _, a := range attachments {
			sequence = append(sequence, nodetest.Binary(a))
		}
		out = append(out, sequence)
	}
	for _, text := range []string{
		`2["e",1.5e+10,-0,{"a":{"b":[[],{}]}},"\u00e9\ud83d\ude00\/\b"]`,
		`2/chat?a=b,12["e" , { "x" : [ 1 , 2 ] } ]`,
		`0/chat?token=x,{"a":null}`,
		`4"reason"`,
		`2["disconnect"]`,
		`2["",1]`,
		`2[1,"a"]`,
		`2/chat,3[-12.5e+20]`,
		`2[0.000001234]`,
		`51-[1e21,{"_placeholder":true,"num":0}]`,
		`2["e",{"_placeholder":true,"num":0}]`,
		`52-["e",{"num":1,"_placeholder":true},{"_placeholder":true,"num":0}]`,
	} {
		out = append(out, []any{text}, []any{text, nodetest.Binary("x"), nodetest.Binary("y")})
	}
	return out
}

// mutate changes a few characters of a sequence's text, or its order. The text
// stays UTF-8, because Node would replace invalid UTF-8 before its parser sees it.
func mutate(rng *rand.Rand, seed []any) []any {
	const alphabet = `0123456789-+.eE/,:[]{}"\ untrfalsbdis_?#é😀` + "\t\n\x00\x7f"
	pieces := []string{`{"_placeholder":true,"num":0}`, `{"_placeholder":true,"num":1}`, `"_placeholder"`, `true`, `null`, `"num"`, `[]`, `{}`, `,1`, `51-`, `/n,`, `\u0041`, `"connect"`, `999999999999999`}
	letters := []rune(alphabet)
	out := append([]any{}, seed...)
	text := []rune(out[0].(string))
	for range rng.IntN(5) {
		i := rng.IntN(len(text) + 1)
		j := min(len(text), i+rng.IntN(4))
		var insert []rune
		switch rng.IntN(6) {
		case 0: // delete only
		case 1:
			insert = []rune(pieces[rng.IntN(len(pieces))])
		case 2: // duplicate
			insert = append(append([]rune{}, text[i:j]...), text[i:j]...)
		default:
			j = min(j, i+rng.IntN(2))
			insert = letters[rng.IntN(len(letters)):][:1]
		}
		text = append(append(append([]rune{}, text[:i]...), insert...), text[j:]...)
	}
	out[0] = string(text)
	switch rng.IntN(12) {
	case 0:
		out = append(out, nodetest.Binary("more"))
	case 1:
		out = append(out, `2["next"]`)
	case 2:
		out = out[:1]
	case 3:
		if len(out) > 2 {
			out[1] = `2["between"]`
		}
	}
	return out
}
