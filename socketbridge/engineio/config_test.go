package engineio_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/fiberbridge/fiberbridge/socketbridge/engineio"
	"github.com/fiberbridge/fiberbridge/socketbridge/transport/transporttest"
)

func TestNew_PanicsOnContradictions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cfg  engineio.Config
		want string // in the panic's text; "" when it must not panic
	}{
		{"nothing said", engineio.Config{}, ""},
		{"the default", engineio.ConfigDefault, ""},
		{"a path without its first slash", engineio.Config{Path: "x/"}, "Path"},
		{"a path without its last slash", engineio.Config{Path: "/x"}, "Path"},
		{"the root", engineio.Config{Path: "/"}, "Path"},
		{"an unknown transport", engineio.Config{Transports: []string{"carrier pigeon"}}, "Transports"},
		{"a star with credentials (CVE-2024-25124)", engineio.Config{AllowOrigins: []string{"*"}}, "AllowAnyOrigin"},
		{"a wildcard", engineio.Config{AllowOrigins: []string{"https://*.example.com", "https://*.a.example.com:8443", "http://*.localhost:3000", "https://*.example.co.uk"}}, ""},
		{"a wildcard without a scheme", engineio.Config{AllowOrigins: []string{"*.example.com"}}, `"*.example.com": an entry must be`},
		{"a wildcard of the scheme", engineio.Config{AllowOrigins: []string{"*://app.example.com"}}, "an entry must be"},
		{"a wildcard inside a label", engineio.Config{AllowOrigins: []string{"https://app-*.example.com"}}, "an entry must be"},
		{"a wildcard in the middle", engineio.Config{AllowOrigins: []string{"https://a.*.example.com"}}, "an entry must be"},
		{"two wildcards", engineio.Config{AllowOrigins: []string{"https://*.*.example.com"}}, "an entry must be"},
		{"a wildcard of the port", engineio.Config{AllowOrigins: []string{"http://localhost:*"}}, "an entry must be"},
		{"a wildcard and a path", engineio.Config{AllowOrigins: []string{"https://*.example.com/"}}, "an entry must be"},
		{"a wildcard and nothing", engineio.Config{AllowOrigins: []string{"https://*."}}, "an entry must be"},
		{"a wildcard and a dot", engineio.Config{AllowOrigins: []string{"https://*..example.com"}}, "an entry must be"},
		{"a wildcard and a dot behind", engineio.Config{AllowOrigins: []string{"https://*.example.com."}}, "an entry must be"},
		{"a wildcard of everything", engineio.Config{AllowOrigins: []string{"https://*.com"}}, "anyone can register"},
		{"a wildcard of a country", engineio.Config{AllowOrigins: []string{"https://*.co.uk"}}, "anyone can register"},
		{"a wildcard of a host of many", engineio.Config{AllowOrigins: []string{"https://*.github.io"}}, "anyone can register"},
		{"a wildcard of addresses", engineio.Config{AllowOrigins: []string{"http://*.0.0.1:3000"}}, "address"},
		{"a wildcard of hexadecimal addresses", engineio.Config{AllowOrigins: []string{"http://*.0.0x1"}}, "address"},
		{"a wildcard of IPv6 addresses", engineio.Config{AllowOrigins: []string{"http://*.[::1]"}}, "an entry must be"},
		{"any origin and a function", engineio.Config{AllowAnyOrigin: true, AllowOriginFunc: func(string, *fiber.Ctx) bool { return true }}, "contradict"},
		{"a header of any name", engineio.Config{AllowHeaders: []string{"*"}}, "list the names"},
		{"an origin without a scheme", engineio.Config{AllowOrigins: []string{"example.com"}}, "AllowOrigins"},
		{"an origin with a path", engineio.Config{AllowOrigins: []string{"https://example.com/"}}, "AllowOrigins"},
		{"null", engineio.Config{AllowOrigins: []string{"null"}}, "AllowOrigins"},
		{"any origin and a list", engineio.Config{AllowAnyOrigin: true, AllowOrigins: []string{"https://example.com"}}, "contradict"},
		{"a header with a line break", engineio.Config{AllowHeaders: []string{"X\r\nSet-Cookie"}}, "AllowHeaders"},
		{"an interval that clients are told as 0 ms", engineio.Config{PingInterval: 1},
			"Config.PingInterval is 1ns: it must be at least 1ms (0 means the default, 25s)"},
		{"a negative interval", engineio.Config{PingInterval: -time.Second}, "Config.PingInterval is -1s"},
		{"a negative ping timeout", engineio.Config{PingTimeout: -1}, "Config.PingTimeout is -1ns: it must be at least 1ms"},
		{"a negative upgrade timeout", engineio.Config{Timeouts: engineio.Timeouts{Upgrade: -1}}, "Config.Timeouts.Upgrade is -1ns: it must be at least 1ms"},
		{"a negative write timeout", engineio.Config{Timeouts: engineio.Timeouts{Write: -1}}, "Config.Timeouts.Write is -1ns: it must be at least 1ms"},
		{"a negative close timeout", engineio.Config{Timeouts: engineio.Timeouts{Close: -1}}, "Config.Timeouts.Close is -1ns: it must be at least 1ms"},
		{"the shortest times", engineio.Config{PingInterval: time.Millisecond, PingTimeout: time.Millisecond,
			Timeouts: engineio.Timeouts{Upgrade: time.Millisecond, Write: time.Millisecond, Close: time.Millisecond}}, ""},
		{"no limit of messages", engineio.Config{MaxPayload: -1}, "Config.MaxPayload is -1: it must be positive"},
		{"no limit of packets", engineio.Config{Limits: engineio.Limits{MaxPollPackets: -1}}, "Config.Limits.MaxPollPackets is -1: it must be positive"},
		{"no limit of the queue's bytes", engineio.Config{Limits: engineio.Limits{MaxQueueBytes: -1}},
			"Config.Limits.MaxQueueBytes is -1: it must be positive (0 means the default, 1048576)"},
		{"no limit of the queue's messages", engineio.Config{Limits: engineio.Limits{MaxQueueMessages: -1}}, "Config.Limits.MaxQueueMessages is -1: it must be positive"},
		{"a negative limit of all connections", engineio.Config{Limits: engineio.Limits{MaxConns: -1}}, "Config.Limits.MaxConns is -1: it must not be negative"},
		{"no limit of addresses", engineio.Config{Limits: engineio.Limits{MaxConnsPerIP: -1, ConnRatePerIP: -1}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer func() {
				text := fmt.Sprint(recover())
				if tt.want == "" && text != "<nil>" {
					t.Errorf("it panicked: %s", text)
				}
				if tt.want != "" && !(strings.HasPrefix(text, "engineio: ") && strings.Contains(text, tt.want)) {
					t.Errorf("the panic says %q, not what is wrong with %s", text, tt.want)
				}
			}()
			engineio.New(&transporttest.Recorder{}, tt.cfg)
		})
	}
}

