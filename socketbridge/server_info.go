package socketbridge

// ID returns the random name of this node, by which log lines name it.
func (s *Server) ID() string { return s.id }

// Config returns the configuration in effect, with the defaults of the fields that were not
// set. What its pointers, slices and maps lead to must not be modified.
func (s *Server) Config() Config { return s.cfg }
