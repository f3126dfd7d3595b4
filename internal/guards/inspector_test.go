package guards_test

// look is the package of the inspector.
const look = "./socketbridge/inspector"

// ofInspector are the guards of docs/security.md, rows 68 to 70.
var ofInspector = []guard{
	{
		[]string{"68"}, "an inspector does not start without Authorize",
		look, "TestN8_NeedsAuthorize",
		edit("socketbridge/inspector/config.go", "if cfg.Authorize == nil {", "if false {"),
	},
	{
		[]string{"68"}, "a visitor that Authorize refuses gets nothing of the inspector",
		look, "TestN8_OnlyAdministrators",
		edit("socketbridge/inspector/page.go", `if err != nil || administrator == "" {`, "if false {"),
	},
	{
		[]string{"68"}, "a pass of the inspector works once",
		look, "TestN8_OnlyAdministrators",
		edit("socketbridge/inspector/pass.go", "	delete(p.all, hash)\n	return one", "	return one"),
	},
	{
		[]string{"68"}, "Authorize is asked before the inspector ends something",
		look, "TestN8_RevokedAdministrator",
		edit("socketbridge/inspector/actions.go", "!ok || !open || shown != administrator", `!ok && !open && shown == "" && administrator == ""`),
	},
	{
		[]string{"68"}, "a page of the inspector without a new pass is disconnected",
		look, "TestN8_RevokedAdministrator",
		edit("socketbridge/inspector/namespace.go", "			i.closed(s)\n			s.Disconnect()\n", "			i.closed(s)\n"),
	},
	{
		[]string{"69"}, "the inspector shows only the values that Config.Values lists",
		look, "TestM5_NoSecretLeaves",
		edit("socketbridge/inspector/observe.go", "for _, key := range i.cfg.Values {", "for _, key := range r.Keys {"),
	},
	{
		[]string{"70"}, "a form of another site gets no pass of the inspector",
		look, "TestN8_OnlyAdministrators",
		edit("socketbridge/inspector/page.go", `c.Get(passHeader) == "" || `, ""),
	},
}
