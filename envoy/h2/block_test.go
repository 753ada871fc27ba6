package h2

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// literal is a field as RFC 7541, section 6.2, has it, with a name of its own and
// without Huffman's code.
func literal(kind byte, name, value string) []byte {
	b := []byte{kind}
	for _, text := range []string{name, value} {
		n := len(text)
		if n < 0x7f {
			b = append(b, byte(n))
		} else {
			b = append(b, 0x7f)
			for n -= 0x7f; n >= 0x80; n >>= 7 {
				b = append(b, 0x80|byte(n))
			}
			b = append(b, byte(n))
		}
		b = append(b, text...)
	}
	return b
}

// However blocks are cut, and whatever in them is too long to be kept, the rest
// of them and the table are what a decoder makes that keeps all of it.
func TestBlocks(t *testing.T) {
	const incremental, without, never = 0x40, 0x00, 0x10
	long, longer := strings.Repeat("n", maxString+1), strings.Repeat("v", 300<<10)
	entry := literal(incremental, "x-first", "1")
	blocks := map[string][][]byte{
		"nothing":                               {nil},
		"one field":                             {entry, {0xbe}},
		"a long value":                          {entry, append([]byte{0xbe}, literal(incremental, "b", longer)...), literal(incremental, "c", "2"), {0xbe}},
		"a long name":                           {entry, append([]byte{0xbe}, literal(incremental, long, "v")...), literal(incremental, "c", "2"), {0xbe}},
		"both":                                  {entry, append([]byte{0xbe}, literal(incremental, long, longer)...), literal(incremental, "c", "2"), {0xbe}},
		"a long name, no value":                 {entry, append([]byte{0xbe}, literal(incremental, long, "")...), literal(incremental, "c", "2"), {0xbe}},
		"a long value that is not indexed":      {entry, append(literal(without, "b", longer), 0xbe), {0xbe}},
		"a long name that is never indexed":     {entry, append(literal(never, long, longer), 0xbe), {0xbe}},
		"two of them, and a field between them": {slices.Concat(entry, literal(incremental, "b", longer), entry, literal(without, long, ""), []byte{0xbe}), {0xbe}},
		"the longest that is kept":              {entry, append(literal(incremental, long[1:], long[1:]), literal(incremental, "c", "2")...), {0xbe}},
		"one that is larger than the table":     {entry, append(literal(incremental, "b", longer[:5000]), literal(incremental, "c", "2")...), {0xbe}},
		"a long value of a name in a table":     {entry, slices.Concat([]byte{0x7e}, literal(0, "", longer)[2:], literal(incremental, "c", "2")), {0xbe}},
		"the size of the table":                 {append([]byte{0x20}, entry...), {0x3f, 0xe1, 0x1f}},
		"many":                                  many(500),
		"an index that is not there":            {{0xff, 0x80, 0x01}},
		"an index that is not there any more":   {entry, append(literal(incremental, "b", longer), 0xbe)},
		"a size that is not allowed":            {{0x3f, 0xe2, 0x1f}},
		"a size after a field":                  {append(entry[:len(entry):len(entry)], 0x20)},
		"a size after a long field":             {append(literal(without, "b", longer), 0x20)},
		"half a field":                          {entry[:5]},
		"half a number":                         {{0xff, 0x80}},
		"a number that is too large":            {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}},
		"a length that is too large":            {{0x40, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}},
		"half a long value":                     {literal(incremental, "b", longer)[:200<<10]},
		"a long name and half a length":         {append(literal(without, long, "")[:len(long)+5], 0x7f)},
		"a long name without a value":           {literal(without, long, "")[:len(long)+4]},
		"a long name, and a length too large":   {append(literal(without, long, "")[:len(long)+4], 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)},
	}
	random := rand.New(rand.NewPCG(1, 2))
	for name, all := range blocks {
		for _, most := range []int{1, 7, 16 << 10, 1 << 20} {
			var got, want []hpack.HeaderField
			decoder := hpack.NewDecoder(maxTable, nil)
			b := newHeaderBlock(func(f hpack.HeaderField) { got = append(got, f) })
			for i, block := range all {
				got, want = nil, nil
				fields, wantErr := decoder.DecodeFull(block)
				for _, f := range fields {
					if len(f.Name) <= maxString && len(f.Value) <= maxString {
						want = append(want, f)
					}
				}
				var err error
				for rest := block; len(rest) > 0 && err == nil; {
					n := min(len(rest), 1+random.IntN(most))
					err = b.write(bytes.Clone(rest[:n]))
					rest = rest[n:]
				}
				if err == nil {
					err = b.close()
				}
				if (err != nil) != (wantErr != nil) {
					t.Errorf("%s, block %d in chunks of %d: %v, and a decoder says %v", name, i, most, err, wantErr)
				}
				if err != nil {
					break
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s, block %d in chunks of %d: %d fields, want %d", name, i, most, len(got), len(want))
				}
				if b.skipped != (len(want) < len(fields)) {
					t.Errorf("%s, block %d: skipped: %t", name, i, b.skipped)
				}
				b.skipped = false
				if n := cap(b.rest); n > 4*maxString {
					t.Errorf("%s: %d bytes are kept", name, n)
				}
			}
		}
	}
}

// many returns blocks of fields of all kinds, some of which the table brings in.
func many(n int) (blocks [][]byte) {
	random := rand.New(rand.NewPCG(3, 4))
	var out bytes.Buffer
	encoder := hpack.NewEncoder(&out)
	for range 20 {
		out.Reset()
		for range n {
			_ = encoder.WriteField(hpack.HeaderField{ // to memory
				Name: fmt.Sprint("name-", random.IntN(50)), Value: strings.Repeat("v", random.IntN(200)), Sensitive: random.IntN(4) == 0,
			})
		}
		blocks = append(blocks, bytes.Clone(out.Bytes()))
	}
	return blocks
}
