package envoy

import "testing"

func TestBuffersAreUsedAgainAtTheirSize(t *testing.T) {
	var b buffers
	for _, length := range []int{0, 1, 256, 257, 2048, 16384, 16385, 1 << 20, 1<<20 + 1} {
		for range 3 {
			buffer := b.Get(length)
			if len(*buffer) != length {
				t.Fatalf("%d bytes, want %d", len(*buffer), length)
			}
			b.Put(buffer)
		}
	}
	small := make([]byte, 300)
	b.Put(&small) // of no size that Get makes
	if buffer := b.Get(2000); cap(*buffer) < 2000 {
		t.Error("a buffer that is too small")
	}
}
