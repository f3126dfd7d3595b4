package fibersession

import "github.com/fiberbridge/fiberbridge/storage"

// Storage returns what the store keeps its sessions on, for others who belong to the
// same app. Names that begin with Prefix and "s:", "u:", "ticket:" or "cookie:" are the store's own.
func (s *Store) Storage() storage.Storage { return s.base }

// Prefix returns Config.Prefix: what the names of the app begin with.
func (s *Store) Prefix() string { return s.cfg.Prefix }
