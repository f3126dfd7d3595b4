package guards_test

// ofNodes are the guards of docs/security.md, rows 19 to 24, 43 to 45, and 67.
var ofNodes = []guard{}
