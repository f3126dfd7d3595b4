package blocks

var (
	cache  interface{ Flush() }
	secret []byte
)
