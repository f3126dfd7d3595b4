package guards_test

import "github.com/fiberbridge/fiberbridge/internal/mutant"

// edit is a guard's only edit: it replaces text in a file.
func edit(file, text, by string) []mutant.Edit {
	return []mutant.Edit{{File: file, Old: text, New: by}}
}

// Packages of the tests.
const (
	bridge  = "./socketbridge"
	engine  = "./socketbridge/engineio"
	session = "./fibersession"
	bodies  = "./socketbridge/internal/httpbody"
	frames  = "./socketbridge/internal/wsframe"
)

// ofPages are the guards of docs/security.md, rows 1 to 3, 65 and 66.
var ofPages = []guard{
	{
		[]string{"1", "D12", "CVE-2020-28481"}, "an origin that is not allowed is refused",
		engine, "TestB9_HostileOrigins",
		edit("socketbridge/engineio/origin.go", "return refused, notAllowed", "return sameOrigin, notRefused"),
	},
	{
		[]string{"1", "CVE-2022-42975"}, "a null origin is refused",
		engine, "TestOriginPolicy",
		edit("socketbridge/engineio/origin.go", "return refused, opaqueOrigin", "return anyOrigin, notRefused"),
	},
	{
		[]string{"1", "CVE-2022-42975"}, "an origin that browsers never send is refused",
		engine, "TestB9_HostileOrigins",
		edit("socketbridge/engineio/origin.go", "return refused, invalidOrigin", "return sameOrigin, notRefused"),
	},
	{
		[]string{"1", "CVE-2025-24358", "CVE-2025-47909"}, "the scheme of an origin counts",
		engine, "TestOriginPolicy",
		edit("socketbridge/engineio/origin.go", `parseOrigin(r.Scheme + "://" + r.Host)`, `parseOrigin(origin[:strings.IndexByte(origin, ':')] + "://" + r.Host)`),
	},
	{
		[]string{"1"}, "two Origin headers are refused",
		engine, "TestOriginPolicy",
		edit("socketbridge/engineio/origin.go", "case len(r.Origins) > 1, len(r.FetchSite) > 1:", "case len(r.FetchSite) > 1:"),
	},
	{
		[]string{"1"}, "Sec-Fetch-Site counts where there is no Origin",
		engine, "TestOriginPolicy",
		edit("socketbridge/engineio/origin.go", "return refused, crossSiteFetch", "return sameOrigin, notRefused"),
	},
	{
		[]string{"1"}, "RequireOrigin refuses requests with neither header",
		engine, "TestOriginPolicy",
		edit("socketbridge/engineio/origin.go", "return refused, originMissing", "return sameOrigin, notRefused"),
	},
	{
		[]string{"1", "CVE-2022-42975"}, "a wildcard does not match a longer name",
		engine, "TestOriginPolicy",
		edit("socketbridge/engineio/origin_pattern.go", "strings.CutSuffix(label, p.suffix)", "strings.CutSuffix(label, p.suffix[1:])"),
	},
	{
		[]string{"1", "CVE-2022-42975", "CVE-2025-47910"}, "a wildcard matches one label",
		engine, "TestOriginPolicy",
		edit("socketbridge/engineio/origin_pattern.go", `return ok && label != "" && !strings.Contains(label, ".")`, `return ok && label != ""`),
	},
	{
		[]string{"1"}, "AllowAnyOrigin ignores cookies",
		engine, "TestAllowAnyOrigin_IgnoresCookies",
		edit("socketbridge/engineio/origin.go", "\t\tignoreCookies(c)\n", ""),
	},
	{
		[]string{"1", "3", "D12"}, "the origin of each request counts, not only of handshakes",
		engine, "TestD12_OriginOfEveryRequest",
		edit("socketbridge/engineio/origin_guard.go", "if access == refused {", `if access == refused && c.Query("sid") == "" {`),
	},
	{
		[]string{"1", "D12"}, "the origin of a contrib connection counts",
		"./socketbridge/contribws", "TestB9_OriginsOfContribConnections",
		edit("socketbridge/engineio/websocket_plain.go", "if _, refusal := s.admit(c); refusal != nil {", "if _, refusal := s.admit(c); false {"),
	},
	{
		[]string{"1"}, "a panic of AllowOriginFunc refuses the origin",
		engine, "TestB9_AllowOriginFunc",
		edit("socketbridge/engineio/origin.go", "\t\t\t\tallowed = false\n", "\t\t\t\tallowed = true\n"),
	},
	{
		[]string{"2", "CVE-2026-59725"}, "bodies of other types than text/plain are refused",
		engine, "TestRefuse_Bodies",
		edit("socketbridge/engineio/handler.go", "case len(h.ContentType()) > 0 && !isTextPlain(", "case false && !isTextPlain("),
	},
	{
		[]string{"3", "CVE-2020-28481"}, "refused origins get no CORS headers",
		engine, "TestD12_OriginOfEveryRequest",
		edit("socketbridge/engineio/origin_cors.go", "case crossOrigin:", "case crossOrigin, refused:"),
	},
	{
		[]string{"3"}, "responses vary by Origin",
		engine, "TestD12_OriginOfEveryRequest",
		edit("socketbridge/engineio/origin_cors.go", "\tc.Vary(fiber.HeaderOrigin)\n", ""),
	},
	{
		[]string{"3"}, "CORS headers of the app's middlewares are removed",
		engine, "TestB9_BesideACORSMiddleware",
		edit("socketbridge/engineio/origin_cors.go", "\tc.Response().Header.Del(fiber.HeaderAccessControlAllowOrigin)\n", ""),
	},
	{
		[]string{"3", "CVE-2024-25124"}, "AllowOrigins does not accept *",
		engine, "TestNew_PanicsOnContradictions",
		edit("socketbridge/engineio/origin_pattern.go", "return errStarOrigin", "return nil"),
	},
	{
		[]string{"1", "CVE-2022-42975"}, "a wildcard for a public suffix is refused at start",
		engine, "TestNew_PanicsOnContradictions",
		edit("socketbridge/engineio/origin_pattern.go", "return errPublicSuffix", "return nil"),
	},
	{
		[]string{"3"}, "AllowHeaders does not accept *",
		engine, "TestNew_PanicsOnContradictions",
		edit("socketbridge/engineio/config_validate.go", `if !isToken(h) || h == "*" {`, `if !isToken(h) {`),
	},
	{
		[]string{"3", "CVE-2026-42554"}, "responses must not be sniffed",
		engine, "TestRefuse_Requests",
		edit("socketbridge/engineio/origin_guard.go", "\tc.Set(fiber.HeaderXContentTypeOptions, \"nosniff\")\n", ""),
	},
	{
		[]string{"65"}, "a length beside chunks is ambiguous",
		bodies, "TestAmbiguous",
		edit("socketbridge/internal/httpbody/framing.go", "return encoding && (length || !chunked)", "return encoding && (length && false || !chunked)"),
	},
	{
		[]string{"65"}, "a coding other than chunked is ambiguous",
		bodies, "TestAmbiguous",
		edit("socketbridge/internal/httpbody/framing.go", "return encoding && (length || !chunked)", "return encoding && length && chunked"),
	},
	{
		[]string{"65"}, "an ambiguous request is refused on the server's paths",
		bridge, "TestAmbiguousRequestsEndTheConnection",
		edit("socketbridge/engineio/origin_guard.go", "if httpbody.Ambiguous(&c.Request().Header) {", "if false && httpbody.Ambiguous(&c.Request().Header) {"),
	},
	{
		[]string{"65"}, "LimitBodies refuses ambiguous requests of the app",
		bridge, "TestAmbiguousRequestsEndTheConnection",
		edit("socketbridge/engineio/body.go", "if httpbody.Ambiguous(&req.Header) {", "if false && httpbody.Ambiguous(&req.Header) {"),
	},
	{
		[]string{"65"}, "what is left of a body is not the next request",
		engine, "TestBodies_StreamsOfTheApp",
		edit("socketbridge/engineio/body.go", "if httpbody.Unread(req) {", "if false && httpbody.Unread(req) {"),
	},
	{
		[]string{"66"}, "X-Forwarded-Host counts from a trusted proxy only",
		"./internal/sitehost", "TestB9_HostOfTheSite",
		edit("internal/sitehost/sitehost.go", "return utils.UnsafeString(header), ok", "_ = utils.UnsafeString\n\treturn c.Hostname(), ok"),
	},
	{
		[]string{"66"}, "a request line with another host is refused",
		bridge, "TestB9_HostsThatContradict",
		edit("internal/sitehost/sitehost.go", "ok = bytes.EqualFold(header, c.Request().URI().Host())", "ok = bytes.EqualFold(header, header)"),
	},
}
