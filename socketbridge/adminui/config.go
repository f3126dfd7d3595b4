package adminui

import (
	"fmt"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/fiberbridge/fiberbridge/fibersession"
	"github.com/fiberbridge/fiberbridge/internal/setting"
)

// Config configures the admin namespace. One of Authorize, PasswordHash and Insecure is
// required. Instrument panics if the configuration is invalid.
type Config struct {
	// Authorize reports whether the client with this session may use the Admin UI, such as
	// because its user is an administrator. It is called when the client connects, before each
	// of its commands, and after changes of its session; false then disconnects it. It must be
	// safe for concurrent use. Without socketbridge.Config.Sessions it is not called, and no
	// client is authorized.
	//
	// Optional. Default: nil
	Authorize func(session *fibersession.Handle) bool

	// Username is what the login form of the UI has to contain if PasswordHash is set.
	//
	// Optional. Default: "admin"
	Username string

	// PasswordHash is the bcrypt hash of the password, as for the package for Node. Without
	// it, Authorize is required and the login form has no effect. With Authorize, a client has
	// to pass both.
	//
	// Optional. Default: ""
	PasswordHash string

	// Insecure lets every client use the Admin UI. It is for development only.
	//
	// Optional. Default: false
	Insecure bool

	// ReadOnly refuses all commands.
	//
	// Optional. Default: false
	ReadOnly bool

	// Production sends numbers only: nothing about single sockets, rooms and events. It is
	// for servers with more clients than the UI can list.
	//
	// Optional. Default: false
	Production bool

	// Arguments names the events whose arguments are shown. "[hidden]" stands for each argument
	// of the others. "*" shows the arguments of all events but the server's own.
	//
	// Optional. Default: nil
	Arguments []string

	// Namespace is the name of the admin namespace.
	//
	// Optional. Default: "/admin"
	Namespace string

	// ServerID names this server in the UI, such as "web-1#4711". It must be unique in a
	// cluster.
	//
	// Optional. Default: the host's name and the process ID
	ServerID string

	// Logger receives messages for the operator.
	//
	// Optional. Default: slog.Default()
	Logger *slog.Logger
}

func (cfg Config) withDefaults() Config {
	if cfg.Username == "" {
		cfg.Username = "admin"
	}
	if cfg.Namespace == "" {
		cfg.Namespace = "/admin"
	}
	if !strings.HasPrefix(cfg.Namespace, "/") {
		cfg.Namespace = "/" + cfg.Namespace
	}
	if cfg.Namespace == "/" {
		setting.Refuse("adminui: Config.Namespace", `is "/": the UI needs a namespace of its own`)
	}
	if cfg.ServerID == "" {
		cfg.ServerID = fmt.Sprintf("%s#%d", hostname(), os.Getpid())
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	protected := cfg.Authorize != nil || cfg.PasswordHash != ""
	switch {
	case !protected && !cfg.Insecure:
		setting.Refuse("adminui: Config.Authorize", "is nil, and so is PasswordHash: every client could use the Admin UI (for development, set Insecure)")
	case protected && cfg.Insecure:
		setting.Refuse("adminui: Config.Insecure", "is set together with Authorize or PasswordHash: remove one")
	}
	if cfg.PasswordHash != "" {
		if _, err := bcrypt.Cost([]byte(cfg.PasswordHash)); err != nil {
			setting.Refuse("adminui: Config.PasswordHash", "is not a bcrypt hash, such as of htpasswd -nB admin")
		}
	}
	return cfg
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown host"
	}
	return name
}
