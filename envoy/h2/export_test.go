package h2

// Pinned returns how many bytes of blocks calls hold.
func (s *Server) Pinned() int64 { return s.pinned.Load() }

// Streaming returns how many calls there are that are not unary.
func (s *Server) Streaming() int64 { return s.streams.Load() }
