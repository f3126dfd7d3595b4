module github.com/fiberbridge/fiberbridge/internal/drivers

go 1.26.0

require (
	github.com/dgraph-io/badger/v3 v3.2103.5
	github.com/fiberbridge/fiberbridge v0.0.0
	github.com/gofiber/fiber/v2 v2.52.15
	github.com/gofiber/storage/badger/v2 v2.0.1
	github.com/gofiber/storage/bbolt v1.3.5
	github.com/gofiber/storage/postgres/v3 v3.2.0
	github.com/gofiber/storage/sqlite3/v2 v2.3.0
	github.com/jackc/pgx/v5 v5.13.0
	go.etcd.io/bbolt v1.3.7
)

require (
	github.com/cespare/xxhash v1.1.0 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/dgraph-io/ristretto v0.1.1 // indirect
	github.com/dustin/go-humanize v1.0.1 // indirect
	github.com/gofiber/storage/memory/v2 v2.1.0 // indirect
	github.com/gofiber/utils v1.0.1 // indirect
	github.com/gofiber/utils/v2 v2.0.0-beta.3 // indirect
	github.com/gogo/protobuf v1.3.2 // indirect
	github.com/golang/glog v1.1.2 // indirect
	github.com/golang/groupcache v0.0.0-20210331224755-41bb18bfe9da // indirect
	github.com/golang/protobuf v1.5.3 // indirect
	github.com/golang/snappy v0.0.4 // indirect
	github.com/google/flatbuffers v23.5.26+incompatible // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/mattn/go-colorable v0.1.13 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	github.com/mattn/go-runewidth v0.0.16 // indirect
	github.com/mattn/go-sqlite3 v1.14.50 // indirect
	github.com/molecule-man/go-brrr v1.3.1 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/rivo/uniseg v0.4.4 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	github.com/valyala/fasthttp v1.78.0 // indirect
	go.opencensus.io v0.24.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/protobuf v1.36.8 // indirect
)

replace github.com/fiberbridge/fiberbridge => ../..
