package h2

// Pinned returns how many bytes of blocks calls hold.
func (s *Server) Pinned() int64 { return s.pinned.Load() }

// Streaming returns how many calls there are that are not unary.
func (s *Server) Streaming() int64 { return s.streams.Load() }

// TableSizes returns what stands before the headers that follow each group of
// sizes that a peer has wanted.
func TableSizes(groups ...[]uint32) (said []byte) {
	var t tableSize
	for _, wanted := range groups {
		for _, size := range wanted {
			t.want(size)
		}
		said = t.append(said)
	}
	return said
}
