// Package dropin tests that an app which uses Fiber's middleware/session goes on working when
// its import line is changed. It has no code of its own.
//
// The program in patterns is written for Fiber's package. The tests build it twice: as it is,
// and with the edits that docs/from-fiber.md asks for. They send the same requests to both
// programs and compare what a visitor sees after each one. The differences that are intended
// are the table of docs/from-fiber.md: the test reads it from there.
//
// A pattern's script has one step per line:
//
//	GET /path, POST /path name=value   a request. What it changed is compared.
//	POST /path > name                  the same; the body (or the state in Location) is $name
//	follow GET /path                   the same; redirects are followed
//	unseen POST /path                    the same; the session is not looked at afterwards
//	begin POST /path, end              a request that runs while the next steps do
//	use name                           continue as another visitor, who may be new
//	keep name                          save the visitor's cookies as those of another visitor
//	header Name                        visitors carry the session's ID in this header
//	set Name value, set cookie Name v  change the visitor's header or cookie
package dropin
