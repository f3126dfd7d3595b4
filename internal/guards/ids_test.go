package guards_test

// ofIDs are the guards of docs/security.md, rows 11 to 18, 53 to 61.
var ofIDs = []guard{}
