// Package gen writes a contract for clients: as TypeScript, JSON Schema or AsyncAPI. It reads
// the declarations of contract.Event, contract.Notice, contract.Ask and fibersession.Key from
// the source of an app's packages, and does not run the app.
//
// The command fiberbridge gen is a front end of this package.
package gen
