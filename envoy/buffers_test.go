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

func TestBlocksAreBounded(t *testing.T) {
	var b buffers
	seen := map[*byte]bool{}
	var all []*[]byte
	for range maxArenas*arenaBytes/blockBytes + 3 { // the last ones are of the heap
		block := b.Get(blockBytes)
		(*block)[0], (*block)[blockBytes-1] = 1, 1
		if len(*block) != blockBytes || seen[&(*block)[0]] {
			t.Fatal("a block of another size, or one that is out")
		}
		seen[&(*block)[0]] = true
		all = append(all, block)
	}
	for _, block := range all {
		b.Put(block)
	}
	if block := b.Get(blockBytes); !seen[&(*block)[0]] {
		t.Error("a new block although there are others")
	}
}
