package socketbridge

// Registrar is what handlers of events are registered on: a *Server (for its default
// namespace), a *Namespace or a *Socket. Package contract takes one. Only this package
// implements it; a type of another package can embed one.
type Registrar interface{ registrar() }

func (*Server) registrar()    {}
func (*Namespace) registrar() {}
func (*Socket) registrar()    {}
