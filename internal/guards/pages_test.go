package guards_test

// ofPages are the guards of docs/security.md, rows 1 to 3, 65 and 66.
var ofPages = []guard{}
