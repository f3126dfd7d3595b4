package blocks

var (
	ids interface {
		ByKey(key string) (string, error)
	}
	newest, older []byte
	userID        string
)
