package guards_test

// admin is the package of the Admin UI.
const admin = "./socketbridge/adminui"

// ofAdminUI are the guards of docs/security.md, rows 71 to 75.
var ofAdminUI = []guard{
	{
		[]string{"71"}, "the Admin UI does not start without protection",
		admin, "TestN8_AdminUIConfig",
		edit("socketbridge/adminui/config.go", "case !protected && !cfg.Insecure:", "case false:"),
	},
	{
		[]string{"71"}, "the Admin UI wants a hash, not a password",
		admin, "TestN8_AdminUIConfig",
		edit("socketbridge/adminui/config.go", "if _, err := bcrypt.Cost([]byte(cfg.PasswordHash)); err != nil {", "if _, err := bcrypt.Cost([]byte(cfg.PasswordHash)); err != nil && cfg.Insecure {"),
	},
	{
		[]string{"71"}, "Authorize decides who connects to the Admin UI",
		admin, "TestN8_AdminUIAuthorize",
		edit("socketbridge/adminui/auth.go", "	if !u.authorized(c.Socket()) {", "	if false {"),
	},
	{
		[]string{"71"}, "without sessions, Authorize lets no client of the Admin UI in",
		admin, "TestN8_AdminUIAuthorize",
		edit("socketbridge/adminui/auth.go", "session != nil && u.cfg.Authorize(session)", "session == nil || u.cfg.Authorize(session)"),
	},
	{
		[]string{"71"}, "a change of the session can end a page of the Admin UI",
		admin, "TestN8_AdminUIAuthorize",
		edit("socketbridge/adminui/adminui.go", "	if !u.authorized(s) {", "	if false {"),
	},
	{
		[]string{"71"}, "Authorize is asked before each command of the Admin UI",
		admin, "TestN8_AdminUIRevoked",
		edit("socketbridge/adminui/commands.go", "			if !u.authorized(p.Socket()) {", "			if false {"),
	},
	{
		[]string{"71"}, "the Admin UI wants the right password",
		admin, "TestN8_AdminUILogin",
		edit("socketbridge/adminui/auth.go", "== 1 && err == nil, nil", "== 1, nil"),
	},
	{
		[]string{"71"}, "the Admin UI wants the right user name",
		admin, "TestN8_AdminUILogin",
		edit("socketbridge/adminui/auth.go", "subtle.ConstantTimeCompare(given[:], want[:]) == 1 && err == nil, nil", "subtle.ConstantTimeCompare(given[:], want[:]) >= 0 && err == nil, nil"),
	},
	{
		[]string{"72"}, "failed logins of an address are counted",
		admin, "TestN8_AdminUILogin",
		edit("socketbridge/adminui/auth.go", "if !u.attempts.begin(ip, time.Now()) {", "if u.attempts.begin(ip, time.Now()); false {"),
	},
	{
		[]string{"72"}, "the addresses of an IPv6 site count as one",
		admin, "TestN8_AdminUIAttempts",
		edit("socketbridge/adminui/attempts.go", "bits = 64", "bits = 128"),
	},
	{
		[]string{"72"}, "addresses whose attempts cannot be counted are refused",
		admin, "TestN8_AdminUIAttempts",
		edit("socketbridge/adminui/attempts.go", "	return len(a.counts) < maxAddresses\n", "	return true\n"),
	},
	{
		[]string{"72"}, "one password at a time is compared",
		admin, "TestN8_AdminUIOneComparison",
		edit("socketbridge/adminui/adminui.go", "comparing: make(chan struct{}, 1)", "comparing: make(chan struct{}, 9)"),
	},
	{
		[]string{"72"}, "a token of the Admin UI is signed",
		admin, "TestN8_AdminUILogin",
		edit("socketbridge/adminui/auth.go", " || !hmac.Equal(b[tokenHead:], t.sign(b[:tokenHead]))", ""),
	},
	{
		[]string{"72"}, "a new password ends the tokens of the Admin UI",
		admin, "TestN8_AdminUILogin",
		edit("socketbridge/adminui/auth.go", "hmac.New(sha256.New, []byte(cfg.PasswordHash))", "hmac.New(sha256.New, nil)"),
	},
	{
		[]string{"72"}, "a token of the Admin UI expires",
		admin, "TestN8_AdminUITokensExpire",
		edit("socketbridge/adminui/auth.go", "return now.Unix() < int64(binary.BigEndian.Uint64(b))", "return int64(binary.BigEndian.Uint64(b)) > 0"),
	},
	{
		[]string{"73"}, "the Admin UI hides arguments of events",
		admin, "TestN8_AdminUIShowsNoSecrets",
		edit("socketbridge/adminui/reporter.go", "		case !shown:\n", "		case !shown && i > maxArguments:\n"),
	},
	{
		[]string{"73"}, "the Admin UI never shows the arguments of the bridge's own events",
		admin, "TestN8_AdminUIHidesOwnArguments",
		edit("socketbridge/adminui/reporter.go", `if strings.HasPrefix(event, "fiberbridge:") {`, "if false {"),
	},
	{
		[]string{"73"}, "in production the Admin UI gets no sockets",
		admin, "TestN8_AdminUIProduction",
		edit("socketbridge/adminui/sockets.go", "	if !r.u.cfg.Production {\n		all :=", "	if true {\n		all :="),
	},
	{
		[]string{"73"}, "in production the Admin UI gets no events",
		admin, "TestN8_AdminUIProduction",
		edit("socketbridge/adminui/reporter.go", "	if !r.u.cfg.Production {\n		unobserve :=", "	if true {\n		unobserve :="),
	},
	{
		[]string{"73"}, "the Admin UI does not show itself",
		admin, "TestN8_AdminUIShowsNoSecrets",
		edit("socketbridge/adminui/sockets.go", "return n == u.ns })", "return false })"),
	},
	{
		[]string{"74"}, "a read-only Admin UI refuses commands",
		admin, "TestN8_AdminUIReadOnly",
		edit("socketbridge/adminui/commands.go", "			if u.cfg.ReadOnly {", "			if false {"),
	},
	{
		[]string{"74"}, "a command of the Admin UI wants a namespace that exists",
		admin, "TestN8_AdminUIHostileCommands",
		edit("socketbridge/adminui/commands.go", "	if t.namespace == nil {\n		return t, invalid(\"there is no such namespace\")\n	}", "	if t.namespace == nil {\n		t.namespace = u.io.Of(name)\n	}"),
	},
	{
		[]string{"74"}, "a command of the Admin UI for one room does not reach all",
		admin, "TestN8_AdminUIHostileCommands",
		edit("socketbridge/adminui/commands.go", `string(args[filter]) != "null" && !text(args, filter, &t.room)`, `string(args[filter]) != "null" && !text(args, filter, &t.room) && t.room != ""`),
	},
	{
		[]string{"75"}, "a page of the Admin UI is told of 1,000 sockets of a node",
		admin, "TestN8_AdminUIBounds",
		edit("socketbridge/adminui/sockets.go", "if len(r.tracked) >= maxSockets {", "if len(r.tracked) >= maxSockets<<10 {"),
	},
	{
		[]string{"75"}, "a page of the Admin UI is told of 100 events a second",
		admin, "TestN8_AdminUIBounds",
		edit("socketbridge/adminui/queue.go", "len(q.records) >= maxRecords || !q.allow(r.at)", "len(q.records) >= maxRecords"),
	},
}
