package adminui

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/fiberbridge/fiberbridge/socketbridge"
)

// TestN8_AdminUIAttempts: the addresses of one site count as one, the count ends with its window,
// and addresses that no longer fit are refused.
func TestN8_AdminUIAttempts(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, ips := range map[string][2]string{
		"IPv4":                {"192.0.2.7", "192.0.2.7"},
		"IPv6 of one site":    {"2001:db8:1:2::1", "2001:db8:1:2:ffff::9"},
		"IPv4 in IPv6":        {"192.0.2.7", "::ffff:192.0.2.7"},
		"what is no address":  {"unknown", "-"},
		"the zone of a local": {"fe80::1%eth0", "fe80::2%eth1"},
	} {
		var a attempts
		for n := range maxAttempts {
			if !a.begin(ips[n%2], now) {
				t.Errorf("%s: attempt %d is refused", name, n+1)
			}
		}
		for _, ip := range ips {
			if a.begin(ip, now) {
				t.Errorf("%s: %s may try more than %d times", name, ip, maxAttempts)
			}
		}
		if !a.begin("198.51.100.1", now) || !a.begin("2001:db8:1:3::1", now) {
			t.Errorf("%s: another address is refused", name)
		}
		if !a.begin(ips[0], now.Add(attemptWindow+time.Second)) {
			t.Errorf("%s: refused after the window", name)
		}
		a.succeed(ips[0])
		for range maxAttempts {
			if !a.begin(ips[1], now) {
				t.Errorf("%s: attempts before a success count", name)
			}
		}
	}

	var a attempts
	for n := range maxAddresses {
		a.begin(fmt.Sprintf("10.%d.%d.1", n/256, n%256), now)
	}
	if a.begin("192.0.2.1", now) {
		t.Errorf("more than %d addresses are counted", maxAddresses)
	}
	if !a.begin("192.0.2.1", now.Add(attemptWindow+time.Second)) || len(a.counts) != 1 {
		t.Errorf("%d addresses are counted after their window", len(a.counts))
	}
}

// TestN8_AdminUITokensExpire: a token is valid for a day.
func TestN8_AdminUITokensExpire(t *testing.T) {
	t.Parallel()
	tokens := newTokens(Config{PasswordHash: "hash"})
	now := time.Now()
	token := tokens.issue(now)
	if !tokens.valid(token, now.Add(tokenAge-2*time.Second)) || tokens.valid(token, now.Add(tokenAge+time.Second)) {
		t.Errorf("a token is not valid for %v", tokenAge)
	}
}

// TestN8_AdminUIOneComparison: a password waits until no other one is compared, because each
// takes a core for a while.
func TestN8_AdminUIOneComparison(t *testing.T) {
	t.Parallel()
	hash, err := bcrypt.GenerateFromPassword([]byte("changeit"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	io := socketbridge.New()
	t.Cleanup(func() { _ = io.Shutdown(context.Background()) })
	u := Instrument(io, Config{PasswordHash: string(hash)})
	if ok, err := u.checkPassword(t.Context(), "admin", "changeit"); !ok || err != nil {
		t.Errorf("the password is answered with %v, %v", ok, err)
	}
	u.comparing <- struct{}{} // another one is being compared
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // a select chooses at random
		if ok, err := u.checkPassword(over, "admin", "changeit"); ok || err == nil {
			t.Fatalf("while another password is compared, this one is answered with %v, %v", ok, err)
		}
	}
}

// TestN8_AdminUIHidesOwnArguments: "*" does not show the arguments of the bridge's own events, of
// which one grants a session.
func TestN8_AdminUIHidesOwnArguments(t *testing.T) {
	t.Parallel()
	r := newReporter(&UI{cfg: Config{Arguments: []string{"*", socketbridge.CookieEvent}}})
	for event, want := range map[string]string{socketbridge.CookieEvent: `"[hidden]"`, "chat": `"grant"`} {
		if got := r.arguments(event, []json.RawMessage{json.RawMessage(`"grant"`)}); len(got) != 1 || string(got[0]) != want {
			t.Errorf("%s is shown with %s, want %s", event, got, want)
		}
	}
}
