package explain

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/hookbastion/hookbastion/authz/signature"
)

// shown is a piece of the signed content as it is printed.
func shown(p signature.Piece, whole bool) piece {
	out := piece{Part: p.Part, Bytes: len(p.Bytes)}
	switch {
	case p.Bytes == nil && p.Part != "": // the key's
	case p.Open || whole && utf8.Valid(p.Bytes):
		text := string(p.Bytes)
		out.Text = &text
	default:
		sum := sha256.Sum256(p.Bytes)
		out.SHA256 = hex.EncodeToString(sum[:])
	}
	return out
}

// print writes the content, a line for each piece.
func (s *signed) print(w io.Writer) {
	fmt.Fprintf(w, "signed content, %d bytes:\n", s.Bytes)
	for _, p := range s.Pieces {
		name := p.Part
		if name == "" {
			name = "(fixed)"
		}
		switch {
		case p.Text != nil:
			fmt.Fprintf(w, "   %-12s %q\n", name, *p.Text)
		case p.SHA256 != "":
			fmt.Fprintf(w, "   %-12s %d bytes, SHA-256 %s\n", name, p.Bytes, p.SHA256)
		default:
			fmt.Fprintf(w, "   %-12s not shown\n", name)
		}
	}
}
