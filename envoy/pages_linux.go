package envoy

import "golang.org/x/sys/unix"

// pages returns memory in large pages, if the system has some, or nil. It is
// never given back.
func pages(size int) []byte {
	b, err := unix.Mmap(-1, 0, size+hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil
	}
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE) // smaller pages do as well
	return b[:size:size]
}
