package wire

import "math/bits"

// Tags of the fields that an answer can have.
const (
	inStatus   = 1<<3 | wireBytes // of CheckResponse
	inDenied   = 2<<3 | wireBytes
	inOK       = 3<<3 | wireBytes
	inMetadata = 4<<3 | wireBytes

	inCode       = 1 << 3           // of google.rpc.Status and of HttpStatus; a number's wire type is 0
	inHTTPStatus = 1<<3 | wireBytes // of DeniedHttpResponse
	inBody       = 3<<3 | wireBytes
	inHeaders    = 2<<3 | wireBytes // of DeniedHttpResponse and OkHttpResponse
	inRemove     = 5<<3 | wireBytes // of OkHttpResponse

	inHeader = 1<<3 | wireBytes // of HeaderValueOption
	inAction = 3 << 3
	inFirst  = 1<<3 | wireBytes // key and value of HeaderValue and of a map's entry
	inSecond = 2<<3 | wireBytes
	inText   = 3<<3 | wireBytes // of Value

	// overwrite is OVERWRITE_IF_EXISTS_OR_ADD.
	overwrite = 2
)

// AppendSet appends to an allow or a denial a header that replaces what is
// there. The older field append is left unset.
func AppendSet[T ~string | ~[]byte](dst []byte, name string, value T) []byte {
	inner := sizeText(len(name)) + sizeText(len(value))
	dst = appendLength(dst, inHeaders, sizeText(inner)+2)
	dst = appendLength(dst, inHeader, inner)
	dst = append(appendLength(dst, inFirst, len(name)), name...)
	dst = append(appendLength(dst, inSecond, len(value)), value...)
	return append(dst, inAction, overwrite)
}

// AppendRemove appends to an allow the name of a header to remove.
func AppendRemove[T ~string | ~[]byte](dst []byte, name T) []byte {
	return append(appendLength(dst, inRemove, len(name)), name...)
}

// AppendHTTPStatus appends to a denial the status that the sender gets. Without
// one, a denial is an allow.
func AppendHTTPStatus(dst []byte, status int) []byte {
	dst = appendLength(dst, inHTTPStatus, 1+sizeVarint(status))
	return appendVarint(append(dst, inCode), status)
}

// AppendBody appends to a denial the body that the sender gets.
func AppendBody[T ~string | ~[]byte](dst []byte, body T) []byte {
	if len(body) == 0 {
		return dst
	}
	return append(appendLength(dst, inBody, len(body)), body...)
}

// AppendText appends to metadata a text under a key.
func AppendText[T ~string | ~[]byte](dst []byte, key string, value T) []byte {
	inner := sizeText(len(value))
	dst = appendLength(dst, inFirst, sizeText(len(key))+sizeText(inner))
	dst = append(appendLength(dst, inFirst, len(key)), key...)
	dst = appendLength(dst, inSecond, inner)
	return append(appendLength(dst, inText, len(value)), value...)
}

// AppendAllow appends an answer that forwards the request, of the fields of its
// OkHttpResponse and of its metadata.
func AppendAllow(dst, fields, metadata []byte) []byte {
	dst = append(dst, inStatus, 0) // code 0 is not written
	dst = append(appendLength(dst, inOK, len(fields)), fields...)
	return appendMetadata(dst, metadata)
}

// AppendDenial appends an answer with a gRPC code that is not 0, of the fields
// of its DeniedHttpResponse, which must have a status, and of its metadata.
func AppendDenial(dst []byte, code int, fields, metadata []byte) []byte {
	dst = appendLength(dst, inStatus, 1+sizeVarint(code))
	dst = appendVarint(append(dst, inCode), code)
	dst = append(appendLength(dst, inDenied, len(fields)), fields...)
	return appendMetadata(dst, metadata)
}

func appendMetadata(dst, metadata []byte) []byte {
	if len(metadata) == 0 {
		return dst
	}
	return append(appendLength(dst, inMetadata, len(metadata)), metadata...)
}

// appendLength appends a tag and the length of what follows.
func appendLength(dst []byte, tag byte, n int) []byte {
	return appendVarint(append(dst, tag), n)
}

func appendVarint(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

func sizeVarint(n int) int { return (bits.Len64(uint64(n)|1) + 6) / 7 }

// sizeText is the size of a field of n bytes whose tag has one.
func sizeText(n int) int { return 1 + sizeVarint(n) + n }
