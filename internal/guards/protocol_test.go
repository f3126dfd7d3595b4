package guards_test

// ofProtocol are the guards of docs/security.md, rows 34 to 42, and 62.
var ofProtocol = []guard{}
