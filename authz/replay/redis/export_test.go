package redis

// ForgetNear empties the near cache.
func (s *Store) ForgetNear() { s.near.done.Purge() }
