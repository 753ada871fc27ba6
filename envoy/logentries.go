package envoy

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of fields on the way from a StreamAccessLogsMessage to its entries.
const (
	fieldHTTPLogs = 2
	fieldLogEntry = 1
)

// eachEntry calls f with each encoded entry for HTTP of an encoded
// StreamAccessLogsMessage, up to what cannot be read, and reports whether there is
// nothing of that kind. A message is never decoded whole: of a megabyte of empty
// entries that would make eighty.
func eachEntry(message []byte, f func(entry []byte)) bool {
	return eachField(message, fieldHTTPLogs, func(logs []byte) bool {
		return eachField(logs, fieldLogEntry, func(entry []byte) bool { f(entry); return true })
	})
}

// eachField calls f with each field of that number that has its length before it.
func eachField(message []byte, number protowire.Number, f func([]byte) bool) bool {
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return false
		}
		message = message[size:]
		if n == number && kind == protowire.BytesType {
			value, size := protowire.ConsumeBytes(message)
			if size < 0 || !f(value) {
				return false
			}
			message = message[size:]
			continue
		}
		if size = protowire.ConsumeFieldValue(n, kind, message); size < 0 {
			return false
		}
		message = message[size:]
	}
	return true
}

// mayHaveSeal reports whether an encoded entry can have a seal of ours: the text by
// which it is found stands in it as it is.
func mayHaveSeal(entry []byte) bool {
	return bytes.Contains(entry, []byte(metadataNamespace)) && bytes.Contains(entry, []byte(metadataSettle))
}
