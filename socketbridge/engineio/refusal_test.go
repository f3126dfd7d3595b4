package engineio_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
)

// S2: OnRefused is called for what the server refuses, not for what it accepts or what a
// middleware answers, and its texts are bounded copies without secrets.
func TestS2_OnRefused(t *testing.T) {
	t.Parallel()
	s := open(t, echoRecorder(), engineio.Config{}, siteOptions{hooks: engineio.Hooks{Lift: func(c *fiber.Ctx) (any, error) {
		if c.Get("X-Full") != "" {
			return nil, fmt.Errorf("no room")
		}
		return nil, nil
	}}})
	s.engine.Use(func(c *fiber.Ctx) error {
		if c.Get("X-Test") != "" {
			return c.Status(401).SendString("who are you?")
		}
		return c.Next()
	})
	refused := make(chan engineio.Refusal, 8)
	s.engine.OnRefused(func(r engineio.Refusal) { refused <- r })
	s.do("GET", polling, "")
	s.do("GET", polling, "", "X-Test", "1")
	long := strings.Repeat("a", 1000)
	s.do("GET", "EIO=3&transport="+long+"&token=SECRET", "", "User-Agent", long, "Origin", "https://evil.example", "Cookie", "session=SECRET")
	r := <-refused
	want := engineio.Refusal{
		Code: 4, Message: "Forbidden", Status: 403, Method: "GET", Path: "/socket.io/", Protocol: "3",
		Transport: long[:256], UserAgent: long[:256], Origin: "https://evil.example", RemoteIP: "127.0.0.1",
	}
	if r != want {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
	s.do("POST", polling+"&sid=SECRET", "4x")
	if r = <-refused; r.Code != 1 || !r.Existing || strings.Contains(fmt.Sprintf("%+v", r), "SECRET") {
		t.Errorf("got %+v", r)
	}
	s.do("GET", polling, "", "X-Full", "1")
	if r = <-refused; r.Code != 4 || r.Message != "Forbidden" || r.Existing {
		t.Errorf("a connection that Lift refuses: got %+v", r)
	}
	if len(refused) > 0 {
		t.Errorf("got %+v for a request that was not refused", <-refused)
	}
	defer func() {
		if recover() == nil {
			t.Error("OnRefused(nil) does not panic")
		}
	}()
	s.engine.OnRefused(nil)
}
