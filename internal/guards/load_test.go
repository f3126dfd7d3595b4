package guards_test

// ofLoad are the guards of docs/security.md, rows 25 to 33, 63 and 64.
var ofLoad = []guard{}
