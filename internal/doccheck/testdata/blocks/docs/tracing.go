package blocks

import (
	"context"

	"go.opentelemetry.io/otel/trace"
)

var (
	tracer trace.Tracer
	store  interface {
		Insert(ctx context.Context, n int) error
	}
)