// WithDefaults leaves no field at its zero value, except those whose zero value has a
// meaning of its own. A second call changes nothing, and neither does New.
func TestConfig_WithDefaults(t *testing.T) {
	t.Parallel()
	meaningfulZero := map[string]bool{
		"Limits.MaxConns": true, // no limit
		"DisableUpgrades": true,
		"AllowOrigins":    true, // only the server's own origin
		"AllowOriginFunc": true,
		"RequireOrigin":   true,
		"AllowAnyOrigin":  true,
	}
	cfg := engineio.Config{}.WithDefaults()
	var walk func(v reflect.Value, prefix string)
	walk = func(v reflect.Value, prefix string) {
		for i := range v.NumField() {
			name := prefix + v.Type().Field(i).Name
			switch field := v.Field(i); {
			case field.Kind() == reflect.Struct:
				walk(field, name+".")
			case field.IsZero() != meaningfulZero[name]:
				t.Errorf("%s is %v after WithDefaults", name, field)
			default:
				delete(meaningfulZero, name)
			}
		}
	}
	walk(reflect.ValueOf(cfg), "")
	if len(meaningfulZero) != 0 {
		t.Errorf("Config has no fields %v", meaningfulZero)
	}
	if again := cfg.WithDefaults(); !reflect.DeepEqual(again, cfg) {
		t.Errorf("a second call made\n%+v\nof\n%+v", again, cfg)
	}
	own := engineio.Config{MaxPayload: 5, Limits: engineio.Limits{MaxConnsPerIP: -1, MaxConns: 7}, Timeouts: engineio.Timeouts{Close: time.Hour}}.WithDefaults()
	if own.MaxPayload != 5 || own.Limits.MaxConnsPerIP != -1 || own.Limits.MaxConns != 7 || own.Timeouts.Close != time.Hour {
		t.Errorf("fields that were set became %+v", own)
	}
}

