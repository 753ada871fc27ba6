package authz

import "bytes"

// FoldName returns the name of a parameter of a query or form as the most
// generous framework would read it, so that two names which any of them takes
// for one have a text in common: whole or first. Escapes are decoded until none
// is left, all cases of a letter made one, spaces around it dropped, and what
// follows a NUL byte or a bracket, as in a[b] and a[]. A dot and a space inside
// are read as _, as PHP does, which is whole; or the dot divides two names, as
// where models are bound to parameters, and first is the first one. It is for
// comparisons only; nothing is signed or forwarded so.
func FoldName(name []byte) (whole, first string) {
	plus := bytes.ReplaceAll(name, []byte{'+'}, []byte{' '})
	text := unescape(nil, decodeU(plus))
	if !isASCII(text) {
		text = foldRunes(text)
	}
	text, _, _ = bytes.Cut(bytes.TrimLeft(text, " \t\r\n\v\f"), []byte{0})
	if bracket := bytes.IndexByte(text, '['); bracket > 0 {
		text = text[:bracket]
	}
	text = bytes.ToLower(bytes.TrimRight(text, " \t\r\n\v\f"))
	first = string(text)
	if dot := bytes.IndexByte(text, '.'); dot > 0 {
		first = first[:dot]
	}
	for i, c := range text {
		if c == '.' || c == ' ' || c == '[' {
			text[i] = '_'
		}
	}
	return string(text), first
}

// decodeU decodes %u0041, which is no escape by any standard, and which some
// servers decode. Other characters than ASCII stay as they are.
func decodeU(text []byte) []byte {
	decoded := make([]byte, 0, len(text))
	for len(text) > 0 {
		if len(text) >= 6 && text[0] == '%' && text[1]|0x20 == 'u' && text[2] == '0' && text[3] == '0' &&
			unhex(text[4]) < 8 && unhex(text[5]) < 16 {
			decoded, text = append(decoded, unhex(text[4])<<4|unhex(text[5])), text[6:]
			continue
		}
		decoded, text = append(decoded, text[0]), text[1:]
	}
	return decoded
}
