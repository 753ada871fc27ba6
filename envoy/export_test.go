package envoy

// Held returns what calls hold of the byte budget, and how many calls there are.
func (s *Server) Held() (bytes, calls int64) { return s.h2.Held() }

// Result is what an entry of the access log says.
var Result = result