// Every field says what its default is, and it is what ConfigDefault says.
func TestConfig_IsDocumented(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]reflect.Value{
		"Config":   reflect.ValueOf(engineio.ConfigDefault),
		"Limits":   reflect.ValueOf(engineio.ConfigDefault.Limits),
		"Timeouts": reflect.ValueOf(engineio.ConfigDefault.Timeouts),
	}
	n := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.TypeSpec)
		if !ok {
			return true
		}
		zero, ok := defaults[spec.Name.Name]
		if !ok {
			return true
		}
		for _, field := range spec.Type.(*ast.StructType).Fields.List {
			n++
			name := field.Names[0].Name
			_, says, ok := strings.Cut(strings.TrimSpace(field.Doc.Text()), "\n\nOptional. Default: ")
			if !ok || strings.Contains(says, "\n") {
				t.Errorf("%s: the comment must end in its default: %q", name, field.Doc.Text())
				continue
			}
			unset := zero.FieldByName(name).IsZero() && name != "Logger"
			if plain := strings.HasPrefix(says, "nil") || says == "false" || says == "0"; unset != plain && name != "Logger" {
				t.Errorf("%s: the comment says %q, and ConfigDefault has %v", name, says, zero.FieldByName(name))
			}
		}
		return false
	})
	for _, v := range defaults {
		n -= v.NumField()
	}
	if n != 0 {
		t.Errorf("%d more fields were looked at than there are", n)
	}
}

func TestError(t *testing.T) {
	t.Parallel()
	want := map[*engineio.Error]string{
		engineio.ErrUnknownTransport:    `{"code":0,"message":"Transport unknown"}`,
		engineio.ErrUnknownSID:          `{"code":1,"message":"Session ID unknown"}`,
		engineio.ErrBadHandshakeMethod:  `{"code":2,"message":"Bad handshake method"}`,
		engineio.ErrBadRequest:          `{"code":3,"message":"Bad request"}`,
		engineio.ErrForbidden:           `{"code":4,"message":"Forbidden"}`,
		engineio.ErrUnsupportedProtocol: `{"code":5,"message":"Unsupported protocol version"}`,
	}
	for e, want := range want {
		if got, err := json.Marshal(e); err != nil || string(got) != want {
			t.Errorf("it is %s, %v, not %s", got, err, want)
		}
		if status := e.Status(); (status == 403) != (e.Code == 4) || status != 403 && status != 400 {
			t.Errorf("code %d has status %d", e.Code, status)
		}
	}
}

// Row 28: what only the HTTP server can limit is said once.
func TestWarnings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cfg  fiber.Config
		want int // warnings
	}{
		{"all set", fiber.Config{ReadTimeout: 10e9, IdleTimeout: 60e9}, 0},
		{"the read timeout is enough", fiber.Config{ReadTimeout: 10e9}, 0},
		{"nothing set", fiber.Config{ReadTimeout: -1}, 2},
		{"no read timeout", fiber.Config{ReadTimeout: -1, IdleTimeout: 60e9}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, echoing(), engineio.Config{}, siteOptions{fiber: tt.cfg})
			s.poll()
			s.poll()
			if got := strings.Count(s.log.String(), "level=WARN"); got != tt.want {
				t.Errorf("%d warnings, not %d:\n%s", got, tt.want, s.log)
			}
		})
	}
}

// Row 30: limits of connections, exact, and given back.
func TestLimit_Connections(t *testing.T) {
	t.Parallel()
	t.Run("of all", func(t *testing.T) {
		s := open(t, echoing(), engineio.Config{Limits: engineio.Limits{MaxConns: 3}})
		a, b := s.poll(), s.ws()
		s.poll().upgradeTo() // one connection, whatever carries it
		for _, carrier := range carriers {
			if a := carrier.open(s); a.status != 503 || a.header.Get("Retry-After") == "" || a.code() != 4 {
				t.Errorf("%s: it was answered with %d %s", carrier.name, a.status, a.body)
			}
		}
		a.post("1")
		_ = b.Close()
		eventually(t, func() bool { return s.engine.Stats().Connections == 1 })
		s.poll()
		s.ws()
	})
	t.Run("of an address", func(t *testing.T) {
		s := open(t, echoing(), engineio.Config{Limits: engineio.Limits{MaxConnsPerIP: 2}}, siteOptions{fiber: fiber.Config{ProxyHeader: "X-Real-IP"}})
		p := s.poll("X-Real-IP", "192.0.2.1")
		s.ws("X-Real-IP", "192.0.2.1")
		for _, carrier := range carriers { // twice, and said once
			if a := carrier.open(s, "X-Real-IP", "192.0.2.1"); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
				t.Errorf("%s: it was answered with %d %s", carrier.name, a.status, a.body)
			}
		}
		if n := strings.Count(s.log.String(), "connections are refused"); n != 1 {
			t.Errorf("it was said %d times", n)
		}
		s.poll("X-Real-IP", "192.0.2.2")
		p.post("1")
		eventually(t, func() bool { return s.engine.Stats().Connections == 2 })
		s.poll("X-Real-IP", "192.0.2.1")
	})
	t.Run("an address that is forged counts for nothing", func(t *testing.T) {
		s := open(t, echoing(), engineio.Config{Limits: engineio.Limits{MaxConnsPerIP: 1}})
		for range 3 { // loopback is not counted, and the header is not believed
			s.poll("X-Forwarded-For", "192.0.2.1", "X-Real-IP", "192.0.2.1")
		}
	})
}
