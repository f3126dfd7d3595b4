package storage

// Withheld replaces a driver's text that repeats a piece of the password.
const Withheld = withheld
