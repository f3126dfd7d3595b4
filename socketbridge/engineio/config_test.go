package engineio_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
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
		want string // in the panic's text; "" if it must not panic
	}{
		{"nothing said", engineio.Config{}, ""},
		{"the default", engineio.ConfigDefault, ""},
		{"a path without its first slash", engineio.Config{Path: "x/"}, "Path"},
		{"a path without its last slash", engineio.Config{Path: "/x"}, "Path"},
		{"the root", engineio.Config{Path: "/"}, "Path"},
		{"an unknown transport", engineio.Config{Transports: []string{"opener pigeon"}}, "Transports"},
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
		{"null", engineio.Config{AllowOrigins: []string{"null"}}, ""},
		{"null in capitals", engineio.Config{AllowOrigins: []string{"NULL"}}, "an entry must be"},
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
					t.Errorf("unexpected panic: %s", text)
				}
				if tt.want != "" && !(strings.HasPrefix(text, "engineio: ") && strings.Contains(text, tt.want)) {
					t.Errorf("panic is %q, want one that contains %q", text, tt.want)
				}
			}()
			engineio.New(&transporttest.Recorder{}, tt.cfg)
		})
	}
}

// WithDefaults leaves no field at its zero value, except those whose zero value has a
// meaning of its own. A second call changes nothing.
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
		t.Errorf("a second call changed the result to\n%+v\nfrom\n%+v", again, cfg)
	}
	own := engineio.Config{MaxPayload: 5, Limits: engineio.Limits{MaxConnsPerIP: -1, MaxConns: 7}, Timeouts: engineio.Timeouts{Close: time.Hour}}.WithDefaults()
	if own.MaxPayload != 5 || own.Limits.MaxConnsPerIP != -1 || own.Limits.MaxConns != 7 || own.Timeouts.Close != time.Hour {
		t.Errorf("fields that were set became %+v", own)
	}
}

// The comment of every field ends with its default, which is that of ConfigDefault.
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
				t.Errorf("%s: the comment must end with the default: %q", name, field.Doc.Text())
				continue
			}
			unset := zero.FieldByName(name).IsZero() && name != "Logger"
			if plain := strings.HasPrefix(says, "nil") || says == "false" || says == "0"; unset != plain && name != "Logger" {
				t.Errorf("%s: the comment says %q, but ConfigDefault has %v", name, says, zero.FieldByName(name))
			}
		}
		return false
	})
	for _, v := range defaults {
		n -= v.NumField()
	}
	if n != 0 {
		t.Errorf("%d more fields were checked than exist", n)
	}
}
