package authz

import "bytes"

// normalHost appends the host to dst in lower case, without port and final
// dot. What is not a plain host name or address is not accepted: a comma, for
// instance, stands there when the sender sent two hosts.
func normalHost(dst []byte, host View) ([]byte, bool) {
	name := host
	if len(name) > 0 && name[0] == '[' {
		end := bytes.IndexByte(name, ']')
		if end < 0 || !onlyPort(name[end+1:]) {
			return nil, false
		}
		name = name[:end+1]
	} else if colon := bytes.IndexByte(name, ':'); colon >= 0 {
		if !onlyPort(name[colon:]) {
			return nil, false
		}
		name = name[:colon]
	}
	name = bytes.TrimSuffix(name, []byte{'.'})
	if len(name) == 0 || len(name) > 253 {
		return nil, false
	}
	bracketed := name[0] == '['
	if bracketed && len(name) < len("[::]") || name[0] == '.' || bytes.Contains(name, []byte("..")) || name[len(name)-1] == '.' {
		return nil, false // no address, or an empty label
	}
	for i, c := range name {
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		case bracketed && (c == ':' || i == 0 || i == len(name)-1 && c == ']'):
		default:
			return nil, false
		}
		dst = append(dst, c)
	}
	return dst, true
}

func onlyPort(s []byte) bool {
	if len(s) == 0 {
		return true
	}
	if s[0] != ':' || len(s) < 2 || len(s) > 6 {
		return false
	}
	for _, c := range s[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
