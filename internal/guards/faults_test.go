package guards_test

// ofFaults are the guards of docs/security.md, rows 46 to 52.
var ofFaults = []guard{}
